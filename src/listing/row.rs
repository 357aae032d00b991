//! One row: what is known of one archive without opening it.

use serde::Serialize;

use crate::archive::Sniff;
use crate::manifest::{Format, Meta, Moment, Source};
use crate::policy::{ArchiveKind, ArchiveName, Tier};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// The archive's name in its store; of one in several parts, without the part's number.
    pub path: String,
    /// `None` if neither name nor `.meta` nor first bytes tell.
    pub kind: Option<ArchiveKind>,
    pub label: String,
    /// The folder it stands in; `None` outside of a tree.
    pub tier: Option<Tier>,
    /// From `.meta`, else from the name, else the file's own time.
    pub timestamp: Moment,
    /// As stored, all parts together.
    pub size: u64,
    pub state: State,
    /// Why it is in this state, where that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub encrypted: bool,
    /// The stored files in order; empty for an archive in one file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    pub meta: Option<Meta>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Archive and `.meta` of ours, and the size is the one written down.
    Complete,
    /// An archive of ours without `.meta`: its run did not finish. Not a backup.
    NoMeta,
    /// A `.meta` without archive: a removal did not finish. Not a backup.
    NoArchive,
    /// Of the older system, or a plain dump. Never removed by us.
    Foreign,
    /// Something is wrong that can be seen without opening the archive.
    Damaged,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            State::Complete => "complete",
            State::NoMeta => "no meta",
            State::NoArchive => "no archive",
            State::Foreign => "foreign",
            State::Damaged => "damaged",
        }
    }
}

impl Listed {
    /// Whether a restore may pick it: complete, or foreign and named by no state of ours.
    pub fn is_candidate(&self) -> bool {
        matches!(self.state, State::Complete | State::Foreign)
    }

    /// The stored files of the archive, in order.
    pub fn files(&self) -> Vec<&str> {
        match self.parts.as_slice() {
            [] => vec![&self.path],
            parts => parts.iter().map(String::as_str).collect(),
        }
    }
}

pub(super) fn kind_of(
    name: Option<&ArchiveName>,
    meta: Option<&Meta>,
    suffix_is_db: Option<bool>,
    bytes: Sniff,
) -> Option<ArchiveKind> {
    if let Some(details) = meta.and_then(|meta| meta.details.as_ref()) {
        return Some(match details.source {
            Source::Postgres { .. } => ArchiveKind::Postgres,
            Source::Globals { .. } => ArchiveKind::Globals,
            Source::Sqlite { .. } => ArchiveKind::Sqlite,
        });
    }
    let by_meta = meta.map(|meta| match meta.format {
        Format::Sql => ArchiveKind::Postgres,
        Format::Sqlite => ArchiveKind::Sqlite,
    });
    let by_suffix = suffix_is_db.map(|is_db| if is_db { ArchiveKind::Sqlite } else { ArchiveKind::Postgres });
    let by_bytes = match bytes {
        Sniff::PlainSql => Some(ArchiveKind::Postgres),
        Sniff::PlainSqlite => Some(ArchiveKind::Sqlite),
        _ => None,
    };
    name.map(|name| name.kind).or(by_meta).or(by_suffix).or(by_bytes)
}
