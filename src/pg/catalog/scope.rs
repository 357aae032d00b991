//! Whose definitions are read: those of the relations that are wanted, and what their children need of their parents.
//!
//! The server locks a view, or a table with a generated column, to print it. What nobody wants must not make a backup
//! wait, nor fail because it changes meanwhile.

use crate::error::Result;
use crate::pg::selection::Selection;
use crate::pg::session::Session;

/// None is everything.
pub struct Scope(Option<String>);

impl Scope {
    pub async fn load(session: &Session, selection: &Selection) -> Result<Self> {
        let Some(mut oids) = selection.defined() else { return Ok(Scope(None)) };
        let sql = "SELECT DISTINCT h.inhparent AS parent FROM pg_catalog.pg_inherits h
             WHERE h.inhrelid IN (SELECT pg_catalog.unnest($1::pg_catalog.oid[]))";
        for row in session.query(sql, &[&oids]).await? {
            oids.push(row.u32("parent")?);
        }
        let list: Vec<String> = oids.iter().map(u32::to_string).collect();
        Ok(Scope(Some(list.join(","))))
    }

    /// The condition that the relation whose OID is the SQL expression `oid` is among them.
    pub fn has(&self, oid: &str) -> String {
        match &self.0 {
            None => "true".to_owned(),
            Some(list) => format!("{oid} IN (SELECT pg_catalog.unnest('{{{list}}}'::pg_catalog.oid[]))"),
        }
    }

    /// The SQL expression, or NULL where the relation is not among them.
    pub fn only(&self, oid: &str, expression: &str) -> String {
        match &self.0 {
            None => expression.to_owned(),
            Some(_) => format!("CASE WHEN {} THEN {expression} END", self.has(oid)),
        }
    }
}
