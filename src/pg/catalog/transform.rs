//! Transforms between types and procedural languages.

use super::cast::function_signature;
use super::nameless;
use crate::error::Result;
use crate::pg::catalog::object::{Base, class};
use crate::pg::session::Session;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transform {
    /// Named as pg_dump names it: `TRANSFORM FOR t LANGUAGE l`.
    pub base: Base,
    pub data_type: String,
    pub language: String,
    /// With their signatures, as the server prints them.
    pub from_sql: Option<String>,
    pub to_sql: Option<String>,
}

pub async fn load(session: &Session) -> Result<Vec<Transform>> {
    let name = "'TRANSFORM FOR ' || pg_catalog.format_type(o.trftype, NULL) || ' LANGUAGE ' || l.lanname";
    let sql = format!(
        "SELECT {}, pg_catalog.format_type(o.trftype, NULL) AS data_type, l.lanname, {} AS from_sql, {} AS to_sql \
         FROM pg_catalog.pg_transform o JOIN pg_catalog.pg_language l ON l.oid = o.trflang \
         WHERE o.oid >= 16384 ORDER BY data_type, l.lanname",
        nameless::columns("pg_transform", name, None),
        function_signature("o.trffromsql"),
        function_signature("o.trftosql"),
    );
    let mut transforms = Vec::new();
    for row in session.rows(&sql).await? {
        transforms.push(Transform {
            base: Base::read(&row, class::PG_TRANSFORM)?,
            data_type: row.sql("data_type")?,
            language: row.text("lanname")?,
            from_sql: row.opt_sql("from_sql")?,
            to_sql: row.opt_sql("to_sql")?,
        });
    }
    Ok(transforms)
}
