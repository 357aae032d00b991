//! A part of an archive into a database that holds other things: one connection, one transaction.
//!
//! Nobody sees half of it, and whatever ends the restore leaves the database as it was. That is worth more here
//! than the speed of many connections. Rows alone are loaded with triggers and foreign keys held off, as pg_dump
//! needs it, too; the foreign keys are then checked against what stands there.

use std::sync::Arc;

use crate::archive::{MemberEntry, ReadAt, StreamKind};
use crate::error::{Error, Kind, Result};
use crate::ident::{Literal, QualifiedName};
use crate::job::Content;
use crate::pg::copy_in;
use crate::pg::wire::{Conn, Row};

use super::left::LeftBehind;
use super::rows::{self, Loading};
use super::script::{Frame, stoppable};
use super::{Restored, Work};

/// Restores the chosen part. On any error the transaction ends undone.
pub async fn restore<R: ReadAt + 'static>(work: &Work<'_, R>) -> Result<Restored> {
    let mut conn = work.loading.connect().await?;
    let timeout = work.loading.lock_timeout.as_millis();
    let begin = format!("BEGIN; SET LOCAL lock_timeout = {timeout}; SET LOCAL synchronous_commit = on");
    copy_in::execute(&mut conn, begin.as_bytes()).await?;
    let mut left = LeftBehind::default();
    let rows = match work.chosen.content() {
        Content::DataOnly => rows_alone(&mut conn, work, &mut left).await?,
        Content::All | Content::SchemaOnly => {
            let kinds = [StreamKind::PreData, StreamKind::LargeObjects, StreamKind::Sequences, StreamKind::PostData];
            sections(&mut conn, work, &kinds[..1], &mut left).await?;
            let members = work.members_that_fit(&mut conn, &mut left).await?;
            let rows = load(&mut conn, work, members).await?;
            sections(&mut conn, work, &kinds[1..], &mut left).await?;
            rows
        }
    };
    work.loading.cancel.check()?;
    copy_in::execute(&mut conn, b"COMMIT").await?;
    conn.close().await;
    Ok(Restored { rows, left_behind: left, ..Restored::default() })
}

async fn sections<R: ReadAt>(
    conn: &mut Conn,
    work: &Work<'_, R>,
    kinds: &[StreamKind],
    left: &mut LeftBehind,
) -> Result<()> {
    for kind in kinds {
        super::run(conn, work, *kind, Frame::Transaction, left).await?;
    }
    Ok(())
}

async fn load<R: ReadAt + 'static>(conn: &mut Conn, work: &Work<'_, R>, members: Vec<MemberEntry>) -> Result<u64> {
    rows::load_through(conn, Arc::clone(work.archive), members, work.loading).await
}

async fn rows_alone<R: ReadAt + 'static>(conn: &mut Conn, work: &Work<'_, R>, left: &mut LeftBehind) -> Result<u64> {
    let streams = work.chosen.tables_in(work.archive.streams()).into_iter();
    let tables: Vec<QualifiedName> =
        streams.map(|stream| QualifiedName::new(stream.spec.schema.as_str(), stream.spec.name.as_str())).collect();
    for table in &tables {
        hold_empty(conn, table, work.loading).await?;
    }
    let held_off = hold_off_triggers(conn, &tables).await?;
    let rows = load(conn, work, work.chosen.row_members(work.archive)).await?;
    sections(conn, work, &[StreamKind::LargeObjects, StreamKind::Sequences], left).await?;
    if held_off {
        copy_in::execute(conn, b"SET LOCAL session_replication_role = origin").await?;
        foreign_keys_hold(conn, &tables, work.loading).await?;
    }
    Ok(rows)
}

/// From here on nobody else can write to the table; that it was empty a moment ago is looked at again.
async fn hold_empty(conn: &mut Conn, table: &QualifiedName, loading: &Loading) -> Result<()> {
    let lock = format!("LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE");
    let doing = || format!("cannot restore rows of {}", table.plain());
    let lock = conn.codec().encode(&lock)?;
    stoppable(conn, &lock, &loading.cancel).await.map_err(|error| error.while_doing(doing()))?;
    match ask(conn, &format!("SELECT 1 FROM ONLY {table} LIMIT 1")).await?.is_empty() {
        true => Ok(()),
        false => Err(has_rows(table)),
    }
}

pub fn has_rows(table: &QualifiedName) -> Error {
    Error::new(Kind::Refused, format!("table {} has rows, and --data-only never replaces any", table.plain()))
        .hint("empty the table, or restore under another database name with --database")
}

/// Holds off what would run for each row, if the role may. Tables without any of it need no right.
async fn hold_off_triggers(conn: &mut Conn, tables: &[QualifiedName]) -> Result<bool> {
    copy_in::execute(conn, b"SAVEPOINT hold_off").await?;
    match conn.execute(b"SET LOCAL session_replication_role = replica").await {
        Ok(()) => return Ok(true),
        Err(failure) if failure.code() == Some(INSUFFICIENT_PRIVILEGE) => {}
        Err(failure) => return Err(failure.while_doing(Kind::Target, "cannot hold off triggers")),
    }
    copy_in::execute(conn, b"ROLLBACK TO SAVEPOINT hold_off").await?;
    let on_insert = format!(
        "SELECT DISTINCT tgrelid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_trigger
          WHERE tgrelid IN ({}) AND tgenabled IN ('O', 'A') AND (tgtype & 4) <> 0 ORDER BY 1",
        regclasses(tables)
    );
    let held: Vec<String> = ask(conn, &on_insert).await?.iter().map(|row| text(row, 0)).collect();
    match held.is_empty() {
        true => Ok(false),
        false => Err(Error::new(
            Kind::Refused,
            format!("the role may not hold off triggers and foreign keys while rows are loaded into {}", held.join(", ")),
        )
        .hint("restore as a superuser; or, from PostgreSQL 15 on, let one run: GRANT SET ON PARAMETER session_replication_role TO the role")),
    }
}

const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// What the held-off triggers would have found: rows whose partner is not in the target.
async fn foreign_keys_hold(conn: &mut Conn, tables: &[QualifiedName], loading: &Loading) -> Result<()> {
    for key in ask(conn, &format!("{ORPHANS} AND c.conrelid IN ({})", regclasses(tables))).await? {
        loading.cancel.check()?;
        let (name, table, referenced, orphans) = (text(&key, 0), text(&key, 1), text(&key, 2), text(&key, 3));
        if !ask(conn, &orphans).await?.is_empty() {
            return Err(Error::new(
                Kind::Target,
                format!("cannot restore rows of {table}: foreign key {name} does not hold"),
            )
            .because(format!("rows name partners that {referenced} lacks"))
            .hint(format!("restore the rows of {referenced} in the same run: --table may be repeated")));
        }
    }
    Ok(())
}

/// One query per foreign key, which finds a row without its partner. Keys over periods compare otherwise.
const ORPHANS: &str = "
SELECT c.conname, c.conrelid::pg_catalog.regclass, c.confrelid::pg_catalog.regclass,
       pg_catalog.format('SELECT 1 FROM ONLY %s f LEFT JOIN %s p ON %s WHERE %s LIMIT 1',
           c.conrelid::pg_catalog.regclass, c.confrelid::pg_catalog.regclass, k.joined, k.lost)
  FROM pg_catalog.pg_constraint c
 CROSS JOIN LATERAL (
    SELECT pg_catalog.string_agg(pg_catalog.format('p.%I OPERATOR(%I.%s) f.%I', pa.attname, n.nspname, o.oprname, fa.attname), ' AND ') AS joined,
           pg_catalog.string_agg(pg_catalog.format('p.%I IS NULL AND f.%I IS NOT NULL', pa.attname, fa.attname), ' AND ') AS lost
      FROM ROWS FROM (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.confkey), pg_catalog.unnest(c.conpfeqop)) AS one (fk, pk, op)
      JOIN pg_catalog.pg_attribute fa ON fa.attrelid = c.conrelid AND fa.attnum = one.fk
      JOIN pg_catalog.pg_attribute pa ON pa.attrelid = c.confrelid AND pa.attnum = one.pk
      JOIN pg_catalog.pg_operator o ON o.oid = one.op
      JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace) k
 WHERE c.contype = 'f' AND c.convalidated AND pg_catalog.pg_get_constraintdef(c.oid) NOT LIKE '%, PERIOD %'";

fn regclasses(tables: &[QualifiedName]) -> String {
    let names = tables.iter().map(|table| {
        let name = table.to_string();
        format!("{}::pg_catalog.regclass", Literal(&name))
    });
    let all: Vec<String> = names.collect();
    match all.is_empty() {
        true => "NULL".to_owned(),
        false => all.join(", "),
    }
}

async fn ask(conn: &mut Conn, sql: &str) -> Result<Vec<Row>> {
    let sql = conn.codec().encode(sql)?;
    conn.query(&sql).await.map_err(|failure| failure.while_doing(Kind::Target, "cannot look at the target's tables"))
}

fn text(row: &Row, column: usize) -> String {
    let value = row.get(column).and_then(Option::as_deref).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}
