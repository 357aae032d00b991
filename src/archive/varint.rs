//! Numbers and text of the index: LEB128, shortest form only. FORMAT.md §6.1.

use std::io::{self, Read, Write};

use crc32fast::Hasher;

use super::fault::Flaw;
use super::layout::wide;

/// Writes fields and keeps their length and CRC-32.
pub struct Output<W> {
    inner: W,
    written: u64,
    crc: Hasher,
}

impl<W: Write> Output<W> {
    pub fn new(inner: W) -> Self {
        Output { inner, written: 0, crc: Hasher::new() }
    }

    pub fn fixed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(bytes)?;
        self.crc.update(bytes);
        self.written = self.written.saturating_add(wide(bytes.len()));
        Ok(())
    }

    pub fn varint(&mut self, mut number: u64) -> io::Result<()> {
        let mut bytes = [0u8; 10];
        let mut len = 0usize;
        for slot in &mut bytes {
            len = len.saturating_add(1);
            let low = number.to_le_bytes()[0] & 0x7f;
            number >>= 7;
            *slot = if number == 0 { low } else { low | 0x80 };
            if number == 0 {
                break;
            }
        }
        self.fixed(bytes.get(..len).unwrap_or_default())
    }

    pub fn count(&mut self, count: usize) -> io::Result<()> {
        self.varint(wide(count))
    }

    /// A length and that many bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count(bytes.len())?;
        self.fixed(bytes)
    }

    /// The inner writer, the length and the CRC-32 of all that was written.
    pub fn finish(self) -> (W, u64, u32) {
        (self.inner, self.written, self.crc.finalize())
    }
}

/// Reads fields; never more than `left` bytes, and allocates only what was really read.
pub struct Input<R> {
    inner: R,
    left: u64,
    crc: Hasher,
}

impl<R: Read> Input<R> {
    pub fn new(inner: R, len: u64) -> Self {
        Input { inner, left: len, crc: Hasher::new() }
    }

    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let mut bytes = [0u8; N];
        self.left = self.left.checked_sub(wide(N)).ok_or(Flaw::IndexField("length"))?;
        self.inner.read_exact(&mut bytes).map_err(|_| Flaw::IndexField("deflate stream"))?;
        self.crc.update(&bytes);
        Ok(bytes)
    }

    pub fn varint(&mut self) -> Result<u64, Flaw> {
        let mut number = 0u64;
        for shift in (0..64u32).step_by(7) {
            let [byte] = self.fixed::<1>()?;
            let low = u64::from(byte & 0x7f);
            let shifted = low.checked_shl(shift).unwrap_or(0);
            if shifted.checked_shr(shift).unwrap_or(0) != low || (byte == 0 && shift > 0) {
                return Err(Flaw::IndexField("number"));
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Flaw::IndexField("number"))
    }

    pub fn varint32(&mut self) -> Result<u32, Flaw> {
        u32::try_from(self.varint()?).map_err(|_| Flaw::IndexField("number"))
    }

    /// How many items follow: each takes a byte at least.
    pub fn count(&mut self) -> Result<usize, Flaw> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(fits) if count <= self.left => Ok(fits),
            _ => Err(Flaw::IndexField("count")),
        }
    }

    pub fn bytes(&mut self) -> Result<Vec<u8>, Flaw> {
        let len = wide(self.count()?);
        let mut bytes = Vec::new();
        let read = self.inner.by_ref().take(len).read_to_end(&mut bytes);
        if read.is_err() || wide(bytes.len()) != len {
            return Err(Flaw::IndexField("deflate stream"));
        }
        self.left = self.left.saturating_sub(len);
        self.crc.update(&bytes);
        Ok(bytes)
    }

    pub fn text(&mut self) -> Result<String, Flaw> {
        String::from_utf8(self.bytes()?).map_err(|_| Flaw::IndexField("text"))
    }

    /// Reads what a newer writer added behind the fields that we know.
    pub fn skip_rest(&mut self) -> Result<(), Flaw> {
        while self.left > 0 {
            self.fixed::<1>()?;
        }
        Ok(())
    }

    /// Whether the whole input was read as it was written; reads what is left of it.
    pub fn crc_holds(&mut self, expected: u32) -> bool {
        self.skip_rest().is_ok() && self.at_end() && self.crc.clone().finalize() == expected
    }

    fn at_end(&mut self) -> bool {
        matches!(self.inner.read(&mut [0u8]), Ok(0))
    }

    /// Bytes that were not read yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    pub fn into_inner(self) -> R {
        self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: u64) -> Vec<u8> {
        let mut out = Output::new(Vec::new());
        out.varint(number).unwrap();
        out.finish().0
    }

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let bytes = written(number);
            let mut input = Input::new(bytes.as_slice(), wide(bytes.len()));
            assert_eq!(input.varint().unwrap(), number);
            assert_eq!(input.left, 0);
        }
        assert_eq!(written(300), [0xac, 0x02]);
    }

    #[test]
    fn only_the_shortest_form_is_a_number() {
        for bytes in [
            &[0x80u8, 0x00][..],
            &[0xff; 10],
            &[0x80; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
        ] {
            assert!(Input::new(bytes, 20).varint().is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn a_length_is_bounded_by_what_is_left() {
        let mut out = Output::new(Vec::new());
        out.varint(1 << 50).unwrap();
        let bytes = out.finish().0;
        assert!(Input::new(bytes.as_slice(), wide(bytes.len())).bytes().is_err());
        assert!(Input::new(bytes.as_slice(), u64::MAX).bytes().is_err());
    }
}
