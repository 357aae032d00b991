//! What restore drills found: a line for each database and drill.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::journal::Journal;

const FILE: &str = "drills.jsonl";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    pub at: Timestamp,
    /// `postgres` or `sqlite`.
    pub kind: String,
    pub name: String,
    /// The archive's name in its tree.
    pub archive: String,
    pub ok: bool,
    /// Nothing is wrong with what was compared, but not all of it could be.
    #[serde(default, skip_serializing_if = "is_false")]
    pub incomplete: bool,
    /// From the first byte read to the last index built; `None` if the restore itself failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_seconds: Option<f64>,
    /// What the restore may take.
    pub rto_seconds: f64,
    /// How old the archive was.
    pub age_seconds: f64,
    pub tables: u64,
    pub rows: u64,
    /// Why it is not ok, each finding for itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// What the role that drilled may not make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Oldest first.
pub fn read(state_dir: &Path) -> Result<Vec<Drill>> {
    Ok(Journal::new(state_dir, FILE).read()?.entries)
}

pub fn record(state_dir: &Path, drills: &[Drill]) -> Result<()> {
    match drills {
        [] => Ok(()),
        _ => Journal::new(state_dir, FILE).append(drills),
    }
}
