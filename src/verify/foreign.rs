//! Files of other tools: plain pg_dump scripts and SQLite files, gzipped or not.
//!
//! Only what says of itself that it is whole can be sound: a gzip stream by its CRC, a script by pg_dump's last
//! line, a database by its integrity check.

use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::archive::{SNIFF_BYTES, Sniff, sniff};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::manifest::Format;
use crate::read_at::{ReadAt, Sequential};

use super::script::{self, Trouble};
use super::seen::Seen;
use super::sqlite;
use super::unpacked::Unpacked;

const BUFFER_BYTES: usize = 128 << 10;

/// Where the file lies and where it may be unpacked.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    pub path: &'a Path,
    pub staging: Option<&'a Path>,
    pub cancel: &'a Cancel,
}

/// A gzip file that is not an archive of ours.
pub fn gzip<R: ReadAt>(source: R, site: Site<'_>, seen: &mut Seen) -> Result<()> {
    let (mut inflated, first) = match inflate(&source) {
        Ok(begun) => begun,
        Err(cause) => {
            site.cancel.check()?;
            seen.foreign = true;
            seen.damage(not_inflated(0, &cause));
            return Ok(());
        }
    };
    match sniff(&first) {
        _ if first.is_empty() => {
            seen.foreign = true;
            seen.damage("it holds nothing: the program whose output was compressed wrote none");
            Ok(())
        }
        Sniff::PlainSql => script(inflated, true, site.cancel, seen),
        Sniff::PlainSqlite => {
            let needed = u64::from(inflated_size(&source).unwrap_or(0));
            database(&mut inflated, needed, site, seen)
        }
        other => {
            let what = match other {
                Sniff::Unknown if first.starts_with(b"PGDMP") => "a custom-format dump of pg_dump -Fc".to_owned(),
                Sniff::Unknown => "neither a SQL script nor a SQLite database".to_owned(),
                other => other.to_string(),
            };
            seen.not_ours(format!("a gzip file that holds {what}"));
            Ok(())
        }
    }
}

/// A script, read to its end.
pub fn script<R: Read>(reader: R, compressed: bool, cancel: &Cancel, seen: &mut Seen) -> Result<()> {
    let (script, trouble) = script::read(reader, cancel)?;
    seen.foreign = true;
    seen.format = Some(Format::Sql);
    seen.raw = script.raw;
    seen.rows = script.tables.iter().map(|table| table.rows).sum();
    seen.tables = script.tables.len() as u64;
    match trouble {
        None => {}
        Some(Trouble::Read(cause)) if compressed => seen.damage(not_inflated(script.raw, &cause)),
        Some(trouble) if trouble.is_damage() => seen.damage(trouble.to_string()),
        Some(trouble) => seen.not_ours(trouble.to_string()),
    }
    Ok(())
}

/// An uncompressed SQLite file, looked at where it lies.
pub fn plain_database(path: &Path, size: u64, cancel: &Cancel, seen: &mut Seen) -> Result<()> {
    seen.foreign = true;
    seen.format = Some(Format::Sqlite);
    seen.raw = size;
    match unmerged_journal(path) {
        Some(journal) => {
            let what = format!("its last changes lie in {}", journal.display());
            seen.not_ours(format!("a database in use, not a backup: {what}"));
            Ok(())
        }
        None => sqlite::check(path, cancel, seen),
    }
}

/// A journal without which the file is not what the last writer left.
pub fn unmerged_journal(database: &Path) -> Option<PathBuf> {
    ["-wal", "-journal"].into_iter().find_map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        let journal = PathBuf::from(name);
        journal.metadata().is_ok_and(|found| found.len() > 0).then_some(journal)
    })
}

fn database(inflated: &mut impl Read, needed: u64, site: Site<'_>, seen: &mut Seen) -> Result<()> {
    seen.foreign = true;
    seen.format = Some(Format::Sqlite);
    let unpacked = Unpacked::begin(site.path, site.staging, needed)
        .and_then(|mut copy| copy.fill(inflated, site.cancel).map(|raw| (copy, raw)));
    match unpacked {
        Ok((copy, raw)) => {
            seen.raw = raw;
            sqlite::check(copy.path(), site.cancel, seen)
        }
        Err(error) => seen.failed(error),
    }
}

/// The inflated bytes from the first on, and a look at them.
pub fn inflate<R: ReadAt>(source: R) -> io::Result<(impl Read, Vec<u8>)> {
    let stored = io::BufReader::with_capacity(BUFFER_BYTES, Sequential::new(source));
    let mut inflated = MultiGzDecoder::new(stored);
    let mut first = Vec::new();
    inflated.by_ref().take(SNIFF_BYTES as u64).read_to_end(&mut first)?;
    Ok((Cursor::new(first.clone()).chain(inflated), first))
}

/// What the end of a gzip file says of its inflated size: right for files below 4 GiB in one stream, else too small.
pub fn inflated_size<R: ReadAt>(source: &R) -> Option<u32> {
    let mut last = [0; 4];
    source.read_at(source.len().checked_sub(4)?, &mut last).ok()?;
    Some(u32::from_le_bytes(last))
}

pub(super) fn not_inflated(raw: u64, cause: &io::Error) -> String {
    format!("the gzip stream is damaged, cut, or followed by other bytes, after {raw} inflated bytes: {cause}")
}

/// Files that this version cannot look into.
pub fn closed(what: Sniff) -> Error {
    let error = Error::new(Kind::Unsupported, format!("not an archive of miyabi-backup but {what}"));
    match what {
        Sniff::Age | Sniff::Gpg => error.because("what is inside cannot be checked without its key"),
        Sniff::Zstd => error.because("of zstd files only its own are read"),
        _ => error,
    }
}
