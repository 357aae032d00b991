//! Collations. Their versions are not read: what an archive is restored with decides.

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;
use crate::pg::version::{Capability, ServerVersion};

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Collation {
    pub base: Base,
    pub provider: Provider,
    pub deterministic: bool,
    /// Of ICU and the builtin provider.
    pub locale: Option<String>,
    /// Of libc.
    pub collate: Option<String>,
    pub ctype: Option<String>,
    pub rules: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Provider {
    Libc,
    Icu,
    Builtin,
    Default,
}

const BASE: BaseColumns =
    BaseColumns { catalog: "pg_collation", name: "collname", in_schema: true, owner: Some("collowner"), acl: None };

pub async fn load(session: &Session) -> Result<Vec<Collation>> {
    let mut collations = Vec::new();
    for row in session.rows(&collations_sql(session.version())).await? {
        collations.push(Collation {
            base: Base::read(&row, class::PG_COLLATION)?,
            provider: match row.char("collprovider")? {
                'i' => Provider::Icu,
                'b' => Provider::Builtin,
                'd' => Provider::Default,
                _ => Provider::Libc,
            },
            deterministic: row.bool("collisdeterministic")?,
            locale: row.opt_text("locale")?,
            collate: row.opt_text("collate")?,
            ctype: row.opt_text("ctype")?,
            rules: row.opt_text("rules")?,
        });
    }
    Ok(collations)
}

fn collations_sql(version: ServerVersion) -> String {
    // Before they had a column of their own, ICU's locales stood where libc's stand.
    let locale = if version.has(Capability::BuiltinLocale) {
        "o.colllocale"
    } else {
        version.pick(
            Capability::DatabaseIcuLocale,
            "o.colliculocale",
            "CASE WHEN o.collprovider <> 'c' THEN o.collcollate END",
        )
    };
    let rules = version.pick(Capability::IcuRules, "o.collicurules", "NULL::pg_catalog.text");
    format!(
        "SELECT {}, o.collprovider, o.collisdeterministic, {locale}::pg_catalog.text AS locale, \
         CASE WHEN o.collprovider = 'c' THEN o.collcollate::pg_catalog.text END AS collate, \
         CASE WHEN o.collprovider = 'c' THEN o.collctype::pg_catalog.text END AS ctype, {rules} AS rules \
         FROM pg_catalog.pg_collation o JOIN pg_catalog.pg_namespace n ON n.oid = o.collnamespace \
         WHERE o.oid >= 16384 AND n.nspname <> 'pg_catalog' ORDER BY n.nspname, o.collname, o.collencoding",
        BASE.sql()
    )
}
