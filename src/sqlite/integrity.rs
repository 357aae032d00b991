//! `integrity_check` and `foreign_key_check` on a staged file: the judge of every copy, before it is handed on and
//! before it is restored.
//!
//! Refuses a file in which SQLite finds any fault. Two things are no fault of the file and only reported: rows that
//! break a foreign key (SQLite does not enforce them by default), and tables that need a function or a collation
//! which only the application has, so that nobody else can check their indexes.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};
use serde::{Deserialize, Serialize};

use super::inspect;
use super::open;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};

/// What a sound file still has to be said about.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Integrity {
    /// Rows that refer to a missing row, counted up to [`VIOLATIONS_MAX`].
    pub foreign_key_violations: u64,
    /// Tables whose content cannot be checked without the application's own functions or collations.
    pub unchecked: Vec<String>,
}

pub const VIOLATIONS_MAX: u64 = 1000;

/// The check looks every row up in every index: with the 2 MiB that SQLite takes by default, reading the same pages again
/// is half of its processor time.
const CACHE_KIB: u32 = 32 << 10;

/// Virtual machine steps between two looks at the cancel token.
const STEPS_PER_CANCEL_POINT: i32 = 10_000;

/// Checks a file that only we know. A fault is an error of `kind`, in the middle of `doing`.
pub fn check(staged: &Path, kind: Kind, doing: &str, cancel: &Cancel) -> Result<Integrity> {
    if open::length(staged) == 0 {
        return Err(Error::new(kind, doing).because("it is empty: expected a SQLite database"));
    }
    let mut connection = open::staged(staged)?;
    let stop = cancel.clone();
    let damaged = |found: String| {
        Error::new(kind, doing)
            .because(format!("integrity_check: {found}"))
            .hint("the database is damaged: restore a sound backup; `.recover` of the sqlite3 shell may save rows")
    };
    let failed = |cause: rusqlite::Error| match cause.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => cancel.error(),
        _ => damaged(open::said(&cause)),
    };
    connection.progress_handler(STEPS_PER_CANCEL_POINT, Some(move || stop.is_cancelled())).map_err(failed)?;

    connection.execute_batch(&format!("PRAGMA cache_size=-{CACHE_KIB}")).map_err(failed)?;
    let (findings, unchecked) = faults(&connection).map_err(failed)?;
    if !findings.is_empty() {
        return Err(damaged(findings.join("; ")));
    }
    let foreign_key_violations = violations(&connection).map_err(failed)?;
    Ok(Integrity { foreign_key_violations, unchecked })
}

/// Faults, and tables that could not be checked.
fn faults(connection: &Connection) -> rusqlite::Result<(Vec<String>, Vec<String>)> {
    match integrity_check(connection, "") {
        Err(cause) if needs_the_application(&cause) => {}
        whole => return Ok((whole?, Vec::new())),
    }
    let (mut found, mut unchecked) = (Vec::new(), Vec::new());
    for table in inspect::tables(connection)? {
        match integrity_check(connection, &format!("({})", inspect::quoted(&table.name))) {
            Ok(faults) => found.extend(faults),
            Err(cause) if needs_the_application(&cause) => unchecked.push(table.name),
            Err(cause) => return Err(cause),
        }
    }
    Ok((found, unchecked))
}

fn integrity_check(connection: &Connection, of: &str) -> rusqlite::Result<Vec<String>> {
    const SHOWN_MAX: usize = 5;
    let mut check = connection.prepare(&format!("PRAGMA integrity_check{of}"))?;
    let lines = check.query_map([], |row| row.get::<_, String>(0))?;
    let mut found = lines.collect::<rusqlite::Result<Vec<_>>>()?;
    found.retain(|line| line != "ok");
    let more = found.len().saturating_sub(SHOWN_MAX);
    found.truncate(SHOWN_MAX);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    Ok(found)
}

/// A plain SQL error, not a damaged page: `no such collation sequence: GERMAN`, `no such function: slug`.
fn needs_the_application(cause: &rusqlite::Error) -> bool {
    let text = cause.to_string();
    cause.sqlite_error_code() == Some(ErrorCode::Unknown)
        && ["no such collation sequence", "no such function", "unknown function", "unsafe use of"]
            .iter()
            .any(|said| text.contains(said))
}

fn violations(connection: &Connection) -> rusqlite::Result<u64> {
    let mut check = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = check.query([])?;
    let mut count = 0;
    loop {
        match rows.next() {
            Ok(Some(_)) if count < VIOLATIONS_MAX => count += 1,
            Ok(_) => return Ok(count),
            // A key that names no table or no unique column cannot be checked by anybody.
            Err(cause) if is_schema_mismatch(&cause) => return Ok(count),
            Err(cause) => return Err(cause),
        }
    }
}

fn is_schema_mismatch(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::Unknown)
}
