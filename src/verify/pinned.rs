//! Bytes that were checked once, and are the same whenever they are read again.
//!
//! Between the check of a signature and the restore somebody may replace a file, write into it, or answer another thing for
//! an object. So each piece gets a digest while the whole is checked, and is compared with it at every later read.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::checksum::Sha256;
use crate::read_at::ReadAt;
use crate::store::Bytes;

/// What is compared at once: of a terabyte 32 MB of digests are held.
pub const PIECE_BYTES: u64 = 1 << 20;
/// Compared pieces that are kept: members lie across their borders, and several threads read at once.
const KEPT: usize = 16;

/// The digest of every piece, in order.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    done: Vec<[u8; 32]>,
    open: Sha256,
    filled: u64,
}

impl Pieces {
    /// Takes the bytes that follow those before.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(PIECE_BYTES.saturating_sub(self.filled)).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.open.update(now);
            self.filled += now.len() as u64;
            if self.filled == PIECE_BYTES {
                self.close();
            }
            bytes = later;
        }
    }

    pub fn finish(mut self) -> Vec<[u8; 32]> {
        if self.filled > 0 {
            self.close();
        }
        self.done
    }

    fn close(&mut self) {
        self.done.push(std::mem::take(&mut self.open).finalize());
        self.filled = 0;
    }
}

pub struct Pinned {
    bytes: Box<dyn Bytes>,
    pieces: Vec<[u8; 32]>,
    kept: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
}

impl Pinned {
    /// `pieces` are those of all of the bytes.
    pub fn new(bytes: Box<dyn Bytes>, pieces: Vec<[u8; 32]>) -> Self {
        Pinned { bytes, pieces, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(u64, Arc<Vec<u8>>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn piece(&self, number: u64) -> io::Result<Arc<Vec<u8>>> {
        if let Some((_, piece)) = self.kept().iter().find(|(other, _)| *other == number) {
            return Ok(Arc::clone(piece));
        }
        let span = self.span(number);
        let mut piece = vec![0; usize::try_from(span.end.saturating_sub(span.start)).unwrap_or(0)];
        self.bytes.read_at(span.start, &mut piece)?;
        let expected = usize::try_from(number).ok().and_then(|number| self.pieces.get(number));
        let found: [u8; 32] = Sha256::digest(&piece);
        if expected != Some(&found) {
            let what = "the archive was changed after its signature had been checked";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let piece = Arc::new(piece);
        let mut kept = self.kept();
        kept.push_back((number, Arc::clone(&piece)));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(piece)
    }

    fn span(&self, number: u64) -> Range<u64> {
        let start = number.saturating_mul(PIECE_BYTES);
        start..start.saturating_add(PIECE_BYTES).min(self.bytes.len())
    }
}

impl ReadAt for Pinned {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.bytes.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let piece = self.piece(at / PIECE_BYTES)?;
            let from = usize::try_from(at % PIECE_BYTES).unwrap_or(usize::MAX);
            let found = piece.get(from..).unwrap_or_default();
            let (now, later) = rest.split_at_mut(found.len().min(rest.len()));
            if now.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            now.copy_from_slice(found.get(..now.len()).unwrap_or_default());
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    /// Whole pieces are read, each once for all that lies in it.
    fn expect(&self, ranges: &[Range<u64>]) {
        let mut wanted: Vec<Range<u64>> = Vec::new();
        for range in ranges.iter().filter(|range| range.start < range.end) {
            let (first, last) = (range.start / PIECE_BYTES, (range.end - 1) / PIECE_BYTES);
            for number in first..=last {
                let span = self.span(number);
                if wanted.last() != Some(&span) {
                    wanted.push(span);
                }
            }
        }
        self.bytes.expect(&wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Changing(Arc<Mutex<Vec<u8>>>);

    impl ReadAt for Changing {
        fn len(&self) -> u64 {
            ReadAt::len(&*self.0.lock().unwrap())
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            self.0.lock().unwrap().read_at(offset, buf)
        }
    }

    fn pinned(bytes: &[u8]) -> (Pinned, Arc<Mutex<Vec<u8>>>) {
        let mut pieces = Pieces::default();
        bytes.chunks(300_007).for_each(|some| pieces.update(some));
        let shared = Arc::new(Mutex::new(bytes.to_vec()));
        (Pinned::new(Box::new(Changing(Arc::clone(&shared))), pieces.finish()), shared)
    }

    #[test]
    fn what_was_checked_is_read_at_any_place() {
        for len in [0, 1, PIECE_BYTES as usize, PIECE_BYTES as usize + 1, 5_000_000] {
            let bytes: Vec<u8> = (0..len).map(|at| (at * 31 % 251) as u8).collect();
            let (pinned, _) = pinned(&bytes);
            for (at, count) in [(0, len), (len / 2, len / 3), (len, 0), (len.saturating_sub(1), len.min(1))] {
                let mut found = vec![0; count];
                pinned.read_at(at as u64, &mut found).unwrap();
                assert!(found == bytes[at..at + count], "{len}: {at}, {count}");
            }
            assert!(pinned.read_at(len as u64, &mut [0]).is_err());
        }
    }

    #[test]
    fn a_byte_that_changed_is_seen_wherever_it_is() {
        let bytes = vec![7; 3 * PIECE_BYTES as usize];
        for at in [0, PIECE_BYTES as usize - 1, PIECE_BYTES as usize, 3 * PIECE_BYTES as usize - 1] {
            let (pinned, shared) = pinned(&bytes);
            shared.lock().unwrap()[at] ^= 1;
            // Any byte of the piece will do, since none of it was compared yet.
            let beside = if at == 0 { 1 } else { at as u64 - at as u64 % PIECE_BYTES };
            assert!(pinned.read_at(beside, &mut [0]).is_err(), "{at}");
            let elsewhere = (at as u64 + PIECE_BYTES) % (3 * PIECE_BYTES);
            pinned.read_at(elsewhere, &mut [0]).unwrap();
        }
    }
}
