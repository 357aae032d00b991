//! What one stored file says of itself, in the shape that `--json` shows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::archive::{ArchiveHeader, Section, Stream, StreamKind, StreamReport, TocEntry};
use crate::checksum::RowDigest;
use crate::error::Kind;
use crate::manifest::Meta;
use crate::sqlite::Facts;
use crate::units::StoredBytes;
use crate::verify::script::Table;

#[derive(Clone, Debug, Serialize)]
pub struct Inspected {
    pub path: PathBuf,
    pub what: What,
    /// Made by another tool.
    pub foreign: bool,
    pub size_bytes: StoredBytes,
    /// What is wrong with it, as far as that shows without reading every row; empty is not yet sound.
    pub problems: Vec<String>,
    pub header: Option<ArchiveHeader>,
    /// Streams of an archive, or the tables of a script in the order in which their rows come.
    pub streams: Vec<StreamFacts>,
    pub members: u64,
    /// Objects of the script.
    pub objects: u64,
    /// How many of each kind: `TABLE`, `INDEX`, ….
    pub object_kinds: BTreeMap<String, u64>,
    /// Only where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_list: Option<Vec<ObjectFacts>>,
    /// As they stand in the archive's index.
    pub properties: Value,
    /// The database's own properties as statements; only where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties_sql: Option<Vec<String>>,
    pub sqlite: Option<Facts>,
    pub meta: Option<Meta>,
    #[serde(skip)]
    pub kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// One of ours, whole or not.
    Archive,
    /// Plain SQL.
    Script,
    /// A SQLite file.
    Database,
    /// Nothing that this version can look into.
    Unknown,
}

#[derive(Clone, Debug, Serialize)]
pub struct StreamFacts {
    /// `rows`, `pre-data`, `pages`, …
    pub kind: &'static str,
    /// How messages name it: `public.orders`.
    pub label: String,
    /// Empty where only the label is known: of a damaged index, of another tool's script.
    pub schema: String,
    pub name: String,
    pub columns: Vec<String>,
    pub rows: u64,
    pub members: u64,
    pub raw_bytes: Option<u64>,
    pub stored_bytes: Option<u64>,
    pub digest: Option<RowDigest>,
    /// Of an archive that cannot be opened: what is lost, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_lost: Option<u64>,
}

/// One object of an archive's script.
#[derive(Clone, Debug, Serialize)]
pub struct ObjectFacts {
    pub section: &'static str,
    pub kind: String,
    pub schema: String,
    pub name: String,
    pub owner: String,
    /// Of its SQL.
    pub bytes: u64,
}

impl Inspected {
    /// 0 if it could be looked at and nothing is wrong with what was seen.
    pub fn exit_code(&self) -> u8 {
        self.kind.map_or(0, Kind::exit_code)
    }
}

impl From<&Stream> for StreamFacts {
    fn from(stream: &Stream) -> Self {
        StreamFacts {
            schema: stream.spec.schema.to_string(),
            name: stream.spec.name.to_string(),
            columns: stream.spec.columns.iter().map(ToString::to_string).collect(),
            rows: stream.rows,
            members: stream.members,
            raw_bytes: Some(stream.raw.0),
            stored_bytes: Some(stream.stored.0),
            digest: Some(stream.digest),
            ..StreamFacts::of(stream.spec.kind, stream.spec.label())
        }
    }
}

impl From<&StreamReport> for StreamFacts {
    fn from(report: &StreamReport) -> Self {
        StreamFacts {
            rows: report.rows,
            members: report.members,
            rows_lost: Some(report.rows_lost),
            members_lost: Some(report.members_lost),
            ..StreamFacts::of(report.kind, report.stream.clone())
        }
    }
}

impl From<&Table> for StreamFacts {
    fn from(table: &Table) -> Self {
        StreamFacts {
            rows: table.rows,
            raw_bytes: Some(table.raw),
            ..StreamFacts::of(StreamKind::Rows, table.name.clone())
        }
    }
}

impl StreamFacts {
    fn of(kind: StreamKind, label: String) -> Self {
        StreamFacts {
            kind: kind.name(),
            label,
            schema: String::new(),
            name: String::new(),
            columns: Vec::new(),
            rows: 0,
            members: 0,
            raw_bytes: None,
            stored_bytes: None,
            digest: None,
            rows_lost: None,
            members_lost: None,
        }
    }
}

impl From<&TocEntry> for ObjectFacts {
    fn from(entry: &TocEntry) -> Self {
        ObjectFacts {
            section: match entry.section {
                Section::PreData => "pre-data",
                Section::Data => "data",
                Section::PostData => "post-data",
            },
            kind: entry.kind.to_string(),
            schema: entry.schema.to_string(),
            name: entry.name.to_string(),
            owner: entry.owner.to_string(),
            bytes: entry.len,
        }
    }
}
