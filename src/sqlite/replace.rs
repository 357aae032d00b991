//! Restores where there is no database to write into: no file, or one that SQLite cannot read.
//!
//! A file under a final name is always whole: it is written and synced under another name first. Nothing is
//! overwritten but an unreadable file that got a second name before, and then only while we hold a lock on all of it
//! and no process is seen to have it open. Journals of the lost file must not be replayed into the new one: they move
//! to the safety copy's name, where they belong.

use std::fs;
use std::io;
use std::path::{self, Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};

use super::holders;
use super::open::{self, side_file};
use super::unfinished::{self, Unfinished, rename_new};
use crate::error::{Context, Error, Kind, Result};

/// What SQLite would replay or map. `-shm` is only ever rebuilt.
const JOURNALS: [&str; 2] = ["-wal", "-journal"];

/// Puts the staged file where no file is. Its folder must exist.
pub(super) fn create(staged: &Path, target: &Path, stamp: &str) -> Result<PathBuf> {
    let doing = || format!("cannot create {}", target.display());
    let absolute = path::absolute(target).context(Kind::Target, doing)?;
    let (Some(folder), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(Error::new(Kind::Target, doing()).because("it has no file name"));
    };
    let target = fs::canonicalize(folder).context(Kind::Target, doing)?.join(name);
    unfinished::sweep(&target).context(Kind::Target, doing)?;
    set_journals_aside(&target, &side_file(&target, &format!(".before-restore-{stamp}")))?;
    let ready = beside(staged, &target, stamp)?;
    ready.publish(&target).map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::new(Kind::Refused, doing()).because("another process has just created it")
        }
        _ => Error::new(Kind::Target, doing()).because(cause),
    })?;
    Ok(target)
}

/// Replaces a file that SQLite cannot read. It stays, with its journals, under the safety copy's name.
pub(super) fn unreadable(staged: &Path, target: &Path, safety_copy: &Path, stamp: &str) -> Result<()> {
    let doing = || format!("cannot replace {}", target.display());
    let file = fs::OpenOptions::new().read(true).write(true).open(target).context(Kind::Target, doing)?;
    // No connection of ours has it open, so closing this descriptor at the end drops no other lock.
    let locked = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive);
    let found = holders::of(target);
    if locked.is_err() || !found.is_empty() {
        let by = if found.is_empty() { "another process".to_owned() } else { holders::describe(&found) };
        return Err(Error::new(Kind::Refused, doing())
            .because(format!("it is not a readable database, and {by} has it open"))
            .hint("stop that process: it would go on writing into the old file"));
    }
    let like = file.metadata().context(Kind::Target, doing)?;
    let ready = beside(staged, target, stamp)?;
    ready
        .dress(&like)
        .and_then(|()| fs::hard_link(target, safety_copy))
        .and_then(|()| open::sync_folder(target))
        .context(Kind::Target, || format!("cannot keep {} as {}", target.display(), safety_copy.display()))?;
    set_journals_aside(target, safety_copy)?;
    ready.replace(target).context(Kind::Target, doing)
}

/// The staged content, whole, in the target's folder, without its name yet.
fn beside(staged: &Path, target: &Path, stamp: &str) -> Result<Unfinished> {
    let ready = Unfinished::create(side_file(target, &format!(".restoring-{stamp}{}", Unfinished::SUFFIX)))?;
    ready.fill(staged).context(Kind::Target, || format!("cannot write {}", ready.path().display()))?;
    Ok(ready)
}

fn set_journals_aside(target: &Path, safety_copy: &Path) -> Result<()> {
    for suffix in JOURNALS {
        let (from, to) = (side_file(target, suffix), side_file(safety_copy, suffix));
        absent_is_fine(rename_new(&from, &to))
            .context(Kind::Target, || format!("cannot move {} to {}", from.display(), to.display()))?;
    }
    let shm = side_file(target, "-shm");
    absent_is_fine(fs::remove_file(&shm)).context(Kind::Target, || format!("cannot remove {}", shm.display()))
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
