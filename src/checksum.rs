//! CRC-32 locates damage, SHA-256 detects it, the row digest proves that a table holds exactly the dumped rows.

use std::fmt;
use std::io::{self, Write};

use ring::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_128;

/// CRC-32 as gzip computes it.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// By the fastest code that there is for the processor: of a backup that is not compressed it is the largest cost.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    #[must_use]
    pub fn new() -> Self {
        Sha256(digest::Context::new(&digest::SHA256))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finalize(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        bytes
    }

    pub fn digest(bytes: &[u8]) -> [u8; 32] {
        let mut whole = Sha256::new();
        whole.update(bytes);
        whole.finalize()
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sha256").finish_non_exhaustive()
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Sha256::new()
    }
}

/// A digest of a table's rows that does not depend on their order: the sum modulo 2^128 of XXH3-128 over
/// each row's COPY text without its newline. Digests of parts of a table add up to the table's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RowDigest(pub u128);

impl RowDigest {
    pub fn add_row(&mut self, row: &[u8]) {
        self.0 = self.0.wrapping_add(xxh3_128(row));
    }

    /// Adds every line of `rows` and returns their number. Each row must end with a newline: COPY text
    /// escapes those inside of values.
    pub fn add_lines(&mut self, rows: &[u8]) -> u64 {
        let mut count = 0;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', rows) {
            self.add_row(rows.get(start..end).unwrap_or_default());
            start = end + 1;
            count += 1;
        }
        count
    }

    pub fn merge(&mut self, other: RowDigest) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl fmt::Display for RowDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for RowDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(RowDigest).map_err(serde::de::Error::custom)
    }
}

/// Lower-case hex of any digest.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes that are written, and then hashed, at once: while they are near the processor.
pub const PIECE_BYTES: usize = 64 << 10;

/// As many bytes of the end are kept as tell one file from another.
const TAIL_BYTES: usize = 4 << 10;

/// Passes bytes through and hashes exactly those that the inner writer took.
pub struct HashingWriter<W> {
    inner: W,
    sha256: Sha256,
    written: u64,
    tail: Vec<u8>,
}

impl<W: Write> HashingWriter<W> {
    pub fn new(inner: W) -> Self {
        HashingWriter { inner, sha256: Sha256::new(), written: 0, tail: Vec::new() }
    }

    pub fn written(&self) -> u64 {
        self.written
    }

    /// The last bytes that were written, 4 KiB of them or all.
    pub fn tail(&self) -> &[u8] {
        self.tail.get(self.tail.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default()
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        if bytes.len() >= TAIL_BYTES || self.tail.len() > 2 * TAIL_BYTES {
            let kept = self.tail().len().min(TAIL_BYTES.saturating_sub(bytes.len()));
            self.tail.drain(..self.tail.len() - kept);
        }
        self.tail.extend_from_slice(bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default());
    }

    /// The inner writer, the number of bytes it took, and their SHA-256 in hex.
    pub fn finish(self) -> (W, u64, String) {
        (self.inner, self.written, hex(&self.sha256.finalize()))
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(buf.get(..PIECE_BYTES).unwrap_or(buf))?;
        let accepted = buf.get(..taken).unwrap_or_default();
        self.sha256.update(accepted);
        self.keep_tail(accepted);
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_digest_ignores_order_and_splits() {
        let (mut whole, mut parts) = (RowDigest::default(), RowDigest::default());
        assert_eq!(whole.add_lines(b"1\ta\n2\tb\n\n"), 3);
        parts.add_lines(b"\n2\tb\n");
        let mut rest = RowDigest::default();
        rest.add_lines(b"1\ta\n");
        parts.merge(rest);
        assert_eq!(whole, parts);
        assert_ne!(whole, RowDigest::default());
    }

    #[test]
    fn the_tail_is_the_end_of_what_was_written() {
        let bytes: Vec<u8> = (0..30_000u32).map(|at| (at % 251) as u8).collect();
        for step in [1, 7, 1000, TAIL_BYTES - 1, TAIL_BYTES, TAIL_BYTES + 1, 30_000] {
            let mut writer = HashingWriter::new(Vec::new());
            let mut end = 0;
            for piece in bytes.chunks(step) {
                writer.write_all(piece).unwrap();
                end += piece.len();
                assert!(writer.tail() == &bytes[end.saturating_sub(TAIL_BYTES)..end], "{step} {end}");
            }
        }
    }

    #[test]
    fn only_accepted_bytes_are_hashed() {
        struct Short(Vec<u8>);
        impl Write for Short {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                let taken = buf.len().min(2);
                self.0.extend_from_slice(&buf[..taken]);
                Ok(taken)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = HashingWriter::new(Short(Vec::new()));
        writer.write_all(b"abc").unwrap();
        let (inner, written, sha256) = writer.finish();
        assert_eq!((inner.0.as_slice(), written), (b"abc".as_slice(), 3));
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
