//! Access methods.

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessMethod {
    pub base: Base,
    /// For tables, else for indexes.
    pub is_table: bool,
    /// As the server prints it.
    pub handler: String,
}

const BASE: BaseColumns = BaseColumns { catalog: "pg_am", name: "amname", in_schema: false, owner: None, acl: None };

/// Those that are not the server's own.
pub async fn load(session: &Session) -> Result<Vec<AccessMethod>> {
    let sql = format!(
        "SELECT {}, o.amtype = 't' AS is_table, o.amhandler::pg_catalog.text AS handler FROM pg_catalog.pg_am o \
         WHERE o.oid >= 16384 ORDER BY o.amname",
        BASE.sql()
    );
    let mut methods = Vec::new();
    for row in session.rows(&sql).await? {
        methods.push(AccessMethod {
            base: Base::read(&row, class::PG_AM)?,
            is_table: row.bool("is_table")?,
            handler: row.sql("handler")?,
        });
    }
    Ok(methods)
}
