//! Rules that need no disk and no clock: how backups are called, and which tiers a run is due to fill.

pub mod label;
pub mod naming;
pub mod tiers;

pub use label::Label;
pub use naming::{ArchiveKind, ArchiveName, Compression, ManifestName, Tier};
