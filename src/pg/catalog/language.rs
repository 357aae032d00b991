//! Procedural languages.

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Language {
    pub base: Base,
    pub trusted: bool,
    /// Names as the server prints them, without arguments.
    pub handler: Option<String>,
    pub inline: Option<String>,
    pub validator: Option<String>,
}

const BASE: BaseColumns = BaseColumns {
    catalog: "pg_language",
    name: "lanname",
    in_schema: false,
    owner: Some("lanowner"),
    acl: Some(("lanacl", "'l'")),
};

/// All languages, those of the server included: their privileges may have been changed.
pub async fn load(session: &Session) -> Result<Vec<Language>> {
    let name = |column: &str| {
        format!(
            "(SELECT pg_catalog.quote_ident(fn.nspname) || '.' || pg_catalog.quote_ident(f.proname) \
             FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace \
             WHERE f.oid = {column})"
        )
    };
    let sql = format!(
        "SELECT {}, o.lanpltrusted, {} AS handler, {} AS inline, {} AS validator \
         FROM pg_catalog.pg_language o ORDER BY o.lanname",
        BASE.sql(),
        name("o.lanplcallfoid"),
        name("o.laninline"),
        name("o.lanvalidator"),
    );
    let mut languages = Vec::new();
    for row in session.rows(&sql).await? {
        languages.push(Language {
            base: Base::read(&row, class::PG_LANGUAGE)?,
            trusted: row.bool("lanpltrusted")?,
            handler: row.opt_sql("handler")?,
            inline: row.opt_sql("inline")?,
            validator: row.opt_sql("validator")?,
        });
    }
    Ok(languages)
}
