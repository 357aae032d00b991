//! Going through all of an archive that may be damaged: which members are sound, what is wrong and where.
//!
//! Nothing is written and nothing is believed: a member counts as sound only after every check that
//! [`Archive::read_member`](super::Archive::read_member) makes. After damage the search for the next header takes over.

use std::collections::BTreeMap;

use crate::checksum::RowDigest;
use crate::ident::StreamId;
use crate::read_at::ReadAt;

use super::fault::{Fault, Flaw};
use super::footer::Footer;
use super::framing::Framing;
use super::header::{ArchiveHeader, ArchiveId};
use super::index::{Index, Objects};
use super::member::{MemberKind, Tag, parse_empty, unpack};
use super::model::{MemberEntry, StreamKind, StreamSpec};
use super::reader::check_member;
use super::rows;
use super::search::{Identity, find_header, guess_archive, header_at, locate_index};
use super::sniff::Sniff;
use super::table::Cursor;
use super::tail::{check_head, framing_of, read_footer, read_head, read_index, read_span, recover_index};

/// A flaw, with the tag of the member where its header is sound.
#[derive(Debug)]
pub struct Broken {
    pub fault: Fault,
    pub tag: Option<Tag>,
}

/// What was found of one stream.
#[derive(Clone, Debug)]
pub struct Tally {
    pub spec: StreamSpec,
    pub members: u64,
    pub rows: u64,
    pub members_lost: u64,
    pub rows_lost: u64,
    /// Whether the numbers of what is lost are exact, not lower bounds.
    pub exact: bool,
    pub digest: RowDigest,
    next_seq: u64,
}

impl Tally {
    fn new(spec: StreamSpec) -> Self {
        let digest = RowDigest::default();
        Tally { spec, members: 0, rows: 0, members_lost: 0, rows_lost: 0, exact: true, digest, next_seq: 0 }
    }
}

/// What going through the members has brought to light.
#[derive(Debug, Default)]
pub struct Found {
    /// Offset and stored length of each sound data member, in file order.
    pub sound: Vec<(u64, u64)>,
    pub broken: Vec<Broken>,
    /// Members that the index names and that the file does not hold in a sound state.
    pub missing: Vec<MemberEntry>,
    pub tallies: BTreeMap<StreamId, Tally>,
}

#[derive(Debug)]
pub struct Survey {
    pub framing: Framing,
    pub id: ArchiveId,
    pub header: Option<ArchiveHeader>,
    pub index: Option<Index>,
    pub found: Found,
}

impl Survey {
    /// `progress` is told how many bytes were passed since it was last called. Fails only where nothing can be
    /// said at all: not ours, newer, empty.
    pub fn take<R: ReadAt>(source: &R, objects: Objects, progress: &mut dyn FnMut(u64)) -> Result<Self, Fault> {
        let mut found = Found::default();
        let footer = match read_footer(source) {
            Ok(footer) => Some(footer),
            Err(fault) if matches!(fault.flaw, Flaw::Newer { .. } | Flaw::Empty) => return Err(fault),
            Err(fault) => found.note(fault),
        };
        let framing = footer.map(|footer| footer.framing).or_else(|| framing_of(source));
        let head = match framing {
            Some(framing) => read_head(source, framing),
            None => Err(Flaw::NoHeader.at(0)),
        };
        let footer = match footer {
            Some(footer) if !is_footer_of(source, &footer, &head) => {
                found.note(Flaw::ForeignMember.at(footer.index_at.saturating_add(footer.index_stored)))
            }
            other => other,
        };
        let archive = match (&footer, framing, &head) {
            (Some(footer), _, _) => Identity { framing: footer.framing, id: footer.archive },
            (None, Some(framing), Ok((header, _))) => Identity { framing, id: header.id },
            (None, _, _) => guess(source, &mut found)?,
        };
        let Identity { framing, id } = archive;
        let (index, end) = find_index(source, footer.as_ref(), archive, objects, &mut found);
        let checked = match (&index, head) {
            (Some(index), _) => check_head(source, index).map(|()| None),
            (None, Ok((header, _))) if header.id == id => Ok(Some(header)),
            (None, Ok(_)) => Err(Flaw::ForeignMember.at(0)),
            (None, Err(fault)) => Err(fault),
        };
        let header = match checked {
            Ok(header) => header,
            Err(fault) => found.note(fault),
        };
        let header = index.as_ref().map(|index| index.header.clone()).or(header);
        for stream in index.iter().flat_map(|index| &index.streams) {
            found.tallies.insert(stream.id, Tally::new(stream.spec.clone()));
        }
        let expected =
            index.as_ref().map(|index| Cursor::new(&index.table, index.first_member_at(), index.streams.len()));
        let walk = Walk { source, archive, end: end.unwrap_or(source.len()), expected, found };
        let mut found = walk.run(progress);
        found.broken.sort_by_key(|broken| broken.fault.at);
        // Without an index, damage or a cut may have taken a stream's last members: nobody knows how many.
        let holes = found
            .broken
            .iter()
            .any(|broken| broken.fault.at > framing.head_at() && end.is_none_or(|end| broken.fault.at < end));
        if index.is_none() && (end.is_none() || holes) {
            found.tallies.values_mut().for_each(|tally| tally.exact = false);
        }
        Ok(Survey { framing, id, header, index, found })
    }
}

impl Found {
    fn note<T>(&mut self, fault: Fault) -> Option<T> {
        self.broken.push(Broken { fault, tag: None });
        None
    }

    fn miss(&mut self, entry: MemberEntry) {
        if let Some(tally) = self.tallies.get_mut(&entry.stream) {
            tally.members_lost = tally.members_lost.saturating_add(1);
            tally.rows_lost = tally.rows_lost.saturating_add(entry.rows);
        }
        self.missing.push(entry);
    }

    fn accept(&mut self, tag: &Tag, at: u64, digest: RowDigest, spec: impl FnOnce() -> StreamSpec) {
        self.sound.push((at, tag.stored));
        let tally = self.tallies.entry(tag.stream).or_insert_with(|| Tally::new(spec()));
        tally.members = tally.members.saturating_add(1);
        tally.rows = tally.rows.saturating_add(tag.rows);
        tally.digest.merge(digest);
    }

    /// Without an index, the stream's members up to `tag` that were not seen are lost, and nobody knows their rows.
    fn skip_to(&mut self, tag: &Tag) {
        if let Some(tally) = self.tallies.get_mut(&tag.stream) {
            let skipped = tag.seq.saturating_sub(tally.next_seq);
            tally.members_lost = tally.members_lost.saturating_add(skipped);
            tally.exact &= skipped == 0;
            tally.next_seq = tag.seq.saturating_add(1);
        }
    }

    /// Without an index, a sound header tells what its broken body held.
    fn lose(&mut self, tag: &Tag) {
        let MemberKind::Data(kind) = tag.kind else { return };
        let tally = self.tallies.entry(tag.stream).or_insert_with(|| Tally::new(spec_of(kind, &[])));
        if tag.seq < tally.next_seq {
            return;
        }
        tally.members_lost = tally.members_lost.saturating_add(1);
        tally.rows_lost = tally.rows_lost.saturating_add(tag.rows);
        self.skip_to(tag);
    }
}

struct Walk<'a, R> {
    source: &'a R,
    archive: Identity,
    end: u64,
    expected: Option<Cursor<'a>>,
    found: Found,
}

impl<R: ReadAt> Walk<'_, R> {
    fn run(mut self, progress: &mut dyn FnMut(u64)) -> Found {
        let head_at = self.archive.framing.head_at();
        let (mut at, mut stored, mut raw) = (head_at, Vec::new(), Vec::new());
        while at < self.end {
            let header = header_at(self.source, self.archive, at, &mut stored);
            let tag = header.as_ref().ok().copied();
            let whole = header.and_then(|tag| self.member(&tag, at, &mut stored, &mut raw));
            let next = match whole {
                Ok(next) => next,
                Err(fault) => {
                    if let (Some(tag), None) = (&tag, &self.expected) {
                        self.found.lose(tag);
                    }
                    // The head was compared with the index, or parsed, before.
                    if at > head_at {
                        self.found.broken.push(Broken { fault, tag });
                    }
                    self.next_after(at, tag.as_ref(), &mut stored)
                }
            };
            progress(next.min(self.end).saturating_sub(at));
            at = next;
        }
        while let Some(entry) = self.expected.as_mut().and_then(Cursor::next) {
            self.found.miss(entry);
        }
        self.found
    }

    /// Takes in the member whose header is sound; gives the place behind it.
    fn member(&mut self, tag: &Tag, at: u64, stored: &mut Vec<u8>, raw: &mut Vec<u8>) -> Result<u64, Fault> {
        let (framing, next) = (self.archive.framing, at.saturating_add(tag.stored));
        if next > self.end {
            return Err(Flaw::Truncated.at(at));
        }
        read_span(self.source, at, tag.stored, stored)?;
        match tag.kind {
            MemberKind::Head if at == framing.head_at() => parse_empty(framing, stored, at).map(|_| next),
            MemberKind::Data(kind) => self.data(tag, kind, at, stored, raw).map(|()| next),
            _ => Err(Flaw::OutOfPlace { expected: "data" }.at(at)),
        }
    }

    fn data(&mut self, tag: &Tag, kind: StreamKind, at: u64, stored: &[u8], raw: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(expected) = &mut self.expected else {
            let digest = unpack(self.archive.framing, stored, self.archive.id, at, raw)?.digest;
            let before = self.found.tallies.get(&tag.stream);
            if before.is_some_and(|tally| tag.seq < tally.next_seq || tally.spec.kind != kind) {
                return Err(Flaw::OutOfPlace { expected: "the stream's next member" }.at(at));
            }
            self.found.accept(tag, at, digest, || spec_of(kind, raw));
            self.found.skip_to(tag);
            return Ok(());
        };
        if !expected.has(tag.stream, tag.seq) {
            return Err(Flaw::OutOfPlace { expected: "a member that the index names here" }.at(at));
        }
        for entry in expected.by_ref() {
            if entry.stream != tag.stream || entry.seq != tag.seq {
                self.found.miss(entry);
                continue;
            }
            let indexed = self.found.tallies.get(&entry.stream).map(|tally| tally.spec.kind);
            let entry = MemberEntry { offset: at, ..entry };
            match check_member(self.archive.framing, stored, &entry, indexed, self.archive.id, raw) {
                Ok(digest) => self.found.accept(tag, at, digest, || spec_of(kind, raw)),
                Err(fault) => {
                    self.found.miss(entry);
                    return Err(fault);
                }
            }
            break;
        }
        Ok(())
    }

    /// A damaged body may be longer or shorter than its header says: its length is believed only where it leads
    /// to another header or to the end.
    fn next_after(&self, at: u64, tag: Option<&Tag>, scratch: &mut Vec<u8>) -> u64 {
        if let Some(tag) = tag {
            let next = at.saturating_add(tag.stored);
            if next == self.end || (next < self.end && header_at(self.source, self.archive, next, scratch).is_ok()) {
                return next;
            }
        }
        find_header(self.source, self.archive, at.saturating_add(1), self.end).map_or(self.end, |(place, _)| place)
    }
}

/// What a member tells of its stream.
fn spec_of(kind: StreamKind, raw: &[u8]) -> StreamSpec {
    let (schema, name, columns) = match kind {
        StreamKind::Rows => rows::names(raw).unwrap_or_default(),
        _ => Default::default(),
    };
    StreamSpec { kind, schema, name, columns }
}

/// A footer that disagrees with the head about the archive counts only if an index stands before it.
fn is_footer_of<R: ReadAt>(source: &R, footer: &Footer, head: &Result<(ArchiveHeader, Vec<u8>), Fault>) -> bool {
    match head {
        Ok((header, _)) if header.id != footer.archive => read_index(source, footer, Objects::Passed).is_ok(),
        _ => true,
    }
}

/// Neither footer nor head is sound: the members decide which archive this is, if any.
fn guess<R: ReadAt>(source: &R, found: &mut Found) -> Result<Identity, Fault> {
    let limit = match found.broken.first().map(|broken| &broken.fault.flaw) {
        Some(Flaw::NotOurs(Sniff::ForeignGzip | Sniff::Zstd)) => 4 << 20,
        Some(Flaw::NotOurs(Sniff::Unknown)) | None => u64::MAX,
        Some(Flaw::NotOurs(_)) => 0,
        Some(_) => u64::MAX,
    };
    let guessed = guess_archive(source, limit);
    let reason = found.broken.pop();
    match (guessed, reason) {
        (Some(id), _) => {
            found.note::<()>(Flaw::Truncated.at(source.len()));
            Ok(id)
        }
        (None, Some(Broken { fault, .. })) => Err(fault),
        (None, None) => Err(Flaw::NotOurs(Sniff::Unknown).at(0)),
    }
}

/// The index and where the data end: by the footer, or without one by the index's own parts.
fn find_index<R: ReadAt>(
    source: &R,
    footer: Option<&Footer>,
    archive: Identity,
    objects: Objects,
    found: &mut Found,
) -> (Option<Index>, Option<u64>) {
    if let Some(footer) = footer {
        let index = match read_index(source, footer, objects) {
            Ok(index) => Some(index),
            Err(fault) => found.note(fault),
        };
        return (index, Some(footer.index_at));
    }
    match locate_index(source, archive) {
        None => (None, None),
        Some(at) => match recover_index(source, archive, at, objects) {
            Ok(index) => (Some(index), Some(at)),
            Err(fault) => (found.note(fault), Some(at)),
        },
    }
}
