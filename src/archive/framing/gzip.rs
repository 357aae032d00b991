//! A member is a gzip member; the tag stands in a subfield of FEXTRA. FORMAT.md §3.

use crate::archive::fault::Flaw;
use crate::archive::inflate::{inflate, inflate_at_once};
use crate::archive::layout::{GZIP_PREFIX, SUBFIELD, TAG_AT};
use crate::archive::member::Fields;
use crate::checksum::crc32;

use super::Shape;

pub const SHAPE: Shape =
    Shape { lead: &[], mark: &GZIP_PREFIX, empty_rest: &[0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0], trailer: 8 };

pub fn is_marked(head: &[u8]) -> bool {
    let after = head.strip_prefix(&GZIP_PREFIX).and_then(|rest| rest.get(2..));
    after.is_some_and(|rest| rest.starts_with(&SUBFIELD))
}

/// The prefix, XLEN, the subfield's name and length.
pub fn start(sealed: usize) -> [u8; TAG_AT] {
    let len = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_le_bytes();
    let ([extra_low, extra_high], [low, high]) = (len(sealed.saturating_add(4)), len(sealed));
    let [a, b, c, d, e, f, g, h, i, j] = GZIP_PREFIX;
    let [m, y] = SUBFIELD;
    [a, b, c, d, e, f, g, h, i, j, extra_low, extra_high, m, y, low, high]
}

pub fn sealed_len(start: &[u8; TAG_AT]) -> Option<usize> {
    let mut fields = Fields::new(start.strip_prefix(&GZIP_PREFIX)?);
    let extra = usize::from(fields.u16()?);
    let ours = fields.array::<2>()? == SUBFIELD;
    let sealed = usize::from(fields.u16()?);
    (ours && sealed.checked_add(4)? == extra).then_some(sealed)
}

pub fn trailer(raw_len: u64, crc32: u32) -> Vec<u8> {
    let [a, b, c, d, ..] = raw_len.to_le_bytes();
    [crc32.to_le_bytes(), [a, b, c, d]].concat()
}

pub fn expand(member: &[u8], deflate: &[u8], trailer: &[u8], raw_len: u64, into: &mut Vec<u8>) -> Result<u32, Flaw> {
    let mut fields = Fields::new(trailer);
    let (expected, length) = (fields.u32().unwrap_or_default(), fields.u32().unwrap_or_default());
    if inflate_at_once(member, trailer, raw_len, into) {
        return Ok(expected);
    }
    // Whatever the fast way does not take: huge members, and damage, which is named here.
    into.clear();
    inflate(deflate, raw_len, into)?;
    let found = crc32(into);
    if found != expected {
        return Err(Flaw::RawCrc { expected, found });
    }
    match u64::from(length) == raw_len & u64::from(u32::MAX) {
        true => Ok(found),
        false => Err(Flaw::HeaderField("length")),
    }
}
