//! What a database file says about itself: page size, versions, journal mode, tables.
//!
//! Facts come from the header and the schema and cost a few pages. Rows are counted only where that is bounded.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::busy::Patience;
use super::open::{self, Source};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub page_size: u64,
    /// 0 for an empty file, which SQLite takes for an empty database.
    pub page_count: u64,
    /// `PRAGMA user_version`: most applications keep the version of their schema here.
    pub user_version: i64,
    pub application_id: i64,
    pub encoding: String,
    pub journal_mode: JournalMode,
    /// `none`, `full` or `incremental`.
    pub auto_vacuum: String,
    pub tables: Vec<Table>,
}

impl Facts {
    pub fn bytes(&self) -> u64 {
        self.page_size.saturating_mul(self.page_count)
    }
}

/// The journal mode that the file itself holds. The rollback modes (`delete`, `truncate`, `persist`) differ only
/// by connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalMode {
    Wal,
    Delete,
}

impl fmt::Display for JournalMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JournalMode::Wal => "wal",
            JournalMode::Delete => "delete",
        })
    }
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub kind: TableKind,
    /// Missing where counting would have cost too much.
    pub rows: Option<u64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    Table,
    Virtual,
    /// Storage of a virtual table, such as an FTS5 index.
    Shadow,
}

/// Looks at a database that others may be using. Rows are not counted.
pub fn run(path: &Path, busy_limit: Duration, cancel: &Cancel) -> Result<Facts> {
    let patience = Patience { path, limit: busy_limit, cancel, kind: Kind::Source };
    let source = Source::open(path, &patience)?;
    let read = || {
        let snapshot = source.connection.unchecked_transaction()?;
        facts(&snapshot)
    };
    let mut facts = patience.wait(read)?.map_err(|cause| open::unreadable(path, cause))?;
    if source.is_still() {
        // Without locks SQLite leaves WAL out of account; and there is no lock to lose by opening the file.
        facts.journal_mode = FileHeader::read(&source.path)?.journal_mode;
    }
    source.close()?;
    Ok(facts)
}

/// Looks at a file that only we know, and counts rows within a bound.
pub fn staged(path: &Path) -> Result<Facts> {
    let doing = || format!("cannot inspect staged file {}", path.display());
    let journal_mode = FileHeader::read(path)?.journal_mode;
    let connection = open::staged(path)?;
    let damaged = |cause: rusqlite::Error| Error::new(Kind::Damaged, doing()).because(open::said(&cause));
    let mut facts = facts(&connection).map_err(damaged)?;
    facts.journal_mode = journal_mode;
    count_rows(&connection, &mut facts.tables);
    Ok(facts)
}

/// What the first bytes of a database file say, without asking SQLite: also a damaged schema leaves them readable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileHeader {
    pub page_size: u64,
    pub encoding: String,
    pub journal_mode: JournalMode,
}

impl FileHeader {
    const BYTES: usize = 60;

    /// Only for files that no connection of this process has open with locks.
    pub(super) fn read(staged: &Path) -> Result<Self> {
        use std::io::Read;

        let doing = || format!("cannot read the header of {}", staged.display());
        let mut header = [0u8; Self::BYTES];
        let mut file = std::fs::File::open(staged).map_err(|cause| Error::new(Kind::Place, doing()).because(cause))?;
        file.read_exact(&mut header).map_err(|cause| Error::new(Kind::Damaged, doing()).because(cause))?;
        Ok(FileHeader::parse(&header))
    }

    /// <https://sqlite.org/fileformat2.html#the_database_header>: page size (1 means 65,536), versions needed to write
    /// and to read (2 means WAL), encoding (0 where nothing was ever stored).
    fn parse(header: &[u8; Self::BYTES]) -> Self {
        let page_size = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            bytes => u64::from(bytes),
        };
        let encoding = match u32::from_be_bytes([header[56], header[57], header[58], header[59]]) {
            2 => "UTF-16le",
            3 => "UTF-16be",
            _ => "UTF-8",
        };
        let journal_mode = if header[18..20] == [2, 2] { JournalMode::Wal } else { JournalMode::Delete };
        FileHeader { page_size, encoding: encoding.to_owned(), journal_mode }
    }
}

pub(super) fn journal_mode(connection: &Connection) -> rusqlite::Result<JournalMode> {
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    Ok(if mode == "wal" { JournalMode::Wal } else { JournalMode::Delete })
}

fn facts(connection: &Connection) -> rusqlite::Result<Facts> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let auto_vacuum = match number("PRAGMA auto_vacuum")? {
        1 => "full",
        2 => "incremental",
        _ => "none",
    };
    Ok(Facts {
        page_size: number("PRAGMA page_size")?.unsigned_abs(),
        page_count: number("PRAGMA page_count")?.unsigned_abs(),
        user_version: number("PRAGMA user_version")?,
        application_id: number("PRAGMA application_id")?,
        encoding: connection.query_row("PRAGMA encoding", [], |row| row.get(0))?,
        journal_mode: journal_mode(connection)?,
        auto_vacuum: auto_vacuum.to_owned(),
        tables: tables(connection)?,
    })
}

pub(super) fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut list = connection.prepare(
        "SELECT name, type FROM pragma_table_list \
         WHERE schema = 'main' AND type IN ('table', 'virtual', 'shadow') AND name <> 'sqlite_schema' ORDER BY name",
    )?;
    let rows = list.query_map([], |row| {
        let kind = match row.get_ref(1)?.as_str().unwrap_or_default() {
            "virtual" => TableKind::Virtual,
            "shadow" => TableKind::Shadow,
            _ => TableKind::Table,
        };
        Ok(Table { name: row.get(0)?, kind, rows: None })
    })?;
    rows.collect()
}

/// Counts ordinary tables, each up to a number of rows, until the time is used up. A table that cannot be counted
/// (an unknown collation, say) is left out: counting is a service, the integrity check is the judge.
fn count_rows(connection: &Connection, tables: &mut [Table]) {
    const ROWS_MAX: u64 = 5_000_000;
    const BUDGET: Duration = Duration::from_secs(3);

    let since = Instant::now();
    for table in tables.iter_mut().filter(|table| table.kind == TableKind::Table) {
        if since.elapsed() > BUDGET {
            return;
        }
        let name = quoted(&table.name);
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM main.{name} LIMIT {})", ROWS_MAX + 1);
        let counted: rusqlite::Result<i64> = connection.query_row(&sql, [], |row| row.get(0));
        table.rows = counted.ok().map(i64::unsigned_abs).filter(|rows| *rows <= ROWS_MAX);
    }
}

pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
