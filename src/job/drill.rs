//! Which archives are restored for trial, where, and what is expected of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::pg::connect::Server;
use crate::policy::ArchiveKind;
use crate::store::Places;

#[derive(Clone, Debug)]
pub struct DrillJob {
    pub root: PathBuf,
    /// Only backups of these names; empty for all.
    pub names: Vec<String>,
    pub kind: Option<ArchiveKind>,
    pub sampling: Sampling,
    /// Where scratch databases are made: one server for all, or that of each name.
    pub scratch: Option<Server>,
    pub servers: BTreeMap<String, Server>,
    /// Rows may run code: this lets it run with all rights of a server that holds other databases.
    pub as_superuser: bool,
    pub checks: Vec<Check>,
    /// What the restore of one database may take, that of all together, and that of all out of a bucket.
    pub rto: Duration,
    pub rto_all: Duration,
    pub rto_disaster: Duration,
    pub jobs: usize,
    pub threads: usize,
    pub state_dir: PathBuf,
    /// Where SQLite files are restored; `None` is the state folder.
    pub staging: Option<PathBuf>,
    pub lock_timeout: Duration,
    pub busy_limit: Duration,
}

impl DrillJob {
    /// What all restores together may take: whoever reads a bucket has lost the place, too.
    pub fn rto_together(&self) -> Duration {
        match Places::bucket(&self.root) {
            Some(_) => self.rto_disaster,
            None => self.rto_all,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sampling {
    /// The newest of each database.
    Newest,
    All,
    /// The newest of each, and this many others by chance.
    Sample(usize),
}

/// A question of the user's own to the restored database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// Whose backup it is about.
    pub database: String,
    pub sql: String,
    /// Rows in lines, columns separated by `|`, as `psql -At` prints them.
    pub expect: String,
}
