//! Tables are locked and looked at again before their rows are read, many small ones at once.

use std::collections::HashSet;
use std::fmt::Write;

use super::CopyTask;
use super::worker::doing;
use crate::error::{Error, Kind, Result};
use crate::ident::Literal;
use crate::pg::fault::Failure;
use crate::pg::wire::{Conn, Row};

const TORN: &str = "a backup needs the table as the snapshot saw it: run it again, apart from TRUNCATE, CLUSTER, \
                    VACUUM FULL and migrations";

/// Begins the transaction that sees the snapshot, in place of whatever transaction was open.
pub(super) async fn join(conn: &mut Conn, snapshot: &str) -> Result<()> {
    let begin =
        format!("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT {}", Literal(snapshot));
    let begun = conn.execute(begin.as_bytes()).await;
    begun.map_err(|failure| failure.while_doing(Kind::Source, format!("cannot join the snapshot {snapshot}")))
}

/// The tables that one connection has locked. A lock holds to the end of the transaction, so what was checked under it
/// stays as it is.
#[derive(Default)]
pub(super) struct Secured(HashSet<u32>);

impl Secured {
    /// Locks those that were not locked before, and makes sure that they are what the snapshot saw.
    pub async fn take_in<'a>(
        &mut self,
        conn: &mut Conn,
        snapshot: &str,
        tasks: impl Iterator<Item = &'a CopyTask>,
    ) -> Result<()> {
        let fresh: Vec<&CopyTask> = tasks.filter(|task| self.0.insert(task.oid)).collect();
        match (look(conn, &fresh).await, fresh.as_slice()) {
            // A server that ends the session leaves it busy: that refusal is about no table, and there is nobody to ask.
            (Err(Failure::Server(_)), [_, _, ..]) if !conn.is_busy() => {
                // Which table it is about, only a statement about that table alone tells. The locks of before go with the
                // transaction: what was read under them was read.
                let ended = conn.execute(b"ROLLBACK").await;
                ended.map_err(|failure| failure.while_doing(Kind::Source, "cannot leave a snapshot"))?;
                join(conn, snapshot).await?;
                self.0 = fresh.iter().map(|task| task.oid).collect();
                for task in fresh {
                    let rows = look(conn, &[task]).await.map_err(|failure| about(task, failure))?;
                    judge(task, rows.first())?;
                }
                Ok(())
            }
            (looked, [first, ..]) => {
                let rows = looked.map_err(|failure| about(first, failure))?;
                fresh.iter().enumerate().try_for_each(|(at, task)| judge(task, rows.get(at)))
            }
            (_, []) => Ok(()),
        }
    }
}

fn about(task: &CopyTask, failure: Failure) -> Error {
    failure.while_doing(Kind::Source, doing(&task.rows.table))
}

fn judge(task: &CopyTask, row: Option<&Row>) -> Result<()> {
    match row.map_or(Some("the snapshot does not know it"), |row| difference(task, row)) {
        None => Ok(()),
        Some(what) => Err(Error::new(Kind::Source, format!("{}: {what}", doing(&task.rows.table))).hint(TORN)),
    }
}

/// Locks the tables, and then says of each in its order what it was and what it is.
async fn look(conn: &mut Conn, tasks: &[&CopyTask]) -> Result<Vec<Row>, Failure> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let (mut locked, mut wanted) = (String::new(), String::new());
    for (at, task) in tasks.iter().enumerate() {
        let (quoted, comma) = (task.rows.table.to_string(), if at == 0 { "" } else { ", " });
        let _ = write!(locked, "{comma}ONLY {quoted}");
        let _ = write!(wanted, "{comma}({at}, {}::pg_catalog.oid, {})", task.oid, Literal(&quoted));
    }
    // Most functions see what stands now, the plain columns what the snapshot saw.
    let sql = format!(
        "LOCK TABLE {locked} IN ACCESS SHARE MODE NOWAIT; \
         SELECT c.relkind::pg_catalog.text, c.relfilenode::pg_catalog.text, \
         pg_catalog.pg_relation_filenode(c.oid)::pg_catalog.text, n.oid::pg_catalog.text, \
         CASE WHEN n.oid OPERATOR(pg_catalog.=) c.oid \
         THEN (pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0)).type END \
         FROM (VALUES {wanted}) AS w (at, oid, name) \
         LEFT JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) w.oid, \
         LATERAL (SELECT pg_catalog.to_regclass(w.name)::pg_catalog.oid AS oid) AS n ORDER BY w.at"
    );
    let codec = conn.codec();
    let encoded = codec.encode(&sql).map_err(|cause| Failure::protocol(cause.chain()))?;
    conn.query(&encoded).await
}

/// What sets the table of the snapshot apart from the one that stands there now.
fn difference(task: &CopyTask, row: &Row) -> Option<&'static str> {
    let text = |at: usize| row.get(at).and_then(Option::as_deref).map(String::from_utf8_lossy);
    let number = |at: usize| text(at).and_then(|text| text.parse::<u32>().ok());
    let (kind, then, now, oid, kind_now) = (text(0), number(1), number(2), number(3), text(4));
    if kind.is_none() {
        return Some("the snapshot does not know it");
    }
    if oid != Some(task.oid) {
        return Some("it was dropped, renamed or replaced after the snapshot");
    }
    if kind.as_deref() != Some(task.relkind.to_string().as_str()) || kind_now.as_deref() != Some(word(task.relkind)) {
        return Some("it became another kind of object after the snapshot");
    }
    if then.filter(|file| *file != 0) != now || task.relfilenode.is_some_and(|file| then != Some(file)) {
        return Some("it was truncated or rewritten after the snapshot");
    }
    None
}

/// `pg_identify_object`'s word for a kind.
fn word(relkind: char) -> &'static str {
    match relkind {
        'r' | 'p' => "table",
        'm' => "materialized view",
        'S' => "sequence",
        'v' => "view",
        _ => "",
    }
}
