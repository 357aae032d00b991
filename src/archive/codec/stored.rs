//! No compression: deflate's stored blocks, which every gzip tool reads.

use std::ops::Range;

use crate::archive::layout::wide;
use crate::checksum::crc32;
use crate::error::Result;

use super::{Codec, Form, Packed, rows_of};

/// RFC 1951 §3.2.4: a stored block's length has 16 bits.
const BLOCK_BYTES: usize = 65_535;
const HEAD_BYTES: usize = 5;

#[derive(Clone, Copy, Debug)]
pub struct Stored;

impl Codec for Stored {
    fn compress(&mut self, raw: &[u8], into: &mut Vec<u8>) -> Result<()> {
        into.reserve(usize::try_from(stored_len(raw.len())).unwrap_or(raw.len()));
        for (head, block) in stored_blocks(raw) {
            into.extend_from_slice(&head);
            into.extend_from_slice(block);
        }
        Ok(())
    }

    fn pack_whole(&mut self, raw: Vec<u8>, rows: Option<Range<usize>>, buffer: Vec<u8>) -> Result<(Packed, Vec<u8>)> {
        let (rows, digest) = rows_of(&raw, rows)?;
        let (framing, raw_len, crc32) = (self.framing(), wide(raw.len()), crc32(&raw));
        Ok((Packed { framing, raw_len, rows, crc32, digest, form: Form::Plain, bytes: raw }, buffer))
    }
}

/// The deflate stream of `raw`: the head of each stored block, and what stands behind it.
pub fn stored_blocks(raw: &[u8]) -> impl Iterator<Item = ([u8; HEAD_BYTES], &[u8])> {
    let mut rest = Some(raw);
    std::iter::from_fn(move || {
        let left = rest.take()?;
        let (block, after) = left.split_at(left.len().min(BLOCK_BYTES));
        rest = (!after.is_empty()).then_some(after);
        let [low, high] = u16::try_from(block.len()).unwrap_or(u16::MAX).to_le_bytes();
        Some(([u8::from(after.is_empty()), low, high, !low, !high], block))
    })
}

/// Length of the deflate stream of so many bytes.
pub fn stored_len(raw_len: usize) -> u64 {
    let blocks = raw_len.div_ceil(BLOCK_BYTES).max(1);
    wide(raw_len).saturating_add(wide(blocks.saturating_mul(HEAD_BYTES)))
}
