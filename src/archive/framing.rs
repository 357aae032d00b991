//! How the container lies in a stock format, which is all that differs between a `.gz` and a `.zst`: what a header begins
//! with, what wraps compressed bytes, what stands for no data. FORMAT.md §3 (gzip) and §12 (zstd).
//!
//! Both have the tag at the same place, so whoever knows the framing reads either.

mod gzip;
mod zstd;

use super::fault::Flaw;
use super::layout::{BODY_BYTES_MAX, CRC_BYTES, FOOTER_BODY_BYTES, HEADER_BYTES, TAG_AT, TAG_BYTES, wide};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    Gzip,
    Zstd,
}

/// What stands before and behind the bytes that are the same in every framing.
struct Shape {
    /// What the file begins with, before the head.
    lead: &'static [u8],
    /// What every header begins with.
    mark: &'static [u8],
    /// What follows the header of a member without data.
    empty_rest: &'static [u8],
    /// What follows the compressed bytes.
    trailer: usize,
}

impl Framing {
    pub const ALL: [Framing; 2] = [Framing::Gzip, Framing::Zstd];

    const fn shape(self) -> &'static Shape {
        match self {
            Framing::Gzip => &gzip::SHAPE,
            Framing::Zstd => &zstd::SHAPE,
        }
    }

    /// As `.meta` says it where nothing more is known.
    pub const fn name(self) -> &'static str {
        match self {
            Framing::Gzip => "gzip",
            Framing::Zstd => "zstd",
        }
    }

    /// The framing of the archive that begins with these bytes.
    pub fn of_start(bytes: &[u8]) -> Option<Self> {
        let begins = |framing: &Framing| {
            bytes.strip_prefix(framing.lead()).is_some_and(|head| match framing {
                Framing::Gzip => gzip::is_marked(head),
                Framing::Zstd => zstd::is_marked(head),
            })
        };
        Framing::ALL.into_iter().find(begins)
    }

    /// Whether these bytes are the first of some archive, and too few to tell.
    pub fn is_cut_start(bytes: &[u8]) -> bool {
        Framing::ALL.into_iter().any(|framing| [framing.lead(), framing.mark()].concat().starts_with(bytes))
    }

    pub const fn lead(self) -> &'static [u8] {
        self.shape().lead
    }

    /// Where the head stands.
    pub const fn head_at(self) -> u64 {
        wide(self.lead().len())
    }

    pub const fn mark(self) -> &'static [u8] {
        self.shape().mark
    }

    pub const fn empty_rest(self) -> &'static [u8] {
        self.shape().empty_rest
    }

    /// Bytes behind a data member's compressed ones.
    pub const fn trailer_bytes(self) -> usize {
        self.shape().trailer
    }

    /// No member is shorter.
    pub const fn member_bytes_min(self) -> usize {
        HEADER_BYTES.saturating_add(self.empty_rest().len())
    }

    /// The footer member, whole. FORMAT.md §7.
    pub const fn footer_bytes(self) -> usize {
        self.member_bytes_min().saturating_add(FOOTER_BODY_BYTES)
    }

    /// What stands before the tag of a member with this body. `crc32` is that of a data member's raw bytes, else 0.
    pub fn start(self, body_len: usize, crc32: u32) -> [u8; TAG_AT] {
        let sealed = TAG_BYTES.saturating_add(body_len.min(BODY_BYTES_MAX)).saturating_add(CRC_BYTES);
        match self {
            Framing::Gzip => gzip::start(sealed),
            Framing::Zstd => zstd::start(sealed, crc32),
        }
    }

    /// The header's whole length as its first 16 bytes declare it; nothing if they are not ours.
    pub fn header_len(self, bytes: &[u8]) -> Option<usize> {
        let start = bytes.first_chunk::<TAG_AT>()?;
        let sealed = match self {
            Framing::Gzip => gzip::sealed_len(start),
            Framing::Zstd => zstd::sealed_len(start),
        }?;
        let least = TAG_BYTES.saturating_add(CRC_BYTES);
        let fits = (least..=least.saturating_add(BODY_BYTES_MAX)).contains(&sealed);
        fits.then(|| sealed.saturating_add(TAG_AT))
    }

    /// The CRC-32 of the raw bytes where the header says it.
    pub fn header_crc32(self, header: &[u8]) -> Option<u32> {
        match self {
            Framing::Gzip => None,
            Framing::Zstd => zstd::crc32_in(header),
        }
    }

    /// What follows the compressed bytes of a data member.
    pub fn trailer(self, raw_len: u64, crc32: u32) -> Vec<u8> {
        match self {
            Framing::Gzip => gzip::trailer(raw_len, crc32),
            Framing::Zstd => Vec::new(),
        }
    }

    /// Puts exactly the `raw_len` raw bytes of a data member into `into`, whose former contents are written over, and
    /// gives their CRC-32, checked. `member` is all of it. On an error nothing is known of `into`.
    pub fn expand(self, member: &[u8], header_len: usize, raw_len: u64, into: &mut Vec<u8>) -> Result<u32, Flaw> {
        let (compressed, trailer) = self.split(member, header_len).ok_or(Flaw::HeaderField("length"))?;
        match self {
            Framing::Gzip => gzip::expand(member, compressed, trailer, raw_len, into),
            Framing::Zstd => zstd::expand(member, compressed, raw_len, into),
        }
    }

    /// The compressed bytes and the trailer of a whole member.
    pub fn split(self, member: &[u8], header_len: usize) -> Option<(&[u8], &[u8])> {
        let rest = member.get(header_len..)?;
        rest.split_at_checked(rest.len().checked_sub(self.trailer_bytes())?)
    }
}
