//! One file on its way into a folder: `.<name>.partial` → synced → read again → `<name>`.
//!
//! The staging file stands in the folder of its final name, so that naming it needs no copy. Its writer holds a
//! lock on it for as long as it lives: a staging file that can be locked belongs to nobody. The final name is
//! given by a hard link, which cannot overwrite; where there are no hard links, by a rename that may not.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::FileType;

use crate::error::{Error, Kind, Result};

use super::direct::Direct;
use super::sys::{self, Folder, Fuse, Locked};
use super::{Bytes, Check, Published, Upload, error};

/// Whether the final name may stand already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Naming {
    New,
    /// Replaced at one instant, and only after everything was written and checked.
    Replace,
}

pub(super) struct StagedFile {
    folder: Arc<Folder>,
    /// For messages.
    shown: String,
    leaf: OsString,
    staging: OsString,
    naming: Naming,
    file: File,
    direct: Direct,
    written: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    /// A write failed; every later one does, too.
    Failed,
    /// Nothing is left under the staging name that would have to be removed.
    Gone,
}

pub(super) fn staging_name(leaf: &OsStr) -> OsString {
    let mut name = OsString::from(".");
    name.push(leaf);
    name.push(".partial");
    name
}

/// The final name that a staging file is meant for.
pub(super) fn final_name(staging: &str) -> Option<&str> {
    staging.strip_prefix('.')?.strip_suffix(".partial").filter(|name| !name.is_empty())
}

impl StagedFile {
    pub(super) fn create(folder: Arc<Folder>, leaf: &OsStr, shown: String, naming: Naming) -> Result<Self> {
        let cannot = |cause| error::place(format!("cannot create {shown}"), cause);
        if naming == Naming::New && folder.stat(leaf).map_err(cannot)?.is_some() {
            return Err(error::exists(&shown));
        }
        let staging = staging_name(leaf);
        let file = match claim(&folder, &staging).map_err(cannot)? {
            Some(file) => file,
            None => {
                return Err(Error::new(Kind::Refused, format!("{shown} is being written by another process"))
                    .hint("is another backup into this place still running?"));
            }
        };
        let leaf = leaf.to_owned();
        let direct = Direct::new();
        Ok(StagedFile { folder, shown, leaf, staging, naming, file, direct, written: 0, state: State::Open })
    }

    fn fuse(&self) -> &Fuse {
        self.folder.fuse()
    }

    fn make_durable(&mut self) -> Result<()> {
        io::Write::flush(self).map_err(error::from_write)?;
        let cannot = |cause| error::place(format!("cannot write {} to the disk", self.shown), cause);
        sys::sync_file(self.fuse(), &self.file).map_err(cannot)?;
        let size = self.file.metadata().map_err(cannot)?.len();
        if size != self.written {
            let what = format!("{} has {size} bytes on disk, {} were written", self.shown, self.written);
            return Err(Error::new(Kind::Damaged, what).hint("is another process writing into this file?"));
        }
        Ok(())
    }

    /// `held` bytes were taken and are not on the disk, `more` were to come with this write.
    fn write_failed(&mut self, held: usize, more: usize, cause: io::Error) -> Error {
        self.state = State::Failed;
        let on_disk = self.written.saturating_sub(held as u64);
        error::write_failed(&self.shown, on_disk, held.saturating_add(more), self.folder.space().ok(), cause)
    }

    /// Gives the final name; after it only the folder's sync is missing.
    fn give_name(&mut self) -> Result<()> {
        let named = match self.naming {
            Naming::New => self.link_or_rename(),
            Naming::Replace => self.folder.rename_over(&self.staging, &self.leaf).map(|()| self.state = State::Gone),
        };
        named.map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => error::exists(&self.shown),
            io::ErrorKind::InvalidInput => {
                error::place(format!("cannot name {} without risk to a file of that name", self.shown), cause).hint(
                    "this file system has neither hard links nor renames that do not overwrite; use another place",
                )
            }
            _ => error::place(format!("cannot give {} its name", self.shown), cause),
        })
    }

    fn link_or_rename(&mut self) -> io::Result<()> {
        match self.folder.link(&self.staging, &self.folder, &self.leaf) {
            Err(cause) if sys::cannot_link(&cause) => {
                self.folder.rename_new(&self.staging, &self.leaf)?;
                self.state = State::Gone;
                Ok(())
            }
            done => done,
        }
    }

    fn make_name_durable(&self) -> Result<()> {
        self.folder.sync().map_err(|cause| {
            let error = error::place(format!("cannot write the name of {} to the disk", self.shown), cause);
            if self.naming == Naming::Replace {
                // The old file is gone: the new one, whole, is better than none.
                return error;
            }
            match self.folder.unlink(&self.leaf) {
                Ok(_) => error,
                Err(left) => error.note(format!("{} could not be removed: {left}", self.shown)),
            }
        })
    }

    fn remove_staging(&mut self) -> io::Result<()> {
        if self.state != State::Gone {
            self.folder.unlink(&self.staging)?;
            self.state = State::Gone;
        }
        Ok(())
    }
}

impl io::Write for StagedFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.state != State::Open {
            let error = Error::new(Kind::Place, format!("an earlier write of {} failed, it is abandoned", self.shown));
            return Err(error::in_io(error, io::ErrorKind::Other));
        }
        let fuse = self.folder.fuse().clone();
        match self.direct.write(&fuse, &mut self.file, buf) {
            Ok(taken) => {
                self.written = self.written.saturating_add(taken as u64);
                Ok(taken)
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => Err(cause),
            Err(cause) => {
                let kind = cause.kind();
                Err(error::in_io(self.write_failed(self.direct.pending(), buf.len(), cause), kind))
            }
        }
    }

    /// What was written so far can be read in the staging file. Larger writes go through the cache from here on.
    fn flush(&mut self) -> io::Result<()> {
        let (fuse, left) = (self.fuse().clone(), self.direct.pending());
        self.direct.finish(&fuse, &mut self.file).map_err(|cause| {
            let kind = cause.kind();
            error::in_io(self.write_failed(left, 0, cause), kind)
        })
    }
}

impl Upload for StagedFile {
    fn publish(mut self: Box<Self>, check: Check<'_>) -> Result<Published> {
        if self.state != State::Open {
            return Err(Error::new(Kind::Place, format!("an earlier write of {} failed, it is abandoned", self.shown)));
        }
        self.make_durable()?;
        check(&FileBytes::of(&self.file, self.fuse().clone(), self.written))
            .map_err(|error| error.while_doing(format!("cannot publish {}", self.shown)))?;
        self.give_name()?;
        self.make_name_durable()?;
        // The file stands under its name, whole and durable. A staging name that stays is the next run's to
        // sweep: failing here would tell the caller that there is no backup.
        let _ = self.remove_staging();
        Ok(Published::whole(self.written))
    }

    fn abort(mut self: Box<Self>) -> Result<()> {
        let removed = self.remove_staging();
        // Dropping it must not try again what just failed.
        self.state = State::Gone;
        removed.map_err(|cause| error::place(format!("cannot remove the unfinished {}", self.shown), cause))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // Whoever dropped it has an error of its own to report; what stays is swept by the next run.
        let _ = self.remove_staging();
    }
}

/// A file opened for reading.
pub(super) struct FileBytes<F> {
    file: F,
    fuse: Fuse,
    len: u64,
}

impl<F> FileBytes<F> {
    pub(super) fn of(file: F, fuse: Fuse, len: u64) -> Self {
        FileBytes { file, fuse, len }
    }
}

impl<F: std::borrow::Borrow<File> + Send + Sync> Bytes for FileBytes<F> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        sys::read_exact_at(&self.fuse, self.file.borrow(), buf, offset)
    }
}

/// Creates and locks the staging file; removes one that a dead run left. `None`: a live run has it.
fn claim(folder: &Folder, staging: &OsStr) -> io::Result<Option<File>> {
    // Another process may sweep between our creating and our locking: then there is one more try.
    for _ in 0..8 {
        match folder.create_new(staging) {
            Ok(file) => match lock_created(folder, staging, file) {
                Ok(Some(file)) => return Ok(Some(file)),
                Ok(None) => {}
                Err(cause) => {
                    let _ = folder.unlink(staging);
                    return Err(cause);
                }
            },
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                if !remove_if_dead(folder, staging)? {
                    return Ok(None);
                }
            }
            Err(cause) => return Err(cause),
        }
    }
    Ok(None)
}

fn lock_created(folder: &Folder, staging: &OsStr, file: File) -> io::Result<Option<File>> {
    if sys::try_lock(folder.fuse(), &file)? == Locked::ByAnother {
        return Ok(None);
    }
    let mine = sys::identity(&file)?;
    let still_there = folder.stat(staging)?.is_some_and(|found| found.identity == mine);
    Ok(still_there.then_some(file))
}

/// Removes a staging file that no live process holds. `false`: it is held, or is nothing of ours.
pub(super) fn remove_if_dead(folder: &Folder, staging: &OsStr) -> io::Result<bool> {
    let Some(found) = folder.stat(staging)? else { return Ok(true) };
    match found.kind {
        // Nobody writes through a link: it was planted.
        FileType::Symlink => return folder.unlink(staging).map(|_| true),
        FileType::RegularFile => {}
        _ => return Ok(false),
    }
    let file = match folder.open_to_lock(staging) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(true),
        // Another user's: whether it is alive is that user's to know.
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        Err(cause) => return Err(cause),
    };
    if sys::try_lock(folder.fuse(), &file)? != Locked::Yes {
        return Ok(false);
    }
    // While we hold the lock nobody else takes this file for dead; the name may be another file's by now.
    let held = sys::identity(&file)?;
    match folder.stat(staging)? {
        Some(found) if found.identity == held => folder.unlink(staging).map(|_| true),
        Some(_) => Ok(false),
        None => Ok(true),
    }
}
