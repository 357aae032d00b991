//! Finding headers in bytes that may be anything. FORMAT.md §10.
//!
//! A header counts only with a sound CRC and the wanted archive id: rows may hold another archive as a value.

use std::collections::BTreeMap;

use crate::read_at::ReadAt;

use super::fault::{Fault, Flaw};
use super::framing::Framing;
use super::header::ArchiveId;
use super::layout::{TAG_AT, wide};
use super::member::{MemberKind, Tag, parse_header};
use super::tail::read_span;

/// Bytes that are searched at once; a header that begins near the end of a window is found by the next one.
const WINDOW_BYTES: u64 = 1 << 20;
/// What is given up where a medium cannot be read.
const SECTOR_BYTES: u64 = 4096;

/// Which archive is searched for, and what its headers look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    pub framing: Framing,
    pub id: ArchiveId,
}

/// The tag of the member that begins at `at`, of any archive.
pub fn any_header_at<R: ReadAt>(source: &R, framing: Framing, at: u64, scratch: &mut Vec<u8>) -> Result<Tag, Fault> {
    read_span(source, at, wide(TAG_AT), scratch)?;
    let len = framing.header_len(scratch).ok_or(Flaw::NoHeader.at(at))?;
    read_span(source, at, wide(len), scratch)?;
    Ok(parse_header(framing, scratch, at)?.tag)
}

/// The tag of the archive's member that begins at `at`.
pub fn header_at<R: ReadAt>(source: &R, archive: Identity, at: u64, scratch: &mut Vec<u8>) -> Result<Tag, Fault> {
    let tag = any_header_at(source, archive.framing, at, scratch)?;
    if tag.archive == archive.id { Ok(tag) } else { Err(Flaw::ForeignMember.at(at)) }
}

/// Where the next header of this archive begins, at `from` or behind it and before `end`.
pub fn find_header<R: ReadAt>(source: &R, archive: Identity, from: u64, end: u64) -> Option<(u64, Tag)> {
    find_any_header(source, archive.framing, from, end, &|id| id == archive.id)
}

fn find_any_header<R: ReadAt>(
    source: &R,
    framing: Framing,
    from: u64,
    end: u64,
    wanted: &dyn Fn(ArchiveId) -> bool,
) -> Option<(u64, Tag)> {
    let mark = framing.mark();
    let (mut window, mut scratch) = (Vec::new(), Vec::new());
    let (mut at, mut size) = (from, WINDOW_BYTES);
    while at < end {
        let len = size.min(end.saturating_sub(at));
        if read_span(source, at, len, &mut window).is_err() {
            // A medium with bad sectors: go on in small steps, and step over what cannot be read.
            at = if size == SECTOR_BYTES { at.saturating_add(SECTOR_BYTES) } else { at };
            size = SECTOR_BYTES;
            continue;
        }
        size = WINDOW_BYTES;
        for found in memchr::memmem::find_iter(&window, mark) {
            let place = at.saturating_add(wide(found));
            if let Ok(tag) = any_header_at(source, framing, place, &mut scratch)
                && wanted(tag.archive)
            {
                return Some((place, tag));
            }
        }
        let overlap = wide(mark.len()).saturating_sub(1);
        let step = if at.saturating_add(len) >= end { len } else { len.saturating_sub(overlap) };
        at = at.saturating_add(step.max(1));
    }
    None
}

/// The archive that most bytes of the first `limit` belong to, by members that lie side by side.
pub fn guess_archive<R: ReadAt>(source: &R, limit: u64) -> Option<Identity> {
    let shares = Framing::ALL.into_iter().flat_map(|framing| {
        let of = move |(id, bytes)| (Identity { framing, id }, bytes);
        shares_of(source, framing, limit).into_iter().map(of)
    });
    shares.max_by_key(|(_, bytes)| *bytes).map(|(archive, _)| archive)
}

fn shares_of<R: ReadAt>(source: &R, framing: Framing, limit: u64) -> BTreeMap<ArchiveId, u64> {
    let end = source.len().min(limit);
    let mut shares: BTreeMap<ArchiveId, u64> = BTreeMap::new();
    let (mut at, mut scratch) = (0u64, Vec::new());
    while let Some((place, tag)) = find_any_header(source, framing, at, end, &|_| true) {
        let next = place.saturating_add(tag.stored);
        let chained = next == source.len()
            || any_header_at(source, framing, next, &mut scratch)
                .is_ok_and(|following| following.archive == tag.archive);
        let share = shares.entry(tag.archive).or_default();
        *share = share.saturating_add(if chained { tag.stored } else { 1 });
        at = if chained { next } else { place.saturating_add(1) };
    }
    shares
}

/// Where the first part of the index stands, going from header to header.
pub fn locate_index<R: ReadAt>(source: &R, archive: Identity) -> Option<u64> {
    let (mut at, mut scratch) = (archive.framing.head_at(), Vec::new());
    loop {
        let (place, tag) = match header_at(source, archive, at, &mut scratch) {
            Ok(tag) => (at, tag),
            Err(_) => find_header(source, archive, at.saturating_add(1), source.len())?,
        };
        if tag.kind == MemberKind::Index && tag.seq == 0 {
            return Some(place);
        }
        let next = place.saturating_add(tag.stored);
        // A damaged body may have another length than its header says: then search, do not jump over what follows.
        at = match header_at(source, archive, next, &mut scratch) {
            Ok(_) => next,
            Err(_) => find_header(source, archive, place.saturating_add(1), source.len())?.0,
        };
    }
}
