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
use crate::store::Space;

pub struct Facts {
    pub place: String,
    pub key: TreeKey,
    pub listing: Listing,
    /// What the place answers when it is asked for its space.
    pub space: Result<Option<Space>>,
    pub verdicts: Verdicts,
    /// Oldest first, as all of the state folder.
    pub history: Vec<Run>,
    pub drills: Vec<Drill>,
    /// Channels that took no alert when they were last tried.
    pub undelivered: Failures,
}

impl Facts {
    pub fn read(tree: &Tree, state_dir: &Path, now: &Zoned) -> Result<Facts> {
        Ok(Facts {
            place: tree.store.describe(),
            key: tree.key.clone(),
            listing: Listing::of(tree.store.as_ref(), now.time_zone())?,
            space: tree.store.space(),
            verdicts: Verdicts::read(state_dir)?,
            history: History::read(state_dir)?.runs,
            drills: drills::read(state_dir)?,
            undelivered: alerts::failures(state_dir),
        })
    }
}
