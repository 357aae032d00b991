//! Columns and their defaults: `pg_attribute` and `pg_attrdef`.

use std::collections::HashMap;

use crate::error::Result;
use crate::ident::QualifiedName;
use crate::pg::catalog::relation::options;
use crate::pg::catalog::scope::Scope;
use crate::pg::session::{Row, Session};
use crate::pg::version::Capability;
use crate::text::{List, Text};

#[derive(Clone, Debug)]
pub struct Column {
    pub number: i16,
    pub name: Text,
    /// `format_type`, qualified where the empty search path asks for it.
    pub type_name: Text,
    pub not_null: bool,
    pub is_local: bool,
    /// `a` always, `d` by default, NUL for none.
    pub identity: char,
    /// `s` stored, `v` virtual, NUL for none.
    pub generated: char,
    /// None is the server's default.
    pub statistics: Option<i16>,
    pub storage: char,
    pub type_storage: char,
    /// `p`, `l`, NUL for the default.
    pub compression: char,
    pub default: Option<ColumnDefault>,
    /// See [`Column::extras`].
    pub extras: Option<Box<Extras>>,
}

/// What few columns have. Of a large schema the columns are most of what is held.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Extras {
    pub options: Vec<String>,
    pub foreign_options: Vec<(String, String)>,
    /// Set where it differs from the type's own.
    pub collation: Option<QualifiedName>,
    pub acl: Option<List>,
    pub init_acl: Option<List>,
}

static NO_EXTRAS: Extras =
    Extras { options: Vec::new(), foreign_options: Vec::new(), collation: None, acl: None, init_acl: None };

/// A row of `pg_attrdef`: a default or a generation expression.
#[derive(Clone, Debug)]
pub struct ColumnDefault {
    pub oid: u32,
    pub expression: Box<str>,
}

impl Column {
    pub fn is_generated(&self) -> bool {
        self.generated != '\0'
    }

    pub fn extras(&self) -> &Extras {
        self.extras.as_deref().unwrap_or(&NO_EXTRAS)
    }
}

/// Columns by relation, in the order of their numbers; dropped ones are left out. Of the server's own relations, and
/// of system columns, only those whose privileges were ever changed.
pub async fn load(session: &Session, scope: &Scope) -> Result<HashMap<u32, Vec<Column>>> {
    let version = session.version();
    let statistics =
        version.pick(Capability::NullableStatisticsTargets, "a.attstattarget", "NULLIF(a.attstattarget, -1)");
    let compression = version.pick(Capability::ColumnCompression, "a.attcompression", "''::\"char\"");
    // pg_get_expr with a relation costs time per column of that relation; only generation expressions need it.
    let sql = format!(
        "SELECT a.attrelid, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name,
           a.attnotnull, a.attislocal, a.attidentity, a.attgenerated, {statistics}::pg_catalog.int2 AS statistics,
           a.attstorage, t.typstorage, {compression} AS compression, a.attoptions,
           cn.nspname AS collation_schema, c.collname AS collation_name,
           a.attfdwoptions, a.attacl::pg_catalog.text[] AS acl, p.initprivs::pg_catalog.text[] AS init_acl,
           d.oid AS default_oid,
           CASE WHEN NOT ({wanted}) THEN NULL WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, 0)
                ELSE pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS default_expression
         FROM pg_catalog.pg_attribute a
         JOIN pg_catalog.pg_class o ON o.oid = a.attrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
         LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation AND a.attcollation <> t.typcollation
         LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = c.collnamespace
         LEFT JOIN pg_catalog.pg_init_privs p ON p.objoid = a.attrelid AND p.objsubid = a.attnum
           AND p.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef
         WHERE NOT a.attisdropped AND o.relkind = ANY ('{{r,p,v,m,f,c}}'::\"char\"[])
           AND ((a.attnum > 0 AND NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema')
                OR a.attacl IS NOT NULL)",
        wanted = scope.has("a.attrelid"),
    );
    let mut columns: HashMap<u32, Vec<Column>> = HashMap::new();
    session
        .each(&sql, |row| {
            columns.entry(row.u32("attrelid")?).or_default().push(read(row)?);
            Ok(())
        })
        .await?;
    for all in columns.values_mut() {
        all.sort_unstable_by_key(|column| column.number);
        all.shrink_to_fit();
    }
    Ok(columns)
}

fn read(row: &Row) -> Result<Column> {
    let collation = match (row.opt_text("collation_schema")?, row.opt_text("collation_name")?) {
        (Some(schema), Some(name)) => Some(QualifiedName::new(schema, name)),
        _ => None,
    };
    let extras = Extras {
        options: row.opt_text_array("attoptions")?.unwrap_or_default(),
        foreign_options: options(row, "attfdwoptions")?,
        collation,
        acl: row.opt_shared_list("acl")?,
        init_acl: row.opt_shared_list("init_acl")?,
    };
    let default = match (row.opt_u32("default_oid")?, row.opt_sql("default_expression")?) {
        (Some(oid), Some(expression)) => Some(ColumnDefault { oid, expression: expression.into() }),
        _ => None,
    };
    Ok(Column {
        number: row.i16("attnum")?,
        name: row.shared("attname")?,
        type_name: row.shared_sql("type_name")?,
        not_null: row.bool("attnotnull")?,
        is_local: row.bool("attislocal")?,
        identity: row.char("attidentity")?,
        generated: row.char("attgenerated")?,
        statistics: row.opt_i16("statistics")?,
        storage: row.char("attstorage")?,
        type_storage: row.char("typstorage")?,
        compression: row.char("compression")?,
        default,
        extras: (extras != NO_EXTRAS).then(|| Box::new(extras)),
    })
}
