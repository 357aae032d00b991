//! What was saved of a damaged archive and what was lost, in the shape that `--json` shows.

use std::path::PathBuf;

use serde::Serialize;

use crate::archive::{SalvageReport, SalvagedStream};
use crate::error::Kind;
use crate::units::{StoredBytes, human_count};
use crate::verify::outcome::Finding;

#[derive(Clone, Debug, Serialize)]
pub struct SalvageOutcome {
    /// The new archive; its `.meta` stands beside it.
    pub path: PathBuf,
    pub from: PathBuf,
    pub archive_id: String,
    pub size_bytes: StoredBytes,
    pub sha256: String,
    /// Nothing was lost.
    pub complete: bool,
    pub streams: Vec<StreamOutcome>,
    /// Script objects that are no longer whole, as `KIND schema.name`.
    pub objects_lost: Vec<String>,
    /// What was known of the source is missing.
    pub header_lost: bool,
    /// Empty tables, names of script objects and database properties are missing.
    pub index_lost: bool,
    /// What is wrong with the old archive.
    pub findings: Vec<Finding>,
    /// The losses in words, as the new `.meta` has them.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StreamOutcome {
    pub kind: &'static str,
    /// How messages name it: `public.orders`.
    pub label: String,
    pub schema: String,
    pub name: String,
    pub rows_kept: u64,
    pub rows_lost: u64,
    pub members_kept: u64,
    pub members_lost: u64,
    /// Whether the losses are exact, not lower bounds.
    pub exact: bool,
}

impl SalvageOutcome {
    /// 3 if anything was lost.
    pub fn exit_code(&self) -> u8 {
        if self.complete { 0 } else { Kind::Partial.exit_code() }
    }

    pub fn rows_lost(&self) -> u64 {
        self.streams.iter().map(|stream| stream.rows_lost).fold(0, u64::saturating_add)
    }
}

impl From<&SalvagedStream> for StreamOutcome {
    fn from(stream: &SalvagedStream) -> Self {
        StreamOutcome {
            kind: stream.spec.kind.name(),
            label: stream.spec.label(),
            schema: stream.spec.schema.to_string(),
            name: stream.spec.name.to_string(),
            rows_kept: stream.rows_kept,
            rows_lost: stream.rows_lost,
            members_kept: stream.members_kept,
            members_lost: stream.members_lost,
            exact: stream.exact,
        }
    }
}

/// One sentence a loss; none if nothing was lost.
pub(super) fn losses(report: &SalvageReport) -> Vec<String> {
    let mut all = Vec::new();
    for stream in &report.streams {
        let at_least = if stream.exact { "" } else { "at least " };
        let (rows, members) = (human_count(stream.rows_lost), human_count(stream.members_lost));
        if stream.members_lost > 0 {
            all.push(format!("{at_least}{rows} rows in {members} members of {} were lost", stream.spec.label()));
        } else if !stream.exact {
            all.push(format!("rows at the end of {} may have been lost", stream.spec.label()));
        }
    }
    all.extend(report.objects_lost.iter().map(|object| format!("{object} is no longer whole")));
    if report.header_lost {
        all.push("the header was lost: what it said of the source is missing".to_owned());
    }
    if report.index_lost {
        all.push("the index was lost: empty tables and database properties are missing".to_owned());
    }
    all
}
