//! Reading an archive from its tail: footer, index, then any member. FORMAT.md §9.
//!
//! An [`Archive`] exists only if head, index and footer are sound and agree. Members are checked when they are read.

use serde_json::Value;

use crate::checksum::{RowDigest, crc32};
use crate::error::Result;
use crate::ident::StreamId;
use crate::read_at::ReadAt;

use super::fault::{Fault, Flaw};
use super::framing::Framing;
use super::header::{ArchiveHeader, ArchiveId};
use super::index::{Index, Objects};
use super::member::unpack;
use super::model::{MemberEntry, Stream, StreamKind, TocEntry};
use super::table::{Cursor, entry, position_of};
use super::tail::{check_head, read_footer, read_index, read_span};

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
        Archive::open_with(source, Objects::Kept)
    }

    /// As `open`, for who wants members: `toc` is empty, and of a large database most of the memory is spared.
    pub fn open_for_members(source: R) -> Result<Self> {
        Archive::open_with(source, Objects::Passed)
    }

    fn open_with(source: R, objects: Objects) -> Result<Self> {
        let footer = read_footer(&source)?;
        let index = read_index(&source, &footer, objects)?;
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

    pub fn framing(&self) -> Framing {
        self.index.framing
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
        Cursor::new(&self.index.table, self.index.first_member_at(), self.index.streams.len())
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
        let mut stored = Vec::new();
        let read = read_span(&self.source, member.offset, member.stored, &mut stored);
        let kind = self.stream(member.stream).map(|stream| stream.spec.kind);
        let checked = read.and_then(|()| check_member(self.framing(), &stored, member, kind, self.id(), into));
        if checked.is_err() {
            into.clear();
        }
        Ok(checked?)
    }
}

/// Checks a whole stored member against its entry and the kind of its stream.
pub(super) fn check_member(
    framing: Framing,
    stored: &[u8],
    member: &MemberEntry,
    kind: Option<StreamKind>,
    archive: ArchiveId,
    into: &mut Vec<u8>,
) -> Result<RowDigest, Fault> {
    let at = member.offset;
    let found = crc32(stored);
    if found != member.stored_crc32 {
        into.clear();
        return Err(Flaw::StoredCrc { expected: member.stored_crc32, found }.at(at));
    }
    let contents = unpack(framing, stored, archive, at, into)?;
    let tag = contents.tag;
    let same = [
        (tag.stream == member.stream, "stream"),
        (tag.seq == member.seq, "sequence"),
        (tag.raw == member.raw, "raw length"),
        (tag.stored == member.stored, "stored length"),
        (tag.rows == member.rows, "row count"),
        (contents.crc32 == member.crc32, "CRC"),
        (Some(contents.kind) == kind, "kind of a stream"),
    ];
    if let Some((_, what)) = same.into_iter().find(|(same, _)| !same) {
        into.clear();
        return Err(Flaw::IndexDisagrees { what }.at(at));
    }
    Ok(contents.digest)
}
