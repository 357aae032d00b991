//! Deflate by libdeflate: whole buffers only, and members are whole buffers.

use libdeflater::{CompressionLvl, Compressor};

use crate::error::{Error, Kind, Result};

use super::Codec;

/// The working buffer is kept from block to block up to this size; a huge row gets one of its own.
const KEPT_BYTES: usize = 8 << 20;

pub struct Libdeflate {
    compressor: Compressor,
    /// The engine wants room for the worst case, all of it initialised. A block's output is copied out of here, so that
    /// nothing is zeroed for a block and a queued member holds no more than its own bytes.
    scratch: Vec<u8>,
}

impl Libdeflate {
    /// `level` is 1 to 9; what is beyond is taken for the nearest.
    pub fn new(level: u32) -> Self {
        let level = i32::try_from(level.clamp(1, 9)).ok().and_then(|level| CompressionLvl::new(level).ok());
        Libdeflate { compressor: Compressor::new(level.unwrap_or_default()), scratch: Vec::new() }
    }
}

impl Codec for Libdeflate {
    fn compress(&mut self, raw: &[u8], into: &mut Vec<u8>) -> Result<()> {
        let bound = self.compressor.deflate_compress_bound(raw.len());
        let failed = |cause| Error::new(Kind::Bug, "cannot compress a block").because(cause);
        if bound > KEPT_BYTES {
            // Zeroed by the system, page by page as it is written to: what is not needed takes no memory.
            let mut once = vec![0; bound];
            let len = self.compressor.deflate_compress(raw, &mut once).map_err(failed)?;
            once.truncate(len);
            *into = once;
            return Ok(());
        }
        if self.scratch.len() < bound {
            self.scratch.resize(bound, 0);
        }
        let len = self.compressor.deflate_compress(raw, &mut self.scratch).map_err(failed)?;
        into.extend_from_slice(self.scratch.get(..len).unwrap_or_default());
        Ok(())
    }
}
