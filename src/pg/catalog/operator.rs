//! Operators. Those that exist only because another one named them as its commutator or negator are not read.

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::catalog::types::function;
use crate::pg::session::Session;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operator {
    pub base: Base,
    pub left: Option<String>,
    pub right: Option<String>,
    pub function: String,
    /// `OPERATOR(schema.name)`.
    pub commutator: Option<String>,
    pub negator: Option<String>,
    pub merges: bool,
    pub hashes: bool,
    pub restrict: Option<String>,
    pub join: Option<String>,
}

const BASE: BaseColumns =
    BaseColumns { catalog: "pg_operator", name: "oprname", in_schema: true, owner: Some("oprowner"), acl: None };

pub async fn load(session: &Session) -> Result<Vec<Operator>> {
    let other = |column: &str| {
        format!(
            "(SELECT 'OPERATOR(' || pg_catalog.quote_ident(s.nspname) || '.' || p.oprname || ')' \
             FROM pg_catalog.pg_operator p JOIN pg_catalog.pg_namespace s ON s.oid = p.oprnamespace \
             WHERE p.oid = o.{column})"
        )
    };
    let sql = format!(
        "SELECT {}, CASE WHEN o.oprleft <> 0 THEN pg_catalog.format_type(o.oprleft, NULL) END AS left_type, \
         CASE WHEN o.oprright <> 0 THEN pg_catalog.format_type(o.oprright, NULL) END AS right_type, \
         o.oprcode::pg_catalog.text, o.oprrest::pg_catalog.text, o.oprjoin::pg_catalog.text, o.oprcanmerge, \
         o.oprcanhash, {} AS commutator, {} AS negator \
         FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace \
         WHERE o.oprcode <> 0 AND o.oid >= 16384 ORDER BY n.nspname, o.oprname, o.oprkind, left_type, right_type",
        BASE.sql(),
        other("oprcom"),
        other("oprnegate"),
    );
    let mut operators = Vec::new();
    for row in session.rows(&sql).await? {
        operators.push(Operator {
            base: Base::read(&row, class::PG_OPERATOR)?,
            left: row.opt_sql("left_type")?,
            right: row.opt_sql("right_type")?,
            function: row.sql("oprcode")?,
            commutator: row.opt_sql("commutator")?,
            negator: row.opt_sql("negator")?,
            merges: row.bool("oprcanmerge")?,
            hashes: row.bool("oprcanhash")?,
            restrict: function(&row, "oprrest")?,
            join: function(&row, "oprjoin")?,
        });
    }
    Ok(operators)
}
