//! Sealed bytes, read at any place, or in order.
//!
//! age seeks by whole chunks of 64 KiB, each of which is authenticated with its number; the length is believed once the
//! last chunk has proved to be the last. Several threads read at once, each by a reader of its own; what a read needs is
//! asked of the place in one piece.

use std::io::{self, Chain, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::StreamReader;
use age::{DecryptError, Decryptor};

use crate::archive::{Sniff, sniff};
use crate::error::{Error, Kind, Result};
use crate::read_at::ReadAt;

use super::gpg;
use super::keys::Keys;

const MARK: &[u8] = b"age-encryption.org/";

/// What is looked at to know a sealed file.
const FIRST_BYTES: u64 = 32;

/// Plain bytes of a chunk, and what a chunk has besides.
const CHUNK_BYTES: u64 = 64 << 10;
const CHUNK_TAG_BYTES: u64 = 16;

/// Asked of the place at once, at most: a larger read is made of several.
const AHEAD_BYTES_MAX: u64 = 4 << 20;

/// Whether a file that begins like this is sealed, by age or by gpg.
pub fn is_sealed(first: &[u8]) -> bool {
    first.starts_with(MARK) || is_of_gpg(first)
}

fn is_of_gpg(first: &[u8]) -> bool {
    sniff(first) == Sniff::Gpg
}

/// Whether stored bytes are sealed in such a way that they can be read from front to back only: by [`unseal_stream`].
pub fn reads_in_order(bytes: &(impl ReadAt + ?Sized)) -> bool {
    is_of_gpg(&first_bytes(bytes))
}

/// None, if they cannot be read: whoever reads them in earnest will say so.
fn first_bytes(bytes: &(impl ReadAt + ?Sized)) -> Vec<u8> {
    let mut first = vec![0; usize::try_from(bytes.len().min(FIRST_BYTES)).unwrap_or(0)];
    match bytes.read_at(0, &mut first) {
        Ok(()) => first,
        Err(_) => Vec::new(),
    }
}

/// Whatever the bytes are, as they were before they were sealed. `Unsupported` if they can only be read in order.
pub fn open(bytes: Box<dyn ReadAt>, keys: &Arc<Keys>) -> Result<Box<dyn ReadAt>> {
    let first = first_bytes(&bytes);
    if !is_sealed(&first) {
        return Ok(bytes);
    }
    if is_of_gpg(&first) {
        let what = "it is encrypted by gpg, so it can only be read from front to back";
        return Err(Error::new(Kind::Unsupported, what).hint("decrypt it into a file first: gpg -d F > PLAIN"));
    }
    let shared: Arc<dyn ReadAt> = Arc::from(bytes);
    Ok(Box::new(unseal(shared, Arc::clone(keys))?))
}

/// Opens sealed bytes. `Refused`: no key fits; `Damaged`: header or end are not as age wrote them.
pub fn unseal<R: ReadAt + Clone>(source: R, keys: Arc<Keys>) -> Result<Unsealed<R>> {
    let unsealed = Unsealed { source, keys, len: 0, header: 0, idle: Mutex::new(Vec::new()) };
    let mut reader = unsealed.reader().map_err(|cause| refusal(cause, &unsealed.keys))?;
    let len = reader.stream.seek(SeekFrom::End(0)).map_err(|cause| damaged(&cause))?;
    reader.at = len;
    let tags = len.div_ceil(CHUNK_BYTES).max(1).saturating_mul(CHUNK_TAG_BYTES);
    let header = unsealed.source.len().saturating_sub(len).saturating_sub(tags);
    Ok(Unsealed { len, header, idle: Mutex::new(vec![reader]), ..unsealed })
}

/// The same of bytes that come only once, in order, sealed by age or by gpg. What comes out is all, and as it was sealed, once the
/// end has been read.
pub fn unseal_stream<R: Read + Send>(mut source: R, keys: &Keys) -> Result<InOrder<Begun<R>>> {
    let mut first = Vec::new();
    let read = source.by_ref().take(FIRST_BYTES).read_to_end(&mut first);
    read.map_err(|cause| refusal(DecryptError::Io(cause), keys))?;
    let is_of_gpg = is_of_gpg(&first);
    let source = Cursor::new(first).chain(source);
    if is_of_gpg {
        let reader = gpg::Reader::open(source, keys.passphrases())?;
        return Ok(InOrder::Gpg(Box::new(reader)));
    }
    let opened = Decryptor::new(source).and_then(|decryptor| decryptor.decrypt(keys.identities()));
    opened.map(InOrder::Age).map_err(|cause| refusal(cause, keys))
}

/// Bytes whose first ones were looked at.
type Begun<R> = Chain<Cursor<Vec<u8>>, R>;

/// The plain bytes of a sealed stream.
pub enum InOrder<R: Read + Send> {
    Age(StreamReader<R>),
    Gpg(Box<gpg::Reader<R>>),
}

impl<R: Read + Send> Read for InOrder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            // A stream that ends before its last chunk was cut: damage, as any other byte that is not what was sealed.
            InOrder::Age(stream) => stream.read(buf).map_err(|cause| match cause.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::new(io::ErrorKind::InvalidData, cause),
                _ => cause,
            }),
            InOrder::Gpg(reader) => reader.read(buf),
        }
    }
}

fn damaged(cause: &io::Error) -> Error {
    Error::new(Kind::Damaged, "cannot decrypt the archive: it is damaged or cut short").because(cause.to_string())
}

fn refusal(cause: DecryptError, keys: &Keys) -> Error {
    let refused = |what: &str| Error::new(Kind::Refused, format!("cannot decrypt the archive: {what}"));
    match cause {
        _ if keys.is_empty() => {
            refused("it is encrypted and no key was given").hint("give --identity FILE, or --passphrase-file FILE")
        }
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            refused("none of the given keys opens it").hint("`.meta` beside it names for whom it was encrypted")
        }
        DecryptError::ExcessiveWork { .. } => refused("its passphrase asks for more work than is sensible"),
        DecryptError::UnknownFormat => {
            Error::new(Kind::Unsupported, "cannot decrypt the archive: it is of a newer version of age")
        }
        DecryptError::Io(cause) if cause.kind() != io::ErrorKind::UnexpectedEof => {
            Error::new(Kind::Place, "cannot read the encrypted archive").because(cause)
        }
        other => Error::new(Kind::Damaged, "cannot decrypt the archive: its header is damaged").because(other),
    }
}

/// The plain bytes of a sealed file.
pub struct Unsealed<R> {
    source: R,
    keys: Arc<Keys>,
    len: u64,
    /// Stored bytes before the first chunk.
    header: u64,
    idle: Mutex<Vec<Reader<R>>>,
}

struct Reader<R> {
    stream: StreamReader<Window<R>>,
    /// Sealed bytes that the window asks for when it is empty.
    ahead: Arc<AtomicU64>,
    /// Where the stream stands.
    at: u64,
}

impl<R: ReadAt + Clone> Unsealed<R> {
    fn reader(&self) -> Result<Reader<R>, DecryptError> {
        let ahead = Arc::new(AtomicU64::new(CHUNK_BYTES));
        let window = Window::new(self.source.clone(), Arc::clone(&ahead));
        let stream = Decryptor::new(window)?.decrypt(self.keys.identities())?;
        Ok(Reader { stream, ahead, at: 0 })
    }

    /// One that stands where it is to read, else any that is idle.
    fn idle(&self, at: u64) -> Option<Reader<R>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let place = idle.iter().position(|reader| reader.at == at).or(idle.len().checked_sub(1))?;
        Some(idle.swap_remove(place))
    }
}

impl<R: ReadAt + Clone> ReadAt for Unsealed<R> {
    fn len(&self) -> u64 {
        self.len
    }

    /// By whole chunks, each of which is a little longer than what it holds.
    fn expect(&self, ranges: &[Range<u64>]) {
        let begin = |plain: u64| plain / CHUNK_BYTES * (CHUNK_BYTES + CHUNK_TAG_BYTES);
        let stored = ranges.iter().map(|range| {
            let end = begin(range.end.saturating_add(CHUNK_BYTES).saturating_sub(1));
            self.header.saturating_add(begin(range.start))..self.header.saturating_add(end).min(self.source.len())
        });
        self.source.expect(&stored.collect::<Vec<_>>());
    }

    fn wants_order(&self) -> bool {
        self.source.wants_order()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let wanted = buf.len() as u64;
        if offset.checked_add(wanted).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if buf.is_empty() {
            return Ok(());
        }
        let mut reader = match self.idle(offset) {
            Some(reader) => reader,
            None => self.reader().map_err(|cause| io::Error::other(cause.to_string()))?,
        };
        let chunks = wanted / CHUNK_BYTES + 2;
        let ahead = chunks.saturating_mul(CHUNK_BYTES + CHUNK_TAG_BYTES).min(AHEAD_BYTES_MAX);
        reader.ahead.store(ahead, Ordering::Relaxed);
        if reader.at != offset {
            reader.stream.seek(SeekFrom::Start(offset))?;
        }
        reader.stream.read_exact(buf)?;
        reader.at = offset + wanted;
        // One that failed is not used again.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        Ok(())
    }
}

/// Sealed bytes in pieces as large as whoever reads is about to need.
struct Window<R> {
    source: R,
    at: u64,
    ahead: Arc<AtomicU64>,
    buffer: Vec<u8>,
    /// Where the buffer begins.
    from: u64,
}

impl<R: ReadAt> Window<R> {
    fn new(source: R, ahead: Arc<AtomicU64>) -> Self {
        Window { source, at: 0, ahead, buffer: Vec::new(), from: 0 }
    }

    fn held(&self) -> &[u8] {
        let skipped = self.at.checked_sub(self.from).and_then(|skipped| usize::try_from(skipped).ok());
        skipped.and_then(|skipped| self.buffer.get(skipped..)).unwrap_or_default()
    }

    fn refill(&mut self) -> io::Result<()> {
        let left = self.source.len().saturating_sub(self.at);
        let len = left.min(self.ahead.load(Ordering::Relaxed).max(CHUNK_BYTES));
        self.buffer.clear();
        self.buffer.resize(usize::try_from(len).unwrap_or(0), 0);
        self.from = self.at;
        self.source.read_at(self.at, &mut self.buffer).inspect_err(|_| self.buffer.clear())
    }
}

impl<R: ReadAt> Read for Window<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.held().is_empty() {
            self.refill()?;
        }
        let held = self.held();
        let taken = held.len().min(buf.len());
        if let (Some(into), Some(from)) = (buf.get_mut(..taken), held.get(..taken)) {
            into.copy_from_slice(from);
        }
        self.at += taken as u64;
        Ok(taken)
    }
}

impl<R: ReadAt> Seek for Window<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.source.len().checked_add_signed(by),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
