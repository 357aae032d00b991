//! Stored bytes on their way to the checks: opened by name, hashed once while they are read, stoppable.

use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::cancel::Cancel;
use crate::checksum::{Sha256, hex};
use crate::error::Result;
use crate::listing::Listed;
use crate::progress::Progress;
use crate::read_at::ReadAt;
use crate::store::{Bytes, Name, Store};

use super::pinned::Pieces;

const PIECE_BYTES: u64 = 1 << 20;

/// Opens the archive of a row, all of its parts as one.
pub fn open(store: &dyn Store, row: &Listed) -> Result<Box<dyn Bytes>> {
    let mut files = Vec::new();
    for file in row.files() {
        files.push(store.open(&Name::new(file)?)?);
    }
    Ok(match <[_; 1]>::try_from(files) {
        Ok([one]) => one,
        Err(parts) => Box::new(Joined(parts)),
    })
}

/// The parts of one archive, in order.
struct Joined(Vec<Box<dyn Bytes>>);

impl ReadAt for Joined {
    fn len(&self) -> u64 {
        self.0.iter().map(|part| part.len()).fold(0, u64::saturating_add)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let (mut rest, mut at) = (buf, offset);
        for part in &self.0 {
            if at >= part.len() {
                at -= part.len();
                continue;
            }
            let len = usize::try_from(part.len() - at).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            part.read_at(at, now)?;
            (rest, at) = (later, 0);
        }
        if rest.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn expect(&self, ranges: &[Range<u64>]) {
        let mut base = 0;
        for part in &self.0 {
            let end = base + part.len();
            let inside = ranges.iter().map(|range| range.start.max(base)..range.end.min(end));
            let here: Vec<_> = inside
                .filter(|range| range.start < range.end)
                .map(|range| range.start - base..range.end - base)
                .collect();
            if !here.is_empty() {
                part.expect(&here);
            }
            base = end;
        }
    }
}

/// Bytes that can be read until the run is asked to stop.
pub struct Stoppable<'a> {
    bytes: &'a dyn Bytes,
    cancel: &'a Cancel,
}

impl<'a> Stoppable<'a> {
    pub fn new(bytes: &'a dyn Bytes, cancel: &'a Cancel) -> Self {
        Stoppable { bytes, cancel }
    }
}

impl ReadAt for Stoppable<'_> {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("stopped"));
        }
        self.bytes.read_at(offset, buf)
    }

    fn expect(&self, ranges: &[Range<u64>]) {
        self.bytes.expect(ranges);
    }
}

/// Bytes under check. Whoever reads them about in order reads them for the hash and the progress line as well, so that
/// a large file passes through memory once.
pub struct Watched<'a> {
    bytes: Stoppable<'a>,
    progress: &'a Progress,
    hashed: Mutex<Hashed>,
}

struct Hashed {
    sha256: Sha256,
    /// Where what was checked is to be read again.
    pieces: Option<Pieces>,
    /// All before this is in the hash.
    next: u64,
}

impl<'a> Watched<'a> {
    pub fn new(bytes: &'a dyn Bytes, cancel: &'a Cancel, progress: &'a Progress) -> Self {
        let hashed = Mutex::new(Hashed { sha256: Sha256::new(), pieces: None, next: 0 });
        Watched { bytes: Stoppable::new(bytes, cancel), progress, hashed }
    }

    /// Keeps what is needed to know the bytes again.
    pub fn pinning(self) -> Self {
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner).pieces = Some(Pieces::default());
        self
    }

    /// The SHA-256 of all bytes in hex; what was not read yet is read now.
    pub fn sha256(self) -> io::Result<String> {
        self.digests().map(|(sha256, _)| sha256)
    }

    /// The same, and the digests of all pieces if they were asked for.
    pub fn digests(self) -> io::Result<(String, Option<Vec<[u8; 32]>>)> {
        let mut piece = Vec::new();
        loop {
            let next = self.hashed.lock().unwrap_or_else(PoisonError::into_inner).next;
            let left = self.bytes.len().saturating_sub(next).min(PIECE_BYTES);
            if left == 0 {
                break;
            }
            piece.resize(usize::try_from(left).unwrap_or(0), 0);
            self.read_at(next, &mut piece)?;
        }
        let hashed = self.hashed.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((hex(&hashed.sha256.finalize()), hashed.pieces.map(Pieces::finish)))
    }
}

impl ReadAt for Watched<'_> {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.bytes.read_at(offset, buf)?;
        let fresh = self.hashed.lock().unwrap_or_else(PoisonError::into_inner).take(offset, buf);
        self.progress.add_raw(fresh, 0);
        Ok(())
    }

    fn expect(&self, ranges: &[Range<u64>]) {
        self.bytes.expect(ranges);
    }
}

impl Hashed {
    /// How many of these bytes were not in the hash yet and now are.
    fn take(&mut self, offset: u64, bytes: &[u8]) -> u64 {
        let known = self.next.checked_sub(offset).and_then(|known| usize::try_from(known).ok());
        let fresh = known.and_then(|known| bytes.get(known..)).unwrap_or_default();
        self.sha256.update(fresh);
        if let Some(pieces) = &mut self.pieces {
            pieces.update(fresh);
        }
        self.next += fresh.len() as u64;
        fresh.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        (0..5000u32).flat_map(u32::to_le_bytes).collect()
    }

    #[test]
    fn the_hash_is_that_of_the_file_in_whatever_order_it_was_read() {
        let bytes = bytes();
        let cancel = Cancel::new();
        let orders: [&[(u64, usize)]; 4] = [
            &[],
            &[(19_000, 1000), (0, 10), (0, 30), (0, 4000), (4000, 10), (4000, 5000)],
            &[(5, 10), (0, 3), (2, 100)],
            &[(0, 20_000), (0, 20_000)],
        ];
        for order in orders {
            let progress = Progress::new();
            let watched = Watched::new(&bytes, &cancel, &progress);
            for (at, len) in order {
                let mut piece = vec![0; *len];
                watched.read_at(*at, &mut piece).unwrap();
                assert_eq!(piece, bytes[*at as usize..][..*len]);
            }
            assert_eq!(watched.sha256().unwrap(), hex(&Sha256::digest(&bytes)));
            assert_eq!(progress.read().raw_bytes, bytes.len() as u64, "some bytes count twice, or not at all");
        }
    }

    #[test]
    fn a_cancelled_check_reads_nothing_more() {
        let (bytes, cancel) = (bytes(), Cancel::new());
        let progress = Progress::new();
        let watched = Watched::new(&bytes, &cancel, &progress);
        cancel.cancel();
        assert!(watched.read_at(0, &mut [0; 1]).is_err() && watched.sha256().is_err());
    }

    #[test]
    fn parts_read_as_one_file() {
        let bytes = bytes();
        let part = |range: std::ops::Range<usize>| Box::new(bytes[range].to_vec()) as Box<dyn Bytes>;
        let joined = Joined(vec![part(0..7), part(7..7), part(7..9000), part(9000..20_000)]);
        assert_eq!(joined.len(), bytes.len() as u64);
        for (at, len) in [(0, 20_000), (0, 7), (5, 4), (6, 9500), (9000, 11_000), (20_000, 0)] {
            let mut found = vec![0; len];
            joined.read_at(at as u64, &mut found).unwrap();
            assert_eq!(found, bytes[at..at + len]);
        }
        assert!(joined.read_at(19_999, &mut [0; 2]).is_err());
    }
}
