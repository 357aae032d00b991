//! Opening database files: hardened, never creating one, and leaving the source's folder as it was.
//!
//! The source is opened read-only. Where SQLite needs to write before it can read (a hot journal, a WAL without
//! its `-shm` that it may not create), it is opened as its application would open it. On a medium where nothing
//! can be written at all and no journal is left, it is read as immutable, and checked for changes afterwards.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::busy::Patience;
use crate::error::{Context, Error, Kind, Result};

/// The file that SQLite keeps beside a database: `-wal`, `-shm` or `-journal`.
pub(super) fn side_file(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    PathBuf::from(name)
}

/// Length of a file that may be missing.
pub(super) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// A source that can be read: its first page was.
pub(super) struct Source {
    pub connection: Connection,
    /// Without symbolic links: side files lie beside this one.
    pub path: PathBuf,
    /// Set when SQLite takes no locks, so that changes must be looked for.
    still: Option<Fingerprint>,
    had_side_files: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Fingerprint {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Source {
    pub fn open(path: &Path, patience: &Patience<'_>) -> Result<Source> {
        let (path, meta) = regular_file(path)?;
        let had_side_files = side_file(&path, "-wal").exists() || side_file(&path, "-shm").exists();
        let source = |connection, still| Source { connection, path: path.clone(), still, had_side_files };

        let refused = match usable(connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY), patience)? {
            Ok(connection) => return Ok(source(connection, None)),
            Err(cause) if wants_to_write(&cause) => cause,
            Err(cause) => return Err(unreadable(&path, cause)),
        };
        if let Ok(connection) = usable(connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE), patience)? {
            keep_wal_on_close(&connection, had_side_files).map_err(|cause| unreadable(&path, cause))?;
            return Ok(source(connection, None));
        }
        let journal_is_left = length(&side_file(&path, "-wal")) > 0 || length(&side_file(&path, "-journal")) > 0;
        if journal_is_left {
            return Err(unreadable(&path, refused));
        }
        match usable(connect_immutable(&path), patience)? {
            Ok(connection) => Ok(source(connection, Some(Fingerprint::of(&meta)))),
            Err(cause) => Err(unreadable(&path, cause)),
        }
    }

    /// True if the file is read without locks.
    pub fn is_still(&self) -> bool {
        self.still.is_some()
    }

    /// Closes the connection and leaves the folder as it was found.
    pub fn close(self) -> Result<()> {
        let Source { connection, path, still, had_side_files } = self;
        drop(connection);
        if let Some(before) = still {
            let after = fs::metadata(&path).context(Kind::Source, || format!("cannot look at {}", path.display()))?;
            if Fingerprint::of(&after) != before || length(&side_file(&path, "-wal")) > 0 {
                return Err(Error::new(Kind::Source, format!("cannot copy {}", path.display()))
                    .because("it was changed while it was read without locks")
                    .hint("let the backup's user write to the folder, so that SQLite can lock"));
            }
        }
        // A read-only connection cannot remove the -wal and -shm that it made; one that may write does so on
        // closing. If it may not, they stay, empty, and the next writer takes them.
        if !had_side_files
            && side_file(&path, "-shm").exists()
            && let Ok(tidy) = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        {
            drop(first_page(&tidy));
        }
        Ok(())
    }
}

impl Fingerprint {
    fn of(meta: &Metadata) -> Self {
        Fingerprint { inode: meta.ino(), size: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) }
    }
}

/// Absolute, without symbolic links, and a regular file: opening a named pipe would block for ever.
pub(super) fn regular_file(path: &Path) -> Result<(PathBuf, Metadata)> {
    let doing = || format!("cannot open {}", path.display());
    let real = fs::canonicalize(path).context(Kind::Source, doing)?;
    let meta = fs::metadata(&real).context(Kind::Source, doing)?;
    if !meta.is_file() {
        return Err(Error::new(Kind::Source, doing()).because("not a regular file"));
    }
    // SQLite would only say that it is unable to open the file.
    rustix::fs::access(&real, rustix::fs::Access::READ_OK).map_err(io::Error::from).context(Kind::Source, doing)?;
    Ok((real, meta))
}

/// A file that only we know: no locks, no side files.
pub(super) fn staged(path: &Path) -> Result<Connection> {
    let doing = || format!("cannot open staged file {}", path.display());
    let real = fs::canonicalize(path).context(Kind::Place, doing)?;
    connect_immutable(&real).map_err(|cause| Error::new(Kind::Place, doing()).because(said(&cause)))
}

/// An existing file, to be written to.
pub(super) fn writable(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// A new, empty file that a backup is written into. Nothing of it is journalled: on any failure it is removed.
pub(super) fn destination(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;")?;
    Ok(connection)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    harden(Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_EXRESCODE)?)
}

fn connect_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let encoded = percent_encoding::percent_encode(path.as_os_str().as_bytes(), percent_encoding::NON_ALPHANUMERIC);
    let uri = format!("file:{}?immutable=1", encoded.to_string().replace("%2F", "/"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_EXRESCODE;
    harden(Connection::open_with_flags(uri, flags)?)
}

/// A database file is untrusted input. (Extensions cannot load unless a connection asks for it.)
fn harden(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.execute_batch("PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;")?;
    Ok(connection)
}

/// Reads page 1, and inside a transaction opens the read transaction. It needs no schema, so a malformed one is
/// left for the integrity check to name.
pub(super) fn first_page(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA schema_version", [], |_| Ok(()))
}

fn usable(opened: rusqlite::Result<Connection>, patience: &Patience<'_>) -> Result<rusqlite::Result<Connection>> {
    let connection = match opened {
        Ok(connection) => connection,
        Err(cause) => return Ok(Err(cause)),
    };
    Ok(patience.wait(|| first_page(&connection))?.map(|()| connection))
}

/// Whether closing the last connection leaves the WAL alone, or folds it into the file and removes it.
pub(super) fn keep_wal_on_close(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(|_| ())
}

fn wants_to_write(cause: &rusqlite::Error) -> bool {
    matches!(cause.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
}

/// SQLite's own words, once: rusqlite's error and its cause say the same.
pub(super) fn said(cause: &rusqlite::Error) -> String {
    match cause {
        rusqlite::Error::SqliteFailure(error, Some(message)) if error.code != ErrorCode::SystemIoFailure => {
            message.clone()
        }
        rusqlite::Error::SqliteFailure(error, _) => ffi::code_to_str(error.extended_code).to_owned(),
        other => other.to_string(),
    }
}

/// The error for a source, with what helps.
pub(super) fn unreadable(path: &Path, cause: rusqlite::Error) -> Error {
    let hint = match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Some("it is not SQLite, or it is encrypted: encrypted files cannot be read"),
        Some(ErrorCode::DatabaseCorrupt) => Some("the file is damaged: restore an older backup"),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            Some("SQLite needs to write beside the file (-wal, -shm, -journal): check the folder's permissions")
        }
        _ => None,
    };
    let error = Error::new(Kind::Source, format!("cannot read {}", path.display())).because(said(&cause));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Makes the name in the folder durable.
pub(super) fn sync_folder(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
