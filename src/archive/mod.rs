//! The archive: a plain `.sql.gz` / `.db.gz` for stock tools, an indexed and checksummed container for us.
//!
//! `docs/FORMAT.md` describes every byte; code cites its sections and does not repeat them. Everything here is
//! pure: bytes come from [`ReadAt`] or `io::Read` and go to `io::Write`; no file, clock, randomness or thread.
//!
//! Invariants: members are contiguous; a reader accepts canonical bytes only, so that a flip of any bit is found;
//! no row is handed out before every check of its member holds; no number from outside is used before it is bounded.
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

mod check;
mod codec;
mod fault;
mod footer;
mod framing;
mod header;
mod index;
mod inflate;
mod layout;
mod member;
mod model;
mod pipe;
mod reader;
mod rows;
mod salvage;
mod search;
mod sniff;
mod survey;
mod table;
mod tail;
mod varint;
mod writer;

/// Builders of archives. Their contents are fixed, so a failure in here is a bug of the test.
#[cfg(any(test, feature = "testkit"))]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects
)]
pub mod testkit;

#[cfg(test)]
mod tests;

pub use crate::read_at::ReadAt;
pub use check::{Finding, Report, Severity, StreamReport, check};
pub use codec::{Codec, Fit, Fitted, Form, Libdeflate, Packed, SAMPLE_BYTES, Stored, ZlibNg, Zstd};
pub use fault::{Fault, Flaw};
pub use framing::Framing;
pub use header::{ArchiveHeader, ArchiveId, PART, SourceKind, WITHOUT};
pub use model::{MemberEntry, Section, Stream, StreamKind, StreamSpec, Summary, TocEntry, Trailer};
pub use pipe::{PipeMember, PipeReader, Tail};
pub use reader::Archive;
pub use salvage::{SalvageOptions, SalvageReport, SalvagedStream, salvage};
pub use sniff::{SNIFF_BYTES, Sniff, sniff};
pub use writer::Writer;
