//! File names of backups, built and parsed.
//!
//! `<kind>/<tier>/<kind>-<label>-YYYYMMDD-HHMMSS.{sql,db}.{gz,zst}[.age|.gpg][.NNN]`, `.meta` beside the archive.
//! The time is wall-clock time in the configured zone: good for people and for a unique name, never for
//! ordering (an hour repeats every autumn). Parsing accepts only what building writes; anything else in a
//! tree is foreign.

use std::fmt;
use std::str::FromStr;

use jiff::civil;
use jiff::{ToSpan, Zoned};
use serde::{Deserialize, Serialize};

use super::label::Label;

pub const META_SUFFIX: &str = ".meta";

const UNPACKED_SUFFIX: &str = ".unpacked";

/// Of a SQLite file's copy before it is packed.
const COPY_SUFFIX: &str = ".db";

/// `20251129-030000`
const STAMP_BYTES: usize = 15;

/// The folder a backup stands in, and how long it is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Daily,
    Weekly,
    Monthly,
}

impl Tier {
    pub const ALL: [Tier; 3] = [Tier::Daily, Tier::Weekly, Tier::Monthly];

    pub const fn name(self) -> &'static str {
        match self {
            Tier::Daily => "daily",
            Tier::Weekly => "weekly",
            Tier::Monthly => "monthly",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tier {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Tier::ALL.into_iter().find(|tier| tier.name() == text).ok_or(())
    }
}

/// What an archive holds; the first word of its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveKind {
    Postgres,
    /// Roles and tablespaces of a server; they live in the postgres folder.
    Globals,
    Sqlite,
}

impl ArchiveKind {
    pub const ALL: [ArchiveKind; 3] = [ArchiveKind::Postgres, ArchiveKind::Globals, ArchiveKind::Sqlite];

    pub const fn name(self) -> &'static str {
        match self {
            ArchiveKind::Postgres => "postgres",
            ArchiveKind::Globals => "globals",
            ArchiveKind::Sqlite => "sqlite",
        }
    }

    /// The folder below the tree's root.
    pub const fn folder(self) -> &'static str {
        match self {
            ArchiveKind::Postgres | ArchiveKind::Globals => "postgres",
            ArchiveKind::Sqlite => "sqlite",
        }
    }

    /// The suffix before the compression's.
    pub const fn suffix(self) -> &'static str {
        match self {
            ArchiveKind::Postgres | ArchiveKind::Globals => ".sql",
            ArchiveKind::Sqlite => ".db",
        }
    }
}

impl fmt::Display for ArchiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Compression {
    /// Also with stored blocks ("none"): the container is gzip's.
    Gzip,
    Zstd,
}

impl Compression {
    pub const fn suffix(self) -> &'static str {
        match self {
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        }
    }
}

/// The format that an archive is encrypted in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Seal {
    Age,
    Gpg,
}

impl Seal {
    pub const ALL: [Seal; 2] = [Seal::Age, Seal::Gpg];

    /// The program that opens it; also what `.meta` names.
    pub const fn name(self) -> &'static str {
        match self {
            Seal::Age => "age",
            Seal::Gpg => "gpg",
        }
    }

    /// The suffix behind the compression's.
    pub const fn suffix(self) -> &'static str {
        match self {
            Seal::Age => ".age",
            Seal::Gpg => ".gpg",
        }
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The suffixes of an archive, whatever it is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Suffixes {
    /// `.db` instead of `.sql`.
    pub is_database_file: bool,
    pub compression: Compression,
    pub seal: Option<Seal>,
    /// `.001` and up, for an archive that is stored in several objects.
    pub part: Option<u16>,
}

impl Suffixes {
    /// Splits any file name into its stem and the suffixes of an archive; `None` if it has none.
    pub fn split(name: &str) -> Option<(&str, Suffixes)> {
        let (rest, part) = match name.rsplit_once('.') {
            Some((rest, digits)) if digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                (rest, Some(digits.parse().ok().filter(|number| *number > 0)?))
            }
            _ => (name, None),
        };
        let (rest, seal) = Seal::ALL
            .into_iter()
            .find_map(|seal| rest.strip_suffix(seal.suffix()).map(|rest| (rest, Some(seal))))
            .unwrap_or((rest, None));
        let (rest, compression) = [Compression::Gzip, Compression::Zstd]
            .into_iter()
            .find_map(|kind| rest.strip_suffix(kind.suffix()).map(|rest| (rest, kind)))?;
        let (stem, is_database_file) = match (rest.strip_suffix(".sql"), rest.strip_suffix(".db")) {
            (Some(stem), _) => (stem, false),
            (None, Some(stem)) => (stem, true),
            (None, None) => return None,
        };
        (!stem.is_empty()).then_some((stem, Suffixes { is_database_file, compression, seal, part }))
    }
}

/// The name of one archive without its folder.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct ArchiveName {
    pub kind: ArchiveKind,
    pub label: Label,
    /// Wall-clock time, whole seconds.
    pub at: civil::DateTime,
    pub compression: Compression,
    pub seal: Option<Seal>,
    pub part: Option<u16>,
}

impl ArchiveName {
    pub fn new(kind: ArchiveKind, label: Label, now: &Zoned, compression: Compression, seal: Option<Seal>) -> Self {
        ArchiveName { kind, label, at: whole_seconds(now), compression, seal, part: None }
    }

    /// `postgres-shop-20251129-030000`: what must be unique within a tree.
    pub fn stem(&self) -> String {
        format!("{}-{}-{}", self.kind, self.label, stamp(self.at))
    }

    pub fn file_name(&self) -> String {
        let seal = self.seal.map_or("", Seal::suffix);
        let part = self.part.map(|number| format!(".{number:03}")).unwrap_or_default();
        format!("{}{}{}{seal}{part}", self.stem(), self.kind.suffix(), self.compression.suffix())
    }

    /// Relative to the tree's root.
    pub fn path(&self, tier: Tier) -> String {
        format!("{}/{}", folder(self.kind, tier), self.file_name())
    }

    pub fn parse(file_name: &str) -> Option<Self> {
        let (stem, suffixes) = Suffixes::split(file_name)?;
        let (kind, rest) = ArchiveKind::ALL
            .into_iter()
            .find_map(|kind| stem.strip_prefix(kind.name())?.strip_prefix('-').map(|rest| (kind, rest)))?;
        let (label, at) = split_stamp(rest)?;
        let name = ArchiveName {
            kind,
            label: Label::parse(label)?,
            at,
            compression: suffixes.compression,
            seal: suffixes.seal,
            part: suffixes.part,
        };
        (suffixes.is_database_file == (kind == ArchiveKind::Sqlite)).then_some(name)
    }

    /// This name or, while `is_taken` says so of the stem, the one of the next second.
    /// `None` only after a day's worth of taken names.
    pub fn first_free(mut self, mut is_taken: impl FnMut(&str) -> bool) -> Option<Self> {
        const SECONDS_OF_A_DAY: u32 = 86_400;
        for _ in 0..SECONDS_OF_A_DAY {
            if !is_taken(&self.stem()) {
                return Some(self);
            }
            self.at = self.at.checked_add(1.second()).ok()?;
        }
        None
    }
}

/// `manifest-YYYYMMDD-HHMMSS.json`: the SQLite files of one run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct ManifestName {
    pub at: civil::DateTime,
}

impl ManifestName {
    pub fn new(now: &Zoned) -> Self {
        ManifestName { at: whole_seconds(now) }
    }

    pub fn stem(&self) -> String {
        format!("manifest-{}", stamp(self.at))
    }

    pub fn file_name(&self) -> String {
        format!("{}.json", self.stem())
    }

    pub fn path(&self, tier: Tier) -> String {
        format!("{}/{}", folder(ArchiveKind::Sqlite, tier), self.file_name())
    }

    pub fn parse(file_name: &str) -> Option<Self> {
        let at = parse_stamp(file_name.strip_prefix("manifest-")?.strip_suffix(".json")?)?;
        Some(ManifestName { at })
    }

    /// This name or, while `is_taken` says so of the stem, the one of the next second.
    pub fn first_free(mut self, mut is_taken: impl FnMut(&str) -> bool) -> Option<Self> {
        while is_taken(&self.stem()) {
            self.at = self.at.checked_add(1.second()).ok()?;
        }
        Some(self)
    }
}

/// `postgres/daily`
pub fn folder(kind: ArchiveKind, tier: Tier) -> String {
    format!("{}/{tier}", kind.folder())
}

/// The tier whose folder this path stands in, if it has the tree's shape.
pub fn tier_of(path: &str) -> Option<Tier> {
    let mut folders = path.rsplit('/').skip(1);
    folders.next()?.parse().ok()
}

/// An archive's own name for 0, and those of the files that it goes on in: `.001` for the first of them.
pub fn further_name(archive: &str, number: u16) -> String {
    match number {
        0 => archive.to_owned(),
        number => format!("{archive}.{number:03}"),
    }
}

/// The name of the `.meta` that belongs to an archive; parts of one archive share one.
pub fn meta_name(archive: &str) -> String {
    format!("{}{META_SUFFIX}", whole_name(archive))
}

/// The archive's name without its part number.
pub fn whole_name(archive: &str) -> &str {
    match Suffixes::split(archive) {
        Some((_, Suffixes { part: Some(_), .. })) => archive.rsplit_once('.').map_or(archive, |(whole, _)| whole),
        _ => archive,
    }
}

/// The final name, which it never gets, of a database file that is unpacked from this archive; `number` is nobody
/// else's.
pub fn unpacked_name(archive: &str, number: u64) -> String {
    format!("{archive}.{number:x}{UNPACKED_SUFFIX}")
}

/// The archive that a file of this name was unpacked from.
pub fn unpacked_from(name: &str) -> Option<&str> {
    let (archive, number) = name.strip_suffix(UNPACKED_SUFFIX)?.rsplit_once('.')?;
    u64::from_str_radix(number, 16).ok().map(|_| archive)
}

/// Whether we may have written this path of a tree: an archive, its `.meta`, what
/// `verify` unpacked of it, or a run manifest in a tier's folder.
pub fn is_ours(path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else { return false };
    let Some(tier) = tier_of(path) else { return false };
    let archive = file.strip_suffix(META_SUFFIX).or(unpacked_from(file)).unwrap_or(file);
    let kind = match ArchiveName::parse(archive) {
        Some(name) => name.kind,
        None if ManifestName::parse(file).is_some() => ArchiveKind::Sqlite,
        None => return false,
    };
    folder == self::folder(kind, tier)
}

/// The final name, which it never gets, of an uncompressed copy of a SQLite file; `stem` is its archive's.
pub fn copy_name(stem: &str) -> String {
    format!("{stem}{COPY_SUFFIX}")
}

/// Whether an unfinished file that would get this path can be one of ours.
pub fn is_ours_unfinished(path: &str) -> bool {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    is_ours(path) || is_copy(file)
}

/// Whether an unfinished file of this name can be a SQLite file of ours that is looked at, in whatever folder: copied from its
/// source, or unpacked from its archive.
pub fn is_set_aside(file: &str) -> bool {
    is_copy(file) || unpacked_from(file).is_some_and(|archive| ArchiveName::parse(archive).is_some())
}

fn is_copy(file: &str) -> bool {
    file.strip_suffix(COPY_SUFFIX).is_some_and(|stem| ArchiveName::parse(&format!("{stem}.db.gz")).is_some())
}

fn whole_seconds(now: &Zoned) -> civil::DateTime {
    let now = now.datetime();
    now.date().at(now.hour(), now.minute(), now.second(), 0)
}

fn stamp(at: civil::DateTime) -> String {
    at.strftime("%Y%m%d-%H%M%S").to_string()
}

fn split_stamp(rest: &str) -> Option<(&str, civil::DateTime)> {
    let cut = rest.len().checked_sub(STAMP_BYTES)?;
    let (label, at) = (rest.get(..cut)?, rest.get(cut..)?);
    Some((label.strip_suffix('-')?, parse_stamp(at)?))
}

fn parse_stamp(text: &str) -> Option<civil::DateTime> {
    let (date, time) = text.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if date.len() != 8 || time.len() != 6 || !digits(date) || !digits(time) {
        return None;
    }
    let two = |at: usize, text: &str| text.get(at..at.checked_add(2)?)?.parse::<i8>().ok();
    let year = date.get(..4)?.parse::<i16>().ok().filter(|year| *year > 0)?;
    let date = civil::Date::new(year, two(4, date)?, two(6, date)?).ok()?;
    let time = civil::Time::new(two(0, time)?, two(2, time)?, two(4, time)?, 0).ok()?;
    Some(date.to_datetime(time))
}

#[cfg(test)]
mod tests;
