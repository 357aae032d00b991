//! Jobs about what is stored already.

use std::path::PathBuf;

use crate::listing::Listed;
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
pub struct CopyJob {
    /// A tree, a folder or one archive.
    pub from: PathBuf,
    /// The root of a tree.
    pub to: PathBuf,
    pub label: Option<String>,
    pub kind: Option<ArchiveKind>,
    pub state_dir: PathBuf,
}

impl CopyJob {
    pub fn wants(&self, row: &Listed) -> bool {
        self.label.as_ref().is_none_or(|label| *label == row.label)
            && self.kind.is_none_or(|kind| row.kind == Some(kind))
    }
}

#[derive(Clone, Debug)]
pub struct ListJob {
    pub root: PathBuf,
    pub label: Option<String>,
    pub kind: Option<ArchiveKind>,
}
