//! The values that an archive holds: streams, members, the table of contents.

use std::ops::Range;

use serde_json::Value;

use crate::checksum::RowDigest;
use crate::ident::StreamId;
use crate::text::Text;
use crate::units::{RawBytes, StoredBytes};

use super::framing::Framing;
use super::header::ArchiveId;

/// FORMAT.md §3.2 has the numbers. Sequences and large objects are SQL statements that count as data.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum StreamKind {
    PreData,
    Rows,
    LargeObjects,
    Sequences,
    PostData,
    Pages,
}

impl StreamKind {
    pub const ALL: [StreamKind; 6] = [
        StreamKind::PreData,
        StreamKind::Rows,
        StreamKind::LargeObjects,
        StreamKind::Sequences,
        StreamKind::PostData,
        StreamKind::Pages,
    ];

    /// The word used in messages and `--json`.
    pub const fn name(self) -> &'static str {
        match self {
            StreamKind::PreData => "pre-data",
            StreamKind::Rows => "rows",
            StreamKind::LargeObjects => "large-objects",
            StreamKind::Sequences => "sequences",
            StreamKind::PostData => "post-data",
            StreamKind::Pages => "pages",
        }
    }
}

/// What a stream is. `schema`, `name` and `columns` are empty except for rows (a table) and pages (`name` is the label).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StreamSpec {
    pub kind: StreamKind,
    pub schema: Text,
    pub name: Text,
    pub columns: Box<[Text]>,
}

impl StreamSpec {
    /// How messages name the stream: `public.orders`, `pre-data`.
    pub fn label(&self) -> String {
        match (self.schema.is_empty(), self.name.is_empty()) {
            (false, _) => format!("{}.{}", self.schema, self.name),
            (true, false) => self.name.to_string(),
            (true, true) => self.kind.name().to_owned(),
        }
    }
}

/// A stream with its totals.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stream {
    pub id: StreamId,
    pub spec: StreamSpec,
    pub members: u64,
    pub rows: u64,
    pub raw: RawBytes,
    pub stored: StoredBytes,
    pub digest: RowDigest,
}

/// Where one member lies and what it must hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemberEntry {
    pub stream: StreamId,
    /// Position within the stream, from 0.
    pub seq: u64,
    pub offset: u64,
    /// The whole member as stored: header, deflate stream and trailer.
    pub stored: u64,
    pub raw: u64,
    pub rows: u64,
    /// CRC-32 of the raw bytes.
    pub crc32: u32,
    /// CRC-32 of the whole member as stored.
    pub stored_crc32: u32,
}

impl MemberEntry {
    /// Where it lies in the archive.
    pub fn span(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.stored)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Section {
    PreData,
    Data,
    PostData,
}

/// One object of the script; its id is its position.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TocEntry {
    pub section: Section,
    /// `TABLE`, `INDEX`, …: as pg_dump's table of contents names them.
    pub kind: Text,
    pub schema: Text,
    /// pg_dump's tag.
    pub name: Text,
    pub owner: Text,
    /// The rows of the table that the entry belongs to.
    pub table: Option<StreamId>,
    /// With `offset` and `len`: the entry's span in the raw bytes of its stream; `len` is 0 for entries without SQL.
    pub stream: StreamId,
    pub offset: u64,
    pub len: u64,
    pub depends: Box<[u32]>,
}

/// What only the end of a run knows. `properties` never holds SQL of the script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trailer {
    pub toc: Vec<TocEntry>,
    pub properties: Value,
}

/// Of a finished archive.
#[derive(Clone, Debug)]
pub struct Summary {
    pub framing: Framing,
    pub id: ArchiveId,
    pub streams: Vec<Stream>,
    pub members: u64,
    pub raw: RawBytes,
    /// The archive's length.
    pub stored: StoredBytes,
}
