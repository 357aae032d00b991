//! Sequences: their parameters, the columns that own them, their values.

use crate::error::Result;
use crate::ident::{Literal, QualifiedName};
use crate::pg::session::{Row, Session};
use crate::pg::version::Capability;

#[derive(Clone, Debug)]
pub struct Sequence {
    pub oid: u32,
    pub type_name: String,
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
    pub column: String,
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

pub async fn load(session: &Session) -> Result<Vec<Sequence>> {
    let sql = "SELECT s.seqrelid, pg_catalog.format_type(s.seqtypid, NULL) AS type_name, s.seqstart, s.seqincrement,
           s.seqmin, s.seqmax, s.seqcache, s.seqcycle, a.attrelid AS table, a.attname AS column,
           CASE WHEN d.deptype = 'i' THEN a.attidentity ELSE ''::\"char\" END AS identity
         FROM pg_catalog.pg_sequence s
         LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
           AND d.objid = s.seqrelid AND d.objsubid = 0
           AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0
           AND d.deptype = ANY ('{a,i}'::\"char\"[])
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
         ORDER BY s.seqrelid";
    session.all(sql, read).await
}

fn read(row: &Row) -> Result<Sequence> {
    let owned_by = match (row.opt_u32("table")?, row.opt_text("column")?) {
        (Some(table), Some(column)) => Some(OwningColumn { table, column, identity: row.char("identity")? }),
        _ => None,
    };
    Ok(Sequence {
        oid: row.u32("seqrelid")?,
        type_name: row.sql("type_name")?,
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
        let selects: Vec<String> = batch.iter().map(|(oid, name)| select(session, *oid, name)).collect();
        for row in session.rows(&selects.join(" UNION ALL ")).await? {
            let value = match (row.opt_i64("last_value")?, row.opt_bool("is_called")?) {
                (Some(last_value), Some(is_called)) => Some(SequenceValue { last_value, is_called }),
                _ => None,
            };
            values.push((row.u32("oid")?, value));
        }
    }
    Ok(values)
}

fn select(session: &Session, oid: u32, name: &QualifiedName) -> String {
    if session.version().has(Capability::SequenceData) {
        format!(
            "SELECT {oid}::pg_catalog.oid AS oid, last_value, is_called FROM pg_catalog.pg_get_sequence_data({oid})"
        )
    } else {
        format!("SELECT {oid}::pg_catalog.oid AS oid, last_value, is_called FROM {name}")
    }
}

/// The statement that brings the value back.
pub fn set(name: &QualifiedName, value: SequenceValue) -> String {
    let text = name.to_string();
    format!("SELECT pg_catalog.setval({}, {}, {});\n", Literal(&text), value.last_value, value.is_called)
}
