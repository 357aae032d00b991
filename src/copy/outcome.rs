//! What `copy` did: what is new, what was there, what failed, and the exit code that follows.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Kind};
use crate::units::StoredBytes;

#[derive(Clone, Debug, Default, Serialize)]
pub struct CopyOutcome {
    pub copied: Vec<Copied>,
    /// Paths in the source whose backups stand in the target already.
    pub present: Vec<String>,
    pub failed: Vec<CopyFailure>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Copied {
    pub path: PathBuf,
    pub size_bytes: StoredBytes,
}

#[derive(Clone, Debug, Serialize)]
pub struct CopyFailure {
    pub path: String,
    pub error: String,
    pub hint: Option<String>,
    pub notes: Vec<String>,
    #[serde(skip)]
    kind: Kind,
}

impl CopyFailure {
    pub(super) fn new(path: &str, error: &Error) -> Self {
        CopyFailure {
            path: path.to_owned(),
            error: error.chain(),
            hint: error.hint_text().map(str::to_owned),
            notes: error.notes().to_vec(),
            kind: error.kind(),
        }
    }

    /// As an error of its own.
    pub fn to_error(&self) -> Error {
        let error = Error::new(self.kind, format!("cannot copy {}: {}", self.path, self.error));
        let error = self.notes.iter().fold(error, |error, note| error.note(note));
        self.hint.iter().fold(error, |error, hint| error.hint(hint))
    }
}

impl CopyOutcome {
    /// 0 if all that was asked for stands in the target, 3 if some of it does, else the first error's own code.
    pub fn exit_code(&self) -> u8 {
        match self.failed.first() {
            None if self.copied.is_empty() && self.present.is_empty() => Kind::Nothing.exit_code(),
            None => 0,
            Some(_) if !self.copied.is_empty() || !self.present.is_empty() => Kind::Partial.exit_code(),
            Some(failure) => failure.kind.exit_code(),
        }
    }
}
