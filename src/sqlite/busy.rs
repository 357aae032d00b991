//! Waiting for a lock: bounded, cancellable, and able to say who holds it.
//!
//! SQLite's own busy timeout is off: it cannot be cancelled, and its sleeps would count as time in which we held
//! the lock.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;
use rusqlite::backup::{Backup, StepResult};

use super::holders;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::units::human_duration;

/// Between two tries. Short against the gaps that a busy writer leaves, long against the cost of a try.
const PAUSE: Duration = Duration::from_millis(3);

pub(super) struct Patience<'a> {
    /// The database whose lock is waited for.
    pub path: &'a Path,
    pub limit: Duration,
    pub cancel: &'a Cancel,
    /// What a lock held for too long means to the caller: `Source` for a backup, `Refused` for a restore.
    pub kind: Kind,
}

impl Patience<'_> {
    /// Repeats `attempt` while the database is busy. The inner result is any other failure.
    pub fn wait<T>(&self, mut attempt: impl FnMut() -> rusqlite::Result<T>) -> Result<rusqlite::Result<T>> {
        let since = Instant::now();
        loop {
            self.cancel.check()?;
            match attempt() {
                Err(cause) if is_busy(&cause) => self.pause(since)?,
                done => return Ok(done),
            }
        }
    }

    /// One backup step that copied something, ended, or failed, and its own time without the wait.
    pub fn step(&self, backup: &Backup<'_, '_>, pages: i32) -> Result<rusqlite::Result<(StepResult, Duration)>> {
        let since = Instant::now();
        loop {
            self.cancel.check()?;
            let started = Instant::now();
            match backup.step(pages) {
                Ok(StepResult::Busy | StepResult::Locked) => self.pause(since)?,
                Err(cause) if is_busy(&cause) => self.pause(since)?,
                done => return Ok(done.map(|step| (step, started.elapsed()))),
            }
        }
    }

    fn pause(&self, since: Instant) -> Result<()> {
        if since.elapsed() >= self.limit {
            return Err(self.gave_up(since.elapsed()));
        }
        thread::sleep(PAUSE);
        Ok(())
    }

    fn gave_up(&self, waited: Duration) -> Error {
        let found = holders::of(self.path);
        let by = match found.is_empty() {
            true => String::new(),
            false => format!(", held by {}", holders::describe(&found)),
        };
        let hint = match found.is_empty() {
            true => "a process of another user, container or host may hold it: try `fuser` or `lsof` as root",
            false => "wait until it has finished its transaction, or stop it",
        };
        Error::new(self.kind, format!("cannot lock {}", self.path.display()))
            .because(format!("database is locked{by} (waited {})", human_duration(waited)))
            .hint(hint)
    }
}

pub(super) fn is_busy(cause: &rusqlite::Error) -> bool {
    matches!(
        cause.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}
