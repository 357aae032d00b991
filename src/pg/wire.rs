//! Our own data connection: rows go from the socket to a block without an allocation or a channel for each.
//!
//! One request at a time. A request that was given up in the middle leaves the connection unusable, and every later
//! call says so. Lengths that the server names are never believed before the bytes are there.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Poll;

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::error::{Kind, Result};

use super::auth::{self, CancelKey, Welcome, unexpected};
use super::connect::{CANCEL_TIMEOUT, Dialler, Reached, Server, pinned, within};
use super::encoding::Codec;
use super::fault::{Failure, ServerError};
use super::settings::{EMPTY_SEARCH_PATH, NO_TIMEOUT, Purpose, pin};
use super::stream::Stream;

pub mod input;
pub mod pace;

use input::{CopySink, Input, Reading, Walk, server_error};
use pace::Pace;

/// Answers to our own queries on a data connection are a handful of short rows.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A piece of COPY data that is sent as one message.
pub const SEND_BYTES: usize = 256 << 10;

pub type Row = Vec<Option<Vec<u8>>>;

/// What `copy_read` came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CopyStep {
    /// The sink is full; more follows.
    Full,
    /// All rows came; the server's own count.
    Done(u64),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Idle,
    /// A request is under way, or was given up in the middle.
    Busy,
}

pub struct Conn {
    stream: Stream,
    input: Input,
    out: BytesMut,
    reached: Reached,
    key: CancelKey,
    codec: Codec,
    reading: Reading,
    state: State,
}

impl Conn {
    /// Logs in, empties `search_path`, pins the settings.
    pub async fn open(server: &Server, purpose: Purpose) -> Result<Conn> {
        let mut dialler = Dialler::new(server);
        let mut conn = loop {
            let mut link = dialler.next().await?;
            let (guard, host, deadline) = (link.guard, link.host.clone(), link.deadline);
            let started = within(deadline, async {
                let mut stream = link.take_stream()?;
                let mut input = Input::default();
                let welcome = auth::log_in(server, &link, &mut stream, &mut input).await?;
                Ok((stream, input, welcome))
            });
            match started.await {
                Ok((stream, input, Welcome { key, server_encoding })) => {
                    let codec = match purpose {
                        Purpose::Read => Codec::of_server_encoding(&server_encoding),
                        Purpose::Write => Codec::converted(&server_encoding),
                    };
                    let reached = Reached { server: pinned(server, host), guard };
                    let (out, reading) = (BytesMut::new(), Reading::default());
                    break Conn { stream, input, out, reached, key, codec, reading, state: State::Idle };
                }
                Err(failure) => dialler.refused(guard, failure)?,
            }
        };
        for sql in [EMPTY_SEARCH_PATH, NO_TIMEOUT, &pin(purpose)] {
            let set_up = conn.execute(sql.as_bytes()).await;
            set_up.map_err(|failure| failure.while_doing(Kind::Connect, "cannot set up the session"))?;
        }
        Ok(conn)
    }

    pub fn reached(&self) -> &Reached {
        &self.reached
    }

    /// From now on statements and rows come in this encoding.
    pub async fn speak(&mut self, codec: Codec) -> Result<(), Failure> {
        self.execute(format!("SET client_encoding = '{}'", codec.client_encoding()).as_bytes()).await?;
        self.codec = codec;
        Ok(())
    }

    /// How rows are read from now on.
    pub fn set_pace(&mut self, pace: Pace) {
        self.reading.pace = pace;
    }

    /// How text of ours becomes bytes of this session.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// A request is under way, or was given up.
    pub fn is_busy(&self) -> bool {
        self.state == State::Busy
    }

    /// Whether the connection is lost: a request was given up in its middle, or the socket failed.
    pub fn is_broken(&self) -> bool {
        self.state != State::Idle
    }

    pub fn canceller(&self) -> Canceller {
        Canceller { server: self.reached.server.clone(), key: self.key }
    }

    /// Statements without a result that matters.
    pub async fn execute(&mut self, sql: &[u8]) -> Result<(), Failure> {
        self.query(sql).await.map(drop)
    }

    /// All rows of all statements, as text.
    pub async fn query(&mut self, sql: &[u8]) -> Result<Vec<Row>, Failure> {
        self.begin(sql).await?;
        let (mut rows, mut bytes, mut failed) = (Vec::new(), 0_usize, None);
        loop {
            let (tag, body) = self.input.message(&mut self.stream).await?;
            match tag {
                b'D' => {
                    bytes = bytes.saturating_add(body.len());
                    if bytes > ANSWER_BYTES_MAX {
                        return Err(Failure::protocol("an answer far larger than what was asked for"));
                    }
                    rows.push(data_row(body).ok_or_else(|| Failure::protocol("a row whose fields do not fit it"))?);
                }
                b'E' => failed = Some(survivable(body)?),
                b'T' | b'C' | b'I' | b'N' | b'S' | b'A' => {}
                b'Z' => return self.ready(rows, failed),
                _ => return Err(unexpected(tag, "in the answer to a query")),
            }
        }
    }

    /// Starts `COPY … TO STDOUT`.
    pub async fn copy_out(&mut self, sql: &[u8]) -> Result<(), Failure> {
        self.begin(sql).await?;
        self.reading.came = 0;
        self.expect_copy(b'H').await
    }

    /// Gives rows to `sink` until it is full or all have come.
    pub async fn copy_read(&mut self, sink: &mut impl CopySink) -> Result<CopyStep, Failure> {
        match read_rows(&mut self.input, &mut self.stream, sink, &mut self.reading).await? {
            (CopyStep::Full, _) => Ok(CopyStep::Full),
            (done, failed) => self.ready(done, failed),
        }
    }

    /// Starts `COPY … FROM stdin`.
    pub async fn copy_in(&mut self, sql: &[u8]) -> Result<(), Failure> {
        self.begin(sql).await?;
        self.expect_copy(b'G').await
    }

    /// Sends COPY data in pieces. An error that the server raises meanwhile is returned at once.
    pub async fn copy_send(&mut self, data: &[u8]) -> Result<(), Failure> {
        for piece in data.chunks(SEND_BYTES) {
            put_head(&mut self.out, b'd', piece.len())?;
            self.send_with(piece).await?;
            if self.input.skip_asides()? {
                return self.copy_outcome().await.map(drop);
            }
        }
        Ok(())
    }

    /// Ends the data; the server's count of rows.
    pub async fn copy_finish(&mut self) -> Result<u64, Failure> {
        frontend::copy_done(&mut self.out);
        self.send().await?;
        self.copy_outcome().await
    }

    /// Gives the COPY up: the server logs `reason` and keeps no row. The connection stays usable.
    pub async fn copy_fail(&mut self, reason: &str) -> Result<(), Failure> {
        frontend::copy_fail(&reason.replace('\0', " "), &mut self.out)?;
        self.send().await?;
        match self.copy_outcome().await {
            Err(Failure::Server(_)) => Ok(()),
            Err(other) => Err(other),
            Ok(_) => Err(Failure::protocol("it completed a COPY that was given up")),
        }
    }

    async fn copy_outcome(&mut self) -> Result<u64, Failure> {
        let (mut count, mut failed) = (None, None);
        loop {
            let (tag, body) = self.input.message(&mut self.stream).await?;
            match tag {
                b'N' | b'S' | b'A' => {}
                b'C' if count.is_none() => count = Some(copy_count(body)?),
                b'E' => failed = Some(survivable(body)?),
                b'Z' if failed.is_some() || count.is_some() => return self.ready(count.unwrap_or(0), failed),
                _ => return Err(unexpected(tag, "at the end of a COPY")),
            }
        }
    }

    /// Says goodbye. A server that is gone already is no error here.
    pub async fn close(mut self) {
        frontend::terminate(&mut self.out);
        // The session ends with the socket either way; Terminate only keeps the server's log quiet.
        let goodbye = async {
            self.stream.write_all(&self.out).await?;
            self.stream.shutdown().await
        };
        drop(timeout(CANCEL_TIMEOUT, goodbye).await);
    }

    async fn begin(&mut self, sql: &[u8]) -> Result<(), Failure> {
        if self.state != State::Idle {
            return Err(Failure::protocol("this connection was given up in the middle of a request"));
        }
        if sql.contains(&0) {
            return Err(Failure::protocol("a statement of ours holds a zero byte"));
        }
        self.state = State::Busy;
        self.out.clear();
        put_head(&mut self.out, b'Q', sql.len().saturating_add(1))?;
        self.out.put_slice(sql);
        self.out.put_u8(0);
        self.send().await
    }

    async fn expect_copy(&mut self, wanted: u8) -> Result<(), Failure> {
        let mut failed = None;
        loop {
            let (tag, body) = self.input.message(&mut self.stream).await?;
            match tag {
                b'N' | b'S' | b'A' => {}
                b'E' => failed = Some(survivable(body)?),
                b'Z' if failed.is_some() => return self.ready((), failed),
                tag if tag == wanted && failed.is_none() => {
                    // The first byte is the overall format: 0 is text.
                    return match body.first() {
                        Some(0) => Ok(()),
                        _ => Err(Failure::protocol("COPY in a format that was not asked for")),
                    };
                }
                _ => return Err(unexpected(tag, "where a COPY begins")),
            }
        }
    }

    fn ready<T>(&mut self, answer: T, failed: Option<ServerError>) -> Result<T, Failure> {
        self.state = State::Idle;
        match failed {
            None => Ok(answer),
            Some(error) => Err(Failure::Server(Box::new(error))),
        }
    }

    async fn send(&mut self) -> Result<(), Failure> {
        self.send_with(&[]).await
    }

    /// Writes what is queued and then `body`, from where it lies. Reads while the server does not: one that has much to
    /// say (notices) would else wait for us while we wait for it.
    async fn send_with(&mut self, body: &[u8]) -> Result<(), Failure> {
        let Conn { stream, input, out, .. } = self;
        let mut sent = 0_usize;
        poll_fn(|cx| {
            loop {
                let head = out.get(sent..).unwrap_or_default();
                let rest = body.get(sent.saturating_sub(out.len())..).unwrap_or_default();
                let wrote = if head.is_empty() && rest.is_empty() {
                    Pin::new(&mut *stream).poll_flush(cx).map_ok(|()| None)
                } else if head.is_empty() {
                    Pin::new(&mut *stream).poll_write(cx, rest).map_ok(Some)
                } else {
                    let pieces = [IoSlice::new(head), IoSlice::new(rest)];
                    Pin::new(&mut *stream).poll_write_vectored(cx, &pieces).map_ok(Some)
                };
                match wrote {
                    Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(Some(0))) => return Poll::Ready(Err(Failure::Closed)),
                    Poll::Ready(Ok(Some(bytes))) => sent = sent.saturating_add(bytes),
                    // The server's last words say more than "broken pipe": the next read finds them.
                    Poll::Ready(Err(cause)) if is_broken(&cause) => return Poll::Ready(Ok(())),
                    Poll::Ready(Err(cause)) => return Poll::Ready(Err(cause.into())),
                    Poll::Pending => {
                        let mut room = ReadBuf::new(input.room());
                        match Pin::new(&mut *stream).poll_read(cx, &mut room) {
                            Poll::Pending => return Poll::Pending,
                            Poll::Ready(Err(cause)) => return Poll::Ready(Err(cause.into())),
                            Poll::Ready(Ok(())) => {
                                let read = room.filled().len();
                                if read == 0 {
                                    return Poll::Ready(Err(Failure::Closed));
                                }
                                input.arrived(read);
                                if let Err(failure) = input.skip_asides().and_then(|_| input.check_backlog()) {
                                    return Poll::Ready(Err(failure));
                                }
                            }
                        }
                    }
                }
            }
        })
        .await?;
        out.clear();
        Ok(())
    }
}

/// What the server sends between `COPY … TO STDOUT` and ReadyForQuery, and the error that it may have ended with.
pub(super) async fn read_rows<S: AsyncRead + Unpin>(
    input: &mut Input,
    stream: &mut S,
    sink: &mut impl CopySink,
    reading: &mut Reading,
) -> Result<(CopyStep, Option<ServerError>), Failure> {
    let (mut ended, mut count, mut failed) = (false, None, None);
    loop {
        if !ended && input.copy(stream, sink, reading).await? == Walk::Full {
            return Ok((CopyStep::Full, None));
        }
        let (tag, body) = input.message(stream).await?;
        match tag {
            b'N' | b'S' | b'A' => {}
            b'c' if !ended => ended = true,
            b'C' if ended && count.is_none() => count = Some(copy_count(body)?),
            b'E' => {
                ended = true;
                failed = Some(survivable(body)?);
            }
            b'Z' if failed.is_some() || count.is_some() => return Ok((CopyStep::Done(count.unwrap_or(0)), failed)),
            _ => return Err(unexpected(tag, "among the rows of a COPY")),
        }
    }
}

fn is_broken(cause: &std::io::Error) -> bool {
    matches!(cause.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset)
}

/// Tag and length of a message whose body follows.
fn put_head(out: &mut BytesMut, tag: u8, body: usize) -> Result<(), Failure> {
    let len = i32::try_from(body.saturating_add(4));
    let len = len.map_err(|_| Failure::protocol("a message of ours is longer than 2 GiB"))?;
    out.put_u8(tag);
    out.put_i32(len);
    Ok(())
}

fn data_row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
            row.push(None);
            rest = after;
            continue;
        };
        let (field, after) = after.split_at_checked(len)?;
        row.push(Some(field.to_vec()));
        rest = after;
    }
    rest.is_empty().then_some(row)
}

/// An error after which the session goes on. One that ends it is final: nothing follows but the end of the stream.
fn survivable(body: &[u8]) -> Result<ServerError, Failure> {
    let error = server_error(body);
    match error.severity.as_str() {
        "FATAL" | "PANIC" => Err(Failure::Server(Box::new(error))),
        _ => Ok(error),
    }
}

/// `COPY 123`.
fn copy_count(body: &[u8]) -> Result<u64, Failure> {
    let tag = body.strip_suffix(&[0]).unwrap_or(body);
    std::str::from_utf8(tag)
        .ok()
        .and_then(|tag| tag.strip_prefix("COPY "))
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| Failure::protocol("a COPY that ends without its count"))
}

/// Asks the server to stop what a data connection is doing.
#[derive(Clone, Debug)]
pub struct Canceller {
    server: Server,
    key: CancelKey,
}

impl Canceller {
    /// The server never says whether it worked; the connection's own error does.
    pub async fn cancel(&self) -> Result<()> {
        let doing = "cannot cancel a statement on the server";
        let mut link = Dialler::new(&self.server).next().await?;
        let request = async {
            let mut stream = link.take_stream()?;
            let mut out = BytesMut::new();
            frontend::cancel_request(self.key.process_id, self.key.secret_key, &mut out);
            stream.write_all(&out).await?;
            stream.flush().await?;
            Ok(stream.shutdown().await?)
        };
        let sent = timeout(CANCEL_TIMEOUT, request).await.unwrap_or(Err(Failure::TimedOut));
        sent.map_err(|failure| failure.while_doing(Kind::Connect, doing))
    }
}

#[cfg(test)]
#[path = "wire/tests.rs"]
mod tests;
