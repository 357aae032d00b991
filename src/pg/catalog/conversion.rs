//! Conversions between encodings.

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conversion {
    pub base: Base,
    pub from: String,
    pub to: String,
    /// As the server prints it.
    pub function: String,
    pub is_default: bool,
}

const BASE: BaseColumns =
    BaseColumns { catalog: "pg_conversion", name: "conname", in_schema: true, owner: Some("conowner"), acl: None };

pub async fn load(session: &Session) -> Result<Vec<Conversion>> {
    let sql = format!(
        "SELECT {}, pg_catalog.pg_encoding_to_char(o.conforencoding) AS from_encoding, \
         pg_catalog.pg_encoding_to_char(o.contoencoding) AS to_encoding, o.conproc::pg_catalog.text, o.condefault \
         FROM pg_catalog.pg_conversion o JOIN pg_catalog.pg_namespace n ON n.oid = o.connamespace \
         WHERE o.oid >= 16384 ORDER BY n.nspname, o.conname",
        BASE.sql()
    );
    let mut conversions = Vec::new();
    for row in session.rows(&sql).await? {
        conversions.push(Conversion {
            base: Base::read(&row, class::PG_CONVERSION)?,
            from: row.text("from_encoding")?,
            to: row.text("to_encoding")?,
            function: row.sql("conproc")?,
            is_default: row.bool("condefault")?,
        });
    }
    Ok(conversions)
}
