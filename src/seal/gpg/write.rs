//! Plain bytes into a file for `gpg -d`.
//!
//! The encoder pulls its input, and an archive is pushed: so the encoder runs on a thread of its own, with at most a megabyte
//! between the two. The end is a message: if the writer is dropped before, the encoder fails, and no end gets into the file.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use age::secrecy::{ExposeSecret, SecretString};
use pgp::composed::MessageBuilder;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::types::{Password, StringToKey};
use rand::rngs::OsRng;

use crate::error::{Context, Kind, Result};

/// Of plain bytes on their way to the encoder: so many pieces of such a size.
const PIECE_BYTES: usize = 256 << 10;
const PIECES: usize = 4;

/// OpenPGP's code for 65,011,712 hashed bytes, the most there is: a good tenth of a second for each guess.
const WORK: u8 = 0xff;

enum Piece {
    Bytes(Vec<u8>),
    End,
}

pub struct Writer<W> {
    pieces: Option<SyncSender<Piece>>,
    filling: Vec<u8>,
    encoder: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Writer<W> {
    pub fn begin(out: W, passphrase: &SecretString) -> Result<Self> {
        let (sender, receiver) = sync_channel(PIECES);
        let passphrase = passphrase.clone();
        let encoder = thread::Builder::new()
            .name("gpg".to_owned())
            .spawn(move || encode(out, &passphrase, Inlet { pieces: receiver, piece: Vec::new(), at: 0, ended: false }))
            .context(Kind::Bug, || "cannot start a thread that encrypts".to_owned())?;
        Ok(Writer { pieces: Some(sender), filling: Vec::new(), encoder: Some(encoder) })
    }

    /// Writes what is left, and the digest that says that it is all.
    pub fn finish(mut self) -> io::Result<W> {
        self.pass_on()?;
        self.send(Piece::End)?;
        self.joined()
    }

    fn pass_on(&mut self) -> io::Result<()> {
        match self.filling.is_empty() {
            true => Ok(()),
            false => {
                let piece = std::mem::take(&mut self.filling);
                self.send(Piece::Bytes(piece))
            }
        }
    }

    fn send(&mut self, piece: Piece) -> io::Result<()> {
        let sent = self.pieces.as_ref().is_some_and(|pieces| pieces.send(piece).is_ok());
        // It takes no more: then it has failed, and knows why.
        if sent { Ok(()) } else { self.joined().and_then(|_| Err(stopped())) }
    }

    fn joined(&mut self) -> io::Result<W> {
        self.pieces = None;
        let encoder = self.encoder.take().ok_or_else(stopped)?;
        encoder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl<W: Write + Send + 'static> Write for Writer<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.filling.len() >= PIECE_BYTES {
            self.pass_on()?;
        }
        self.filling.reserve_exact(PIECE_BYTES.saturating_sub(self.filling.len()));
        let room = PIECE_BYTES.saturating_sub(self.filling.len());
        let taken = buf.get(..room).unwrap_or(buf);
        self.filling.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// Nothing: what is on its way is only whole at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W> Drop for Writer<W> {
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(encoder) = self.encoder.take() {
            // What it says is that it got no end.
            let _ = encoder.join();
        }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the encryption has stopped")
}

fn encode<W: Write>(out: W, passphrase: &SecretString, plain: Inlet) -> io::Result<W> {
    let mut outlet = Outlet { out, failed: None };
    let encoded = encode_into(&mut outlet, passphrase, plain);
    match outlet.failed {
        Some(cause) => Err(cause),
        None => encoded.map(|()| outlet.out).map_err(io::Error::other),
    }
}

fn encode_into<W: Write>(out: &mut Outlet<W>, passphrase: &SecretString, plain: Inlet) -> pgp::errors::Result<()> {
    let passphrase = Password::from(passphrase.expose_secret());
    let stretched = StringToKey::new_iterated(OsRng, HashAlgorithm::Sha256, WORK);
    let mut message = MessageBuilder::from_reader("", plain).seipd_v1(OsRng, SymmetricKeyAlgorithm::AES256);
    message.encrypt_with_password(stretched, &passphrase)?;
    message.to_writer(OsRng, out)
}

/// What the encoder reads.
struct Inlet {
    pieces: Receiver<Piece>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for Inlet {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.piece.len() && !self.ended {
            match self.pieces.recv() {
                Ok(Piece::Bytes(piece)) => (self.piece, self.at) = (piece, 0),
                Ok(Piece::End) => self.ended = true,
                Err(_) => return Err(stopped()),
            }
        }
        let left = self.piece.get(self.at..).unwrap_or_default();
        let taken = left.len().min(buf.len());
        if let (Some(into), Some(from)) = (buf.get_mut(..taken), left.get(..taken)) {
            into.copy_from_slice(from);
        }
        self.at += taken;
        Ok(taken)
    }
}

/// Where the encoder writes. It keeps the error as it was: kind and hint of the place's own are in it.
struct Outlet<W> {
    out: W,
    failed: Option<io::Error>,
}

impl<W: Write> Write for Outlet<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.out.write(buf) {
            Err(cause) if cause.kind() != io::ErrorKind::Interrupted => {
                self.failed = Some(cause);
                Err(stopped())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
