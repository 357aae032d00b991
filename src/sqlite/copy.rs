//! Copies a live database into a staged file: one consistent state, and whether it is a sound one.
//!
//! The staged file is created new with mode 0600 and removed on any failure. It keeps the source's page size,
//! encoding and journal mode, and has neither `-wal` nor `-journal`. A copy that fails `integrity_check` is a failed
//! run: the check is a step of its own, so that a backup can pack the copy meanwhile, and only the check makes a
//! [`Copied`] of it. How the copy meets writers: see the module's documentation.

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, ffi};
use serde::{Deserialize, Serialize};

use super::busy::Patience;
use super::inspect::{self, Facts, FileHeader, JournalMode};
use super::integrity::{self, Integrity};
use super::open::{self, Source};
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::progress::Progress;
use crate::units::human_duration;

#[derive(Clone, Debug)]
pub struct SqliteSource {
    pub path: PathBuf,
    /// How long a database with a rollback journal is copied in steps before writers are made to wait.
    pub yield_limit: Duration,
    /// How long a lock of another process is waited for.
    pub busy_limit: Duration,
}

/// A complete copy that was not judged yet: its pages may be read, and must not be published.
#[must_use = "a copy is not sound until it was checked"]
#[derive(Debug)]
pub struct Unchecked {
    pub header: FileHeader,
    /// Of the staged file.
    pub bytes: u64,
    source: PathBuf,
    staging: PathBuf,
    writing: Writing,
    held: Arc<fs::File>,
}

/// What the copy and the writers noticed of each other.
#[derive(Clone, Copy, Debug)]
struct Writing {
    wal_bytes_before: u64,
    wal_bytes_after: u64,
    writer_wait: Duration,
    restarts: u32,
}

/// A sound copy of the source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Copied {
    #[serde(flatten)]
    pub facts: Facts,
    /// Of the staged file.
    pub bytes: u64,
    pub sqlite_version: String,
    pub integrity: Integrity,
    pub wal_bytes_before: u64,
    pub wal_bytes_after: u64,
    /// The longest time for which we held a lock that keeps writers waiting. Zero in WAL mode.
    pub writer_wait: Duration,
    /// How often, at least, a commit of another process made the copy begin afresh. Zero in WAL mode.
    pub restarts: u32,
}

/// Between two steps: writers poll with pauses up to 100 ms, most of them far shorter.
const YIELD: Duration = Duration::from_millis(25);
/// The lock is held about this long in one step.
const STEP_TIME: Duration = Duration::from_millis(50);
const STEP_BYTES_MIN: u64 = 256 << 10;
const STEP_BYTES_MAX: u64 = 256 << 20;
/// A step of a pinned pass, which does not let go of the lock: a cancel point at least this often.
const PINNED_STEP_BYTES: u64 = 4 << 20;
/// Until the first step has shown the true one, in bytes a second: a slow disk's, so that the first step is short.
const RATE_GUESS: f64 = 50e6;

/// Copies `source` into the new file `staging`.
pub fn run(source: &SqliteSource, staging: &Path, progress: &Progress, cancel: &Cancel) -> Result<Unchecked> {
    let staging = path::absolute(staging).context(Kind::Place, || format!("cannot find {}", staging.display()))?;
    let held = Arc::new(create(&staging)?);
    fill(source, &staging, held, progress, cancel).map_err(|error| removed(&staging, error))
}

fn fill(
    source: &SqliteSource,
    staging: &Path,
    held: Arc<fs::File>,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<Unchecked> {
    let patience = Patience { path: &source.path, limit: source.busy_limit, cancel, kind: Kind::Source };
    let opened = Source::open(&source.path, &patience)?;
    let wal = open::side_file(&opened.path, "-wal");
    let wal_bytes_before = open::length(&wal);
    let mut pass = Pass::new(&source.path, staging, &patience, progress);
    pass.copy(&opened, source.yield_limit)?;
    let (writer_wait, restarts) = (pass.longest_hold, pass.restarts);
    let wal_bytes_after = open::length(&wal);
    opened.close()?;
    Ok(Unchecked {
        header: FileHeader::read(staging)?,
        bytes: open::length(staging),
        source: source.path.clone(),
        staging: staging.to_owned(),
        writing: Writing { wal_bytes_before, wal_bytes_after, writer_wait, restarts },
        held,
    })
}

impl Unchecked {
    /// Keep it as long as the staged file is wanted: without its lock the file is swept as a dead run's.
    pub fn held(&self) -> Arc<fs::File> {
        Arc::clone(&self.held)
    }

    /// Judges the copy; others may read the staged file meanwhile. It is removed if it is not sound.
    pub fn check(self, cancel: &Cancel) -> Result<Copied> {
        self.judge(cancel).map_err(|error| removed(&self.staging, error))
    }

    /// The sync tells of pages that the disk did not take, which are read back wrong once they left the memory.
    fn judge(&self, cancel: &Cancel) -> Result<Copied> {
        let doing = format!("cannot use the copy of {}", self.source.display());
        let (synced, integrity) = thread::scope(|scope| {
            let synced = scope.spawn(|| sync(&self.staging));
            let integrity = integrity::check(&self.staging, Kind::Source, &doing, cancel);
            (synced.join().unwrap_or_else(|_| Err(Error::new(Kind::Bug, "a worker of ours panicked"))), integrity)
        });
        synced?;
        let integrity = integrity?;
        let Writing { wal_bytes_before, wal_bytes_after, writer_wait, restarts } = self.writing;
        Ok(Copied {
            facts: inspect::staged(&self.staging)?,
            bytes: self.bytes,
            sqlite_version: rusqlite::version().to_owned(),
            integrity,
            wal_bytes_before,
            wal_bytes_after,
            writer_wait,
            restarts,
        })
    }
}

/// An empty file that did not exist before, locked for as long as it is held. SQLite's own locks are of another kind.
fn create(path: &Path) -> Result<fs::File> {
    let doing = || format!("cannot create {}", path.display());
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = opened.context(Kind::Place, doing)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        // Some file systems have no locks: what nobody can lock nobody takes for dead.
        Err(TryLockError::Error(cause)) if cause.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(cause) => Err(removed(path, Error::new(Kind::Place, doing()).because(cause))),
    }
}

fn sync(path: &Path) -> Result<()> {
    let synced = fs::File::open(path).and_then(|file| file.sync_all());
    synced.context(Kind::Place, || format!("cannot sync {}", path.display()))
}

/// Takes the unfinished file away; the error stays the first one.
fn removed(unfinished: &Path, error: Error) -> Error {
    match fs::remove_file(unfinished) {
        Ok(()) => error,
        Err(cause) => error.note(format!("cannot remove {}: {cause}", unfinished.display())),
    }
}

/// Copies all pages of `from`, which nobody else writes to meanwhile, into the new, empty file `to`.
pub(super) fn whole(
    from: &Connection,
    path: &Path,
    to: &Path,
    patience: &Patience<'_>,
    progress: &Progress,
) -> Result<()> {
    let mut pass = Pass::new(path, to, patience, progress);
    pass.page_size = pass.read(|| pragma(from, "PRAGMA page_size"))?;
    let mut destination = open::destination(to).map_err(|cause| pass.failed(cause))?;
    let backup = Backup::new(from, &mut destination).map_err(|cause| pass.failed(cause))?;
    pass.finish(&backup)?;
    drop(backup);
    destination.close().map_err(|(_, cause)| pass.failed(cause))?;
    sync(to)
}

struct Pass<'a> {
    path: &'a Path,
    staging: &'a Path,
    patience: &'a Patience<'a>,
    progress: &'a Progress,
    page_size: u64,
    /// Pages that the progress was raised by.
    shown: u64,
    /// Pages copied since the last restart.
    copied: u64,
    restarts: u32,
    longest_hold: Duration,
    /// Bytes a second, of the last step.
    rate: f64,
}

impl<'a> Pass<'a> {
    fn new(path: &'a Path, staging: &'a Path, patience: &'a Patience<'a>, progress: &'a Progress) -> Self {
        Pass {
            path,
            staging,
            patience,
            progress,
            page_size: 4096,
            shown: 0,
            copied: 0,
            restarts: 0,
            longest_hold: Duration::ZERO,
            rate: RATE_GUESS,
        }
    }

    fn copy(&mut self, source: &Source, yield_limit: Duration) -> Result<()> {
        let from = &source.connection;
        let total = self.read(|| pragma(from, "PRAGMA page_count"))?;
        self.page_size = self.read(|| pragma(from, "PRAGMA page_size"))?;
        let total = total.saturating_mul(self.page_size);
        self.progress.stage(format!("copying {}", self.path.display()), total);
        let journal_mode = self.read(|| inspect::journal_mode(from))?;

        let mut to = open::destination(self.staging).map_err(|cause| self.failed(cause))?;
        let backup = Backup::new(from, &mut to).map_err(|cause| self.failed(cause))?;
        if journal_mode == JournalMode::Wal || source.is_still() {
            self.pin(from)?;
            self.finish(&backup)?;
            self.longest_hold = Duration::ZERO;
        } else if !self.in_steps(&backup, yield_limit)? {
            self.announce(total);
            self.pin(from)?;
            let since = Instant::now();
            self.finish(&backup)?;
            self.longest_hold = self.longest_hold.max(since.elapsed());
        }
        drop(backup);
        to.close().map_err(|(_, cause)| self.failed(cause))?;
        if !from.is_autocommit() {
            from.execute_batch("COMMIT").map_err(|cause| self.failed(cause))?;
        }
        Ok(())
    }

    /// Opens a read transaction: from here on the copy sees one state, and steps do not let go of it.
    fn pin(&self, from: &Connection) -> Result<()> {
        from.execute_batch("BEGIN").map_err(|cause| self.failed(cause))?;
        self.read(|| open::first_page(from))
    }

    /// Copies without letting go of the lock.
    fn finish(&mut self, backup: &Backup<'_, '_>) -> Result<()> {
        let pages = self.pages(PINNED_STEP_BYTES);
        while self.step(backup, pages)? != StepResult::Done {}
        Ok(())
    }

    /// Copies in steps with the lock released between them. False if writers were faster for `limit`.
    fn in_steps(&mut self, backup: &Backup<'_, '_>, limit: Duration) -> Result<bool> {
        let since = Instant::now();
        while since.elapsed() < limit {
            let pages = self.pages(bytes_in(STEP_TIME, self.rate));
            if self.step(backup, pages)? == StepResult::Done {
                return Ok(true);
            }
            thread::sleep(YIELD);
        }
        Ok(false)
    }

    /// One step, and what it tells: how long it held the lock, how fast we are, whether a commit undid the steps
    /// before it.
    fn step(&mut self, backup: &Backup<'_, '_>, pages: i32) -> Result<StepResult> {
        let stepped = self.patience.step(backup, pages)?;
        let (step, held) = stepped.map_err(|cause| self.failed(cause))?;
        self.longest_hold = self.longest_hold.max(held);
        let state = backup.progress();
        let copied = count(state.pagecount.saturating_sub(state.remaining));
        let expected = self.copied.saturating_add(count(pages));
        let restarted = step != StepResult::Done && copied < expected;
        let in_this_step = if restarted { copied } else { copied.saturating_sub(self.copied) };
        self.restarts = self.restarts.saturating_add(u32::from(restarted));
        self.rate = rate_of(in_this_step.saturating_mul(self.page_size), held).unwrap_or(self.rate);
        self.copied = copied;
        let fresh = copied.saturating_sub(self.shown);
        self.shown = self.shown.max(copied);
        self.progress.add_raw(fresh.saturating_mul(self.page_size), 0);
        Ok(step)
    }

    fn announce(&mut self, total: u64) {
        let wait = Duration::from_secs_f64(total as f64 / self.rate);
        let stage = format!("copying {} in one pass: writers wait about {}", self.path.display(), human_duration(wait));
        self.progress.stage(stage, total);
        self.shown = 0;
    }

    /// How many pages make up `bytes`; at least one.
    fn pages(&self, bytes: u64) -> i32 {
        let pages = bytes.checked_div(self.page_size).unwrap_or(1).max(1);
        i32::try_from(pages).unwrap_or(i32::MAX)
    }

    fn read<T>(&self, query: impl FnMut() -> rusqlite::Result<T>) -> Result<T> {
        self.patience.wait(query)?.map_err(|cause| self.failed(cause))
    }

    /// The step has one error for both sides: those of writing are the staged file's.
    fn failed(&self, cause: rusqlite::Error) -> Error {
        if is_write_failure(&cause) {
            return Error::new(Kind::Place, format!("cannot write {}", self.staging.display()))
                .because(open::said(&cause))
                .hint("is there room for the whole database beside what is there?");
        }
        open::unreadable(self.path, cause)
    }
}

fn pragma(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

fn count(pages: i32) -> u64 {
    u64::try_from(pages).unwrap_or(0)
}

fn rate_of(bytes: u64, took: Duration) -> Option<f64> {
    (bytes > 0 && !took.is_zero()).then(|| bytes as f64 / took.as_secs_f64())
}

fn bytes_in(time: Duration, rate: f64) -> u64 {
    ((rate * time.as_secs_f64()) as u64).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX)
}

pub(super) fn is_write_failure(cause: &rusqlite::Error) -> bool {
    let extended = cause.sqlite_error().map(|error| error.extended_code);
    cause.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || matches!(
            extended,
            Some(
                ffi::SQLITE_IOERR_WRITE
                    | ffi::SQLITE_IOERR_FSYNC
                    | ffi::SQLITE_IOERR_DIR_FSYNC
                    | ffi::SQLITE_IOERR_TRUNCATE
            )
        )
}
