//! Stage 3: merged text → one typed, validated job, secrets read, defaults decided. The only stage that may fail
//! because of the environment, and the only reader of the machine's clock, zone, name and users.

use std::time::Duration;

use super::args::Type;
use crate::error::Error;
use crate::policy::ArchiveKind;

mod alerts;
mod backup;
mod drill;
mod filter;
mod globals;
mod machine;
mod places;
mod prune;
mod restore;
mod s3;
mod schedule;
mod sealing;
mod server;
mod sources;
mod status;
mod stored;
mod values;

pub use alerts::{alerts, textfile};
pub use backup::{Backup, backup};
pub use drill::{drill, scratch as drill_server};
pub use machine::{clock, host_name, machine_zone, scratch, state_dir, user};
pub use places::to_examine as places;
pub use prune::{Prune, prune, rotation};
pub use restore::{Hooks, Restore, restore};
pub use s3::{lock as s3_lock, settings as s3_settings};
pub use schedule::{Schedule, schedule};
pub use sealing::{keys, recipients, signed_by, signer};
pub use status::{Status, status};
pub use stored::{copy, list, verify};
pub use values::since;

const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
const SQLITE_YIELD: Duration = Duration::from_secs(3);
const SQLITE_BUSY: Duration = Duration::from_secs(30);

/// A source that failed before the run: it counts as one of several, and does not stop the others.
pub struct Failure {
    pub label: String,
    pub error: Error,
}

/// What the user should know although nothing failed.
#[derive(Default)]
pub struct Notes(Vec<String>);

impl Notes {
    pub fn new(warnings: Vec<String>) -> Self {
        Notes(warnings)
    }

    pub fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    pub fn all(&self) -> &[String] {
        &self.0
    }
}

fn archive_kind(kind: Type) -> ArchiveKind {
    match kind {
        Type::Postgres => ArchiveKind::Postgres,
        Type::Sqlite => ArchiveKind::Sqlite,
        Type::Globals => ArchiveKind::Globals,
    }
}
