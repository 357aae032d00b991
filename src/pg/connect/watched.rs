//! A stream that looks at the heads of the messages that pass: tokio-postgres reserves memory by their length fields.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::Stream;

/// The server builds a message in a buffer of at most 1 GiB.
const MESSAGE_BYTES_MAX: u32 = 1 << 30;

pub(super) struct Watched {
    stream: Stream,
    heads: Heads,
}

impl Watched {
    pub fn new(stream: Stream) -> Self {
        Watched { stream, heads: Heads::default() }
    }
}

/// The client keeps every setting that a server reports. There are a few dozen.
const PARAMETER_BYTES_MAX: usize = 1 << 20;

/// Where in a message the last byte stood.
#[derive(Default)]
struct Heads {
    /// Bytes of all ParameterStatus messages so far.
    parameters: usize,
    /// The tag and the length, as far as they have come.
    head: Vec<u8>,
    body_left: usize,
}

impl Heads {
    fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.body_left > 0 {
                let skipped = self.body_left.min(bytes.len());
                self.body_left = self.body_left.saturating_sub(skipped);
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            self.head.push(first);
            bytes = rest;
            if let &[tag, a, b, c, d] = self.head.as_slice() {
                let len = u32::from_be_bytes([a, b, c, d]);
                let body = len.checked_sub(4).filter(|_| len <= MESSAGE_BYTES_MAX);
                let body = body.and_then(|body| usize::try_from(body).ok());
                self.body_left = body.ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "the server sent a message with an impossible length")
                })?;
                self.head.clear();
                if tag == b'S' {
                    self.parameters = self.parameters.saturating_add(self.body_left).saturating_add(1);
                }
                if self.parameters > PARAMETER_BYTES_MAX {
                    let what = "the server reports settings without end";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
            }
        }
        Ok(())
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(self.heads.pass(buf.filled().get(before..).unwrap_or_default()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// SCRAM is bound to the TLS session that was negotiated before tokio-postgres saw the stream.
impl TlsStream for Watched {
    fn channel_binding(&self) -> ChannelBinding {
        match self.stream.end_point() {
            Some(hash) => ChannelBinding::tls_server_end_point(hash.to_vec()),
            None => ChannelBinding::none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_however_the_bytes_are_cut() {
        let mut wire = vec![b'S', 0, 0, 0, 7, 1, 2, 3, b'Z', 0, 0, 0, 4];
        wire.extend([b'D', 0x40, 0, 0, 1]);
        for cut in 1..wire.len() {
            let mut heads = Heads::default();
            let refused = wire.chunks(cut).any(|piece| heads.pass(piece).is_err());
            assert!(refused, "cut every {cut} bytes");
            let mut heads = Heads::default();
            assert!(wire[..13].chunks(cut).all(|piece| heads.pass(piece).is_ok()), "cut every {cut} bytes");
        }
        assert!(Heads::default().pass(&[b'D', 0, 0, 0, 3]).is_err());
        assert!(Heads::default().pass(&[b'D', 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
