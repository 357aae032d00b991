//! Extensions, and which of their tables hold the user's rows.

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Extension {
    pub base: Base,
    pub target_schema: String,
    /// For the record only: an archive does not pin it.
    pub version: String,
    pub config_tables: Vec<ConfigTable>,
}

/// A member table whose rows belong to the user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigTable {
    pub relation: u32,
    /// `WHERE …`, or nothing for all rows.
    pub condition: String,
}

const BASE: BaseColumns =
    BaseColumns { catalog: "pg_extension", name: "extname", in_schema: false, owner: Some("extowner"), acl: None };

pub async fn load(session: &Session) -> Result<Vec<Extension>> {
    let sql = format!(
        "SELECT {}, n.nspname AS target_schema, o.extversion, o.extconfig, o.extcondition \
         FROM pg_catalog.pg_extension o JOIN pg_catalog.pg_namespace n ON n.oid = o.extnamespace ORDER BY o.extname",
        BASE.sql()
    );
    let mut extensions = Vec::new();
    for row in session.rows(&sql).await? {
        let tables = row.opt_oid_array("extconfig")?.unwrap_or_default();
        let conditions = row.opt_text_array("extcondition")?.unwrap_or_default();
        let config_tables = tables
            .into_iter()
            .zip(conditions)
            .map(|(relation, condition)| ConfigTable { relation, condition })
            .collect();
        extensions.push(Extension {
            base: Base::read(&row, class::PG_EXTENSION)?,
            target_schema: row.text("target_schema")?,
            version: row.text("extversion")?,
            config_tables,
        });
    }
    Ok(extensions)
}
