//! Compressing a block. The output is a deflate stream with what the member's header must say about it.

use std::ops::Range;

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::checksum::{RowDigest, crc32};
use crate::error::{Error, Kind, Result};

use super::layout::wide;
use super::rows;

/// One block, compressed, not yet framed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packed {
    pub raw_len: u64,
    pub rows: u64,
    /// Of the raw bytes.
    pub crc32: u32,
    pub digest: RowDigest,
    pub deflate: Vec<u8>,
}

pub trait Codec: Send {
    /// `rows` is where the rows stand in a data member; nothing for script text and pages.
    fn pack(&mut self, raw: &[u8], rows: Option<Range<usize>>) -> Result<Packed>;
}

/// Deflate by zlib-ng. Level 0 stores the bytes as they are ("none").
#[derive(Debug)]
pub struct GzipCodec {
    deflater: Compress,
}

impl GzipCodec {
    /// `level` is 0 to 9; anything above is 9.
    pub fn new(level: u32) -> Self {
        GzipCodec { deflater: Compress::new(Compression::new(level.min(9)), false) }
    }

    fn deflate(&mut self, raw: &[u8]) -> Result<Vec<u8>> {
        self.deflater.reset();
        // Data of ours shrinks to a third; what does not shrink grows by 5 bytes in 16 KiB.
        let mut out = Vec::with_capacity((raw.len() / 2).saturating_add(64));
        loop {
            let taken = usize::try_from(self.deflater.total_in()).unwrap_or(usize::MAX);
            let rest = raw.get(taken..).unwrap_or_default();
            match self.deflater.compress_vec(rest, &mut out, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => return Ok(out),
                Ok(Status::Ok | Status::BufError) => out.reserve_exact((raw.len() / 4).max(4096)),
                Err(cause) => return Err(Error::new(Kind::Bug, "cannot compress a block").because(cause)),
            }
        }
    }
}

impl Codec for GzipCodec {
    fn pack(&mut self, raw: &[u8], rows: Option<Range<usize>>) -> Result<Packed> {
        let (rows, digest) = match rows {
            None => (0, RowDigest::default()),
            // What a reader will find must be what the producer meant.
            Some(span) if rows::row_span(raw).as_ref() == Some(&span) => {
                rows::count_rows(raw.get(span).unwrap_or_default())
            }
            Some(_) => return Err(Error::new(Kind::Bug, "cannot pack a block of rows: not one whole COPY statement")),
        };
        Ok(Packed { raw_len: wide(raw.len()), rows, crc32: crc32(raw), digest, deflate: self.deflate(raw)? })
    }
}
