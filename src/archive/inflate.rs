//! Inflating a member: at once where its whole length is at hand, in steps where memory must wait for proof.

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Decompressor;

use crate::checksum::crc32;

use super::fault::Flaw;
use super::layout::{STEP_BYTES, wide};

/// Inflates a whole gzip member whose raw length is within what memory is taken for unproven. True if `into` then holds
/// exactly `raw_len` bytes with the CRC-32 and the length that `trailer` says; if false, nothing is known of it.
///
/// `trailer` is the end of `member`. libdeflate compares the eight bytes that follow the deflate stream, wherever that
/// is, and ignores what comes then. They are the trailer only if the trailer says the same and stands nowhere before.
pub fn inflate_at_once(member: &[u8], trailer: &[u8], raw_len: u64, into: &mut Vec<u8>) -> bool {
    let Some(len) = usize::try_from(raw_len).ok().filter(|len| *len <= STEP_BYTES) else { return false };
    let Some((expected, [a, b, c, d])) = trailer.split_first_chunk::<4>() else { return false };
    if u64::from(u32::from_le_bytes([*a, *b, *c, *d])) != raw_len {
        return false;
    }
    let only_at_the_end = member.len().checked_sub(trailer.len());
    if memchr::memmem::find(member, trailer) != only_at_the_end {
        return false;
    }
    if into.capacity() < len {
        into.clear();
        into.reserve_exact(len);
    }
    into.resize(len, 0);
    Decompressor::new().gzip_decompress(member, into) == Ok(len) && crc32(into).to_le_bytes() == *expected
}

/// Inflates exactly `raw_len` bytes. Memory grows only as data proves the length; one byte more is damage.
pub fn inflate(deflate: &[u8], raw_len: u64, into: &mut Vec<u8>) -> Result<(), Flaw> {
    let too_long = Flaw::RawLength { expected: raw_len, found: raw_len.saturating_add(1) };
    let cap = usize::try_from(raw_len).ok().and_then(|cap| cap.checked_add(1)).ok_or(Flaw::Inflate)?;
    let mut inflater = Decompress::new(false);
    loop {
        if into.len() == into.capacity() {
            let missing = cap.saturating_sub(into.len()).max(1);
            into.reserve_exact(missing.min(STEP_BYTES.max(into.len())));
        }
        let taken = usize::try_from(inflater.total_in()).map_err(|_| Flaw::Inflate)?;
        let rest = deflate.get(taken..).ok_or(Flaw::Inflate)?;
        let before = (inflater.total_in(), into.len());
        let status = inflater.decompress_vec(rest, into, FlushDecompress::None).map_err(|_| Flaw::Inflate)?;
        if wide(into.len()) > raw_len {
            return Err(too_long);
        }
        match status {
            Status::StreamEnd if wide(into.len()) != raw_len => {
                return Err(Flaw::RawLength { expected: raw_len, found: wide(into.len()) });
            }
            Status::StreamEnd if inflater.total_in() != wide(deflate.len()) => return Err(Flaw::Inflate),
            Status::StreamEnd => return Ok(()),
            // No progress although there was room: the stream wants input that is not there.
            _ if before == (inflater.total_in(), into.len()) => return Err(Flaw::Inflate),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libdeflate takes no notice of what follows the trailer that it compared.
    #[test]
    fn bytes_behind_the_trailer_are_not_a_member() {
        let raw = b"some rows";
        let mut member = vec![0; 200];
        let mut packer = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let len = packer.gzip_compress(raw, &mut member).unwrap();
        member.truncate(len);
        let taken = |member: &[u8]| {
            let trailer = &member[member.len() - 8..];
            inflate_at_once(member, trailer, wide(raw.len()), &mut Vec::new())
        };
        assert!(taken(&member));
        for more in [&b"\x1f\0"[..], b"\0\0\0\0\0\0\0\0", b"more\x09\0\0\0"] {
            assert!(!taken(&[&member, more].concat()), "{more:?}");
        }
        // The trailer once more: it is the end, and not its first place.
        assert!(!taken(&[&member[..], &member[len - 8..]].concat()));
    }
}
