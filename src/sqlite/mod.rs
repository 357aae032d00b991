//! SQLite: a consistent copy of a live file, and a restore into a live file, by the online backup API.
//!
//! Everything here is synchronous and blocks: callers run it on a thread of their own. No SQL of the database is
//! ever run with its own rights: the schema is not trusted, extensions cannot load, triggers do not fire.
//!
//! # What a writer notices during a backup
//!
//! *WAL mode: nothing.* The source connection opens a read transaction first, so the copy is one snapshot and no
//! commit of another process restarts it. Writers commit as ever; the WAL cannot be reset meanwhile, so it grows by
//! what they write ([`Copied::wal_bytes_before`] and [`Copied::wal_bytes_after`]). We never checkpoint it.
//!
//! *Rollback journal: short waits, and at most one long one.* A reader keeps writers from committing, and a commit
//! by another process restarts an unpinned copy. So the copy first goes in steps of about 50 ms with the lock
//! released between them, for up to [`SqliteSource::yield_limit`]. If writers were faster, one pinned pass ends it:
//! they wait for size ÷ rate, which the progress line announces. [`Copied::writer_wait`] is the longest time
//! for which the lock was held.
//!
//! # What a process notices that has the file open during a restore
//!
//! New rows, at its next statement. The pages are written into the existing file in one transaction: inode, owner,
//! mode and open connections stay valid, and a crash leaves the old content or the new. The safety copy is made
//! under the same lock, so no commit falls between it and the restore. WAL and rollback files keep working for
//! attached processes. Only a missing or unreadable target is replaced by name.
//!
//! # Rules that are easy to break
//!
//! * A database file is never opened with `std::fs` while it may be in use: closing *any* descriptor of a file
//!   drops all POSIX locks that this process holds on it, SQLite's too. Side files and sizes are only `stat`ed.
//! * Paths reach SQLite absolute: `file:` and `:memory:` would mean something else.

mod ask;
mod busy;
pub mod copy;
pub mod holders;
pub mod inspect;
pub mod integrity;
pub mod kept;
mod open;
mod replace;
pub mod restore;
mod unfinished;

pub use ask::ask;
pub use copy::{Copied, SqliteSource, Unchecked};
pub use inspect::{Facts, FileHeader, JournalMode, Table, TableKind};
pub use integrity::Integrity;
pub use restore::{How, RestoreInto, RestoreOutcome};

use crate::error::{Error, Kind, Result};

/// The version of the SQLite library in this binary, or an error if it is one that may corrupt databases.
///
/// 3.7.0 to 3.51.2 can lose a WAL frame when a checkpoint races a writer after a reset; 3.52.0 was withdrawn.
pub fn require_fixed_library() -> Result<&'static str> {
    let number = rusqlite::version_number();
    if is_fixed(number) {
        return Ok(rusqlite::version());
    }
    Err(Error::new(Kind::Unsupported, format!("cannot use SQLite {}", rusqlite::version()))
        .because("this library may corrupt WAL databases: 3.51.3 or 3.53.0 and later are needed")
        .hint("build with the bundled SQLite (feature `bundled` of rusqlite)"))
}

fn is_fixed(number: i32) -> bool {
    const FIRST_FIXED: i32 = 3_051_003;
    const WITHDRAWN: std::ops::Range<i32> = 3_052_000..3_053_000;
    number >= FIRST_FIXED && !WITHDRAWN.contains(&number)
}

#[cfg(test)]
mod tests;
