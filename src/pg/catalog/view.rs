//! What views and materialized views select, as the server deparses it.

use std::collections::HashMap;

use crate::error::Result;
use crate::pg::catalog::scope::Scope;
use crate::pg::session::Session;

/// The SELECT by view, without its final semicolon.
pub async fn load(session: &Session, scope: &Scope) -> Result<HashMap<u32, String>> {
    let sql = format!(
        "SELECT o.oid, pg_catalog.rtrim(pg_catalog.pg_get_viewdef(o.oid), ';') AS definition
         FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
         WHERE o.relkind = ANY ('{{v,m}}'::\"char\"[]) AND NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema'
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.objid = o.oid AND e.deptype = 'e'
             AND e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)
           AND {}",
        scope.has("o.oid"),
    );
    let mut views = HashMap::new();
    for row in session.rows(&sql).await? {
        views.insert(row.u32("oid")?, row.sql("definition")?);
    }
    Ok(views)
}
