//! What `verify` found: a verdict a file, every finding, and the exit code that follows.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::Kind;
use crate::units::{RawBytes, StoredBytes};

#[derive(Clone, Debug, Default, Serialize)]
pub struct VerifyOutcome {
    pub files: Vec<FileReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    pub path: PathBuf,
    pub verdict: Verdict,
    /// Made by another tool: a plain pg_dump script or a compressed database file.
    pub foreign: bool,
    pub findings: Vec<Finding>,
    pub size: StoredBytes,
    pub raw: RawBytes,
    pub rows: u64,
    pub tables: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every byte was read and every check held.
    Sound,
    Damaged,
    /// Not an archive, or of a newer format.
    NotOurs,
    /// The file could not be read.
    Unreadable,
}

#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub what: String,
    /// Where in the file, in stored bytes.
    pub at: Option<u64>,
    /// The stream it lies in: `public.orders`.
    pub stream: Option<String>,
    pub rows_lost: Option<u64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; the backup is sound all the same.
    Note,
    Damage,
}

impl VerifyOutcome {
    /// 0 only if every file is sound; nothing to look at is not soundness.
    pub fn exit_code(&self) -> u8 {
        let has = |verdict| self.files.iter().any(|file| file.verdict == verdict);
        let kind = match () {
            () if self.files.is_empty() => Kind::Nothing,
            () if has(Verdict::Damaged) => Kind::Damaged,
            () if has(Verdict::Unreadable) => Kind::Place,
            () if has(Verdict::NotOurs) => Kind::Unsupported,
            () => return 0,
        };
        kind.exit_code()
    }
}
