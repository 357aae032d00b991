//! Picking a backup by time: the newest sound one, and why the newer ones were passed over. One that a filter made a
//! part of its database is picked only where there is no other.
//!
//! Soundness is judged by the caller, newest first, and only as far as needed: verifying is expensive.

use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::manifest::Moment;
use crate::policy::ArchiveKind;

use super::Listing;
use super::row::{Listed, State};

#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// `None`: any database, never globals.
    pub kind: Option<ArchiveKind>,
    /// The label; may be left out while there is only one.
    pub name: Option<&'a str>,
    /// Only backups taken before this instant.
    pub before: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct Choice<'a> {
    pub chosen: &'a Listed,
    /// Those that were looked at before it, newest first.
    pub passed_over: Vec<PassedOver>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PassedOver {
    pub path: String,
    pub timestamp: Moment,
    pub why: String,
}

/// `latest`
pub fn latest<'a>(listing: &'a Listing, wanted: &Wanted<'_>, is_sound: Judge<'_>) -> Result<Choice<'a>> {
    select(listing, wanted, is_sound)
}

/// `before:TIME`
pub fn before<'a>(
    listing: &'a Listing,
    wanted: &Wanted<'_>,
    time: Timestamp,
    is_sound: Judge<'_>,
) -> Result<Choice<'a>> {
    select(listing, &Wanted { before: Some(time), ..*wanted }, is_sound)
}

/// An error says why a backup is not sound; one of `Kind::Signal` ends the search.
pub type Judge<'a> = &'a mut dyn FnMut(&Listed) -> Result<()>;

pub fn select<'a>(listing: &'a Listing, wanted: &Wanted<'_>, is_sound: Judge<'_>) -> Result<Choice<'a>> {
    let rows: Vec<&Listed> = listing.rows.iter().filter(|row| wanted.takes(row)).collect();
    wanted.check_that_one_is_meant(&rows)?;
    let mut passed_over = Vec::new();
    let mut parts = Vec::new();
    for row in rows {
        let why = match row.state {
            State::Complete if row.meta.as_ref().is_some_and(|meta| !meta.is_whole()) => {
                let part = row.meta.as_ref().and_then(|meta| meta.part());
                parts.extend(part.map(|_| row));
                let flags = part.map_or_else(String::new, |part| format!(": {part}"));
                format!("it holds a part of the database only{flags}")
            }
            State::Complete | State::Foreign => match is_sound(row) {
                Ok(()) => return Ok(Choice { chosen: row, passed_over }),
                Err(error) if matches!(error.kind(), Kind::Signal(_)) => return Err(error),
                Err(error) => error.chain(),
            },
            State::NoMeta => "it has no .meta: its run did not finish".to_owned(),
            State::NoArchive => "its archive is gone, only the .meta is left".to_owned(),
            State::Damaged => row.note.clone().unwrap_or_else(|| "it is damaged".to_owned()),
        };
        passed_over.push(PassedOver { path: row.path.clone(), timestamp: row.timestamp, why });
    }
    for row in parts {
        match is_sound(row) {
            Ok(()) => {
                passed_over.retain(|passed: &PassedOver| passed.path != row.path);
                return Ok(Choice { chosen: row, passed_over });
            }
            Err(error) if matches!(error.kind(), Kind::Signal(_)) => return Err(error),
            Err(error) => {
                passed_over.iter_mut().filter(|one| one.path == row.path).for_each(|one| one.why = error.chain())
            }
        }
    }
    Err(wanted.nothing(listing, passed_over))
}

impl Wanted<'_> {
    fn takes(&self, row: &Listed) -> bool {
        let kind_fits = match self.kind {
            Some(kind) => row.kind == Some(kind),
            None => row.kind != Some(ArchiveKind::Globals),
        };
        kind_fits
            && self.name.is_none_or(|name| row.label == name)
            && self.before.is_none_or(|time| row.timestamp.instant() < time)
    }

    fn check_that_one_is_meant(&self, rows: &[&Listed]) -> Result<()> {
        let mut found: Vec<(Option<ArchiveKind>, &str)> =
            rows.iter().filter(|row| row.is_candidate()).map(|row| (row.kind, row.label.as_str())).collect();
        found.sort_unstable();
        found.dedup();
        if found.len() <= 1 {
            return Ok(());
        }
        let names: Vec<String> = found
            .iter()
            .map(|(kind, label)| format!("{label} ({})", kind.map_or("unknown", ArchiveKind::name)))
            .collect();
        let sources = if self.kind == Some(ArchiveKind::Globals) { "servers" } else { "databases" };
        Err(Error::new(Kind::Usage, format!("there are backups of several {sources}: {}", names.join(", ")))
            .hint("choose one with --name, and with --type if one name stands for two"))
    }

    fn nothing(&self, listing: &Listing, passed_over: Vec<PassedOver>) -> Error {
        let mut what = match self.kind {
            Some(kind) => format!("no sound {kind} backup"),
            None => "no sound backup".to_owned(),
        };
        if let Some(name) = self.name {
            what = format!("{what} of {name}");
        }
        if let Some(time) = self.before {
            what = format!("{what} from before {time}");
        }
        let error = Error::new(Kind::Nothing, format!("{what} was found"));
        let error = match (passed_over.is_empty(), listing.rows.is_empty()) {
            (true, true) => error.hint("there are no backups at all in this place: is it the right one?"),
            (true, false) => error.hint("`list` shows what there is"),
            (false, _) => error.hint("`verify` tells more about each; `salvage` saves what is sound in a damaged one"),
        };
        passed_over
            .into_iter()
            .fold(error, |error, passed| error.note(format!("{} was passed over: {}", passed.path, passed.why)))
    }
}
