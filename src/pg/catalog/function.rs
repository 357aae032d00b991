//! Functions and procedures, without aggregates and without those that come with a range type.

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::{Row, Session};
use crate::pg::version::{Capability, ServerVersion};

#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub base: Base,
    pub kind: FunctionKind,
    /// With defaults, as in CREATE.
    pub arguments: String,
    /// As in ALTER and COMMENT.
    pub identity_arguments: String,
    /// Input types, in order; for sorting and naming.
    pub argument_types: Vec<String>,
    /// None for procedures.
    pub result: Option<String>,
    pub returns_set: bool,
    pub language: String,
    /// Types after TRANSFORM FOR TYPE.
    pub transforms: Vec<String>,
    pub volatility: char,
    pub strict: bool,
    pub security_definer: bool,
    pub leakproof: bool,
    pub cost: f32,
    pub rows: f32,
    pub support: Option<String>,
    pub parallel: char,
    /// `name=value`.
    pub settings: Vec<String>,
    pub body: Body,
    /// Extensions named in `ALTER … DEPENDS ON EXTENSION`.
    pub depends_on_extensions: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FunctionKind {
    Function,
    Window,
    Procedure,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body {
    /// Source text in the function's language, or an internal function's name.
    Source(String),
    /// A C function.
    Library { file: String, symbol: String },
    /// `RETURN …` or `BEGIN ATOMIC …`, as the server writes it: it depends on what it names.
    Sql(String),
}

const BASE: BaseColumns = BaseColumns {
    catalog: "pg_proc",
    name: "proname",
    in_schema: true,
    owner: Some("proowner"),
    acl: Some(("proacl", "'f'")),
};

/// The user's functions, and those of the server and of extensions whose privileges were changed.
pub async fn load(session: &Session) -> Result<Vec<Function>> {
    let rows = session.rows(&functions_sql(session.version())).await?;
    rows.iter().map(read).collect()
}

/// Which rows of `pg_proc`, joined with its namespace, are worth reading: not those of the information schema, whose
/// privileges initdb gives after it has noted what objects start with.
pub(super) const WORTH_READING: &str = "n.nspname !~ '^(pg_toast|pg_temp|information_schema$)' \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend i WHERE i.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
     AND i.objid = o.oid AND i.deptype = 'i') \
     AND (o.proacl IS DISTINCT FROM (SELECT p.initprivs FROM pg_catalog.pg_init_privs p WHERE p.objoid = o.oid \
     AND p.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.objsubid = 0) \
     OR (o.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e \
     WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = o.oid AND e.deptype = 'e')))";

/// Input types by name, and extensions that the object was made to depend on.
pub(super) const SIGNATURE: &str = "ARRAY(SELECT pg_catalog.format_type(a.type, NULL) \
     FROM pg_catalog.unnest(o.proargtypes) WITH ORDINALITY AS a (type, place) ORDER BY a.place) AS argument_types, \
     ARRAY(SELECT x.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid \
     WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = o.oid AND d.deptype = 'x' \
     AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass ORDER BY x.extname) AS depends_on_extensions";

fn functions_sql(version: ServerVersion) -> String {
    let sql_body =
        version.pick(Capability::SqlBodies, "pg_catalog.pg_get_function_sqlbody(o.oid)", "NULL::pg_catalog.text");
    format!(
        "SELECT {}, {SIGNATURE}, o.prokind, pg_catalog.pg_get_function_arguments(o.oid) AS arguments, \
         pg_catalog.pg_get_function_identity_arguments(o.oid) AS identity_arguments, \
         pg_catalog.pg_get_function_result(o.oid) AS result, o.proretset, l.lanname, \
         ARRAY(SELECT pg_catalog.format_type(a.type, NULL) FROM pg_catalog.unnest(o.protrftypes) \
         WITH ORDINALITY AS a (type, place) ORDER BY a.place) AS transforms, \
         o.provolatile, o.proisstrict, o.prosecdef, o.proleakproof, o.procost, o.prorows, \
         o.prosupport::pg_catalog.text, o.proparallel, o.proconfig, o.prosrc, o.probin, {sql_body} AS sql_body \
         FROM pg_catalog.pg_proc o JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace \
         JOIN pg_catalog.pg_language l ON l.oid = o.prolang \
         WHERE o.prokind <> 'a' AND {WORTH_READING} \
         ORDER BY n.nspname, o.proname, o.pronargs, argument_types",
        BASE.sql()
    )
}

fn read(row: &Row) -> Result<Function> {
    let source = row.text("prosrc")?;
    let body = match (row.opt_sql_body("sql_body")?, row.opt_text("probin")?) {
        (Some(sql), _) => Body::Sql(sql),
        (None, Some(file)) => Body::Library { file, symbol: source },
        (None, None) => Body::Source(source),
    };
    Ok(Function {
        base: Base::read(row, class::PG_PROC)?,
        kind: match row.char("prokind")? {
            'p' => FunctionKind::Procedure,
            'w' => FunctionKind::Window,
            _ => FunctionKind::Function,
        },
        arguments: row.sql("arguments")?,
        identity_arguments: row.sql("identity_arguments")?,
        argument_types: row.sql_array("argument_types")?,
        result: row.opt_sql("result")?,
        returns_set: row.bool("proretset")?,
        language: row.text("lanname")?,
        transforms: row.sql_array("transforms")?,
        volatility: row.char("provolatile")?,
        strict: row.bool("proisstrict")?,
        security_definer: row.bool("prosecdef")?,
        leakproof: row.bool("proleakproof")?,
        cost: row.f32("procost")?,
        rows: row.f32("prorows")?,
        support: super::types::function(row, "prosupport")?,
        parallel: row.char("proparallel")?,
        settings: row.opt_text_array("proconfig")?.unwrap_or_default(),
        body,
        depends_on_extensions: row.text_array("depends_on_extensions")?,
    })
}
