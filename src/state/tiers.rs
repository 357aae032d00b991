//! Tiers that were filled in places whose key may not list: nobody else remembers them there.
//!
//! A folder that is lost costs one weekly and one monthly copy too many, never one too few.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::policy::Tier;

use super::journal::Journal;
use super::lock::TreeKey;

const FILE: &str = "tiers.jsonl";

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Filled {
    pub at: Timestamp,
    pub tree: String,
    /// Whose backups, in the words of whoever makes them.
    pub series: String,
    pub tier: Tier,
}

/// When and in which tier this series was backed up there.
pub fn of(state_dir: &Path, tree: &TreeKey, series: &str) -> Result<Vec<(Tier, Timestamp)>> {
    let all: Vec<Filled> = Journal::new(state_dir, FILE).read()?.entries;
    let mine = all.into_iter().filter(|one| one.tree == tree.as_str() && one.series == series);
    Ok(mine.map(|one| (one.tier, one.at)).collect())
}

pub fn record(state_dir: &Path, filled: &[Filled]) -> Result<()> {
    match filled {
        [] => Ok(()),
        _ => Journal::new(state_dir, FILE).append(filled),
    }
}
