//! What `gpg --symmetric` encrypted, or our own writer, from front to back.
//!
//! The packets are gone through here, one of each kind at its place, so that no length in the file decides what is held in
//! memory: a message as such may nest packets, and carry others behind it, of any size. The reader returns no end before the
//! digest has proved right and nothing follows; until then what it returned may be anything.

use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use age::secrecy::{ExposeSecret, SecretString};
use pgp::composed::{
    CompressedDataReader, LiteralDataReader, PacketBodyReader, PlainSessionKey, decrypt_session_key_with_password,
};
use pgp::packet::{DataMode, PacketHeader, StreamDecryptor, SymKeyEncryptedSessionKey};
use pgp::types::{PacketLength, Password, Seipdv1ReadMode, StringToKey, Tag};

use crate::error::{Error, Kind, Result};

/// Asked of the place at once.
const BUFFER_BYTES: usize = 128 << 10;

/// Packets that hold the key, each for a passphrase or a public key, and what one may have.
const KEYS_MAX: usize = 8;
const KEY_BYTES_MAX: usize = 8 << 10;

/// Base64 with lines around it.
const ARMOR: &[u8] = b"-----BEGIN ";

/// Of all ciphers that are taken.
const BLOCK_BYTES: usize = 16;
/// A random block, and its last two bytes once more: of wrong keys one in 65,536 passes for right.
const PREFIX_BYTES: usize = BLOCK_BYTES + 2;

type Body<R> = PacketBodyReader<Source<R>>;
type Plain<R> = StreamDecryptor<Chain<Cursor<[u8; PREFIX_BYTES]>, Body<R>>>;

pub struct Reader<R: Read + Send> {
    inside: Inside<R>,
    /// The place could not be read, which is no damage.
    unreadable: Arc<AtomicBool>,
}

/// The packet of the plain bytes.
enum Inside<R: Read + Send> {
    Literal(LiteralDataReader<Plain<R>>),
    Compressed(LiteralDataReader<CompressedDataReader<Plain<R>>>),
    Ended,
    Failed,
}

impl<R: Read + Send> Reader<R> {
    /// `Refused`: no passphrase fits. `Unsupported`: it is for a public key, or of another form.
    pub fn open(source: R, passphrases: &[SecretString]) -> Result<Self> {
        let unreadable = Arc::new(AtomicBool::new(false));
        let mut source =
            Source { inner: BufReader::with_capacity(BUFFER_BYTES, source), unreadable: Arc::clone(&unreadable) };
        let failed = |trouble: Trouble| explained(trouble, &unreadable);
        if source.fill_buf().map_err(|cause| failed(cause.into()))?.starts_with(ARMOR) {
            return Err(other_form());
        }
        let (keys, mut body) = keys_and_body(source).map_err(failed)?;
        let mut version = [0];
        body.read_exact(&mut version).map_err(|cause| failed(cause.into()))?;
        if version != [1] {
            return Err(other_form());
        }
        let mut prefix = [0; PREFIX_BYTES];
        body.read_exact(&mut prefix).map_err(|cause| failed(cause.into()))?;
        let session = fitting(&keys, passphrases, &prefix)?;
        let PlainSessionKey::V3_4 { sym_alg, key } = &session else { return Err(other_form()) };
        let body = Cursor::new(prefix).chain(body);
        let plain = StreamDecryptor::v1(*sym_alg, Seipdv1ReadMode::Streaming, key.as_ref(), body)
            .map_err(|cause| failed(Trouble::Form(cause.to_string())))?;
        let inside = inside(plain).map_err(failed)?;
        Ok(Reader { inside, unreadable })
    }

    /// The plain bytes have ended: so must have everything around them.
    fn end(&mut self) -> io::Result<()> {
        let plain = match mem::replace(&mut self.inside, Inside::Failed) {
            Inside::Literal(literal) => literal.into_inner().into_inner(),
            Inside::Compressed(literal) => {
                let mut compressed = literal.into_inner().into_inner();
                ended(&mut compressed)?;
                let mut packet = compressed.into_inner();
                // What the compressor may leave behind its end.
                io::copy(&mut packet, &mut io::sink())?;
                packet.into_inner()
            }
            Inside::Ended | Inside::Failed => return Err(io::Error::other("it was read on behind its end")),
        };
        let mut plain = plain;
        ended(&mut plain)?;
        let (_, mut body) = plain.into_inner().into_inner();
        ended(&mut body)?;
        ended(&mut body.into_inner())?;
        self.inside = Inside::Ended;
        Ok(())
    }
}

impl<R: Read + Send> Read for Reader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.inside {
            _ if buf.is_empty() => return Ok(0),
            Inside::Literal(literal) => literal.read(buf),
            Inside::Compressed(literal) => literal.read(buf),
            Inside::Ended => return Ok(0),
            Inside::Failed => Err(io::Error::other("an earlier part was damaged")),
        };
        let read = match read {
            Ok(0) => self.end().map(|()| 0),
            read => read,
        };
        read.map_err(|cause| {
            self.inside = Inside::Failed;
            match self.unreadable.load(Ordering::Relaxed) {
                true => cause,
                false => io::Error::new(io::ErrorKind::InvalidData, cause.to_string()),
            }
        })
    }
}

fn ended(reader: &mut impl BufRead) -> io::Result<()> {
    match reader.fill_buf()?.is_empty() {
        true => Ok(()),
        false => Err(io::Error::other("something follows the encrypted bytes")),
    }
}

/// Why it cannot be opened, before it is known whose fault that is.
enum Trouble {
    Read(io::Error),
    Form(String),
    Other(Error),
}

impl From<io::Error> for Trouble {
    fn from(cause: io::Error) -> Self {
        Trouble::Read(cause)
    }
}

fn explained(trouble: Trouble, unreadable: &AtomicBool) -> Error {
    let what = match trouble {
        Trouble::Other(error) => return error,
        Trouble::Read(cause) if unreadable.load(Ordering::Relaxed) => {
            return Error::new(Kind::Place, "cannot read the encrypted archive").because(cause);
        }
        // A way of compressing that is not known here.
        Trouble::Read(cause) if cause.kind() == io::ErrorKind::InvalidInput => return other_form(),
        Trouble::Read(cause) => cause.to_string(),
        Trouble::Form(what) => what,
    };
    Error::new(Kind::Damaged, "cannot decrypt the archive: it is damaged or cut short").because(what)
}

fn other_form() -> Error {
    let what = "cannot decrypt the archive: it is not of the form that gpg --symmetric writes";
    Error::new(Kind::Unsupported, what).hint(BY_GPG)
}

const BY_GPG: &str = "decrypt it into a pipe: gpg -d F | miyabi-backup restore --file - …";

/// The packets of keys, and the packet of encrypted bytes that must follow.
fn keys_and_body<R: Read + Send>(mut source: Source<R>) -> Result<(Vec<SymKeyEncryptedSessionKey>, Body<R>), Trouble> {
    let mut keys = Vec::new();
    for _ in 0..=KEYS_MAX {
        let header = PacketHeader::try_from_reader(&mut source)?;
        match header.tag() {
            Tag::SymEncryptedProtectedData => return Ok((keys, PacketBodyReader::new(header, source)?)),
            Tag::SymKeyEncryptedSessionKey | Tag::PublicKeyEncryptedSessionKey => {
                let len = match header.packet_length() {
                    PacketLength::Fixed(len) => usize::try_from(len).unwrap_or(usize::MAX),
                    PacketLength::Indeterminate | PacketLength::Partial(_) => usize::MAX,
                };
                if len > KEY_BYTES_MAX {
                    return Err(Trouble::Form("the packet of its key is too long".to_owned()));
                }
                let mut body = vec![0; len];
                source.read_exact(&mut body)?;
                if header.tag() == Tag::SymKeyEncryptedSessionKey {
                    let key = SymKeyEncryptedSessionKey::try_from_reader(header, body.as_slice());
                    keys.push(key.map_err(|cause| Trouble::Form(cause.to_string()))?);
                }
            }
            Tag::GnupgAeadData | Tag::SymEncryptedData => return Err(Trouble::Other(other_form())),
            tag => return Err(Trouble::Form(format!("a packet {tag:?} is where its key should be"))),
        }
    }
    Err(Trouble::Form("it has too many keys".to_owned()))
}

/// The key that the beginning of the encrypted bytes shows to be right.
fn fitting(
    keys: &[SymKeyEncryptedSessionKey],
    passphrases: &[SecretString],
    prefix: &[u8; PREFIX_BYTES],
) -> Result<PlainSessionKey> {
    let refused = |what: &str| Error::new(Kind::Refused, format!("cannot decrypt the archive: {what}"));
    if keys.is_empty() {
        let what = "cannot decrypt the archive: it is encrypted for a key of gpg's, not by a passphrase";
        return Err(Error::new(Kind::Unsupported, what).hint(BY_GPG));
    }
    let known: Vec<_> = keys.iter().filter(|key| is_known(key)).collect();
    if known.is_empty() {
        return Err(other_form());
    }
    if passphrases.is_empty() {
        return Err(refused("it is encrypted by gpg and no passphrase was given").hint("give --passphrase-file FILE"));
    }
    for passphrase in passphrases {
        let passphrase = Password::from(passphrase.expose_secret());
        for key in &known {
            match decrypt_session_key_with_password(key, &passphrase) {
                Ok(session) if is_right(&session, *prefix) => return Ok(session),
                _ => {}
            }
        }
    }
    let hint = "is it the right file? Its first line is the passphrase";
    Err(refused("the passphrase does not open it").hint(hint))
}

/// Passphrases that are stretched by hashing alone: how much memory Argon2 takes says the file.
fn is_known(key: &SymKeyEncryptedSessionKey) -> bool {
    let SymKeyEncryptedSessionKey::V4 { sym_algorithm, s2k, .. } = key else { return false };
    let is_hashed =
        matches!(s2k, StringToKey::Simple { .. } | StringToKey::Salted { .. } | StringToKey::IteratedAndSalted { .. });
    is_hashed && sym_algorithm.key_size() > 0 && sym_algorithm.block_size() == BLOCK_BYTES
}

fn is_right(session: &PlainSessionKey, mut prefix: [u8; PREFIX_BYTES]) -> bool {
    let PlainSessionKey::V3_4 { sym_alg: cipher, key } = session else { return false };
    cipher.block_size() == BLOCK_BYTES
        && cipher.decrypt_with_iv_regular(key.as_ref(), &[0; BLOCK_BYTES], &mut prefix).is_ok()
        && matches!(prefix, [.., a, b, c, d] if (a, b) == (c, d))
}

fn inside<R: Read + Send>(mut plain: Plain<R>) -> Result<Inside<R>, Trouble> {
    let header = PacketHeader::try_from_reader(&mut plain)?;
    match header.tag() {
        Tag::LiteralData => {
            let packet = PacketBodyReader::new(header, plain)?;
            Ok(Inside::Literal(binary(LiteralDataReader::new(packet)?)?))
        }
        Tag::CompressedData => {
            let mut plain = CompressedDataReader::new(PacketBodyReader::new(header, plain)?, true)?;
            let header = PacketHeader::try_from_reader(&mut plain)?;
            if header.tag() != Tag::LiteralData {
                return Err(Trouble::Other(other_form()));
            }
            let packet = PacketBodyReader::new(header, plain)?;
            Ok(Inside::Compressed(binary(LiteralDataReader::new(packet)?)?))
        }
        Tag::OnePassSignature | Tag::Signature => Err(Trouble::Other(other_form())),
        tag => Err(Trouble::Form(format!("a packet {tag:?} is where its contents should be"))),
    }
}

/// Of text the ends of lines are not those that were encrypted.
fn binary<R: BufRead>(literal: LiteralDataReader<R>) -> Result<LiteralDataReader<R>, Trouble> {
    match literal.data_header().mode() {
        DataMode::Binary => Ok(literal),
        _ => Err(Trouble::Other(other_form())),
    }
}

/// The stored bytes, which remember whether it was they who failed.
struct Source<R> {
    inner: BufReader<R>,
    unreadable: Arc<AtomicBool>,
}

impl<R> fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let held = self.fill_buf()?;
        let taken = held.len().min(buf.len());
        if let (Some(into), Some(from)) = (buf.get_mut(..taken), held.get(..taken)) {
            into.copy_from_slice(from);
        }
        self.consume(taken);
        Ok(taken)
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.inner.buffer().is_empty() {
            match self.inner.fill_buf().map(<[u8]>::is_empty) {
                Ok(true) => break,
                Ok(false) => {}
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => {
                    // A source that knows its bytes to be false says so itself.
                    let is_damage = cause.kind() == io::ErrorKind::InvalidData;
                    self.unreadable.store(!is_damage, Ordering::Relaxed);
                    return Err(cause);
                }
            }
        }
        Ok(self.inner.buffer())
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
    }
}
