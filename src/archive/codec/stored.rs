//! No compression: deflate's stored blocks, which every gzip tool reads.

use crate::error::Result;

use super::Codec;

/// RFC 1951 §3.2.4: a stored block's length has 16 bits.
const BLOCK_BYTES: usize = 65_535;
const HEAD_BYTES: usize = 5;

#[derive(Clone, Copy, Debug)]
pub struct Stored;

impl Codec for Stored {
    fn compress(&mut self, raw: &[u8], into: &mut Vec<u8>) -> Result<()> {
        let blocks = raw.len().div_ceil(BLOCK_BYTES).max(1);
        into.reserve(raw.len().saturating_add(blocks.saturating_mul(HEAD_BYTES)));
        let (mut rest, mut last) = (raw, false);
        while !last {
            let (block, after) = rest.split_at(rest.len().min(BLOCK_BYTES));
            last = after.is_empty();
            let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
            into.push(u8::from(last));
            into.extend_from_slice(&len.to_le_bytes());
            into.extend_from_slice(&(!len).to_le_bytes());
            into.extend_from_slice(block);
            rest = after;
        }
        Ok(())
    }
}
