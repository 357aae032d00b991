//! What a place answers, told so that somebody can act on it.
//!
//! An upload is written through `io::Write`, so its errors travel inside of an `io::Error`, and [`explain`]
//! brings kind and hint back to the surface.

use std::io;

use crate::error::{Error, Kind, Result};
use crate::units::human_bytes;

use super::Space;
use super::s3::Fault;

/// An error on this place; `doing` names file and place.
pub(super) fn place(doing: String, cause: io::Error) -> Error {
    let hint = match cause.kind() {
        io::ErrorKind::PermissionDenied => "do owner and mode of the folder let the user of this run write there?",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only",
        io::ErrorKind::NotADirectory => {
            "something on the way is not a folder, or is a symbolic link, which is not followed inside of a tree"
        }
        io::ErrorKind::StorageFull => "free some space, or remove old backups",
        io::ErrorKind::QuotaExceeded => "the quota of this user is used up",
        _ if is_link(&cause) => "symbolic links are not followed inside of a tree",
        _ => return Error::new(Kind::Place, doing).because(cause),
    };
    Error::new(Kind::Place, doing).because(cause).hint(hint)
}

/// A write failed. Says how much room there is where that is what it was about.
pub(super) fn write_failed(file: &str, written: u64, needed: usize, space: Option<Space>, cause: io::Error) -> Error {
    let is_full = matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let mut doing = format!("cannot write {file}");
    if let (true, Some(space)) = (is_full, space) {
        doing = format!(
            "{doing}: {} free, at least {} more needed after {} written",
            human_bytes(space.free),
            human_bytes(needed as u64),
            human_bytes(written)
        );
    }
    if cause.kind() == io::ErrorKind::FileTooLarge {
        let hint = "a limit of this user or of the file system ends files at this size (ulimit -f)";
        return Error::new(Kind::Place, doing).because(cause).hint(hint);
    }
    place(doing, cause)
}

pub(super) fn exists(what: &str) -> Error {
    Error::new(Kind::Refused, format!("{what} exists")).hint("a file that stands is never overwritten")
}

pub(super) fn in_io(error: Error, kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, error)
}

/// The error that an upload's `write` put into an `io::Error`, or one made of it.
pub(super) fn from_write(cause: io::Error) -> Error {
    match cause.downcast::<Error>() {
        Ok(error) => error,
        Err(cause) => place("cannot write".to_owned(), cause),
    }
}

/// If a store's own error is the cause of this one, its kind and hint are what the user needs: they are
/// brought to the outermost layer. Other errors pass unchanged.
pub fn explain(error: Error) -> Error {
    let mut next = std::error::Error::source(&error);
    let mut found = None;
    while let Some(layer) = next {
        let inner = layer.downcast_ref::<io::Error>().and_then(|io| io.get_ref()?.downcast_ref::<Error>());
        if let Some(inner) = inner {
            found = Some((inner.kind(), inner.hint_text().map(str::to_owned)));
            break;
        }
        next = layer.source();
    }
    match found {
        Some((kind, hint)) if kind != error.kind() || (error.hint_text().is_none() && hint.is_some()) => {
            let outer = Error::new(kind, error.to_string());
            let outer = error.notes().iter().fold(outer, |outer, note| outer.note(note));
            let outer = match hint.or_else(|| error.hint_text().map(str::to_owned)) {
                Some(hint) => outer.hint(hint),
                None => outer,
            };
            match std::error::Error::source(&error).map(chain_of) {
                Some(cause) => outer.because(cause),
                None => outer,
            }
        }
        _ => error,
    }
}

/// Whether the place let us know that this key or user may not do that.
pub fn is_denied(error: &Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(layer) = next {
        if layer.downcast_ref::<Fault>().is_some_and(Fault::is_denied) {
            return true;
        }
        next = layer.source();
    }
    false
}

pub(super) fn compared(read: io::Result<()>, same: bool) -> Result<()> {
    read.map_err(|cause| Error::new(Kind::Place, "cannot read again what was written").because(cause))?;
    if same { Ok(()) } else { Err(Error::new(Kind::Damaged, "what was stored is not what was written")) }
}

fn is_link(cause: &io::Error) -> bool {
    cause.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(layer) = next {
        text.push_str(": ");
        text.push_str(&layer.to_string());
        next = layer.source();
    }
    text
}
