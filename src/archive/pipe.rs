//! Reading an archive that cannot be sought: front to back, from a pipe. FORMAT.md §9.2.
//!
//! [`PipeReader::next_member`] hands out whole, checked members only; whether the archive is complete is known after
//! [`PipeReader::finish`], which checks index and footer against all that was seen. After an error every call fails.

use std::collections::BTreeMap;
use std::io::{self, Chain, Cursor, Read};

use serde_json::Value;

use crate::checksum::{RowDigest, crc32};
use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;

use super::fault::{Fault, Flaw};
use super::footer::Footer;
use super::framing::Framing;
use super::header::{ArchiveHeader, ArchiveId, parse_head_body};
use super::index::{Index, Objects};
use super::layout::{BODY_BYTES_MAX, STEP_BYTES, TAG_AT, wide};
use super::member::{MemberKind, Tag, parse_empty, parse_header, unpack};
use super::model::{Stream, StreamKind, TocEntry};
use super::sniff::{SNIFF_BYTES, Sniff, sniff};
use super::table::{Span, Table};
use super::tail::index_part;

/// What `next_member` has put into the caller's buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PipeMember {
    pub kind: StreamKind,
    pub stream: StreamId,
    pub seq: u64,
    pub rows: u64,
    pub digest: RowDigest,
}

/// What only the end of the archive says.
#[derive(Clone, Debug, PartialEq)]
pub struct Tail {
    pub streams: Vec<Stream>,
    pub toc: Vec<TocEntry>,
    pub properties: Value,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Members,
    /// The first part of the index is in `stored`.
    AtIndex,
    Failed,
}

#[derive(Debug)]
struct Seen {
    kind: StreamKind,
    next_seq: u64,
    digest: RowDigest,
}

#[derive(Debug)]
pub struct PipeReader<R> {
    source: Chain<Cursor<Vec<u8>>, R>,
    framing: Framing,
    header: ArchiveHeader,
    header_json: Vec<u8>,
    /// Of the member in `stored`.
    at: u64,
    stored: Vec<u8>,
    table: Table,
    streams: BTreeMap<StreamId, Seen>,
    state: State,
}

impl<R: Read> PipeReader<R> {
    /// Reads the head. Unsupported: not ours, or newer; the pipe is then lost to the caller.
    pub fn open(mut source: R) -> Result<Self> {
        let mut first = Vec::new();
        source.by_ref().take(wide(SNIFF_BYTES)).read_to_end(&mut first).map_err(|cause| Flaw::Read(cause).at(0))?;
        let framing = match (Framing::of_start(&first), sniff(&first)) {
            _ if first.is_empty() => return Err(Flaw::Empty.at(0).into()),
            (Some(framing), _) => framing,
            (None, Sniff::ForeignGzip | Sniff::Zstd) if Framing::is_cut_start(&first) => {
                return Err(Flaw::Truncated.at(0).into());
            }
            (None, other) => return Err(Flaw::NotOurs(other).at(0).into()),
        };
        let head_at = framing.head_at();
        let mut first = Cursor::new(first);
        first.set_position(head_at);
        let (mut source, mut stored) = (first.chain(source), Vec::new());
        read_member(&mut source, framing, head_at, &mut stored)?;
        let head = parse_empty(framing, &stored, head_at)?;
        if head.tag.kind != MemberKind::Head {
            return Err(Flaw::OutOfPlace { expected: "the head" }.at(head_at).into());
        }
        let (_, json) = parse_head_body(head.body, head_at)?;
        let header = ArchiveHeader::from_json(json, head.tag.archive, head_at)?;
        let (header_json, at) = (json.to_vec(), head_at.saturating_add(wide(stored.len())));
        let (stored, table, streams) = (Vec::new(), Table::default(), BTreeMap::new());
        Ok(PipeReader { source, framing, header, header_json, at, stored, table, streams, state: State::Members })
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    pub fn header(&self) -> &ArchiveHeader {
        &self.header
    }

    pub fn id(&self) -> ArchiveId {
        self.header.id
    }

    /// Puts the next member's raw bytes into `into`; nothing after the last one. On an error `into` is empty.
    pub fn next_member(&mut self, into: &mut Vec<u8>) -> Result<Option<PipeMember>> {
        into.clear();
        match self.state {
            State::AtIndex => return Ok(None),
            State::Failed => return Err(failed()),
            State::Members => {}
        }
        let next = self.step(into);
        if next.is_err() {
            into.clear();
            self.state = State::Failed;
        }
        Ok(next?)
    }

    fn step(&mut self, into: &mut Vec<u8>) -> Result<Option<PipeMember>, Fault> {
        let at = self.at;
        let tag = read_member(&mut self.source, self.framing, at, &mut self.stored)?;
        if tag.archive != self.header.id {
            return Err(Flaw::ForeignMember.at(at));
        }
        match tag.kind {
            MemberKind::Data(kind) => self.data(kind, into).map(Some),
            MemberKind::Index => {
                self.state = State::AtIndex;
                Ok(None)
            }
            MemberKind::Head | MemberKind::Footer => Err(Flaw::OutOfPlace { expected: "data or index" }.at(at)),
        }
    }

    fn data(&mut self, kind: StreamKind, into: &mut Vec<u8>) -> Result<PipeMember, Fault> {
        let at = self.at;
        let contents = unpack(self.framing, &self.stored, self.header.id, at, into)?;
        let Tag { stream, seq, rows, raw, stored, .. } = contents.tag;
        let seen = self.streams.entry(stream).or_insert(Seen { kind, next_seq: 0, digest: RowDigest::default() });
        if seen.kind != kind || seen.next_seq != seq {
            return Err(Flaw::OutOfPlace { expected: "the stream's next member" }.at(at));
        }
        seen.next_seq = seen.next_seq.saturating_add(1);
        seen.digest.merge(contents.digest);
        let stored_crc32 = crc32(&self.stored);
        self.table.push(Span { stream, stored, raw, rows, crc32: contents.crc32, stored_crc32 });
        self.at = at.saturating_add(stored);
        Ok(PipeMember { kind, stream, seq, rows, digest: contents.digest })
    }

    /// Reads index and footer, to the very end of the pipe. Only then is what was handed out known to be all.
    pub fn finish(mut self) -> Result<Tail> {
        match self.state {
            State::AtIndex => {}
            State::Failed => return Err(failed()),
            State::Members => return Err(Error::new(Kind::Bug, "cannot end the archive: members were not read")),
        }
        let index_at = self.at;
        let (footer, deflate) = self.read_tail()?;
        if footer.index_at != index_at {
            return Err(Flaw::FooterField("place of the index").at(self.at).into());
        }
        let index = Index::decode(&deflate, &footer, self.at, Objects::Kept)?;
        self.compare(&index)?;
        Ok(Tail { streams: index.streams, toc: index.toc, properties: index.properties })
    }

    /// All parts of the index, joined, and the footer behind them. `at` is then the footer's place.
    fn read_tail(&mut self) -> Result<(Footer, Vec<u8>), Fault> {
        let (mut deflate, mut seq, mut full) = (Vec::new(), 0u64, true);
        loop {
            let header = parse_empty(self.framing, &self.stored, self.at)?;
            if header.tag.kind == MemberKind::Footer && header.tag.archive == self.header.id {
                break;
            }
            index_part(&header, self.header.id, seq, true, self.at)?;
            if !full {
                return Err(Flaw::OutOfPlace { expected: "the footer" }.at(self.at));
            }
            full = header.body.len() == BODY_BYTES_MAX;
            deflate.extend_from_slice(header.body);
            self.at = self.at.saturating_add(wide(self.stored.len()));
            seq = seq.saturating_add(1);
            read_member(&mut self.source, self.framing, self.at, &mut self.stored)?;
        }
        let footer = Footer::parse(self.framing, &self.stored, self.at)?;
        let end = self.at.saturating_add(wide(self.stored.len()));
        match io::copy(&mut self.source.by_ref().take(1 << 20), &mut io::sink()) {
            Ok(0) => Ok((footer, deflate)),
            Ok(count) => Err(Flaw::TrailingBytes { count }.at(end)),
            Err(cause) => Err(Flaw::Read(cause).at(end)),
        }
    }

    fn compare(&self, index: &Index) -> Result<(), Fault> {
        let differs = |what| Err(Flaw::IndexDisagrees { what }.at(self.at));
        if index.header_json != self.header_json {
            return differs("archive header");
        }
        if index.table != self.table {
            return differs("list of members");
        }
        for stream in &index.streams {
            let seen = self.streams.get(&stream.id);
            if seen.is_some_and(|seen| seen.kind != stream.spec.kind) {
                return differs("kind of a stream");
            }
            if seen.map(|seen| seen.digest).unwrap_or_default() != stream.digest {
                return Err(Flaw::Digest.at(self.at));
            }
        }
        Ok(())
    }
}

fn failed() -> Error {
    Error::new(Kind::Damaged, "cannot read on: an earlier part of the archive was damaged")
}

/// Reads one whole member into `into`; memory grows only as the pipe proves to have the bytes.
fn read_member<R: Read>(source: &mut R, framing: Framing, at: u64, into: &mut Vec<u8>) -> Result<Tag, Fault> {
    into.clear();
    read_to(source, at, wide(TAG_AT), into)?;
    let header = framing.header_len(into).ok_or(Flaw::NoHeader.at(at))?;
    read_to(source, at, wide(header), into)?;
    let tag = parse_header(framing, into, at)?.tag;
    read_to(source, at, tag.stored, into)?;
    Ok(tag)
}

/// Reads on until `into` holds `len` bytes.
fn read_to<R: Read>(source: &mut R, at: u64, len: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
    while wide(into.len()) < len {
        let step = len.saturating_sub(wide(into.len())).min(wide(STEP_BYTES));
        into.reserve_exact(usize::try_from(step).unwrap_or(STEP_BYTES));
        let read = source.by_ref().take(step).read_to_end(into).map_err(|cause| Flaw::Read(cause).at(at))?;
        if wide(read) != step {
            return Err(Flaw::Truncated.at(at.saturating_add(wide(into.len()))));
        }
    }
    Ok(())
}
