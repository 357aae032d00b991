//! From the files of a store to the rows of a listing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::archive::{SNIFF_BYTES, Sniff, sniff};
use crate::error::{Error, Kind, Result};
use crate::manifest::meta::META_BYTES_MAX;
use crate::manifest::{Meta, Moment};
use crate::policy::naming::{self, META_SUFFIX, Suffixes};
use crate::policy::{ArchiveName, ManifestName};
use crate::store::{Entry, EntryKind, Name, Store};

use super::row::{Listed, State, kind_of};
use super::{Listing, Skipped};

/// The files that make up one row.
#[derive(Default)]
struct Files {
    /// By part number; 0 for an archive in one file, or the first of a set that began as one.
    parts: BTreeMap<u16, Entry>,
    meta: Option<Entry>,
}

pub(super) fn gather(store: &dyn Store, entries: Vec<Entry>, zone: &TimeZone) -> Result<Listing> {
    let mut listing = Listing::default();
    let mut archives: BTreeMap<String, Files> = BTreeMap::new();
    // Files that only their `.meta` makes a backup: an archive may be called anything.
    let mut others: BTreeMap<String, Files> = BTreeMap::new();
    for entry in entries {
        let path = entry.name.as_str();
        let file = entry.name.file_name();
        note_taken(&mut listing.taken, file);
        if entry.kind != EntryKind::File {
            listing.skipped.push(skipped(&entry));
            continue;
        }
        if ManifestName::parse(file).is_some() {
            listing.manifests.push(path.to_owned());
            continue;
        }
        let archive = path.strip_suffix(META_SUFFIX);
        let suffixes = Suffixes::split(archive.unwrap_or(path));
        let rows = if suffixes.is_some() { &mut archives } else { &mut others };
        let part = suffixes.and_then(|(_, suffixes)| suffixes.part).unwrap_or(0);
        let files = rows.entry(archive.unwrap_or(naming::whole_name(path)).to_owned()).or_default();
        match archive {
            Some(_) => files.meta = Some(entry),
            None => _ = files.parts.insert(part, entry),
        }
    }
    archives.extend(others.into_iter().filter(|(_, files)| files.meta.is_some() && !files.parts.is_empty()));
    let mut metas = read_metas(store, archives.values().filter_map(|files| files.meta.as_ref()));
    for (path, files) in archives {
        listing.rows.push(row(store, path, files, &mut metas, zone)?);
    }
    sort(&mut listing.rows);
    Ok(listing)
}

/// The row of a file that the user named, whatever it is called.
pub(super) fn single(store: &dyn Store, entries: Vec<Entry>, file: &str, zone: &TimeZone) -> Result<Option<Listed>> {
    let meta_name = naming::meta_name(file);
    let mut files = Files::default();
    for entry in entries {
        let name = entry.name.as_str();
        if entry.kind != EntryKind::File {
            continue;
        }
        if name == meta_name {
            files.meta = Some(entry);
        } else if name == file {
            files.parts.insert(0, entry);
        } else if naming::whole_name(name) == file {
            let part = Suffixes::split(name).and_then(|(_, suffixes)| suffixes.part);
            files.parts.insert(part.unwrap_or(0), entry);
        }
    }
    if files.parts.is_empty() {
        return Ok(None);
    }
    let mut metas = read_metas(store, files.meta.iter());
    row(store, file.to_owned(), files, &mut metas, zone).map(Some)
}

/// Anything may lie in a folder; a link or a folder that cannot be entered may hide backups.
fn skipped(entry: &Entry) -> Skipped {
    let why = match entry.kind {
        EntryKind::Link => "a symbolic link, which is not followed",
        EntryKind::Other | EntryKind::File => "not a file that can be read",
    };
    Skipped { path: entry.name.to_string(), why: why.to_owned() }
}

fn sort(rows: &mut [Listed]) {
    rows.sort_by(|a, b| {
        let key = |row: &Listed| (Reverse(row.timestamp.instant()), row.tier);
        key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path))
    });
}

fn note_taken(taken: &mut BTreeSet<String>, file: &str) {
    let archive = file.strip_suffix(META_SUFFIX).unwrap_or(file);
    let stem = match Suffixes::split(archive) {
        Some((stem, _)) => stem,
        None => archive.strip_suffix(".json").unwrap_or(archive),
    };
    taken.insert(stem.to_ascii_lowercase());
}

fn row(store: &dyn Store, path: String, files: Files, metas: &mut Metas, zone: &TimeZone) -> Result<Listed> {
    let file_name = path.rsplit_once('/').map_or(path.as_str(), |(_, file)| file);
    let name = ArchiveName::parse(file_name);
    let (stem, suffixes) = Suffixes::split(file_name).unzip();
    let size = files.parts.values().map(|entry| entry.size).fold(0, u64::saturating_add);
    let (meta, trouble) = match &files.meta {
        Some(entry) => match metas.remove(&entry.name) {
            Some(Ok(meta)) => (Some(meta), None),
            Some(Err(error)) => (None, Some(error.chain())),
            None => (None, Some("its .meta was not read".to_owned())),
        },
        None => (None, None),
    };
    let first = files.parts.values().next();
    let (bytes, trouble) = match (first, files.meta.is_some()) {
        (Some(first), false) => match first_bytes(store, &first.name, first.size) {
            Ok(bytes) => (sniff(&bytes), trouble),
            Err(error) => (Sniff::Unknown, Some(error.chain())),
        },
        _ => (Sniff::Unknown, trouble),
    };
    let (state, note) = match trouble {
        Some(why) => (State::Damaged, Some(why)),
        None => judge(&files, meta.as_ref(), name.as_ref(), size, bytes),
    };
    let modified = first.or(files.meta.as_ref()).map(|entry| Moment::from(entry.modified));
    let timestamp = meta
        .as_ref()
        .map(|meta| meta.timestamp)
        .or_else(|| name.as_ref().and_then(|name| name.at.to_zoned(zone.clone()).ok()).map(|at| Moment::from(&at)))
        .or(modified)
        .ok_or_else(|| Error::new(Kind::Bug, format!("{path} has neither archive nor meta")))?;
    let label = meta
        .as_ref()
        .map(|meta| meta.label().to_owned())
        .or_else(|| name.as_ref().map(|name| name.label.decode().unwrap_or_else(|| name.label.to_string())))
        .unwrap_or_else(|| stem.unwrap_or(file_name).to_owned());
    let is_single = files.parts.keys().eq(&[0]) || files.parts.is_empty();
    let parts = if is_single { Vec::new() } else { files.parts.values().map(|part| part.name.to_string()).collect() };
    Ok(Listed {
        kind: kind_of(name.as_ref(), meta.as_ref(), suffixes.map(|suffixes| suffixes.is_database_file), bytes),
        tier: naming::tier_of(&path),
        encrypted: suffixes.is_some_and(|suffixes| suffixes.seal.is_some()) || bytes.is_sealed(),
        path,
        label,
        timestamp,
        size,
        state,
        note,
        parts,
        meta,
    })
}

fn judge(
    files: &Files,
    meta: Option<&Meta>,
    name: Option<&ArchiveName>,
    size: u64,
    bytes: Sniff,
) -> (State, Option<String>) {
    if files.parts.is_empty() {
        return (State::NoArchive, None);
    }
    if let Some(missing) = missing_part(files) {
        return (State::Damaged, Some(format!("part {missing:03} is missing")));
    }
    match (meta, bytes) {
        (Some(meta), _) if meta.size_bytes.0 != size => {
            (State::Damaged, Some(format!("has {size} bytes, its meta says {}", meta.size_bytes.0)))
        }
        (Some(meta), _) if meta.is_foreign() => (State::Foreign, None),
        (Some(_), _) => (State::Complete, None),
        (None, Sniff::Ours) => (State::NoMeta, None),
        // The old system wrote neither: under a name of ours, it is ours.
        // Not so what somebody encrypted by gpg, by hand: it is not ours to remove.
        (None, Sniff::Age | Sniff::Zstd) if name.is_some() => (State::NoMeta, None),
        (None, Sniff::Unknown) if size == 0 => (State::Damaged, Some("is empty".to_owned())),
        (None, kind) => (State::Foreign, Some(kind.to_string())),
    }
}

/// Parts count from 1, or from 0 if the first has no number.
fn missing_part(files: &Files) -> Option<u16> {
    let first = if files.parts.contains_key(&0) { 0 } else { 1 };
    files.parts.keys().zip(first..).find(|(found, expected)| *found != expected).map(|(_, expected)| expected)
}

type Metas = BTreeMap<Name, Result<Meta>>;

/// All at once: in a bucket each of them is a way of its own.
fn read_metas<'a>(store: &dyn Store, entries: impl Iterator<Item = &'a Entry>) -> Metas {
    let (fit, too_long): (Vec<&Entry>, Vec<&Entry>) = entries.partition(|entry| entry.size <= META_BYTES_MAX as u64);
    let files: Vec<(Name, u64)> = fit.into_iter().map(|entry| (entry.name.clone(), entry.size)).collect();
    let read = store.read_all(&files).into_iter().zip(&files).map(|(bytes, (name, _))| {
        let parsed = bytes.and_then(|bytes| Meta::parse(&bytes));
        (name.clone(), parsed.map_err(|error| error.while_doing(format!("cannot read {name}"))))
    });
    let refused = too_long.into_iter().map(|Entry { name, size, .. }| {
        (name.clone(), Err(Error::new(Kind::Damaged, format!("{name} has {size} bytes, too many for a meta"))))
    });
    read.chain(refused).collect()
}

fn first_bytes(store: &dyn Store, name: &Name, size: u64) -> Result<Vec<u8>> {
    read_start(store, name, size.min(SNIFF_BYTES as u64))
}

fn read_start(store: &dyn Store, name: &Name, len: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    store
        .open(name)?
        .read_at(0, &mut bytes)
        .map_err(|cause| Error::new(Kind::Place, format!("cannot read {name}")).because(cause))?;
    Ok(bytes)
}
