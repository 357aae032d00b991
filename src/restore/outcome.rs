//! What a restore would replace, and what came of it.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::Kind;
use crate::pg::database;
use crate::units::StoredBytes;

/// Shown before anything is touched; the question that follows names what would be replaced.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The archive as it was named or chosen; `-` for a pipe.
    pub archive: String,
    /// Of the source when the archive was made: `database miyabi of db.example:5432, 2025-11-29 03:00`.
    pub holds: String,
    pub size: Option<StoredBytes>,
    /// Newer backups that were passed over, and why.
    pub passed_over: Vec<String>,
    pub target: TargetPreview,
    /// What deserves a look before the answer is yes.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TargetPreview {
    Postgres {
        server: String,
        database: String,
        #[serde(flatten)]
        found: database::Target,
        /// Tables are added to the target, or filled; nothing is replaced.
        within: bool,
    },
    Sqlite {
        path: PathBuf,
        /// `None`: the file does not exist.
        bytes: Option<u64>,
        /// When the file, or its WAL, was last written.
        written: Option<jiff::Timestamp>,
        /// Processes that have it open.
        holders: Vec<String>,
    },
}

impl TargetPreview {
    /// Whether a yes has to be asked for: something with content would be replaced or changed.
    pub fn replaces(&self) -> bool {
        match self {
            TargetPreview::Postgres { found: database::Target::Filled(_), .. } => true,
            TargetPreview::Postgres { .. } => false,
            TargetPreview::Sqlite { bytes, .. } => bytes.is_some(),
        }
    }

    /// What the user types to confirm.
    pub fn name(&self) -> String {
        match self {
            TargetPreview::Postgres { database, .. } => database.clone(),
            TargetPreview::Sqlite { path, .. } => path.display().to_string(),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct RestoreOutcome {
    pub archive: String,
    /// `miyabi on db.example:5432`, or the path.
    pub target: String,
    pub rows: u64,
    pub tables: u64,
    pub raw_bytes: u64,
    pub duration_seconds: f64,
    /// Where the old data is now: a database's new name, or the safety copy's path.
    pub kept: Option<String>,
    /// What could not be restored although all rows and constraints were; not empty means exit code 3.
    pub left_behind: Vec<String>,
    pub warnings: Vec<String>,
}

impl RestoreOutcome {
    pub fn exit_code(&self) -> u8 {
        if self.left_behind.is_empty() { 0 } else { Kind::Partial.exit_code() }
    }
}
