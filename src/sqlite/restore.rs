//! Restores a staged file over a database that others may have open.
//!
//! The staged file must pass `integrity_check`. An existing target is copied to `<file>.before-restore-<stamp>` and
//! overwritten in place, in one transaction and under one lock, so that the safety copy holds the very last commit.
//! On any error the target keeps its content; the safety copy is removed again once the target reads well.
//! A lock that another process holds is waited for within a bound, then its holder is named (`Kind::Refused`).
//! A target that is missing or cannot be read as SQLite at all is left to [`super::replace`].
//!
//! Journal mode: the restored file takes the staged file's. Only while other processes stay attached does a WAL file
//! remain one, because leaving WAL needs the file alone; [`RestoreOutcome::journal_mode`] says which it was.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, MAIN_DB};

use super::busy::{self, Patience};
use super::copy;
use super::inspect::{self, JournalMode};
use super::integrity::{self, Integrity};
use super::open::{self, side_file};
use super::replace;
use super::unfinished::{self, Unfinished};
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::progress::Progress;

#[derive(Clone, Debug)]
pub struct RestoreInto {
    /// A file that only we know. It is only read.
    pub staged: PathBuf,
    /// An existing target keeps inode, owner and mode; a new one gets mode 0600 and belongs to whoever restores.
    pub target: PathBuf,
    /// Ends the safety copy's name: `YYYYMMDD-HHMMSS`.
    pub stamp: String,
    /// How long a lock of another process is waited for.
    pub busy_limit: Duration,
}

#[derive(Clone, Debug)]
pub struct RestoreOutcome {
    /// The file itself, where the target was named by a symbolic link.
    pub target: PathBuf,
    pub how: How,
    /// What the target held before; none if it was missing.
    pub safety_copy: Option<PathBuf>,
    pub bytes: u64,
    pub journal_mode: JournalMode,
    pub integrity: Integrity,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// Into the existing file, in one transaction.
    InPlace,
    /// There was no file.
    Created,
    /// The file could not be read as SQLite and nobody had it open: it now has the safety copy's name.
    Replaced,
}

/// Pages between two cancel points while the target is written.
const STEP_PAGES: i32 = 1024;

/// Restores `plan.staged` as `plan.target`.
pub fn into_file(plan: &RestoreInto, progress: &Progress, cancel: &Cancel) -> Result<RestoreOutcome> {
    progress.stage("checking the staged file", 0);
    let doing = format!("cannot restore into {}", plan.target.display());
    let integrity = integrity::check(&plan.staged, Kind::Damaged, &doing, cancel)?;
    let journal_mode = inspect::FileHeader::read(&plan.staged)?.journal_mode;
    let bytes = open::length(&plan.staged);
    let outcome = |target: PathBuf, how, safety_copy, journal_mode| RestoreOutcome {
        target,
        how,
        safety_copy,
        bytes,
        journal_mode,
        integrity: integrity.clone(),
    };

    let Some(target) = existing(&plan.target)? else {
        let target = replace::create(&plan.staged, &plan.target, &plan.stamp)?;
        return Ok(outcome(target, How::Created, None, journal_mode));
    };
    unfinished::sweep(&target).context(Kind::Target, || format!("cannot clean up beside {}", target.display()))?;
    let safety_copy = side_file(&target, &format!(".before-restore-{}", plan.stamp));
    let patience = Patience { path: &target, limit: plan.busy_limit, cancel, kind: Kind::Refused };
    let over = Over {
        kept: Cell::new(false),
        staged: &plan.staged,
        target: &target,
        safety_copy: &safety_copy,
        patience: &patience,
        progress,
    };
    match over.in_place(journal_mode)? {
        Some(journal_mode) => Ok(outcome(target.clone(), How::InPlace, Some(safety_copy.clone()), journal_mode)),
        None => {
            replace::unreadable(&plan.staged, &target, &safety_copy, &plan.stamp)?;
            Ok(outcome(target.clone(), How::Replaced, Some(safety_copy.clone()), journal_mode))
        }
    }
}

/// The file behind the target's name, or none if there is nothing.
fn existing(target: &Path) -> Result<Option<PathBuf>> {
    match fs::symlink_metadata(target) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(refused(target, cause.into())),
        Ok(_) => {
            let real = fs::canonicalize(target).map_err(|cause| {
                refused(target, cause.into())
                    .hint("it is a symbolic link that leads nowhere, or a folder is closed to us")
            })?;
            match real.is_file() {
                true => Ok(Some(real)),
                false => Err(refused(target, "not a regular file".into())),
            }
        }
    }
}

fn refused(target: &Path, cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(Kind::Target, format!("cannot restore into {}", target.display())).because(cause)
}

/// One restore over an existing file.
struct Over<'a> {
    /// True once the safety copy has its name: a file of that name is ours to remove.
    kept: Cell<bool>,
    staged: &'a Path,
    target: &'a Path,
    safety_copy: &'a Path,
    patience: &'a Patience<'a>,
    progress: &'a Progress,
}

impl Over<'_> {
    /// None if the target cannot be read as SQLite; then nothing was done.
    fn in_place(&self, wanted: JournalMode) -> Result<Option<JournalMode>> {
        let Some((mut target, mut mode)) = self.open_target()? else { return Ok(None) };
        if self.safety_copy.exists() {
            return Err(self.name_taken());
        }
        let staged = open::staged(self.staged)?;
        let left_wal = mode == JournalMode::Wal && self.page_sizes_differ(&staged, &target)?;
        if left_wal {
            self.leave_wal(&target)?;
            mode = JournalMode::Delete;
        }
        let written = match mode {
            JournalMode::Wal => self.over_wal(&staged, &mut target),
            JournalMode::Delete => self.over_rollback(&staged, &mut target),
        };
        if let Err(error) = written {
            return Err(self.undo(target, error, left_wal));
        }
        let mode = settle(&target, mode, wanted);
        drop(target);
        open::sync_folder(self.target).context(Kind::Target, || format!("cannot sync {}", self.target.display()))?;
        Ok(Some(mode))
    }

    fn open_target(&self) -> Result<Option<(Connection, JournalMode)>> {
        let target = open::writable(self.target).map_err(|cause| self.failed(cause))?;
        let read = || {
            // Until it has proved readable, nothing of it may be changed: not by folding its WAL in either.
            open::keep_wal_on_close(&target, true)?;
            open::first_page(&target)?;
            target.execute_batch("PRAGMA synchronous=EXTRA")?;
            let mode = inspect::journal_mode(&target)?;
            open::keep_wal_on_close(&target, false)?;
            Ok(mode)
        };
        let mode = match self.patience.wait(read)? {
            Err(cause) if is_no_database(&cause) => return Ok(None),
            read => read.map_err(|cause| self.failed(cause))?,
        };
        if target.is_readonly(MAIN_DB).map_err(|cause| self.failed(cause))? {
            return Err(refused(self.target, "permission denied: the file cannot be written to".into()));
        }
        Ok(Some((target, mode)))
    }

    fn page_sizes_differ(&self, staged: &Connection, target: &Connection) -> Result<bool> {
        let page_size = |of: &Connection| of.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0));
        Ok(self.ask(|| page_size(staged))? != self.ask(|| page_size(target))?)
    }

    /// The backup API cannot change the page size of a WAL file. Out of WAL it can, in place; that needs the file
    /// alone, because an attached process would go on writing to the WAL.
    fn leave_wal(&self, target: &Connection) -> Result<()> {
        self.ask(|| set_journal_mode(target, JournalMode::Delete)).map_err(|error| {
            match error.kind() == Kind::Refused {
                true => error.hint("the backup has another page size than this WAL file: stop what has it open"),
                false => error,
            }
        })
    }

    /// In WAL mode readers go on, and so does our own: it copies the last state while the write lock is held.
    fn over_wal(&self, staged: &Connection, target: &mut Connection) -> Result<()> {
        let backup = Backup::new(staged, target).map_err(|cause| self.failed(cause))?;
        // No pages: only the lock.
        self.patience.step(&backup, 0)?.map_err(|cause| self.failed(cause))?;
        let reader = open::writable(self.target).map_err(|cause| self.failed(cause))?;
        self.keep(&reader)?;
        drop(reader);
        self.write(&backup)
    }

    /// With a rollback journal a writer excludes readers, so one connection does both: it keeps the exclusive lock
    /// from the safety copy on, and lets go of it with the restore's own commit.
    fn over_rollback(&self, staged: &Connection, target: &mut Connection) -> Result<()> {
        self.ask(|| target.execute_batch("BEGIN EXCLUSIVE"))?;
        if self.ask(|| inspect::journal_mode(target))? == JournalMode::Wal {
            return Err(Error::new(Kind::Refused, format!("cannot restore into {}", self.target.display()))
                .because("another process has just put it into WAL mode")
                .hint("try again"));
        }
        self.ask(|| target.execute_batch("PRAGMA locking_mode=EXCLUSIVE; COMMIT"))?;
        self.keep(target)?;
        self.ask(|| target.execute_batch("PRAGMA locking_mode=NORMAL"))?;
        let backup = Backup::new(staged, target).map_err(|cause| self.failed(cause))?;
        self.write(&backup)
    }

    /// Makes the safety copy: whole, synced and like the target in owner and mode before it gets its name.
    fn keep(&self, from: &Connection) -> Result<()> {
        self.progress.stage(format!("keeping {}", self.safety_copy.display()), open::length(self.target));
        let unfinished = Unfinished::create(side_file(self.safety_copy, Unfinished::SUFFIX))?;
        copy::whole(from, self.target, unfinished.path(), self.patience, self.progress)?;
        let doing = || format!("cannot keep a safety copy as {}", self.safety_copy.display());
        let like = fs::metadata(self.target).context(Kind::Place, doing)?;
        unfinished.dress(&like).context(Kind::Place, doing)?;
        unfinished.publish(self.safety_copy).map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => self.name_taken(),
            _ => Error::new(Kind::Place, doing()).because(cause),
        })?;
        self.kept.set(true);
        Ok(())
    }

    fn write(&self, backup: &Backup<'_, '_>) -> Result<()> {
        self.progress.stage(format!("restoring {}", self.target.display()), open::length(self.staged));
        let mut shown = 0;
        loop {
            let (step, _) = self.patience.step(backup, STEP_PAGES)?.map_err(|cause| self.failed(cause))?;
            let state = backup.progress();
            let pages = u64::try_from(state.pagecount.saturating_sub(state.remaining)).unwrap_or(0);
            let page_size = open::length(self.staged) / u64::try_from(state.pagecount).unwrap_or(1).max(1);
            self.progress.add_raw(pages.saturating_sub(shown).saturating_mul(page_size), 0);
            shown = pages;
            if step == StepResult::Done {
                return Ok(());
            }
        }
    }

    /// Dropping the backup has rolled the target back. The safety copy is of no use then, and may be what filled
    /// the disk; it stays if the target cannot be read.
    fn undo(&self, target: Connection, error: Error, left_wal: bool) -> Error {
        drop(target);
        let readable = open::writable(self.target).and_then(|target| {
            open::first_page(&target)?;
            match left_wal {
                true => set_journal_mode(&target, JournalMode::Wal),
                false => Ok(()),
            }
        });
        let kept = self.safety_copy.display();
        match readable {
            _ if !self.kept.get() => error,
            Err(cause) if !busy::is_busy(&cause) => {
                error.note(format!("the target cannot be read ({}): its content is in {kept}", open::said(&cause)))
            }
            _ => match fs::remove_file(self.safety_copy) {
                Ok(()) => error,
                Err(cause) => error.note(format!("cannot remove {kept}: {cause}")),
            },
        }
    }

    fn ask<T>(&self, query: impl FnMut() -> rusqlite::Result<T>) -> Result<T> {
        self.patience.wait(query)?.map_err(|cause| self.failed(cause))
    }

    fn failed(&self, cause: rusqlite::Error) -> Error {
        let full = copy::is_write_failure(&cause);
        let error = Error::new(Kind::Target, format!("cannot restore into {}", self.target.display()))
            .because(open::said(&cause));
        match full {
            true => error.hint("the old content is as it was; a restore needs room for the safety copy and a journal"),
            false => error,
        }
    }

    fn name_taken(&self) -> Error {
        Error::new(Kind::Refused, format!("cannot keep a safety copy as {}", self.safety_copy.display()))
            .because("the file exists")
            .hint("another restore ran in the same second: try again")
    }
}

/// After the commit: takes on the staged file's journal mode, or folds the WAL into the file, as far as the others
/// that have it open allow. What cannot be done now is not needed: the content is committed and synced.
fn settle(target: &Connection, mode: JournalMode, wanted: JournalMode) -> JournalMode {
    match (mode, wanted) {
        (JournalMode::Delete, wanted) => wanted,
        (JournalMode::Wal, JournalMode::Delete) if set_journal_mode(target, JournalMode::Delete).is_ok() => wanted,
        (JournalMode::Wal, _) => {
            let folded = target.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            drop(folded);
            JournalMode::Wal
        }
    }
}

/// Leaves or enters WAL mode. SQLite answers with the mode that holds, and says busy if others are attached.
fn set_journal_mode(connection: &Connection, mode: JournalMode) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA journal_mode={mode}"), [], |_| Ok(()))
}

/// No SQLite header, a file shorter than it says, a schema that cannot be parsed.
fn is_no_database(cause: &rusqlite::Error) -> bool {
    matches!(cause.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}
