//! Bytes on their way out: as they are, or sealed.

use std::io::{self, Write};

use age::stream::StreamWriter;

use crate::error::{Error, Kind, Result};

use super::gpg;
use super::recipients::{Encryption, Recipients};

/// Passes bytes on, sealed if there are recipients. Dropping it leaves what was written without its end.
#[must_use = "without `finish` the end of the sealed bytes is missing"]
pub enum Sink<W: Write + Send + 'static> {
    Plain(W),
    Age(Box<StreamWriter<W>>),
    Gpg(gpg::Writer<W>),
}

impl<W: Write + Send + 'static> Sink<W> {
    /// Writes the header of an age file at once; what gpg reads begins a moment later.
    pub fn begin(inner: W, recipients: Option<&Recipients>) -> Result<Self> {
        let Some(recipients) = recipients else { return Ok(Sink::Plain(inner)) };
        match recipients.encryptor()? {
            Encryption::Age(encryptor) => {
                let stream = encryptor.wrap_output(inner);
                let stream =
                    stream.map_err(|cause| Error::new(Kind::Place, "cannot begin to encrypt").because(cause))?;
                Ok(Sink::Age(Box::new(stream)))
            }
            Encryption::Gpg(passphrase) => gpg::Writer::begin(inner, passphrase).map(Sink::Gpg),
        }
    }

    pub fn is_sealed(&self) -> bool {
        !matches!(self, Sink::Plain(_))
    }

    /// Writes what is left, marked as the end.
    pub fn finish(self) -> Result<W> {
        let finished = match self {
            Sink::Plain(inner) => return Ok(inner),
            Sink::Age(stream) => stream.finish(),
            Sink::Gpg(writer) => writer.finish(),
        };
        finished
            .map_err(|cause| Error::new(Kind::Place, "cannot write the end of the encrypted archive").because(cause))
    }
}

impl<W: Write + Send + 'static> Write for Sink<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Plain(inner) => inner.write(buf),
            Sink::Age(stream) => stream.write(buf),
            Sink::Gpg(writer) => writer.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Plain(inner) => inner.flush(),
            Sink::Age(stream) => stream.flush(),
            Sink::Gpg(writer) => writer.flush(),
        }
    }
}
