//! What the server sent: one buffer, walked frame by frame.
//!
//! A length field never makes the buffer grow: bytes that arrived do. A tag that no server sends to us, a length
//! below 4 and a message larger than its kind can be end the session.

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::pg::fault::{Failure, ServerError};

use super::pace::Pace;

/// One read(2) takes at most this much.
pub const READ_BYTES: usize = 256 << 10;

/// Everything but a row: errors, parameters, answers to our own small queries.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The server builds a row in a buffer of at most 1 GiB.
const ROW_BYTES_MAX: usize = 1 << 30;

const HEAD_BYTES: usize = 5;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    pub tag: u8,
    /// Payload bytes that follow the head.
    pub len: usize,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Option<Head>, Failure> {
        let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let max = match tag {
            b'd' => ROW_BYTES_MAX,
            b'A' | b'C' | b'D' | b'E' | b'G' | b'H' | b'I' | b'K' | b'N' | b'R' | b'S' | b'T' | b'Z' | b'c' | b'v' => {
                MESSAGE_BYTES_MAX
            }
            other => return Err(Failure::protocol(format!("unknown message type 0x{other:02x}"))),
        };
        let len = usize::try_from(i32::from_be_bytes([a, b, c, d])).ok().and_then(|len| len.checked_sub(4));
        match len {
            Some(len) if len <= max => Ok(Some(Head { tag, len })),
            _ => Err(Failure::protocol(format!("message `{}` with an impossible length", tag.escape_ascii()))),
        }
    }
}

/// Takes the payloads of CopyData messages.
pub trait CopySink {
    /// A message of `len` bytes comes next; `false` stops the walk before it.
    fn begin(&mut self, len: usize) -> bool;
    fn part(&mut self, bytes: &[u8]);
    /// All parts of the message were given.
    fn end(&mut self) -> Result<(), Failure>;
    /// A message that is at hand as a whole, as nearly all are; `false` stops the walk before it.
    fn whole(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        self.as_part(bytes)
    }
    /// The same, by the other three.
    fn as_part(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let goes_in = self.begin(bytes.len());
        if goes_in {
            self.part(bytes);
            self.end()?;
        }
        Ok(goes_in)
    }
}

/// Why the walk over CopyData stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Walk {
    Full,
    /// A message of another kind is next.
    Other,
}

/// One COPY as it is read.
#[derive(Debug, Default)]
pub struct Reading {
    pub pace: Pace,
    /// Bytes so far.
    pub came: usize,
}

pub(in super::super) struct Input {
    buf: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Input {
    fn default() -> Self {
        Input { buf: vec![0; READ_BYTES], start: 0, end: 0 }
    }
}

impl Input {
    #[cfg(any(test, feature = "testkit"))]
    pub fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    fn ready(&self) -> &[u8] {
        self.buf.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Room for more bytes: moved to the front, and grown only when what arrived fills it.
    pub fn room(&mut self) -> &mut [u8] {
        if self.end == self.buf.len() {
            if self.start > 0 {
                self.buf.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end.saturating_sub(self.start));
            } else {
                self.buf.resize(self.buf.len().saturating_mul(2), 0);
            }
        }
        if self.end == 0 && self.buf.len() > READ_BYTES {
            self.buf.truncate(READ_BYTES);
            self.buf.shrink_to_fit();
        }
        self.buf.get_mut(self.end..).unwrap_or_default()
    }

    pub fn arrived(&mut self, bytes: usize) {
        self.end = self.end.saturating_add(bytes).min(self.buf.len());
    }

    async fn fill<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Result<(), Failure> {
        let read = stream.read(self.room()).await?;
        if read == 0 {
            return Err(Failure::Closed);
        }
        self.arrived(read);
        Ok(())
    }

    /// The next message, whole. For everything but rows.
    pub async fn message<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Result<(u8, &[u8]), Failure> {
        let head = loop {
            if let Some(head) = Head::parse(self.ready())? {
                if head.len > MESSAGE_BYTES_MAX {
                    return Err(Failure::protocol("a row where none is due"));
                }
                if self.ready().len() >= head.len.saturating_add(HEAD_BYTES) {
                    break head;
                }
            }
            self.fill(stream).await?;
        };
        let from = self.start.saturating_add(HEAD_BYTES);
        let to = from.saturating_add(head.len);
        self.start = to;
        Ok((head.tag, self.buf.get(from..to).unwrap_or_default()))
    }

    /// Reads on among the rows of a COPY.
    async fn fill_rows<S: AsyncRead + Unpin>(&mut self, stream: &mut S, reading: &mut Reading) -> Result<(), Failure> {
        let read = reading.pace.read(stream, self.room(), reading.came).await?;
        if read == 0 {
            return Err(Failure::Closed);
        }
        reading.came = reading.came.saturating_add(read);
        self.arrived(read);
        Ok(())
    }

    /// Gives `sink` the CopyData messages that are here as a whole; whether it is full. There are millions of them: what
    /// is unusual about the next one is left to [`Input::copy`].
    fn copy_whole(&mut self, sink: &mut impl CopySink) -> Result<bool, Failure> {
        let mut rest = self.buf.get(self.start..self.end).unwrap_or_default();
        let mut is_full = false;
        while let Some((&[b'd', a, b, c, d], after)) = rest.split_first_chunk::<HEAD_BYTES>()
            && let Some(len) = u32::from_be_bytes([a, b, c, d]).checked_sub(4)
            && let Some((row, after)) = after.split_at_checked(len as usize)
        {
            if !sink.whole(row)? {
                is_full = true;
                break;
            }
            rest = after;
        }
        let left = rest.len();
        self.consume(self.end.saturating_sub(self.start).saturating_sub(left));
        Ok(is_full)
    }

    /// Gives CopyData payloads to `sink` until it is full or another message is next.
    pub async fn copy<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        sink: &mut impl CopySink,
        reading: &mut Reading,
    ) -> Result<Walk, Failure> {
        loop {
            if self.copy_whole(sink)? {
                return Ok(Walk::Full);
            }
            if let Some(head) = Head::parse(self.ready())? {
                if head.tag != b'd' {
                    return Ok(Walk::Other);
                }
                if !sink.begin(head.len) {
                    return Ok(Walk::Full);
                }
                self.consume(HEAD_BYTES);
                let mut missing = head.len;
                loop {
                    let ready = self.ready();
                    let part = ready.get(..missing).unwrap_or(ready);
                    let given = part.len();
                    sink.part(part);
                    self.consume(given);
                    missing = missing.saturating_sub(given);
                    if missing == 0 {
                        break;
                    }
                    self.fill_rows(stream, reading).await?;
                }
                sink.end()?;
                continue;
            }
            self.fill_rows(stream, reading).await?;
        }
    }

    /// While we send, a server has one error to say at most.
    pub fn check_backlog(&self) -> Result<(), Failure> {
        match self.ready().len() {
            waiting if waiting > MESSAGE_BYTES_MAX => Err(Failure::protocol("it talks without being asked")),
            _ => Ok(()),
        }
    }

    /// Drops notices and parameter changes that stand first, and says whether an error follows them.
    pub fn skip_asides(&mut self) -> Result<bool, Failure> {
        loop {
            let Some(head) = Head::parse(self.ready())? else { return Ok(false) };
            let whole = head.len.saturating_add(HEAD_BYTES);
            match head.tag {
                b'E' => return Ok(true),
                b'N' | b'S' | b'A' if self.ready().len() >= whole => self.consume(whole),
                _ => return Ok(false),
            }
        }
    }
}

/// The fields of an ErrorResponse.
pub fn server_error(body: &[u8]) -> ServerError {
    let mut error = ServerError::default();
    let mut rest = body;
    while let Some((&field, after)) = rest.split_first().filter(|(field, _)| **field != 0) {
        let end = memchr::memchr(0, after).unwrap_or(after.len());
        let (text, after) = after.split_at_checked(end).unwrap_or((after, &[]));
        let text = String::from_utf8_lossy(text).into_owned();
        match field {
            b'S' if error.severity.is_empty() => error.severity = text,
            // The severity that is never translated.
            b'V' => error.severity = text,
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            b'H' => error.hint = Some(text),
            b'W' => error.where_ = Some(text),
            b's' => error.schema = Some(text),
            b't' => error.table = Some(text),
            b'c' => error.column = Some(text),
            b'n' => error.constraint = Some(text),
            b'R' => error.routine = Some(text),
            _ => {}
        }
        rest = after.get(1..).unwrap_or_default();
    }
    error
}
