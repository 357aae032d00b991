//! What lies in a tree, a folder or a file: one row per backup, whoever wrote it, newest first.
//!
//! A backup is an archive with its `.meta`. Everything else that looks like one is shown with its state and
//! never counted as one: an archive whose run did not finish, a `.meta` without archive, files of the older shell
//! system, plain dumps. Reading is cheap: names, sizes, every `.meta`, and a few bytes of archives that have none.
//! Whether an archive is sound is not known here.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::arithmetic_side_effects
    )
)]

mod gather;
mod place;
mod row;
pub mod select;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::error::Result;
use crate::manifest::{Meta, Source};
use crate::policy::Tier;
use crate::store::Store;

pub use place::at_path;
pub use row::{Listed, State};
pub use select::{Choice, PassedOver, Wanted};

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Listing {
    /// Newest first; at one instant daily before weekly before monthly.
    pub rows: Vec<Listed>,
    /// Run manifests by name, oldest first.
    pub manifests: Vec<String>,
    /// What is there and could not be looked at, so that nobody takes it for absent.
    pub skipped: Vec<Skipped>,
    /// Of one file that was named, not of a folder.
    #[serde(skip)]
    pub is_file: bool,
    #[serde(skip)]
    taken: BTreeSet<String>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Skipped {
    pub path: String,
    pub why: String,
}

impl Listing {
    /// Everything in this store. `zone` dates files that have nothing but their name.
    pub fn of(store: &dyn Store, zone: &TimeZone) -> Result<Listing> {
        gather::gather(store, store.list("")?, zone)
    }

    /// Whether a file of this stem (`postgres-shop-20251129-030000`) stands anywhere, whatever its state.
    /// Ignores case as some file systems do.
    pub fn is_taken(&self, stem: &str) -> bool {
        self.taken.contains(&stem.to_ascii_lowercase())
    }

    /// When and in which tier the same was backed up: the whole source, or this part of it. What `policy::tiers::due`
    /// asks for.
    pub fn tiers_of(&self, source: &Source, part: Option<&str>) -> Vec<(Tier, Timestamp)> {
        let is_same = |meta: &Meta| meta.is_regular() && meta.part() == part && meta.source() == *source;
        self.rows
            .iter()
            .filter(|row| row.state == State::Complete)
            .filter(|row| row.meta.as_ref().is_some_and(is_same))
            .filter_map(|row| row.tier.map(|tier| (tier, row.timestamp.instant())))
            .collect()
    }
}

#[cfg(test)]
mod tests;
