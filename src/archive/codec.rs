//! Compressing a block: one small trait, one file for each engine.
//!
//! A codec turns raw bytes into what stands between a member's header and its trailer. What the header must say about
//! them (rows, digest, CRC) is found here, the same way for all.

mod fitted;
mod libdeflate;
mod stored;
mod zlib_ng;
mod zstd;

use std::ops::Range;

use crate::checksum::{RowDigest, crc32};
use crate::error::{Error, Kind, Result};

use super::framing::Framing;
use super::layout::wide;
use super::rows;

pub use fitted::{Fit, Fitted, SAMPLE_BYTES};
pub use libdeflate::Libdeflate;
pub use stored::{Stored, stored_blocks};
pub use zlib_ng::ZlibNg;
pub use zstd::Zstd;

/// What the bytes of a packed block are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A whole deflate stream or zstd frame, as the codec made it.
    Encoded,
    /// The raw bytes; the writer puts the heads of deflate's stored blocks between them.
    Plain,
}

/// One block, compressed, not yet framed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packed {
    pub framing: Framing,
    pub raw_len: u64,
    pub rows: u64,
    /// Of the raw bytes.
    pub crc32: u32,
    pub digest: RowDigest,
    pub form: Form,
    pub bytes: Vec<u8>,
}

impl Packed {
    /// Bytes between a member's header and its trailer.
    pub fn stored_len(&self) -> u64 {
        match self.form {
            Form::Encoded => wide(self.bytes.len()),
            Form::Plain => stored::stored_len(self.bytes.len()),
        }
    }
}

/// Compresses blocks one after the other; what it needs for that is kept from block to block.
pub trait Codec: Send {
    /// Of the archive that its output belongs in.
    fn framing(&self) -> Framing {
        Framing::Gzip
    }

    /// Compresses `raw` into `into`, which is empty.
    fn compress(&mut self, raw: &[u8], into: &mut Vec<u8>) -> Result<()>;

    /// `rows` is where the rows stand in a data member; nothing for script text and pages.
    fn pack(&mut self, raw: &[u8], rows: Option<Range<usize>>) -> Result<Packed> {
        self.pack_into(raw, rows, Vec::new())
    }

    /// As `pack`, in a buffer whose bytes are needed no more.
    fn pack_into(&mut self, raw: &[u8], rows: Option<Range<usize>>, mut buffer: Vec<u8>) -> Result<Packed> {
        let (rows, digest) = rows_of(raw, rows)?;
        buffer.clear();
        self.compress(raw, &mut buffer)?;
        let (framing, raw_len) = (self.framing(), wide(raw.len()));
        Ok(Packed { framing, raw_len, rows, crc32: crc32(raw), digest, form: Form::Encoded, bytes: buffer })
    }

    /// As `pack_into`, of a block that is given away: one that is not compressed needs no copy. Second comes the buffer
    /// that is left over: the block's, or `buffer`.
    fn pack_whole(&mut self, raw: Vec<u8>, rows: Option<Range<usize>>, buffer: Vec<u8>) -> Result<(Packed, Vec<u8>)> {
        Ok((self.pack_into(&raw, rows, buffer)?, raw))
    }
}

/// Number and digest of a block's rows. What a reader will find must be what the producer meant.
fn rows_of(raw: &[u8], rows: Option<Range<usize>>) -> Result<(u64, RowDigest)> {
    match rows {
        None => Ok((0, RowDigest::default())),
        Some(span) if rows::row_span(raw).as_ref() == Some(&span) => {
            Ok(rows::count_rows(raw.get(span).unwrap_or_default()))
        }
        Some(_) => Err(Error::new(Kind::Bug, "cannot pack a block of rows: not one whole COPY statement")),
    }
}

#[cfg(test)]
mod tests {
    use flate2::read::DeflateDecoder;
    use std::io::Read;

    use super::*;

    /// Bytes that do not compress.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn every_engine_makes_a_deflate_stream_of_the_same_bytes() {
        let text = b"tea\t42\tautumn\n".repeat(20_000);
        let blocks = [Vec::new(), vec![7], noise(65_535), noise(65_536), noise(300_000), text, noise(10)];
        let codecs: [Box<dyn Codec>; 5] = [
            Box::new(ZlibNg::new(1)),
            Box::new(ZlibNg::new(9)),
            Box::new(Libdeflate::new(1)),
            Box::new(Libdeflate::new(9)),
            Box::new(Stored),
        ];
        for mut codec in codecs {
            let mut buffer = Vec::new();
            // Twice: nothing of one block is left for the next.
            for block in blocks.iter().chain(&blocks) {
                let packed = codec.pack_into(block, None, buffer).unwrap();
                assert_eq!((packed.raw_len, packed.crc32), (block.len() as u64, crc32(block)));
                let mut decoder = DeflateDecoder::new(packed.bytes.as_slice());
                let mut raw = Vec::new();
                decoder.read_to_end(&mut raw).unwrap();
                assert!(raw == *block);
                assert_eq!(decoder.total_in(), packed.bytes.len() as u64);
                buffer = packed.bytes;
            }
        }
    }

    #[test]
    fn a_block_that_is_not_copied_is_framed_as_one_that_is() {
        for block in [Vec::new(), vec![7], noise(65_535), noise(65_536), noise(131_070), noise(300_000)] {
            let copied = Stored.pack(&block, None).unwrap();
            let (whole, left) = Stored.pack_whole(block.clone(), None, vec![1, 2]).unwrap();
            assert_eq!((whole.form, &whole.bytes, left), (Form::Plain, &block, vec![1, 2]));
            let framed: Vec<u8> = stored_blocks(&block).flat_map(|(head, part)| [&head[..], part].concat()).collect();
            assert!(framed == copied.bytes);
            assert_eq!((whole.stored_len(), whole.crc32), (copied.stored_len(), copied.crc32));
        }
    }
}
