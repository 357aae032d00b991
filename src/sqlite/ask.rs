//! One question to a database file that only we know.

use std::path::Path;

use rusqlite::types::ValueRef;

use super::open;
use crate::error::{Error, Kind, Result};

/// The answer as `sqlite3` prints it: rows in lines, columns separated by `|`, NULL as nothing.
pub fn ask(staged: &Path, sql: &str) -> Result<String> {
    let connection = open::staged(staged)?;
    answer(&connection, sql)
        .map_err(|cause| Error::new(Kind::Target, format!("check `{sql}` failed")).because(open::said(&cause)))
}

fn answer(connection: &rusqlite::Connection, sql: &str) -> rusqlite::Result<String> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let values: rusqlite::Result<Vec<String>> = (0..columns).map(|at| row.get_ref(at).map(as_text)).collect();
        lines.push(values?.join("|"));
    }
    Ok(lines.join("\n"))
}

fn as_text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => format!("{number:?}"),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}
