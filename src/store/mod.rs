//! Places that hold files by name: a folder or a bucket. A store does not know what an archive is.
//!
//! The contract, which `contract.rs` holds every store to:
//! * A name shows up whole or not at all: [`Upload::publish`] makes it visible after its bytes are safe and
//!   checked. Dropping or aborting an upload, or dying in the middle of it, leaves no file under the name.
//! * A name that stands is never overwritten: `begin`, `publish`, `put_new` and `link` refuse (`Kind::Refused`).
//! * What `list` returns is published; uploads in progress are not listed.
//! * `sweep` removes what dead runs left behind, never what a live one is writing.
//!
//! Everything blocks: one thread owns an upload and its offset.

mod direct;
mod error;
mod leftovers;
pub mod local;
mod name;
pub mod output;
mod places;
pub mod s3;
mod staging;
mod sys;
mod tee;

#[cfg(any(test, feature = "testkit"))]
pub mod contract;
#[cfg(any(test, feature = "testkit"))]
pub mod fault;
#[cfg(any(test, feature = "testkit"))]
pub mod memory;

use std::io;

use jiff::Timestamp;

use crate::error::{Error, Kind, Result};

/// A stored file.
pub use crate::read_at::ReadAt as Bytes;

pub use error::{explain, is_denied};
pub use leftovers::Leftovers;
pub use local::LocalStore;
pub use name::Name;
pub use output::{Existing, Output};
pub use places::Places;
pub use tee::{Lanes, Tee};

pub trait Store: Send + Sync {
    /// The place as people write it: `/srv/backups`, `s3://bucket/prefix`.
    fn describe(&self) -> String;

    /// Starts writing a new file. Refuses a name that stands or that a live run is writing.
    fn begin(&self, name: &Name) -> Result<Box<dyn Upload>>;

    /// The same for a file of about so many bytes, which a place may want to know. The estimate may be wrong.
    fn begin_sized(&self, name: &Name, expected: Option<u64>) -> Result<Box<dyn Upload>> {
        let _ = expected;
        self.begin(name)
    }

    /// The same where `side_by_side` files of one stream are written at once: together they take the memory of one.
    fn begin_one_of(&self, name: &Name, expected: Option<u64>, side_by_side: u32) -> Result<Box<dyn Upload>> {
        let _ = side_by_side;
        self.begin_sized(name, expected)
    }

    /// Opens a published file; `Kind::Nothing` if there is none.
    fn open(&self, name: &Name) -> Result<Box<dyn Bytes>>;

    /// Everything published in this folder and below, by name. `""` is the root; a folder that is not there is empty.
    fn list(&self, folder: &str) -> Result<Vec<Entry>>;

    /// Small files of known sizes, read whole, in the order in which they are named.
    fn read_all(&self, files: &[(Name, u64)]) -> Vec<Result<Vec<u8>>> {
        let read = |(name, size): &(Name, u64)| {
            let mut bytes = vec![0; usize::try_from(*size).unwrap_or(0)];
            let cannot = |cause| Error::new(Kind::Place, format!("cannot read {name}")).because(cause);
            self.open(name)?.read_at(0, &mut bytes).map_err(cannot)?;
            Ok(bytes)
        };
        files.iter().map(read).collect()
    }

    /// The files in the root itself whose names begin like this; folders are not entered.
    fn list_here(&self, prefix: &str) -> Result<Vec<Entry>> {
        let mut entries = self.list("")?;
        entries.retain(|entry| entry.name.folder().is_empty() && entry.name.as_str().starts_with(prefix));
        Ok(entries)
    }

    /// Where a file of this path stands, as people write it.
    fn shown(&self, path: &str) -> String {
        format!("{}/{path}", self.describe())
    }

    /// Publishes a second name for the same bytes, without sending them again where the place can.
    fn link(&self, from: &Name, to: &Name) -> Result<()>;

    /// Forbids to remove or to change a file until then, also to whoever wrote it.
    fn retain(&self, name: &Name, lock: Lock, until: Timestamp) -> Result<()> {
        let _ = (lock, until);
        let what = format!("cannot lock {}: only objects of a bucket can be locked", self.shown(name.as_str()));
        Err(Error::new(Kind::Usage, what))
    }

    /// Removes one name. One that is not there is already removed.
    fn delete(&self, name: &Name) -> Result<()>;

    /// Removes unfinished files that no live run owns, and returns their names. `is_ours` is asked with the final
    /// name, folders included: `postgres/daily/postgres-shop-20251129-030000.sql.gz`.
    fn sweep(&self, is_ours: &dyn Fn(&str) -> bool) -> Result<Vec<String>>;

    /// `None` where the place has no such limit.
    fn space(&self) -> Result<Option<Space>>;

    /// What is kept beside the files that are listed; `None` where nothing is, or this key may not ask.
    fn noncurrent(&self) -> Result<Option<Noncurrent>> {
        Ok(None)
    }

    /// What this key may do here beyond writing and reading backups, as far as it can be found out without a trace.
    fn excess(&self) -> Result<Vec<Excess>> {
        Ok(Vec::new())
    }

    /// Publishes a small file in one go, and reads it again first.
    fn put_new(&self, name: &Name, bytes: &[u8]) -> Result<Published> {
        write_and_publish(self.begin(name)?, bytes)
    }
}

/// One file on its way. Bytes are appended; nothing is visible before `publish`; dropping it aborts.
#[must_use = "an upload that is not published leaves nothing behind"]
pub trait Upload: io::Write + Send {
    /// Makes the bytes durable, lets `check` read them again from the place, and gives them their name.
    /// An error means that the name does not stand.
    fn publish(self: Box<Self>, check: Check<'_>) -> Result<Published>;

    /// Removes what was written so far.
    fn abort(self: Box<Self>) -> Result<()>;
}

/// Looks at the stored bytes before they get their name; an error stops the publication and is what is reported.
pub type Check<'a> = &'a mut dyn FnMut(&dyn Bytes) -> Result<()>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Published {
    pub size: u64,
    /// Whether the check ran: a place may let us write but not read.
    pub read_back: bool,
    /// Files `NAME.001` and on that the bytes go on in, where one file has a limit: all of them are one stream.
    pub further: u16,
}

impl Published {
    /// In one file, read again.
    pub const fn whole(size: u64) -> Self {
        Published { size, read_back: true, further: 0 }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    pub name: Name,
    pub kind: EntryKind,
    pub size: u64,
    pub modified: Timestamp,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EntryKind {
    File,
    /// A symbolic link: shown, never followed.
    Link,
    /// A device, a pipe, a name that is not UTF-8, a folder that may not be read.
    Other,
}

/// Who may take a lock off again before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lock {
    /// Keys with a special right.
    Governance,
    /// Nobody.
    Compliance,
}

/// Versions that were replaced or removed, and are still stored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Noncurrent {
    pub versions: u64,
    pub bytes: u64,
}

/// A right that backups do not need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Excess {
    /// To remove files, or to hide them behind a marker where the place keeps versions.
    Delete,
    /// To remove versions for good.
    DeleteVersions,
    /// To see what else lies there, outside of the backups.
    ListOthers,
    /// To read who may do what there.
    ReadPolicy,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Space {
    /// What an ordinary user may still write.
    pub free: u64,
    pub total: u64,
}

fn write_and_publish(mut upload: Box<dyn Upload>, bytes: &[u8]) -> Result<Published> {
    upload.write_all(bytes).map_err(error::from_write)?;
    upload.publish(&mut |stored| same_bytes(stored, bytes))
}

fn same_bytes(stored: &dyn Bytes, expected: &[u8]) -> Result<()> {
    let mut found = vec![0; expected.len()];
    let read = if stored.len() == expected.len() as u64 { stored.read_at(0, &mut found) } else { Ok(()) };
    error::compared(read, stored.len() == expected.len() as u64 && found == expected)
}
