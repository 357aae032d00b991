//! Deflate by zlib-ng: the reference, and the engine that also streams.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::error::{Error, Kind, Result};

use super::Codec;

#[derive(Debug)]
pub struct ZlibNg {
    deflater: Compress,
}

impl ZlibNg {
    /// `level` is 1 to 9; what is beyond is taken for the nearest.
    pub fn new(level: u32) -> Self {
        ZlibNg { deflater: Compress::new(Compression::new(level.clamp(1, 9)), false) }
    }
}

impl Codec for ZlibNg {
    fn compress(&mut self, raw: &[u8], into: &mut Vec<u8>) -> Result<()> {
        self.deflater.reset();
        // Data of ours shrinks to a third; what does not shrink grows by 5 bytes in 16 KiB.
        into.reserve((raw.len() / 2).saturating_add(64));
        loop {
            let taken = usize::try_from(self.deflater.total_in()).unwrap_or(usize::MAX);
            let rest = raw.get(taken..).unwrap_or_default();
            match self.deflater.compress_vec(rest, into, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => return Ok(()),
                Ok(Status::Ok | Status::BufError) => into.reserve_exact((raw.len() / 4).max(4096)),
                Err(cause) => return Err(Error::new(Kind::Bug, "cannot compress a block").because(cause)),
            }
        }
    }
}
