//! Builders of good and of damaged archives for tests, fuzzing and benches.

mod bad;
mod fuzz;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::json;

use crate::ident::StreamId;

use crate::archive::codec::{Codec, Libdeflate, Stored, ZlibNg, Zstd};
use crate::archive::framing::Framing;
use crate::archive::header::{ArchiveHeader, ArchiveId, SourceKind};
use crate::archive::model::{Section, StreamKind, StreamSpec, TocEntry, Trailer};
use crate::archive::writer::Writer;
use crate::text::Text;

pub use bad::{bad_archives, compatible_flag, splice};
pub use fuzz::{fuzz_index, fuzz_member, fuzz_open, fuzz_roundtrip, fuzz_seeds};

/// A header with fixed contents.
pub fn sample_header() -> ArchiveHeader {
    ArchiveHeader {
        id: ArchiveId(*b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"),
        kind: SourceKind::Postgres,
        created: jiff::Timestamp::constant(1_790_000_000, 0),
        tool_version: "0.1.0".to_owned(),
        source: BTreeMap::from([
            ("database".to_owned(), "shop".to_owned()),
            ("encoding".to_owned(), "UTF8".to_owned()),
        ]),
        sections: ["pre-data", "data", "post-data"].map(str::to_owned).to_vec(),
    }
}

/// Any of the codecs at any of its levels, by a number.
pub fn any_codec(number: usize) -> Box<dyn Codec> {
    let level = number as u32 / 4 % 9 + 1;
    match number % 4 {
        0 => Box::new(Libdeflate::new(level)),
        1 => Box::new(ZlibNg::new(level)),
        2 => Box::new(Zstd::new(level).unwrap()),
        _ => Box::new(Stored),
    }
}

/// The codec whose output shows what is in it: nothing is compressed, or next to nothing.
pub fn plain_codec(framing: Framing) -> Box<dyn Codec> {
    match framing {
        Framing::Gzip => Box::new(Stored),
        Framing::Zstd => Box::new(Zstd::new(1).unwrap()),
    }
}

/// A codec that compresses.
pub fn packing_codec(framing: Framing) -> Box<dyn Codec> {
    match framing {
        Framing::Gzip => Box::new(ZlibNg::new(9)),
        Framing::Zstd => Box::new(Zstd::new(3).unwrap()),
    }
}

/// One block of a sample.
#[derive(Clone, Debug)]
pub struct SampleBlock {
    pub stream: StreamId,
    pub raw: Vec<u8>,
    pub rows: Option<Range<usize>>,
}

/// Everything that goes into an archive.
#[derive(Clone, Debug)]
pub struct Sample {
    pub header: ArchiveHeader,
    pub streams: Vec<StreamSpec>,
    pub blocks: Vec<SampleBlock>,
    pub trailer: Trailer,
}

/// A script's or pages' stream.
pub fn plain_spec(kind: StreamKind) -> StreamSpec {
    StreamSpec { kind, schema: Text::default(), name: Text::default(), columns: Box::default() }
}

/// The stream of a table's rows.
pub fn rows_spec(schema: &str, name: &str, columns: &[&str]) -> StreamSpec {
    let columns = columns.iter().map(|&column| column.into()).collect();
    StreamSpec { kind: StreamKind::Rows, schema: schema.into(), name: name.into(), columns }
}

/// A block of rows: each of `rows` without its newline.
pub fn rows_block(stream: StreamId, table: &str, rows: &[&str]) -> SampleBlock {
    let mut raw = format!("COPY {table} FROM stdin;\n").into_bytes();
    let start = raw.len();
    for row in rows {
        raw.extend_from_slice(row.as_bytes());
        raw.push(b'\n');
    }
    let end = raw.len();
    raw.extend_from_slice(b"\\.\n");
    SampleBlock { stream, raw, rows: Some(start..end) }
}

impl Sample {
    /// A script with two tables whose members interleave.
    pub fn small() -> Self {
        let (orders, notes) = ("\"public\".\"orders\" (\"id\", \"name\")", "\"public\".\"notes\" (\"text\")");
        let script = |stream, text: &str| SampleBlock { stream: StreamId(stream), raw: text.into(), rows: None };
        let create = "CREATE TABLE \"public\".\"orders\" (\"id\" integer, \"name\" text);\n";
        let create_notes = "CREATE TABLE \"public\".\"notes\" (\"text\" text);\n";
        let setval = "SELECT pg_catalog.setval('\"public\".\"orders_id_seq\"', 4, true);\n";
        let key = "ALTER TABLE ONLY \"public\".\"orders\" ADD CONSTRAINT \"orders_pkey\" PRIMARY KEY (\"id\");\n";
        let entry =
            |section, kind: &str, name: &str, table, stream, offset: usize, len: usize, depends: &[u32]| TocEntry {
                section,
                kind: kind.into(),
                schema: "public".into(),
                name: name.into(),
                owner: "shop".into(),
                table,
                stream: StreamId(stream),
                offset: offset as u64,
                len: len as u64,
                depends: depends.into(),
            };
        let (one, two) = (Some(StreamId(1)), Some(StreamId(2)));
        let toc = vec![
            entry(Section::PreData, "TABLE", "orders", one, 0, 0, create.len(), &[]),
            entry(Section::PreData, "TABLE", "notes", two, 0, create.len(), create_notes.len(), &[]),
            entry(Section::Data, "SEQUENCE SET", "orders_id_seq", None, 3, 0, setval.len(), &[0]),
            entry(Section::PostData, "CONSTRAINT", "orders orders_pkey", one, 4, 0, key.len(), &[0]),
        ];
        Sample {
            header: sample_header(),
            streams: vec![
                plain_spec(StreamKind::PreData),
                rows_spec("public", "orders", &["id", "name"]),
                rows_spec("public", "notes", &["text"]),
                plain_spec(StreamKind::Sequences),
                plain_spec(StreamKind::PostData),
            ],
            blocks: vec![
                script(0, create),
                script(0, create_notes),
                rows_block(StreamId(1), orders, &["1\tapple", "2\tpear"]),
                rows_block(StreamId(2), notes, &["first", "", "\\\\."]),
                rows_block(StreamId(1), orders, &["3\t\\N", "4\tquince"]),
                rows_block(StreamId(2), notes, &[]),
                script(3, setval),
                script(4, key),
            ],
            trailer: Trailer { toc, properties: json!({"connection_limit": -1, "acl": []}) },
        }
    }

    /// A SQLite file's pages in three runs: no database, but bytes that tell where they stand.
    pub fn pages() -> Self {
        let page = |number: u8| (0..512u32).map(move |at| number ^ (at % 251) as u8);
        let run = |first: u8| SampleBlock {
            stream: StreamId(0),
            raw: (first..first + 2).flat_map(page).collect(),
            rows: None,
        };
        let source = [("page_size", "512"), ("sqlite_version", "3.51.3"), ("encoding", "UTF-8")];
        Sample {
            header: ArchiveHeader {
                kind: SourceKind::Sqlite,
                source: source.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
                sections: vec!["data".to_owned()],
                ..sample_header()
            },
            streams: vec![StreamSpec { name: "shop".into(), ..plain_spec(StreamKind::Pages) }],
            blocks: vec![run(1), run(3), run(5)],
            trailer: Trailer { toc: Vec::new(), properties: json!({"user_version": 7}) },
        }
    }

    /// The finished archive as a backup makes it by default.
    pub fn archive(&self) -> Vec<u8> {
        self.archive_by(&mut Libdeflate::new(5))
    }

    pub fn archive_by(&self, codec: &mut dyn Codec) -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new(), &self.header, codec.framing()).unwrap();
        for spec in &self.streams {
            writer.open_stream(spec.clone());
        }
        for block in &self.blocks {
            let packed = codec.pack(&block.raw, block.rows.clone()).unwrap();
            writer.append(block.stream, &packed).unwrap();
        }
        for (id, _) in self.streams.iter().enumerate() {
            writer.end_stream(StreamId(id as u32), None).unwrap();
        }
        writer.finish(self.trailer.clone()).unwrap().0
    }
}
