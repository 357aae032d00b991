//! Stored bytes, read at any offset: what a store hands out and an archive is opened from.

use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Bytes at any place. `len` is fixed while it is read.
pub trait ReadAt: Send + Sync {
    fn len(&self) -> u64;
    /// Fills `buf` exactly.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// These will be read, about in this order, most of them once: bytes that are far away can be fetched ahead.
    fn expect(&self, ranges: &[Range<u64>]) {
        let _ = ranges;
    }

    /// Whether it matters that reads keep to the order that was named to [`ReadAt::expect`].
    fn wants_order(&self) -> bool {
        false
    }
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = start.checked_add(buf.len()).and_then(|end| self.get(start..end));
        buf.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        ReadAt::len(self.as_slice())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, buf)
    }
}

macro_rules! read_at_through {
    ($pointer:ty) => {
        impl<R: ReadAt + ?Sized> ReadAt for $pointer {
            fn len(&self) -> u64 {
                (**self).len()
            }
            fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
                (**self).read_at(offset, buf)
            }
            fn expect(&self, ranges: &[Range<u64>]) {
                (**self).expect(ranges);
            }
            fn wants_order(&self) -> bool {
                (**self).wants_order()
            }
        }
    };
}
read_at_through!(&R);
read_at_through!(Box<R>);
read_at_through!(Arc<R>);

/// Reads stored bytes from front to back.
pub struct Sequential<R> {
    source: R,
    at: u64,
}

impl<R: ReadAt> Sequential<R> {
    pub fn new(source: R) -> Self {
        Sequential { source, at: 0 }
    }
}

impl<R: ReadAt> io::Read for Sequential<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.source.len().saturating_sub(self.at);
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.source.read_at(self.at, buf.get_mut(..taken).unwrap_or_default())?;
        self.at += taken as u64;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn all_bytes_come_once_and_in_order() {
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let mut read = Vec::new();
        Sequential::new(&bytes).read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
    }
}
