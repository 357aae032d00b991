//! Sequences: their parameters, the columns that own them, their values.

use std::collections::HashMap;

use crate::error::{Error, Kind, Result};
use crate::ident::{Literal, QualifiedName};
use crate::pg::session::{Row, Session};
use crate::pg::version::Capability;
use crate::text::Text;

#[derive(Clone, Debug)]
pub struct Sequence {
    pub oid: u32,
    pub type_name: Text,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cache: i64,
    pub cycle: bool,
    pub owned_by: Option<OwningColumn>,
}

#[derive(Clone, Debug)]
pub struct OwningColumn {
    pub table: u32,
    pub column: Text,
    /// `a` always, `d` by default: the sequence is part of an identity column. NUL: OWNED BY.
    pub identity: char,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SequenceValue {
    pub last_value: i64,
    pub is_called: bool,
}

impl Sequence {
    pub fn is_identity(&self) -> bool {
        self.owned_by.as_ref().is_some_and(|owner| owner.identity != '\0')
    }
}

/// By OID.
pub async fn load(session: &Session) -> Result<HashMap<u32, Sequence>> {
    let sql = "SELECT s.seqrelid, pg_catalog.format_type(s.seqtypid, NULL) AS type_name, s.seqstart, s.seqincrement,
           s.seqmin, s.seqmax, s.seqcache, s.seqcycle, a.attrelid AS table, a.attname AS column,
           CASE WHEN d.deptype = 'i' THEN a.attidentity ELSE ''::\"char\" END AS identity
         FROM pg_catalog.pg_sequence s
         LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
           AND d.objid = s.seqrelid AND d.objsubid = 0
           AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0
           AND d.deptype = ANY ('{a,i}'::\"char\"[])
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid";
    Ok(session.all(sql, read).await?.into_iter().map(|sequence| (sequence.oid, sequence)).collect())
}

fn read(row: &Row) -> Result<Sequence> {
    let owned_by = match (row.opt_u32("table")?, row.opt_shared("column")?) {
        (Some(table), Some(column)) => Some(OwningColumn { table, column, identity: row.char("identity")? }),
        _ => None,
    };
    Ok(Sequence {
        oid: row.u32("seqrelid")?,
        type_name: row.shared_sql("type_name")?,
        start: row.i64("seqstart")?,
        increment: row.i64("seqincrement")?,
        min: row.i64("seqmin")?,
        max: row.i64("seqmax")?,
        cache: row.i64("seqcache")?,
        cycle: row.bool("seqcycle")?,
        owned_by,
    })
}

/// The values of these sequences, in their order; None where the server hides one (no privilege, or unlogged on a
/// standby). Sequences stand outside transactions: what is read is never older than the snapshot.
pub async fn values(
    session: &Session,
    sequences: &[(u32, QualifiedName)],
) -> Result<Vec<(u32, Option<SequenceValue>)>> {
    const BATCH: usize = 500;
    let mut values = Vec::with_capacity(sequences.len());
    for batch in sequences.chunks(BATCH) {
        for row in read_values(session, batch).await? {
            let value = match (row.opt_i64("last_value")?, row.opt_bool("is_called")?) {
                (Some(last_value), Some(is_called)) => Some(SequenceValue { last_value, is_called }),
                _ => None,
            };
            values.push((row.u32("oid")?, value));
        }
    }
    Ok(values)
}

async fn read_values(session: &Session, batch: &[(u32, QualifiedName)]) -> Result<Vec<Row>> {
    let select = |(oid, name): &(u32, QualifiedName)| match session.version().has(Capability::SequenceData) {
        true => format!(
            "SELECT {oid}::pg_catalog.oid AS oid, last_value, is_called FROM pg_catalog.pg_get_sequence_data({oid})"
        ),
        false => format!("SELECT {oid}::pg_catalog.oid AS oid, last_value, is_called FROM {name}"),
    };
    let selects = batch.iter().map(select).collect::<Vec<_>>().join(" UNION ALL ");
    if session.version().has(Capability::SequenceData) {
        return session.rows(&selects).await;
    }
    // To parse a statement locks what it names and runs nothing. Only behind the lock it is certain that the name is
    // still the sequence's, and not that of a view whose functions would run with our rights (CVE-2024-7348).
    let parse = format!("PREPARE miyabi_values AS {selects}");
    match session.can_send(&parse) {
        true => session.execute(&parse).await?,
        false => {
            let inner = format!("BEGIN EXECUTE {}; END", session.literal(&parse)?);
            session.execute(&format!("DO {}", session.literal(&inner)?)).await?;
        }
    }
    check(session, batch).await?;
    let values = session.rows("EXECUTE miyabi_values").await?;
    session.execute("DEALLOCATE miyabi_values").await?;
    Ok(values)
}

/// These names are those of sequences with these OIDs.
async fn check(session: &Session, batch: &[(u32, QualifiedName)]) -> Result<()> {
    let row = |(oid, name): &(u32, QualifiedName)| {
        session.literal(&name.to_string()).map(|name| format!("({oid}::pg_catalog.oid, {name})"))
    };
    let sql = format!(
        "SELECT s.name FROM (VALUES {}) AS s (oid, name)
         WHERE pg_catalog.to_regclass(s.name)::pg_catalog.oid IS DISTINCT FROM s.oid
            OR (pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, s.oid, 0)).type
               IS DISTINCT FROM 'sequence'",
        batch.iter().map(row).collect::<Result<Vec<_>>>()?.join(", ")
    );
    match session.rows(&sql).await?.first() {
        None => Ok(()),
        Some(row) => {
            let what = format!("sequence {} changed while its value was read", row.text("name")?);
            Err(Error::new(Kind::Source, what).hint("was it renamed, dropped or replaced? run again"))
        }
    }
}

/// The statement that brings the value back.
pub fn set(name: &QualifiedName, value: SequenceValue) -> String {
    let text = name.to_string();
    format!("SELECT pg_catalog.setval({}, {}, {});\n", Literal(&text), value.last_value, value.is_called)
}
