//! Archives that can only be read from front to back: those that gpg encrypted.

use std::io::{self, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use crate::archive::{PipeReader, SNIFF_BYTES, Sniff, SourceKind, StreamKind, sniff};
use crate::error::{Error, Kind, Result};
use crate::manifest::Format;
use crate::read_at::{ReadAt, Sequential};
use crate::seal::{self, Keys};

use super::foreign::{self, Site};
use super::seen::{Ours, Seen};
use super::sqlite;
use super::unpacked::Unpacked;

/// All of a file that gpg encrypted, if its passphrase was given.
pub fn sealed<R: ReadAt>(source: &R, site: Site<'_>, keys: &Keys, seen: &mut Seen) -> Result<()> {
    let plain = match seal::unseal_stream(Sequential::new(source), keys) {
        Ok(plain) => plain,
        Err(error) if error.kind() == Kind::Refused => {
            seen.sealed(format!("{}: only its length and SHA-256 could be compared", error.chain()));
            return Ok(());
        }
        Err(error) => return failed(error, site, seen),
    };
    let (kind, plain) = match begun(plain) {
        Ok(begun) => begun,
        Err(cause) => return failed(unreadable(cause), site, seen),
    };
    match kind {
        Sniff::Ours => match archive(plain, source.len(), site, seen) {
            Ok(()) => Ok(()),
            Err(error) => failed(error, site, seen),
        },
        Sniff::PlainSql => foreign::script(plain, false, site.cancel, seen),
        Sniff::ForeignGzip => {
            let inflated = begun(MultiGzDecoder::new(BufReader::new(plain)));
            match inflated {
                Ok((Sniff::PlainSql, script)) => foreign::script(script, true, site.cancel, seen),
                Ok(_) => not_checked(seen),
                Err(cause) => {
                    site.cancel.check()?;
                    seen.damage(foreign::not_inflated(0, &cause));
                    Ok(())
                }
            }
        }
        _ => not_checked(seen),
    }
}

fn not_checked(seen: &mut Seen) -> Result<()> {
    seen.not_ours("what is encrypted is neither an archive of miyabi-backup nor a script: decrypt it first, by gpg -d");
    Ok(())
}

/// Every member, then index and footer, then whatever proves that gpg's file is whole.
/// How large a database is unpacked is said at the end alone; it is not smaller than what is `stored`, as a rule.
fn archive<R: Read>(plain: R, stored: u64, site: Site<'_>, seen: &mut Seen) -> Result<()> {
    let mut reader = PipeReader::open(plain)?;
    let is_sqlite = reader.header().kind == SourceKind::Sqlite;
    let mut copy = match is_sqlite {
        true => Some(Unpacked::begin(site.path, site.staging, stored)?),
        false => None,
    };
    let mut raw = Vec::new();
    while let Some(member) = reader.next_member(&mut raw)? {
        site.cancel.check()?;
        match &mut copy {
            Some(copy) if member.kind == StreamKind::Pages => copy.write(&raw)?,
            _ => {}
        }
    }
    let id = reader.id().to_string();
    let streams = reader.finish()?.streams;
    seen.format = Some(if is_sqlite { Format::Sqlite } else { Format::Sql });
    seen.rows = streams.iter().map(|stream| stream.rows).fold(0, u64::saturating_add);
    seen.tables = streams.iter().filter(|stream| stream.spec.kind == StreamKind::Rows).count() as u64;
    seen.raw = streams.iter().map(|stream| stream.raw.0).fold(0, u64::saturating_add);
    seen.ours = Some(Ours { id, streams });
    match copy {
        Some(mut copy) => {
            copy.flush()?;
            sqlite::check(copy.path(), site.cancel, seen)
        }
        None => Ok(()),
    }
}

fn begun<R: Read>(mut plain: R) -> io::Result<(Sniff, impl Read)> {
    let mut first = Vec::new();
    plain.by_ref().take(SNIFF_BYTES as u64).read_to_end(&mut first)?;
    Ok((sniff(&first), Cursor::new(first).chain(plain)))
}

fn unreadable(cause: io::Error) -> Error {
    let kind = if cause.kind() == io::ErrorKind::InvalidData { Kind::Damaged } else { Kind::Place };
    Error::new(kind, "cannot decrypt the archive").because(cause)
}

/// A run that is stopped says nothing of the file.
fn failed(error: Error, site: Site<'_>, seen: &mut Seen) -> Result<()> {
    site.cancel.check()?;
    seen.failed(error)
}
