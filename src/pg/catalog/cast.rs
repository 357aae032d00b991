//! Casts that are not the server's own and do not come with a range type.

use super::nameless;
use crate::error::Result;
use crate::pg::catalog::object::{Base, class};
use crate::pg::session::Session;
use crate::pg::version::Capability;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cast {
    /// Named as pg_dump names it: `CAST (a AS b)`.
    pub base: Base,
    pub source: String,
    pub target: String,
    pub method: Method,
    /// `e` explicit, `a` in assignments, `i` everywhere.
    pub context: char,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Method {
    /// With its signature, as the server prints it.
    Function(String),
    InOut,
    Binary,
}

pub async fn load(session: &Session) -> Result<Vec<Cast>> {
    let name = "'CAST (' || pg_catalog.format_type(o.castsource, NULL) || ' AS ' \
                || pg_catalog.format_type(o.casttarget, NULL) || ')'";
    let implied = session.version().pick(
        Capability::Multiranges,
        "EXISTS (SELECT FROM pg_catalog.pg_range r WHERE r.rngtypid = o.castsource AND r.rngmultitypid = o.casttarget)",
        "false",
    );
    let sql = format!(
        "SELECT {}, pg_catalog.format_type(o.castsource, NULL) AS source, \
         pg_catalog.format_type(o.casttarget, NULL) AS target, o.castmethod, o.castcontext, \
         {} AS function \
         FROM pg_catalog.pg_cast o WHERE o.oid >= 16384 AND NOT {implied} ORDER BY source, target",
        nameless::columns("pg_cast", name, None),
        function_signature("o.castfunc"),
    );
    let mut casts = Vec::new();
    for row in session.rows(&sql).await? {
        let method = match (row.char("castmethod")?, row.opt_sql("function")?) {
            ('f', Some(function)) => Method::Function(function),
            ('i', _) => Method::InOut,
            _ => Method::Binary,
        };
        casts.push(Cast {
            base: Base::read(&row, class::PG_CAST)?,
            source: row.sql("source")?,
            target: row.sql("target")?,
            method,
            context: row.char("castcontext")?,
        });
    }
    Ok(casts)
}

/// `schema.name(types)` of the function whose OID is the SQL expression `oid`; NULL for 0.
pub(super) fn function_signature(oid: &str) -> String {
    format!(
        "(SELECT pg_catalog.quote_ident(fn.nspname) || '.' || pg_catalog.quote_ident(f.proname) || '(' || \
         pg_catalog.pg_get_function_identity_arguments(f.oid) || ')' FROM pg_catalog.pg_proc f \
         JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace WHERE f.oid = {oid})"
    )
}
