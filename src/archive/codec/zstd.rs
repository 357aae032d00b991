//! zstd: one frame for each block, with its length and its checksum.

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use crate::error::{Error, Kind, Result};

use super::{Codec, Framing};

pub struct Zstd {
    compressor: Compressor<'static>,
}

impl Zstd {
    /// From here on a reader would need more memory for the window than for the member.
    pub const LEVEL_MAX: u32 = 19;

    /// `level` is 1 to 19; what is beyond is taken for the nearest.
    pub fn new(level: u32) -> Result<Self> {
        let failed = |cause| Error::new(Kind::Bug, "cannot begin to compress by zstd").because(cause);
        let level = i32::try_from(level.clamp(1, Self::LEVEL_MAX)).unwrap_or(1);
        let mut compressor = Compressor::new(level).map_err(failed)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true)).map_err(failed)?;
        Ok(Zstd { compressor })
    }
}

impl Codec for Zstd {
    fn framing(&self) -> Framing {
        Framing::Zstd
    }

    fn compress(&mut self, raw: &[u8], into: &mut Vec<u8>) -> Result<()> {
        // The worst case is room that is asked for, not memory that is touched.
        into.reserve_exact(compress_bound(raw.len()));
        let failed = |cause| Error::new(Kind::Bug, "cannot compress a block").because(cause);
        self.compressor.compress_to_buffer(raw, into).map(|_| ()).map_err(failed)
    }
}
