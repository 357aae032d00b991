//! Jobs that only read what is stored.

use std::path::PathBuf;

use crate::policy::ArchiveKind;

#[derive(Clone, Debug)]
pub struct VerifyJob {
    /// Archives, and folders that are searched for archives; never empty.
    pub paths: Vec<PathBuf>,
    /// Threads that decompress.
    pub threads: usize,
    /// Where SQLite files are unpacked for their integrity check; `None` is beside the archive.
    pub staging: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct ListJob {
    pub root: PathBuf,
    pub label: Option<String>,
    pub kind: Option<ArchiveKind>,
}
