//! Aggregates: rows of `pg_aggregate` with their rows in `pg_proc`.

use crate::error::Result;
use crate::pg::catalog::function::{SIGNATURE, WORTH_READING};
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::catalog::types::function;
use crate::pg::session::{Row, Session};

/// Function, type and operator names are as the server prints them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Aggregate {
    pub base: Base,
    /// As in CREATE; empty for `(*)`.
    pub arguments: String,
    pub identity_arguments: String,
    pub argument_types: Vec<String>,
    pub kind: AggregateKind,
    pub transition: Transition,
    /// The moving-aggregate mode.
    pub moving: Option<Transition>,
    pub combine: Option<String>,
    pub serialize: Option<String>,
    pub deserialize: Option<String>,
    pub inverse: Option<String>,
    /// `OPERATOR(schema.name)`.
    pub sort_operator: Option<String>,
    pub parallel: char,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AggregateKind {
    Normal,
    OrderedSet,
    Hypothetical,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transition {
    pub function: String,
    pub state_type: String,
    pub space: i32,
    pub initial: Option<String>,
    pub last: Option<String>,
    pub last_extra: bool,
    /// What the final function does with the state: `r`, `s` or `w`.
    pub last_modify: char,
}

const BASE: BaseColumns = BaseColumns {
    catalog: "pg_proc",
    name: "proname",
    in_schema: true,
    owner: Some("proowner"),
    acl: Some(("proacl", "'f'")),
};

/// The user's aggregates, and those of the server and of extensions whose privileges were changed.
pub async fn load(session: &Session) -> Result<Vec<Aggregate>> {
    let sql = format!(
        "SELECT {}, {SIGNATURE}, pg_catalog.pg_get_function_arguments(o.oid) AS arguments, \
         pg_catalog.pg_get_function_identity_arguments(o.oid) AS identity_arguments, o.proparallel, \
         a.aggkind, a.aggtransfn::pg_catalog.text, a.aggfinalfn::pg_catalog.text, a.aggcombinefn::pg_catalog.text, \
         a.aggserialfn::pg_catalog.text, a.aggdeserialfn::pg_catalog.text, a.aggmtransfn::pg_catalog.text, \
         a.aggminvtransfn::pg_catalog.text, a.aggmfinalfn::pg_catalog.text, a.aggfinalextra, a.aggmfinalextra, \
         a.aggfinalmodify, a.aggmfinalmodify, a.aggtransspace, a.aggmtransspace, a.agginitval, a.aggminitval, \
         pg_catalog.format_type(a.aggtranstype, NULL) AS transtype, \
         pg_catalog.format_type(a.aggmtranstype, NULL) AS mtranstype, \
         (SELECT 'OPERATOR(' || pg_catalog.quote_ident(s.nspname) || '.' || p.oprname || ')' \
          FROM pg_catalog.pg_operator p JOIN pg_catalog.pg_namespace s ON s.oid = p.oprnamespace \
          WHERE p.oid = a.aggsortop) AS sortop \
         FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc o ON o.oid = a.aggfnoid \
         JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace WHERE {WORTH_READING} \
         ORDER BY n.nspname, o.proname, o.pronargs, argument_types",
        BASE.sql()
    );
    session.all(&sql, read).await
}

fn read(row: &Row) -> Result<Aggregate> {
    let moving = function(row, "aggmtransfn")?.map(|name| transition(row, name, "m")).transpose()?;
    Ok(Aggregate {
        base: Base::read(row, class::PG_PROC)?,
        arguments: row.sql("arguments")?,
        identity_arguments: row.sql("identity_arguments")?,
        argument_types: row.sql_array("argument_types")?,
        kind: match row.char("aggkind")? {
            'o' => AggregateKind::OrderedSet,
            'h' => AggregateKind::Hypothetical,
            _ => AggregateKind::Normal,
        },
        transition: transition(row, row.sql("aggtransfn")?, "")?,
        moving,
        combine: function(row, "aggcombinefn")?,
        serialize: function(row, "aggserialfn")?,
        deserialize: function(row, "aggdeserialfn")?,
        inverse: function(row, "aggminvtransfn")?,
        sort_operator: row.opt_sql("sortop")?,
        parallel: row.char("proparallel")?,
    })
}

/// `m` for the moving-aggregate columns, nothing for the plain ones.
fn transition(row: &Row, name: String, m: &str) -> Result<Transition> {
    Ok(Transition {
        function: name,
        state_type: row.sql(&format!("{m}transtype"))?,
        space: row.i32(&format!("agg{m}transspace"))?,
        initial: row.opt_text(&format!("agg{m}initval"))?,
        last: function(row, &format!("agg{m}finalfn"))?,
        last_extra: row.bool(&format!("agg{m}finalextra"))?,
        last_modify: row.char(&format!("agg{m}finalmodify"))?,
    })
}
