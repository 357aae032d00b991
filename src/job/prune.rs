//! What may be removed from a tree.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::policy::Retention;

#[derive(Clone, Debug)]
pub struct PruneJob {
    pub rules: Retention,
    pub scope: Scope,
    /// Whether backups of the older system are ours to remove.
    pub adopt: bool,
    /// Say what would be removed, and remove nothing.
    pub dry_run: bool,
    pub state_dir: PathBuf,
}

#[derive(Clone, Debug)]
pub enum Scope {
    All,
    /// The series that these archives, by their SHA-256, belong to: what a run has just backed up.
    SeriesOf(BTreeSet<String>),
}
