//! `.meta`: the JSON beside an archive, written last, that makes it a backup.
//!
//! The first nine fields are the ones that the older shell system wrote, by the same names. Everything that is
//! ours is in [`Details`], flattened into the same object and marked by `format_version`; a file without that
//! mark is the old system's and parses too. Unknown fields are ignored, so that a newer minor version can add
//! some. Nothing in here depends on the archive's file name, and no password ever gets in.

use serde::{Deserialize, Deserializer, Serialize};

use crate::checksum::RowDigest;
use crate::error::{Error, Kind, Result};
use crate::units::{RawBytes, StoredBytes};

use super::moment::Moment;

/// The `format_version` that we write and the newest that we read.
pub const FORMAT_VERSION: u32 = 1;

/// A `.meta` of a hundred thousand tables is about 20 MB.
pub const META_BYTES_MAX: usize = 64 << 20;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Meta {
    pub timestamp: Moment,
    /// PostgreSQL: the database's name; SQLite: its label.
    pub database: String,
    /// SQLite: the machine's name.
    pub host: String,
    /// SQLite: empty.
    pub port: String,
    pub backup_type: BackupType,
    pub size_bytes: StoredBytes,
    pub size_human: String,
    /// `gzip`, `gzip:6`, `zstd:1`, `none`; the old system wrote `gzip -9`.
    pub compression: String,
    pub format: Format,
    /// `None` in a file of the old system.
    #[serde(flatten)]
    pub details: Option<Details>,
}

/// What the old system did not write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Details {
    pub format_version: u32,
    pub tool_version: String,
    /// The archive's own id, 32 hex digits: tells whether file and `.meta` belong together before anything is hashed.
    pub archive_id: String,
    /// Of the stored bytes, lower-case hex.
    pub sha256: String,
    pub raw_bytes: RawBytes,
    /// Unique in the tree; the name's middle part before encoding.
    pub label: String,
    pub source: Source,
    /// `15.4 (Debian 15.4-1)`, or SQLite's library version.
    pub server_version: String,
    pub duration_seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_lsn: Option<String>,
    pub readback: Readback,
    /// Anything but `all` is no backup of the whole database: no tier counts it, and `latest` passes it over.
    #[serde(default)]
    pub content: Content,
    /// The flags of `backup` that left out objects or rows; the same as for `content` holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The flags that left out owners, privileges or comments: all objects are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Files that the archive is in, if it is in several: `NAME`, `NAME.001` and on, read as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u16>,
    /// Of everything else in here, by whoever made the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<SqliteFacts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    #[serde(default)]
    pub tables: Vec<TableFacts>,
    /// `None` in archives without rows, and in those that were made before they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_objects: Option<LargeObjectFacts>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupType {
    Daily,
    Weekly,
    Monthly,
    /// Written by `--output`, outside of any tree.
    Manual,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Sql,
    Sqlite,
}

/// Whose backup it is. Series (retention, "last good", trends) are keyed by this, never by the label.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Source {
    Postgres { server: String, port: String, database: String },
    Globals { server: String, port: String },
    Sqlite { host: String, path: String },
}

/// Which part of the source the archive holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    #[default]
    All,
    SchemaOnly,
    DataOnly,
    /// What was left of a damaged archive.
    Salvaged,
}

impl Content {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Content::All => "all",
            Content::SchemaOnly => "schema-only",
            Content::DataOnly => "data-only",
            Content::Salvaged => "salvaged",
        }
    }
}

/// Whether the stored bytes were read again before the backup was published.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Readback {
    Checked,
    /// The place lets us write but not read.
    Denied,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Encryption {
    /// `age` or `gpg`: the program that opens it.
    pub method: String,
    /// Public; a hint for people, never trusted.
    #[serde(default)]
    pub recipients: Vec<String>,
}

/// How the copy of a SQLite file went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SqliteFacts {
    pub journal_mode: String,
    /// `ok`, or the backup was not published.
    pub integrity_check: String,
    pub longest_writer_wait_seconds: f64,
    pub wal_growth_bytes: u64,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TableFacts {
    pub schema: String,
    pub name: String,
    pub rows: u64,
    pub raw_bytes: RawBytes,
    pub digest: RowDigest,
}

/// All large objects of a database. The digest is as that of rows, over a line for each piece of 256 KiB that an object has:
/// its OID, where the piece begins, and its bytes in hexadecimal digits, separated by spaces.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct LargeObjectFacts {
    pub count: u64,
    pub raw_bytes: RawBytes,
    pub digest: RowDigest,
}

/// Everything a `.meta` of either system may hold, as loosely as the old one wrote it.
#[derive(Deserialize)]
struct Loose {
    timestamp: Moment,
    database: String,
    #[serde(default)]
    host: String,
    #[serde(default, deserialize_with = "text_or_number")]
    port: String,
    backup_type: BackupType,
    #[serde(deserialize_with = "number_or_text")]
    size_bytes: u64,
    #[serde(default)]
    size_human: String,
    #[serde(default)]
    compression: String,
    format: Format,
    format_version: Option<u32>,
}

impl Meta {
    /// `Damaged` if it is not a whole `.meta`, `Unsupported` if a newer version wrote it.
    pub fn parse(bytes: &[u8]) -> Result<Meta> {
        if bytes.len() > META_BYTES_MAX {
            return Err(Error::new(
                Kind::Damaged,
                format!("meta has {} bytes, at most {META_BYTES_MAX} are read", bytes.len()),
            ));
        }
        let damaged = |cause: serde_json::Error| Error::new(Kind::Damaged, "meta is not valid").because(cause);
        let loose: Loose = serde_json::from_slice(bytes).map_err(damaged)?;
        let details: Option<Details> = match loose.format_version {
            None => None,
            Some(version) if version > FORMAT_VERSION => {
                let what = format!("meta has format version {version}, this program reads up to {FORMAT_VERSION}");
                return Err(Error::new(Kind::Unsupported, what).hint("was it written by a newer miyabi-backup?"));
            }
            Some(_) => Some(serde_json::from_slice(bytes).map_err(damaged)?),
        };
        if let Some(details) = &details {
            details.check()?;
        }
        Ok(Meta {
            timestamp: loose.timestamp,
            database: loose.database,
            host: loose.host,
            port: loose.port,
            backup_type: loose.backup_type,
            size_bytes: StoredBytes(loose.size_bytes),
            size_human: loose.size_human,
            compression: loose.compression,
            format: loose.format,
            details,
        })
    }

    /// Indented, with a newline at the end: people read it, too.
    pub fn to_json(&self) -> Vec<u8> {
        pretty(self)
    }

    /// Whether the archive holds all of its source.
    pub fn is_whole(&self) -> bool {
        self.details.as_ref().is_none_or(|details| details.content == Content::All && details.part.is_none())
    }

    /// Definitions and rows, but by its filter not of the whole database: what the filter says.
    pub fn part(&self) -> Option<&str> {
        let details = self.details.as_ref().filter(|details| details.content == Content::All)?;
        details.part.as_deref()
    }

    /// Definitions and rows, of the whole database or of the part that a filter leaves: what a nightly run makes.
    pub fn is_regular(&self) -> bool {
        self.is_whole() || self.part().is_some()
    }

    /// Written by the old system.
    pub fn is_foreign(&self) -> bool {
        self.details.is_none()
    }

    /// The same backup, filed in another tier.
    pub fn with_type(&self, backup_type: BackupType) -> Meta {
        Meta { backup_type, ..self.clone() }
    }

    /// The series this backup belongs to; for the old system's files, as good as their fields allow.
    pub fn source(&self) -> Source {
        match (&self.details, self.format) {
            (Some(details), _) => details.source.clone(),
            (None, Format::Sql) => {
                Source::Postgres { server: self.host.clone(), port: self.port.clone(), database: self.database.clone() }
            }
            (None, Format::Sqlite) => Source::Sqlite { host: self.host.clone(), path: self.database.clone() },
        }
    }

    /// The label, or what stood in its place in the old system.
    pub fn label(&self) -> &str {
        self.details.as_ref().map_or(&self.database, |details| &details.label)
    }
}

impl Details {
    fn check(&self) -> Result<()> {
        let hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let wrong = |what: &str| Err(Error::new(Kind::Damaged, format!("meta is not valid: {what}")));
        if !hex(&self.sha256, 64) {
            return wrong("sha256 is not 64 hex digits");
        }
        if !hex(&self.archive_id, 32) {
            return wrong("archive_id is not 32 hex digits");
        }
        if self.label.is_empty() {
            return wrong("label is empty");
        }
        if !self.duration_seconds.is_finite() || self.duration_seconds < 0.0 {
            return wrong("duration_seconds is not a duration");
        }
        Ok(())
    }
}

#[expect(clippy::expect_used, reason = "strings, numbers and lists of them: nothing that JSON cannot hold")]
pub(super) fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(value).expect("plain values always become JSON");
    json.push(b'\n');
    json
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Text(String),
    Number(u64),
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    Ok(match TextOrNumber::deserialize(deserializer)? {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) => number.to_string(),
    })
}

fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u64, D::Error> {
    match TextOrNumber::deserialize(deserializer)? {
        TextOrNumber::Number(number) => Ok(number),
        TextOrNumber::Text(text) => {
            text.trim().parse().map_err(|_| serde::de::Error::custom("size_bytes is not a number"))
        }
    }
}

#[cfg(test)]
mod tests;
