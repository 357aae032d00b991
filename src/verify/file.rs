//! One file: what it is, whether it is whole, and whether it is what its `.meta` says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::{self, Archive, ReadAt, Report, SNIFF_BYTES, Sniff, SourceKind, StreamKind, sniff};
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::Context;
use crate::listing::{Listed, State};
use crate::manifest::{Format, Meta, meta::META_BYTES_MAX};
use crate::policy::naming::meta_name;
use crate::read_at::Sequential;
use crate::seal::{self, Keys, Verifier};
use crate::store::{Name, Places, Store};
use crate::units::{RawBytes, StoredBytes};

use super::against_meta::{Stored, compare};
use super::foreign::{self, Site};
use super::in_order;
use super::outcome::FileReport;
use super::pinned::Pinned;
use super::seen::{Ours, Seen};
use super::sqlite;
use super::stored::{self, Watched};

/// How a file came to be looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Named by the user: a missing `.meta` is only noted.
    Named,
    /// Found in a folder, where a backup without `.meta` is one whose run did not finish.
    Folder,
}

/// Everything about one row of a listing. An error is returned only if the run is stopped.
pub fn check(
    store: &dyn Store,
    row: &Listed,
    origin: Origin,
    staging: Option<&Path>,
    context: &Context,
) -> Result<FileReport> {
    check_bytes(store, row, origin, staging, context).map(|(report, _)| report)
}

/// The same; and, where a signature is asked for and all is as it should be, the bytes that were checked.
pub fn check_bytes(
    store: &dyn Store,
    row: &Listed,
    origin: Origin,
    staging: Option<&Path>,
    context: &Context,
) -> Result<(FileReport, Option<Pinned>)> {
    context.cancel.check()?;
    let path = PathBuf::from(store.shown(&row.path));
    let is_far = Places::bucket(&path).is_some();
    let staging = staging.or(is_far.then_some(context.scratch.as_path()));
    let mut seen = Seen::default();
    let pinned = look(store, row, origin, Site { path: &path, staging, cancel: &context.cancel }, context, &mut seen)?;
    let report = FileReport {
        verdict: seen.verdict(),
        foreign: seen.foreign,
        findings: seen.findings,
        size: StoredBytes(row.size),
        raw: RawBytes(seen.raw),
        rows: seen.rows,
        tables: seen.tables,
        path,
    };
    Ok((report, pinned))
}

fn look(
    store: &dyn Store,
    row: &Listed,
    origin: Origin,
    site: Site<'_>,
    context: &Context,
    seen: &mut Seen,
) -> Result<Option<Pinned>> {
    if row.state == State::NoArchive {
        seen.damage("its archive is gone: only the .meta is left");
        return Ok(None);
    }
    let bytes = match stored::open(store, row) {
        Ok(bytes) => bytes,
        Err(error) => {
            seen.unreadable(&error);
            return Ok(None);
        }
    };
    if !state_allows_a_look(store, row, origin, seen) {
        return Ok(None);
    }
    // The listing's `.meta` was read before: what is signed is what counts.
    let signed = match &context.signed_by {
        Some(signed_by) => signed_meta(store, row, signed_by, seen),
        None => None,
    };
    let mut watched = Watched::new(bytes.as_ref(), site.cancel, &context.progress);
    if signed.is_some() {
        watched = watched.pinning();
    }
    contents(&watched, site, &context.keys, seen)?;
    // What a stopped run could not read says nothing about the file.
    site.cancel.check()?;
    let Some(meta) = signed.as_ref().or(row.meta.as_ref()) else { return Ok(None) };
    let digests = match &meta.details {
        Some(_) => watched.digests().map(Some),
        None => Ok(None),
    };
    site.cancel.check()?;
    let digests = digests.unwrap_or_else(|cause| {
        seen.damage(format!("it cannot be read to its end: {cause}"));
        None
    });
    let (sha256, pieces) = digests.unzip();
    let stored = Stored { size: bytes.len(), sha256: sha256.as_deref() };
    let differences = compare(meta, &stored, seen);
    seen.findings.extend(differences);
    Ok(pieces.flatten().filter(|_| !seen.is_damaged()).map(|pieces| Pinned::new(bytes, pieces)))
}

/// The `.meta` that stands beside the archive, if the key has signed it.
fn signed_meta(store: &dyn Store, row: &Listed, signed_by: &Verifier, seen: &mut Seen) -> Option<Meta> {
    let checked = meta_bytes(store, row).and_then(|json| {
        let json = json.unwrap_or_default();
        signed_by.check(&json)?;
        Meta::parse(&json)
    });
    match checked {
        Ok(meta) => return Some(meta),
        Err(error) if error.kind() == Kind::Damaged => seen.damage(error.chain()),
        Err(error) => seen.unreadable(&error),
    }
    None
}

/// What the listing has found already. False if there is nothing more to read.
fn state_allows_a_look(store: &dyn Store, row: &Listed, origin: Origin, seen: &mut Seen) -> bool {
    match (row.state, origin) {
        (State::NoMeta, Origin::Folder) => {
            seen.unfinished("not published: it has no .meta, so its run did not finish; it is no backup");
        }
        (State::NoMeta, Origin::Named) => seen.note("it has no .meta, so nothing says what it should hold"),
        (State::Damaged, _) if row.meta.is_none() => match read_meta(store, row) {
            Err(error) if error.kind() == Kind::Unsupported => seen.not_ours(error.chain()),
            Err(error) => seen.damage(error.chain()),
            Ok(_) => {}
        },
        _ => {}
    }
    if row.size == 0 {
        seen.damage("the file is empty");
        return false;
    }
    // Of several parts one is missing, or they are not as long as they should be.
    let torn = row.state == State::Damaged && !row.parts.is_empty();
    if torn {
        seen.damage(row.note.clone().unwrap_or_else(|| "its parts do not make an archive".to_owned()));
    }
    !torn
}

/// The listing keeps only what was wrong with it, not of which kind that was.
fn read_meta(store: &dyn Store, row: &Listed) -> Result<Option<Meta>> {
    let Some(json) = meta_bytes(store, row)? else { return Ok(None) };
    let reading = || format!("cannot read {}", meta_name(&row.path));
    Meta::parse(&json).map(Some).map_err(|error| error.while_doing(reading()))
}

fn meta_bytes(store: &dyn Store, row: &Listed) -> Result<Option<Vec<u8>>> {
    let name = Name::new(meta_name(&row.path))?;
    let reading = || format!("cannot read {name}");
    let bytes = match store.open(&name) {
        Err(error) if error.kind() == Kind::Nothing => return Ok(None),
        opened => opened?,
    };
    let len = usize::try_from(bytes.len()).unwrap_or(usize::MAX);
    if len > META_BYTES_MAX {
        return Err(Error::new(Kind::Damaged, format!("{name} has {len} bytes, too many for a .meta")));
    }
    let mut json = vec![0; len];
    bytes.read_at(0, &mut json).context(Kind::Damaged, reading)?;
    Ok(Some(json))
}

fn contents(watched: &Watched<'_>, site: Site<'_>, keys: &Arc<Keys>, seen: &mut Seen) -> Result<()> {
    let mut first = vec![0; SNIFF_BYTES.min(usize::try_from(watched.len()).unwrap_or(SNIFF_BYTES))];
    if let Err(cause) = watched.read_at(0, &mut first) {
        seen.unreadable(&Error::new(Kind::Place, "its first bytes cannot be read").because(cause));
        return Ok(());
    }
    // From front to back, with a look at the end before.
    watched.expect(std::slice::from_ref(&(0..watched.len())));
    match sniff(&first) {
        kind @ (Sniff::Ours | Sniff::ForeignGzip | Sniff::Zstd | Sniff::Unknown) => archive(watched, kind, site, seen),
        Sniff::PlainSql => foreign::script(Sequential::new(watched), false, site.cancel, seen),
        Sniff::PlainSqlite if Places::bucket(site.path).is_some() => {
            seen.not_ours("a plain SQLite file is checked on a disk only");
            Ok(())
        }
        Sniff::PlainSqlite => foreign::plain_database(site.path, watched.len(), site.cancel, seen),
        Sniff::Age => sealed(watched, site, keys, seen),
        Sniff::Gpg => in_order::sealed(watched, site, keys, seen),
    }
}

/// An archive of ours or, once that is ruled out, another compressed file: a flipped bit makes no stranger of ours.
fn archive(watched: &Watched<'_>, kind: Sniff, site: Site<'_>, seen: &mut Seen) -> Result<()> {
    let report = archive::check(watched, &mut |_| {});
    site.cancel.check()?;
    match (report.kind(), kind) {
        (Some(Kind::Unsupported), Sniff::ForeignGzip) => return foreign::gzip(watched, site, seen),
        (Some(Kind::Unsupported), Sniff::Zstd) => return seen.failed(foreign::closed(kind)),
        (Some(Kind::Unsupported), _) => {
            for finding in report.findings {
                seen.not_ours(finding.what);
            }
            return Ok(());
        }
        _ => {}
    }
    ours(watched, report, site, seen)
}

/// What is inside of an encrypted file, if a key was given.
fn sealed(watched: &Watched<'_>, site: Site<'_>, keys: &Arc<Keys>, seen: &mut Seen) -> Result<()> {
    let unsealed = match seal::unseal(watched, Arc::clone(keys)) {
        Ok(unsealed) => unsealed,
        Err(error) if error.kind() == Kind::Refused => {
            seen.sealed(format!("{}: only its length and SHA-256 could be compared", error.chain()));
            return Ok(());
        }
        Err(error) => return seen.failed(error),
    };
    let report = archive::check(&unsealed, &mut |_| {});
    site.cancel.check()?;
    match report.kind() {
        Some(Kind::Unsupported) => {
            seen.not_ours("what is encrypted is not an archive of miyabi-backup");
            Ok(())
        }
        _ => ours(&unsealed, report, site, seen),
    }
}

fn ours<R: ReadAt>(source: &R, report: Report, site: Site<'_>, seen: &mut Seen) -> Result<()> {
    seen.rows = report.streams.iter().map(|stream| stream.rows).sum();
    seen.tables = report.streams.iter().filter(|stream| stream.kind == StreamKind::Rows).count() as u64;
    seen.format = report.header.as_ref().map(|header| match header.kind {
        SourceKind::Sqlite => Format::Sqlite,
        SourceKind::Postgres | SourceKind::Globals => Format::Sql,
    });
    seen.findings.extend(report.findings.into_iter().map(Into::into));
    let Ok(archive) = Archive::open_for_members(source) else { return site.cancel.check() };
    let streams = archive.streams();
    seen.raw = streams.iter().map(|stream| stream.raw.0).fold(0, u64::saturating_add);
    seen.ours = Some(Ours { id: archive.id().to_string(), streams: streams.to_vec() });
    if seen.format == Some(Format::Sqlite) && !seen.is_damaged() {
        match sqlite::unpack(&archive, site) {
            Ok(copy) => sqlite::check(copy.path(), site.cancel, seen)?,
            Err(error) => seen.failed(error)?,
        }
    }
    Ok(())
}
