//! Reading an archive from its tail: footer, index, then any member. FORMAT.md §9.
//!
//! An [`Archive`] exists only if head, index and footer are sound and agree. Members are checked when they are read.

use serde_json::Value;

use crate::checksum::{RowDigest, crc32};
use crate::error::Result;
use crate::ident::StreamId;
use crate::read_at::ReadAt;

use super::fault::{Fault, Flaw};
use super::footer::{Footer, footer_at};
use super::header::{ArchiveHeader, ArchiveId, parse_head_body};
use super::index::Index;
use super::layout::{
    BODY_BYTES_MAX, FOOTER_BYTES, GZIP_PREFIX, HEADER_BYTES, MEMBER_BYTES_MIN, STEP_BYTES, TAG_AT, wide,
};
use super::member::{Header, MemberKind, header_len, parse_empty, unpack};
use super::model::{MemberEntry, Stream, TocEntry};
use super::sniff::{SNIFF_BYTES, Sniff, sniff};
use super::table::{entry, position_of};

#[derive(Debug)]
pub struct Archive<R> {
    source: R,
    index: Index,
    index_at: u64,
    /// Of each member, in file order.
    offsets: Vec<u64>,
    /// Members by stream: positions of stream `n` lie at `starts[n]..starts[n + 1]`.
    starts: Vec<usize>,
    by_stream: Vec<u32>,
}

impl<R: ReadAt> Archive<R> {
    /// Damaged: truncated, trailing bytes, or any flaw of head, index, footer. Unsupported: not ours, or newer.
    pub fn open(source: R) -> Result<Self> {
        let footer = read_footer(&source)?;
        let index = read_index(&source, &footer)?;
        check_head(&source, &index)?;
        Ok(Archive::new(source, index, footer.index_at))
    }

    fn new(source: R, index: Index, index_at: u64) -> Self {
        let first = index.first_member_at();
        let mut offsets = Vec::with_capacity(index.table.len());
        let mut starts = vec![0usize; index.streams.len().saturating_add(1)];
        let mut next = first;
        for span in index.table.spans() {
            offsets.push(next);
            next = next.saturating_add(span.stored);
            if let Some(count) = starts.get_mut(position_of(span.stream).saturating_add(1)) {
                *count = count.saturating_add(1);
            }
        }
        let mut sum = 0usize;
        for start in &mut starts {
            sum = sum.saturating_add(*start);
            *start = sum;
        }
        let mut cursors = starts.clone();
        let mut by_stream = vec![0u32; index.table.len()];
        for (position, span) in index.table.spans().enumerate() {
            if let Some(cursor) = cursors.get_mut(position_of(span.stream))
                && let Some(slot) = by_stream.get_mut(*cursor)
            {
                *slot = u32::try_from(position).unwrap_or(u32::MAX);
                *cursor = cursor.saturating_add(1);
            }
        }
        Archive { source, index, index_at, offsets, starts, by_stream }
    }

    pub fn header(&self) -> &ArchiveHeader {
        &self.index.header
    }

    pub fn id(&self) -> ArchiveId {
        self.index.header.id
    }

    pub fn streams(&self) -> &[Stream] {
        &self.index.streams
    }

    pub fn stream(&self, id: StreamId) -> Option<&Stream> {
        self.index.streams.get(position_of(id))
    }

    pub fn toc(&self) -> &[TocEntry] {
        &self.index.toc
    }

    pub fn properties(&self) -> &Value {
        &self.index.properties
    }

    pub fn source(&self) -> &R {
        &self.source
    }

    /// Where the data members end and the index begins.
    pub fn index_at(&self) -> u64 {
        self.index_at
    }

    /// In file order.
    pub fn members(&self) -> impl Iterator<Item = MemberEntry> + '_ {
        self.index.table.entries(self.index.first_member_at(), self.index.streams.len())
    }

    /// The stream's members in its order; none for a stream that the archive does not have.
    pub fn members_of(&self, stream: StreamId) -> impl Iterator<Item = MemberEntry> + '_ {
        let at = position_of(stream);
        let start = self.starts.get(at).copied().unwrap_or(0);
        let end = self.starts.get(at.saturating_add(1)).copied().unwrap_or(start);
        let positions = self.by_stream.get(start..end).unwrap_or_default();
        positions.iter().zip(0u64..).filter_map(|(position, seq)| {
            let position = usize::try_from(*position).ok()?;
            Some(entry(self.index.table.get(position)?, seq, *self.offsets.get(position)?))
        })
    }

    /// Puts the member's raw bytes into `into` after every check held: stored CRC, header, lengths, raw CRC, rows.
    /// On an error `into` is empty.
    pub fn read_member(&self, member: &MemberEntry, into: &mut Vec<u8>) -> Result<RowDigest> {
        into.clear();
        let mut stored = Vec::new();
        read_span(&self.source, member.offset, member.stored, &mut stored)?;
        let contents = check_member(&stored, member, self.id(), into)?;
        Ok(contents)
    }
}

/// Checks a whole stored member against its entry.
pub(super) fn check_member(
    stored: &[u8],
    member: &MemberEntry,
    archive: ArchiveId,
    into: &mut Vec<u8>,
) -> Result<RowDigest, Fault> {
    let at = member.offset;
    let found = crc32(stored);
    if found != member.stored_crc32 {
        into.clear();
        return Err(Flaw::StoredCrc { expected: member.stored_crc32, found }.at(at));
    }
    let contents = unpack(stored, archive, at, into)?;
    let tag = contents.tag;
    let same = [
        (tag.stream == member.stream, "stream"),
        (tag.seq == member.seq, "sequence"),
        (tag.raw == member.raw, "raw length"),
        (tag.stored == member.stored, "stored length"),
        (tag.rows == member.rows, "row count"),
        (contents.crc32 == member.crc32, "CRC"),
    ];
    if let Some((_, what)) = same.into_iter().find(|(same, _)| !same) {
        into.clear();
        return Err(Flaw::IndexDisagrees { what }.at(at));
    }
    Ok(contents.digest)
}

/// Reads `len` bytes at `at`; memory grows only as the source proves to have them.
pub(super) fn read_span<R: ReadAt>(source: &R, at: u64, len: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
    into.clear();
    if at.checked_add(len).is_none_or(|end| end > source.len()) {
        return Err(Flaw::Truncated.at(at));
    }
    let len = usize::try_from(len).map_err(|_| Flaw::Truncated.at(at))?;
    while into.len() < len {
        let from = into.len();
        let step = len.saturating_sub(from).min(STEP_BYTES);
        into.resize(from.saturating_add(step), 0);
        let part = into.get_mut(from..).unwrap_or_default();
        source.read_at(at.saturating_add(wide(from)), part).map_err(|cause| Flaw::Read(cause).at(at))?;
    }
    Ok(())
}

/// Reads a whole member that carries its contents in the header.
pub(super) fn read_empty<R: ReadAt>(source: &R, at: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
    read_span(source, at, wide(TAG_AT), into)?;
    let header = header_len(into).ok_or(Flaw::NoHeader.at(at))?;
    let len = wide(header).saturating_add(wide(MEMBER_BYTES_MIN.saturating_sub(HEADER_BYTES)));
    read_span(source, at, len, into)
}

/// Finds and checks the footer; a file without one is told from a file that is not ours.
pub(super) fn read_footer<R: ReadAt>(source: &R) -> Result<Footer, Fault> {
    if source.is_empty() {
        return Err(Flaw::Empty.at(0));
    }
    let mut bytes = Vec::new();
    let fault = match footer_at(source.len()) {
        None => Flaw::Truncated.at(source.len()),
        Some(at) => {
            read_span(source, at, wide(FOOTER_BYTES), &mut bytes)?;
            match Footer::parse(&bytes, at) {
                Ok(footer) => return Ok(footer),
                Err(fault) => fault,
            }
        }
    };
    if matches!(fault.flaw, Flaw::Newer { .. }) {
        return Err(fault);
    }
    let mut first = Vec::new();
    read_span(source, 0, source.len().min(wide(SNIFF_BYTES)), &mut first)?;
    match sniff(&first) {
        Sniff::Ours => check_newer_head(source)?,
        // One flipped byte at either end must not make a stranger of it.
        other if !bytes.starts_with(&GZIP_PREFIX) => return Err(Flaw::NotOurs(other).at(0)),
        _ => {}
    }
    Err(match fault.flaw {
        Flaw::NoHeader => match trailing_bytes(source)? {
            Some(count) => Flaw::TrailingBytes { count }.at(source.len().saturating_sub(count)),
            None => Flaw::Truncated.at(source.len()),
        },
        _ => fault,
    })
}

/// A newer version may have moved everything but the head's prelude.
fn check_newer_head<R: ReadAt>(source: &R) -> Result<(), Fault> {
    let mut bytes = Vec::new();
    if read_empty(source, 0, &mut bytes).is_ok()
        && let Ok(header) = parse_empty(&bytes, 0)
        && let Err(fault) = parse_head_body(header.body, 0)
        && matches!(fault.flaw, Flaw::Newer { .. })
    {
        return Err(fault);
    }
    Ok(())
}

/// Looks for a sound footer in the last MiB and counts what follows it.
fn trailing_bytes<R: ReadAt>(source: &R) -> Result<Option<u64>, Fault> {
    const WINDOW: u64 = 1 << 20;
    let len = source.len();
    let from = len.saturating_sub(WINDOW);
    let mut tail = Vec::new();
    read_span(source, from, len.saturating_sub(from), &mut tail)?;
    for at in memchr::memmem::rfind_iter(&tail, &GZIP_PREFIX) {
        let Some(bytes) = at.checked_add(FOOTER_BYTES).and_then(|end| tail.get(at..end)) else { continue };
        let place = from.saturating_add(wide(at));
        if Footer::parse(bytes, place).is_ok() {
            return Ok(len.checked_sub(place.saturating_add(wide(FOOTER_BYTES))));
        }
    }
    Ok(None)
}

/// Reads the index members that the footer names and decodes them.
pub(super) fn read_index<R: ReadAt>(source: &R, footer: &Footer) -> Result<Index, Fault> {
    let end = footer.index_at.saturating_add(footer.index_stored);
    let (mut at, mut seq) = (footer.index_at, 0u64);
    let (mut deflate, mut bytes) = (Vec::new(), Vec::new());
    while at < end {
        read_empty(source, at, &mut bytes)?;
        let header = parse_empty(&bytes, at)?;
        let last = at.saturating_add(wide(bytes.len())) >= end;
        index_part(&header, footer.archive, seq, last, at)?;
        deflate.extend_from_slice(header.body);
        at = at.saturating_add(wide(bytes.len()));
        seq = seq.saturating_add(1);
    }
    if at != end {
        return Err(Flaw::FooterField("place of the index").at(end));
    }
    Index::decode(&deflate, footer, end)
}

/// Checks that a member is part `seq` of the archive's index. All parts but the last are full.
pub(super) fn index_part(header: &Header<'_>, archive: ArchiveId, seq: u64, last: bool, at: u64) -> Result<(), Fault> {
    if header.tag.archive != archive {
        return Err(Flaw::ForeignMember.at(at));
    }
    let in_place = header.tag.kind == MemberKind::Index && header.tag.seq == seq;
    if !in_place || header.body.is_empty() || (!last && header.body.len() != BODY_BYTES_MAX) {
        return Err(Flaw::OutOfPlace { expected: "the next part of the index" }.at(at));
    }
    Ok(())
}

/// The head member must say, byte for byte, what the index says it does.
fn check_head<R: ReadAt>(source: &R, index: &Index) -> Result<(), Fault> {
    let mut bytes = Vec::new();
    read_empty(source, 0, &mut bytes)?;
    let header = parse_empty(&bytes, 0)?;
    if header.tag.kind != MemberKind::Head {
        return Err(Flaw::OutOfPlace { expected: "the head" }.at(0));
    }
    if header.tag.archive != index.header.id {
        return Err(Flaw::ForeignMember.at(0));
    }
    let (_, json) = parse_head_body(header.body, 0)?;
    match json == index.header_json {
        true => Ok(()),
        false => Err(Flaw::IndexDisagrees { what: "archive header" }.at(0)),
    }
}
