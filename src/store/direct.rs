//! Large files are written past the system's cache of files.
//!
//! A backup is read by nobody soon, but a copy of it in memory costs processor time, and pushes out what the database
//! on the same machine needs. Where a file system does not take such writes, and for the odd end of a file, they go
//! through the cache as usual.

use std::fs::File;
use std::io;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::sys::{self, Fuse};

/// One write. Long enough to keep a device busy that takes a while to answer.
const WRITE_BYTES: usize = 2 << 20;

/// What every device is content with.
const ALIGNMENT: usize = 4096;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    /// Nothing was written yet.
    Untried,
    Direct,
    Cached,
}

/// Gathers what is written, from an aligned place on.
#[derive(Debug)]
pub(super) struct Direct {
    buffer: Vec<u8>,
    from: usize,
    mode: Mode,
}

impl Direct {
    pub(super) fn new() -> Self {
        Direct { buffer: Vec::new(), from: 0, mode: Mode::Untried }
    }

    /// Bytes that were taken and are not written.
    pub(super) fn pending(&self) -> usize {
        self.buffer.len().saturating_sub(self.from)
    }

    /// Takes some of `bytes`; all that was taken before is written when there is no room.
    pub(super) fn write(&mut self, fuse: &Fuse, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.is_empty() && !bytes.is_empty() {
            // Address space alone: a small file touches no more of it than it needs.
            self.buffer.reserve_exact(WRITE_BYTES.saturating_add(ALIGNMENT));
            self.from = self.buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
            self.buffer.resize(self.from, 0);
        }
        if self.pending() == WRITE_BYTES {
            self.write_out(fuse, file)?;
        }
        let taken = bytes.get(..WRITE_BYTES.saturating_sub(self.pending())).unwrap_or(bytes);
        self.buffer.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// Writes what is left. What follows goes through the cache, since it begins anywhere.
    pub(super) fn finish(&mut self, fuse: &Fuse, file: &mut File) -> io::Result<()> {
        if self.pending() == WRITE_BYTES {
            self.write_out(fuse, file)?;
        }
        self.set(file, Mode::Cached)?;
        let written = write_all(fuse, file, self.buffer.get(self.from..).unwrap_or_default());
        self.buffer = Vec::new();
        self.from = 0;
        written
    }

    fn write_out(&mut self, fuse: &Fuse, file: &mut File) -> io::Result<()> {
        if self.mode == Mode::Untried && self.set(file, Mode::Direct).is_err() {
            self.mode = Mode::Cached;
        }
        let full = self.buffer.get(self.from..).unwrap_or_default();
        match write_all(fuse, file, full) {
            // Said by file systems that take the flag and then not the write: nothing of it was written.
            Err(cause) if self.mode == Mode::Direct && cause.kind() == io::ErrorKind::InvalidInput => {
                self.set(file, Mode::Cached)?;
                write_all(fuse, file, self.buffer.get(self.from..).unwrap_or_default())?;
            }
            written => written?,
        }
        self.buffer.truncate(self.from);
        Ok(())
    }

    fn set(&mut self, file: &File, mode: Mode) -> io::Result<()> {
        if self.mode != mode && (mode == Mode::Direct || self.mode == Mode::Direct) {
            let mut flags = fcntl_getfl(file)?;
            flags.set(OFlags::DIRECT, mode == Mode::Direct);
            fcntl_setfl(file, flags)?;
        }
        self.mode = mode;
        Ok(())
    }
}

fn write_all(fuse: &Fuse, file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sys::write(fuse, file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        for len in
            [0, 1, ALIGNMENT, WRITE_BYTES - 1, WRITE_BYTES, WRITE_BYTES + 1, 2 * WRITE_BYTES, 5 * WRITE_BYTES + 77]
        {
            let bytes: Vec<u8> = (0..len).map(|at| (at * 7 + at / 251) as u8).collect();
            let path = folder.path().join(len.to_string());
            let mut file = File::create_new(&path).unwrap();
            let mut direct = Direct::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let piece = &rest[..rest.len().min(700_001)];
                let taken = direct.write(&Fuse::default(), &mut file, piece).unwrap();
                assert!(taken > 0);
                rest = &rest[taken..];
            }
            direct.finish(&Fuse::default(), &mut file).unwrap();
            assert!(std::fs::read(&path).unwrap() == bytes, "{len} bytes");
            assert_eq!(direct.write(&Fuse::default(), &mut file, b"more").unwrap(), 4);
            direct.finish(&Fuse::default(), &mut file).unwrap();
            assert!(std::fs::read(&path).unwrap() == [&bytes[..], b"more"].concat(), "{len} bytes and more");
        }
    }
}
