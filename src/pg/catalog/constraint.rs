//! Constraints of tables: `pg_constraint`. Those of domains are read with the domains.

use crate::error::Result;
use crate::pg::catalog::scope::Scope;
use crate::pg::session::{Row, Session};
use crate::pg::version::Capability;
use crate::text::Text;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConstraintKind {
    Check,
    NotNull,
    PrimaryKey,
    Unique,
    Exclusion,
    ForeignKey,
}

#[derive(Clone, Debug)]
pub struct Constraint {
    pub oid: u32,
    pub kind: ConstraintKind,
    pub name: Text,
    pub relation: u32,
    /// `pg_get_constraintdef` for checks, exclusions and foreign keys; of keys we build our own.
    pub definition: Box<str>,
    pub is_local: bool,
    pub validated: bool,
    pub no_inherit: bool,
    pub deferrable: bool,
    pub deferred: bool,
    /// WITHOUT OVERLAPS.
    pub period: bool,
    /// The index of a key, the referenced index of a foreign key, or 0.
    pub index: u32,
    /// The referenced table of a foreign key, or 0.
    pub referenced: u32,
    /// The columns' numbers.
    pub key: Box<[i16]>,
}

/// Constraints of relations in user schemas; copies that a partition has of its parent's foreign key are left out.
pub async fn load(session: &Session, scope: &Scope) -> Result<Vec<Constraint>> {
    let period = session.version().pick(Capability::PeriodConstraints, "c.conperiod", "false");
    let sql = format!(
        "SELECT c.oid, c.contype, c.conname, c.conrelid, c.conislocal, c.convalidated, c.connoinherit,
           c.condeferrable, c.condeferred, {period} AS period, c.conindid, c.confrelid, c.conkey,
           CASE WHEN c.contype = ANY ('{{c,f,x}}'::\"char\"[]) THEN pg_catalog.pg_get_constraintdef(c.oid)
                ELSE '' END AS definition
         FROM pg_catalog.pg_constraint c
         JOIN pg_catalog.pg_class o ON o.oid = c.conrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
         WHERE c.contype = ANY ('{{c,n,p,u,x,f}}'::\"char\"[]) AND (c.contype <> 'f' OR c.conparentid = 0)
           AND NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema' AND {}
         ORDER BY c.conrelid, c.conname, c.oid",
        scope.has("c.conrelid"),
    );
    session.some(&sql, read).await
}

fn read(row: &Row) -> Result<Option<Constraint>> {
    let kind = match row.char("contype")? {
        'c' => ConstraintKind::Check,
        'n' => ConstraintKind::NotNull,
        'p' => ConstraintKind::PrimaryKey,
        'u' => ConstraintKind::Unique,
        'x' => ConstraintKind::Exclusion,
        'f' => ConstraintKind::ForeignKey,
        _ => return Ok(None),
    };
    Ok(Some(Constraint {
        oid: row.u32("oid")?,
        kind,
        name: Text::from(row.text("conname")?),
        relation: row.u32("conrelid")?,
        definition: row.sql("definition")?.into(),
        is_local: row.bool("conislocal")?,
        validated: row.bool("convalidated")?,
        no_inherit: row.bool("connoinherit")?,
        deferrable: row.bool("condeferrable")?,
        deferred: row.bool("condeferred")?,
        period: row.bool("period")?,
        index: row.u32("conindid")?,
        referenced: row.u32("confrelid")?,
        key: match kind {
            ConstraintKind::NotNull => row.i16_array("conkey")?.into(),
            _ => Box::default(),
        },
    }))
}
