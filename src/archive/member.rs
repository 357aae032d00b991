//! One member: its header with our tag, and what follows it. FORMAT.md §3.
//!
//! A header is accepted only if re-encoding it gives the same bytes: there is one way to write each member's header.

use crate::checksum::{RowDigest, crc32};
use crate::ident::StreamId;

use super::fault::{Fault, Flaw};
use super::framing::Framing;
use super::header::ArchiveId;
use super::layout::{BODY_BYTES_MAX, CRC_BYTES, HEADER_BYTES, TAG_AT, wide};
use super::model::StreamKind;
use super::rows;

/// FORMAT.md §3.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MemberKind {
    Head,
    Index,
    Footer,
    Data(StreamKind),
}

impl MemberKind {
    const fn code(self) -> u8 {
        match self {
            MemberKind::Head => 1,
            MemberKind::Index => 2,
            MemberKind::Footer => 3,
            MemberKind::Data(kind) => stream_code(kind),
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(MemberKind::Head),
            2 => Some(MemberKind::Index),
            3 => Some(MemberKind::Footer),
            _ => stream_kind(code).map(MemberKind::Data),
        }
    }
}

/// FORMAT.md §3.2: the number of a kind of stream.
pub const fn stream_code(kind: StreamKind) -> u8 {
    match kind {
        StreamKind::PreData => 16,
        StreamKind::Rows => 17,
        StreamKind::LargeObjects => 18,
        StreamKind::Sequences => 19,
        StreamKind::PostData => 20,
        StreamKind::Pages => 21,
    }
}

pub fn stream_kind(code: u8) -> Option<StreamKind> {
    StreamKind::ALL.into_iter().find(|kind| stream_code(*kind) == code)
}

/// FORMAT.md §3.1: what a member says about itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tag {
    pub kind: MemberKind,
    pub archive: ArchiveId,
    pub stream: StreamId,
    pub seq: u64,
    pub rows: u64,
    pub raw: u64,
    /// The whole member.
    pub stored: u64,
}

impl Tag {
    /// A member that carries `body` in its header and no data.
    pub fn empty(framing: Framing, kind: MemberKind, archive: ArchiveId, seq: u64, body_len: usize) -> Self {
        let stored = wide(framing.member_bytes_min()).saturating_add(wide(body_len));
        Tag { kind, archive, stream: StreamId(0), seq, rows: 0, raw: 0, stored }
    }

    /// The header's bytes; `body` stands behind the tag and is covered by its CRC. `body` holds 65,471 bytes at most.
    /// `crc32_of_raw` is that of a data member's raw bytes, else 0.
    pub fn encode(&self, framing: Framing, crc32_of_raw: u32, body: &[u8]) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_BYTES.saturating_add(body.len()));
        header.extend_from_slice(&framing.start(body.len(), crc32_of_raw));
        header.extend_from_slice(&[self.kind.code(), 0, 0, 0]);
        header.extend_from_slice(&self.archive.0);
        header.extend_from_slice(&self.stream.0.to_le_bytes());
        for number in [self.seq, self.rows, self.raw, self.stored] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.extend_from_slice(body);
        header.extend_from_slice(&crc32(&header).to_le_bytes());
        header
    }
}

/// A parsed header: the tag and where its body lies.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    pub tag: Tag,
    pub body: &'a [u8],
    /// With its CRC; the compressed bytes begin here.
    pub len: usize,
}

/// Parses the header that `bytes` begin with; they may go on behind it. `at` is for the error.
pub fn parse_header(framing: Framing, bytes: &[u8], at: u64) -> Result<Header<'_>, Fault> {
    let len = framing.header_len(bytes).ok_or(Flaw::NoHeader.at(at))?;
    let (Some(covered), Some(crc_at)) = (bytes.get(..len), len.checked_sub(CRC_BYTES)) else {
        return Err(Flaw::Truncated.at(at));
    };
    let (covered, crc) = covered.split_at_checked(crc_at).ok_or(Flaw::Truncated.at(at))?;
    let stored = Fields::new(crc).u32().unwrap_or_default();
    let computed = crc32(covered);
    if stored != computed {
        return Err(Flaw::HeaderCrc { stored, computed }.at(at));
    }
    let mut fields = Fields::new(covered.get(TAG_AT..).unwrap_or_default());
    let tag = parse_tag(&mut fields, at)?;
    let body = fields.rest();
    check_tag(framing, &tag, body, at)?;
    let without_data = !matches!(tag.kind, MemberKind::Data(_));
    if without_data && framing.header_crc32(bytes).is_some_and(|crc32| crc32 != 0) {
        return Err(Flaw::HeaderField("CRC").at(at));
    }
    Ok(Header { tag, body, len })
}

fn parse_tag(fields: &mut Fields<'_>, at: u64) -> Result<Tag, Fault> {
    let (Some([code, 0, 0, 0]), Some(archive), Some(stream)) =
        (fields.array::<4>(), fields.array::<16>(), fields.u32())
    else {
        return Err(Flaw::HeaderField("kind").at(at));
    };
    let kind = MemberKind::from_code(code).ok_or(Flaw::HeaderField("kind").at(at))?;
    let (Some(seq), Some(rows), Some(raw), Some(stored)) = (fields.u64(), fields.u64(), fields.u64(), fields.u64())
    else {
        return Err(Flaw::HeaderField("length").at(at));
    };
    Ok(Tag { kind, archive: ArchiveId(archive), stream: StreamId(stream), seq, rows, raw, stored })
}

fn check_tag(framing: Framing, tag: &Tag, body: &[u8], at: u64) -> Result<(), Fault> {
    let smallest = wide(framing.member_bytes_min()).saturating_add(wide(body.len()));
    match tag.kind {
        MemberKind::Data(kind) => {
            if !body.is_empty() || tag.raw == 0 || tag.stored < smallest {
                return Err(Flaw::HeaderField("length").at(at));
            }
            if (kind != StreamKind::Rows && tag.rows != 0) || tag.rows > tag.raw {
                return Err(Flaw::HeaderField("row count").at(at));
            }
        }
        MemberKind::Head | MemberKind::Index | MemberKind::Footer => {
            let sequence_ok = tag.kind == MemberKind::Index || tag.seq == 0;
            if tag.stored != smallest || tag.stream.0 != 0 || tag.rows != 0 || tag.raw != 0 || !sequence_ok {
                return Err(Flaw::HeaderField("length").at(at));
            }
        }
    }
    Ok(())
}

/// The bytes of a member that carries its contents in the header. `body` holds 65,471 bytes at most.
pub fn empty_member(framing: Framing, kind: MemberKind, archive: ArchiveId, seq: u64, body: &[u8]) -> Vec<u8> {
    debug_assert!(body.len() <= BODY_BYTES_MAX);
    let mut member = Tag::empty(framing, kind, archive, seq, body.len()).encode(framing, 0, body);
    member.extend_from_slice(framing.empty_rest());
    member
}

/// Parses a whole empty member; `bytes` are exactly it.
pub fn parse_empty(framing: Framing, bytes: &[u8], at: u64) -> Result<Header<'_>, Fault> {
    let header = parse_header(framing, bytes, at)?;
    if matches!(header.tag.kind, MemberKind::Data(_)) {
        return Err(Flaw::OutOfPlace { expected: "a member without data" }.at(at));
    }
    if bytes.get(header.len..) != Some(framing.empty_rest()) {
        return Err(Flaw::HeaderField("contents").at(at));
    }
    Ok(header)
}

/// What a whole, checked data member turned out to hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Contents {
    pub tag: Tag,
    pub kind: StreamKind,
    pub crc32: u32,
    pub digest: RowDigest,
}

/// Checks a whole data member and puts its raw bytes into `into`, which is empty unless every check held. What `into`
/// held before is written over, not cleared first.
pub fn unpack(
    framing: Framing,
    bytes: &[u8],
    archive: ArchiveId,
    at: u64,
    into: &mut Vec<u8>,
) -> Result<Contents, Fault> {
    let checked = unpack_unchecked(framing, bytes, archive, at, into);
    if checked.is_err() {
        into.clear();
    }
    checked
}

fn unpack_unchecked(
    framing: Framing,
    bytes: &[u8],
    archive: ArchiveId,
    at: u64,
    into: &mut Vec<u8>,
) -> Result<Contents, Fault> {
    let header = parse_header(framing, bytes, at)?;
    let tag = header.tag;
    if tag.archive != archive {
        return Err(Flaw::ForeignMember.at(at));
    }
    let MemberKind::Data(kind) = tag.kind else {
        return Err(Flaw::OutOfPlace { expected: "a member with data" }.at(at));
    };
    if tag.stored != wide(bytes.len()) {
        return Err(Flaw::HeaderField("length").at(at));
    }
    let crc32 = framing.expand(bytes, header.len, tag.raw, into).map_err(|flaw| flaw.at(at))?;
    let digest = check_rows(kind, tag.rows, into).map_err(|flaw| flaw.at(at))?;
    Ok(Contents { tag, kind, crc32, digest })
}

fn check_rows(kind: StreamKind, expected: u64, raw: &[u8]) -> Result<RowDigest, Flaw> {
    if kind != StreamKind::Rows {
        return Ok(RowDigest::default());
    }
    let span = rows::row_span(raw).ok_or(Flaw::Framing)?;
    let (found, digest) = rows::count_rows(raw.get(span).unwrap_or_default());
    if found == expected { Ok(digest) } else { Err(Flaw::RowCount { expected, found }) }
}

/// Takes fixed-size little-endian numbers off a slice; nothing panics, nothing is read twice.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Fields(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
