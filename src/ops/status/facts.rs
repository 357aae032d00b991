//! Everything that is judged, read once.

use std::path::Path;

use jiff::Zoned;

use crate::error::Result;
use crate::listing::Listing;
use crate::prune::Tree;
use crate::state::alerts::{self, Failures};
use crate::state::drills::{self, Drill};
use crate::state::history::{History, Run};
use crate::state::{TreeKey, Verdicts};
use crate::store::{Noncurrent, Space};

/// Of one place.
pub struct Facts {
    /// As it is configured.
    pub place: String,
    pub key: TreeKey,
    pub listing: Listing,
    /// What the place answers when it is asked for its space.
    pub space: Result<Option<Space>>,
    /// What a place that keeps versions keeps beside.
    pub noncurrent: Result<Option<Noncurrent>>,
    pub past: Past,
}

/// What the state folder remembers, of all places.
#[derive(Clone, Default)]
pub struct Past {
    pub verdicts: Verdicts,
    /// Oldest first.
    pub history: Vec<Run>,
    pub drills: Vec<Drill>,
    /// Channels that took no alert when they were last tried.
    pub undelivered: Failures,
}

impl Past {
    pub fn read(state_dir: &Path) -> Result<Past> {
        Ok(Past {
            verdicts: Verdicts::read(state_dir)?,
            history: History::read(state_dir)?.runs,
            drills: drills::read(state_dir)?,
            undelivered: alerts::failures(state_dir),
        })
    }
}

impl Facts {
    pub fn read(place: &str, tree: &Tree, past: &Past, now: &Zoned) -> Result<Facts> {
        Ok(Facts {
            place: place.to_owned(),
            key: tree.key.clone(),
            listing: Listing::of(tree.store.as_ref(), now.time_zone())?,
            space: tree.store.space(),
            noncurrent: tree.store.noncurrent(),
            past: past.clone(),
        })
    }
}
