//! ACCESS SHARE locks on all tables that are read, before and after the snapshot, and proof that they are the same ones.

use std::collections::{HashMap, HashSet};
use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::error::{Error, Kind, Result};
use crate::ident::QualifiedName;
use crate::pg::catalog::Catalog;
use crate::pg::catalog::relation::{Relation, RelationKind};
use crate::pg::script::tables::TableSize;
use crate::pg::selection::Matches;
use crate::pg::session::Session;

/// Lock statements grow to this length, in bytes.
const STATEMENT_BYTES: usize = 100_000;

/// Tables outside the server's own schemas, as of now. Members of extensions are read only where they are
/// configuration, and locked with the rest: their number is small.
const LISTED: &str = "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = ANY ('{r,p}'::\"char\"[]) AND NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema'
     ORDER BY c.oid";

/// The tables to read that can be locked before the snapshot; `complete` sees to the rest.
pub async fn list(session: &Session, matches: Option<&Matches>) -> Result<Vec<QualifiedName>> {
    let mut names = Vec::new();
    for row in session.rows(LISTED).await? {
        let name = QualifiedName::new(row.text("nspname")?, row.text("relname")?);
        let oid = row.u32("oid")?;
        let is_read = matches.is_none_or(|matches| matches.reads(oid, name.schema.as_str()));
        if is_read && session.can_send(&name.to_string()) {
            names.push(name);
        }
    }
    Ok(names)
}

pub async fn take(session: &Session, tables: &[QualifiedName], timeout: Duration) -> Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    session.execute(&format!("SET LOCAL lock_timeout = {}", timeout.as_millis())).await?;
    let mut batch = String::new();
    for table in tables {
        batch.push_str(if batch.is_empty() { "LOCK TABLE ONLY " } else { ", ONLY " });
        batch.push_str(&table.to_string());
        if batch.len() > STATEMENT_BYTES {
            lock(session, &mut batch, tables.len()).await?;
        }
    }
    if !batch.is_empty() {
        lock(session, &mut batch, tables.len()).await?;
    }
    session.execute("SET LOCAL lock_timeout = 0").await
}

/// `all` tables are to be locked, of which these are some.
async fn lock(session: &Session, batch: &mut String, all: usize) -> Result<()> {
    batch.push_str(" IN ACCESS SHARE MODE");
    let locked = if session.can_send(batch) {
        session.execute(batch).await
    } else {
        // A block of code takes a snapshot, LOCK TABLE itself does not: this way is only for names that need it.
        session.execute(&format!("DO {}", session.literal(&format!("BEGIN {batch}; END"))?)).await
    };
    batch.clear();
    let Err(error) = locked else { return Ok(()) };
    let hint = match is_out_of_locks(&error) {
        true => more_locks(session, all).await,
        false => "another session holds a table: a migration, TRUNCATE or VACUUM FULL? raise the lock timeout, or run later; \
             without the right to read every table there is no complete backup, but --schema and --table take a part"
            .to_owned(),
    };
    Err(error.while_doing("cannot lock all tables for reading").hint(hint))
}

/// The server's table of locks is full: it says that it is out of shared memory.
fn is_out_of_locks(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause.and_then(tokio_postgres::Error::code) == Some(&SqlState::OUT_OF_MEMORY)
}

/// Which setting would hold these locks beside those of everybody else.
async fn more_locks(session: &Session, tables: usize) -> String {
    let sql = "SELECT pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int4 AS locks,
           pg_catalog.current_setting('max_connections')::pg_catalog.int4
             + pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int4 AS holders";
    let asked = async {
        session.execute("ROLLBACK").await?;
        let row = session.row(sql).await?;
        Ok::<_, Error>((row.i32("locks")?, row.i32("holders")?))
    };
    match asked.await {
        Ok((locks, holders)) => format!(
            "{tables} tables are locked at once; set max_locks_per_transaction = {} (it is {locks}) in postgresql.conf and \
             restart the server",
            locks_for(tables, locks, holders)
        ),
        Err(_) => format!("{tables} tables are locked at once: raise max_locks_per_transaction and restart the server"),
    }
}

/// The table of locks has this many places for each session that there may be; what they hold today stays free.
fn locks_for(tables: usize, locks: i32, holders: i32) -> usize {
    let holders = usize::try_from(holders).unwrap_or(0).max(1);
    tables.div_ceil(holders).saturating_add(usize::try_from(locks).unwrap_or(0)).next_power_of_two()
}

/// Locks what the snapshot shows and the first pass did not get, and makes sure that it is still the same.
pub async fn complete(
    session: &Session,
    relations: &[Relation],
    matches: Option<&Matches>,
    timeout: Duration,
) -> Result<()> {
    let sql = "SELECT relation FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid() AND granted
         AND locktype = 'relation' AND mode = 'AccessShareLock' AND relation IS NOT NULL";
    let mut held = HashSet::new();
    for row in session.rows(sql).await? {
        held.insert(row.u32("relation")?);
    }
    let is_read = |relation: &Relation| {
        let schema = relation.base.schema.as_deref().unwrap_or_default();
        matches.is_none_or(|matches| matches.reads(relation.oid(), schema))
    };
    let wanted =
        |relation: &&Relation| relation.kind.is_lockable() && !relation.base.in_system_schema && is_read(relation);
    let late: Vec<&Relation> =
        relations.iter().filter(wanted).filter(|relation| !held.contains(&relation.oid())).collect();
    let names: Vec<QualifiedName> = late.iter().map(|relation| relation.qualified()).collect();
    take(session, &names, timeout).await?;
    for relation in late {
        check(session, relation).await?;
    }
    Ok(())
}

/// A name may have gone to another table, or the table got new files: the snapshot's rows would be missing.
async fn check(session: &Session, relation: &Relation) -> Result<()> {
    let name = relation.qualified().to_string();
    let sql = format!(
        "SELECT pg_catalog.to_regclass({})::pg_catalog.oid AS oid, pg_catalog.pg_relation_filenode({}) AS filenode",
        session.literal(&name)?,
        relation.oid()
    );
    let rows = session.rows(&sql).await?;
    if let Some(row) = rows.first() {
        let file = (relation.filenode != 0).then_some(relation.filenode);
        if row.opt_u32("oid")? == Some(relation.oid()) && row.opt_u32("filenode")? == file {
            return Ok(());
        }
    }
    let what = format!("table {} changed while it was being locked", relation.qualified().plain());
    Err(Error::new(Kind::Source, what).hint("was it truncated, rewritten, renamed or dropped? run again"))
}

/// Bytes on disk by table that is read, TOAST included: what takes longest is copied first.
pub async fn sizes(
    session: &Session,
    catalog: &Catalog,
    conditions: &HashMap<u32, String>,
) -> Result<HashMap<u32, TableSize>> {
    let tables = catalog
        .relations
        .iter()
        .filter(|relation| relation.kind == RelationKind::Table)
        .filter(|relation| catalog.selection.fills(relation) || conditions.contains_key(&relation.oid()));
    let oids: Vec<u32> = tables.map(Relation::oid).collect();
    let sql = "SELECT o.oid, pg_catalog.pg_table_size(o.oid::pg_catalog.regclass) AS bytes,
           pg_catalog.pg_relation_size(o.oid::pg_catalog.regclass)
             / pg_catalog.current_setting('block_size')::pg_catalog.int8 AS pages
         FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS o (oid)";
    let mut sizes = HashMap::new();
    for row in session.query(sql, &[&oids]).await? {
        let size = |column| Ok::<_, Error>(u64::try_from(row.opt_i64(column)?.unwrap_or(0)).unwrap_or(0));
        sizes.insert(row.u32("oid")?, TableSize { bytes: size("bytes")?, pages: size("pages")? });
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_holds_all_tables_and_what_others_lock() {
        assert_eq!(locks_for(20_000, 64, 100), 512);
        assert_eq!(locks_for(5_000, 64, 200), 128);
        assert!(locks_for(1_000_000, 64, 10) * 10 >= 1_000_000);
    }
}
