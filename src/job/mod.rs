//! What is to be done, decided: every value checked, every default filled in, every secret read.
//!
//! A job has no `Default`: `cli` decides each field in one place and can print what it decided. Nothing here reads
//! the environment, and no `Debug` output holds a password.

mod backup;
mod context;
mod drill;
mod prune;
mod restore;
mod stored;

pub use backup::{
    BackupJob, Compress, Content, GlobalsSource, GzipEngine, Limits, Place, PostgresSource, Retain, Source,
    SqliteSource,
};
pub use context::Context;
pub use drill::{Check, DrillJob, Sampling};
pub use prune::{PruneJob, Scope};
pub use restore::{Adaptation, ArchiveChoice, PostgresTarget, RestoreJob, Selection, TableName};
pub use stored::{CopyJob, ListJob, VerifyJob};
