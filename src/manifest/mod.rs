//! What stands beside the archives: `.meta`, one per archive and tier, and `manifest-*.json`, one per SQLite run.
//!
//! Pure: bytes in, values out. A backup exists when its `.meta` does, so a `.meta` is complete or refused.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(any(test, feature = "testkit"))]
#[allow(clippy::expect_used)]
mod fuzz;
pub mod meta;
pub mod moment;
pub mod run;
#[cfg(test)]
mod sample;

#[cfg(any(test, feature = "testkit"))]
pub use fuzz::fuzz_manifest;
pub use meta::{
    BackupType, Details, Encryption, Format, LargeObjectFacts, Meta, Readback, Source, SqliteFacts, TableFacts,
};
pub use moment::Moment;
pub use run::{FileResult, RunFile, RunManifest};
#[cfg(test)]
pub use sample::{sample_details, sample_meta};
