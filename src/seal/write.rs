//! Bytes on their way out: as they are, or sealed.

use std::io::{self, Write};

use age::stream::StreamWriter;

use crate::error::{Error, Kind, Result};

use super::recipients::Recipients;

/// Passes bytes on, sealed if there are recipients. Dropping it leaves what was written without its end.
#[must_use = "without `finish` the end of the sealed bytes is missing"]
pub enum Sink<W: Write> {
    Plain(W),
    Sealed(Box<StreamWriter<W>>),
}

impl<W: Write> Sink<W> {
    /// Writes the header of a sealed file at once.
    pub fn begin(inner: W, recipients: Option<&Recipients>) -> Result<Self> {
        let Some(recipients) = recipients else { return Ok(Sink::Plain(inner)) };
        let stream = recipients.encryptor()?.wrap_output(inner);
        let stream = stream.map_err(|cause| Error::new(Kind::Place, "cannot begin to encrypt").because(cause))?;
        Ok(Sink::Sealed(Box::new(stream)))
    }

    pub fn is_sealed(&self) -> bool {
        matches!(self, Sink::Sealed(_))
    }

    /// Writes what is left, marked as the end.
    pub fn finish(self) -> Result<W> {
        match self {
            Sink::Plain(inner) => Ok(inner),
            Sink::Sealed(stream) => stream.finish().map_err(|cause| {
                Error::new(Kind::Place, "cannot write the end of the encrypted archive").because(cause)
            }),
        }
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Plain(inner) => inner.write(buf),
            Sink::Sealed(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Plain(inner) => inner.flush(),
            Sink::Sealed(stream) => stream.flush(),
        }
    }
}
