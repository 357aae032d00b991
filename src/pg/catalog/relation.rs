//! Tables, views, materialized views, foreign tables, sequences and composite types: `pg_class` without its indexes.

use crate::error::Result;
use crate::ident::QualifiedName;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::{Row, Session};
use crate::text::{List, Text};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RelationKind {
    Table,
    Partitioned,
    View,
    MaterializedView,
    Foreign,
    Sequence,
    Composite,
}

impl RelationKind {
    fn from_char(relkind: char) -> Option<Self> {
        Some(match relkind {
            'r' => RelationKind::Table,
            'p' => RelationKind::Partitioned,
            'v' => RelationKind::View,
            'm' => RelationKind::MaterializedView,
            'f' => RelationKind::Foreign,
            'S' => RelationKind::Sequence,
            'c' => RelationKind::Composite,
            _ => return None,
        })
    }

    /// Created by CREATE TABLE or CREATE FOREIGN TABLE.
    pub fn is_table(self) -> bool {
        matches!(self, RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign)
    }

    /// LOCK TABLE takes it, and we hold that lock while the server deparses it.
    pub fn is_lockable(self) -> bool {
        matches!(self, RelationKind::Table | RelationKind::Partitioned)
    }
}

#[derive(Clone, Debug)]
pub struct Relation {
    pub base: Base,
    pub kind: RelationKind,
    /// `relkind` again, for messages and queries.
    pub unlogged: bool,
    /// The row type, or 0.
    pub row_type: u32,
    /// `format_type` of the type that a typed table is OF.
    pub of_type: Option<Text>,
    pub options: List,
    pub toast_options: List,
    pub tablespace: Option<Text>,
    pub access_method: Option<Text>,
    pub replica_identity: char,
    pub row_security: bool,
    pub force_row_security: bool,
    pub is_partition: bool,
    pub is_populated: bool,
    pub filenode: u32,
    /// Set for foreign tables.
    pub foreign: Option<Box<ForeignTable>>,
}

#[derive(Clone, Debug)]
pub struct ForeignTable {
    pub server: String,
    pub options: Vec<(String, String)>,
}

impl Relation {
    pub fn qualified(&self) -> QualifiedName {
        QualifiedName::new(self.base.schema.clone().unwrap_or_default(), &self.base.name)
    }

    pub fn oid(&self) -> u32 {
        self.base.id.oid
    }
}

const BASE: BaseColumns = BaseColumns {
    catalog: "pg_class",
    name: "relname",
    in_schema: true,
    owner: Some("relowner"),
    acl: Some(("relacl", "CASE WHEN o.relkind = 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END")),
};

/// All relations but indexes and TOAST tables, those of the server included: their privileges may have changed.
pub async fn load(session: &Session) -> Result<Vec<Relation>> {
    let sql = format!(
        "SELECT {base}, o.relkind, o.relpersistence, o.reltype,
           CASE WHEN o.reloftype <> 0 THEN pg_catalog.format_type(o.reloftype, NULL) END AS of_type,
           o.reloptions, t.reloptions AS toast_options, s.spcname AS tablespace, m.amname AS access_method,
           o.relreplident, o.relrowsecurity, o.relforcerowsecurity, o.relispartition, o.relispopulated, o.relfilenode,
           v.srvname AS server, f.ftoptions
         FROM pg_catalog.pg_class o
         JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
         LEFT JOIN pg_catalog.pg_class t ON t.oid = o.reltoastrelid AND t.relkind = 't' AND t.reloptions IS NOT NULL
         LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = o.reltablespace
         LEFT JOIN pg_catalog.pg_am m ON m.oid = o.relam
         LEFT JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = o.oid
         LEFT JOIN pg_catalog.pg_foreign_server v ON v.oid = f.ftserver
         WHERE o.relkind = ANY ('{{r,p,v,m,f,S,c}}'::\"char\"[])",
        base = BASE.sql()
    );
    let mut all: Vec<Relation> = session.some(&sql, read).await?;
    all.sort_unstable_by_key(Relation::oid);
    Ok(all)
}

fn read(row: &Row) -> Result<Option<Relation>> {
    let Some(kind) = RelationKind::from_char(row.char("relkind")?) else { return Ok(None) };
    let foreign = match row.opt_text("server")? {
        Some(server) => Some(Box::new(ForeignTable { server, options: options(row, "ftoptions")? })),
        None => None,
    };
    Ok(Some(Relation {
        base: Base::read(row, class::PG_CLASS)?,
        kind,
        unlogged: row.char("relpersistence")? == 'u',
        row_type: row.u32("reltype")?,
        of_type: row.opt_shared_sql("of_type")?,
        options: row.shared_list("reloptions")?,
        toast_options: row.shared_list("toast_options")?,
        tablespace: row.opt_shared("tablespace")?,
        access_method: row.opt_shared("access_method")?,
        replica_identity: row.char("relreplident")?,
        row_security: row.bool("relrowsecurity")?,
        force_row_security: row.bool("relforcerowsecurity")?,
        is_partition: row.bool("relispartition")?,
        is_populated: row.bool("relispopulated")?,
        filenode: row.u32("relfilenode")?,
        foreign,
    }))
}

/// FDW options, stored as `name=value`, in stored order.
pub fn options(row: &Row, column: &str) -> Result<Vec<(String, String)>> {
    let stored = row.opt_text_array(column)?.unwrap_or_default();
    let pair = |item: &String| {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        (name.to_owned(), value.to_owned())
    };
    Ok(stored.iter().map(pair).collect())
}
