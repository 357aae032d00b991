//! Rules that need no disk and no clock: how backups are called, which tiers a run is due to fill,
//! and which backups may go.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod alerts;
pub mod freshness;
pub mod label;
pub mod naming;
pub mod retention;
pub mod tiers;
pub mod trend;

pub use label::Label;
pub use naming::{ArchiveKind, ArchiveName, Compression, ManifestName, Seal, Tier};
pub use retention::Retention;
