//! Indexes, those behind constraints included: `pg_index`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::Result;
use crate::ident::QualifiedName;
use crate::pg::catalog::scope::Scope;
use crate::pg::session::{Row, Session};
use crate::pg::version::Capability;
use crate::text::{List, Text};

#[derive(Clone, Debug)]
pub struct Index {
    pub oid: u32,
    pub schema: Text,
    pub name: Text,
    pub table: u32,
    pub made: Made,
    /// The partitioned index that it is attached to, or 0.
    pub parent: u32,
    pub clustered: bool,
    pub replica_identity: bool,
    pub nulls_not_distinct: bool,
    pub options: List,
    pub tablespace: Option<Text>,
    /// Numbers of its columns, key columns first; 0 stands for an expression.
    pub columns: Box<[i16]>,
    pub key_columns: usize,
    /// Column number and target where one was set.
    pub statistics: Box<[(i16, i16)]>,
    pub is_partitioned: bool,
    /// Names of extensions that it DEPENDS ON.
    pub extensions: List,
}

/// What makes the index. Deparsing one costs the server more than everything else about it, so it is asked only for
/// what columns alone do not say.
#[derive(Clone, Debug)]
pub enum Made {
    ByConstraint,
    /// `pg_get_indexdef`: with expressions, a condition or options.
    Deparsed(Box<str>),
    /// Few of them differ in anything but their columns.
    Plain(Arc<PlainIndex>),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PlainIndex {
    pub unique: bool,
    pub method: Text,
    /// OIDs by key column; 0 is no collation.
    pub classes: Vec<u32>,
    pub collations: Vec<u32>,
    /// By key column: 1 is DESC, 2 is NULLS FIRST.
    pub options: Vec<i16>,
}

/// What plain indexes name by their OIDs.
#[derive(Debug, Default)]
pub struct Names {
    pub classes: HashMap<u32, QualifiedName>,
    pub collations: HashMap<u32, QualifiedName>,
}

impl Names {
    pub async fn load(session: &Session) -> Result<Self> {
        let classes = "SELECT o.oid, n.nspname, o.opcname AS name FROM pg_catalog.pg_opclass o
             JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace";
        let collations = "SELECT o.oid, n.nspname, o.collname AS name FROM pg_catalog.pg_collation o
             JOIN pg_catalog.pg_namespace n ON n.oid = o.collnamespace";
        let read = |row: &Row| Ok((row.u32("oid")?, QualifiedName::new(row.text("nspname")?, row.text("name")?)));
        Ok(Names {
            classes: session.all(classes, read).await?.into_iter().collect(),
            collations: session.all(collations, read).await?.into_iter().collect(),
        })
    }
}

impl Index {
    pub fn qualified(&self) -> QualifiedName {
        QualifiedName::new(&self.schema, &self.name)
    }
}

/// Indexes of tables in user schemas. Those that a failed or running CREATE INDEX CONCURRENTLY left invalid are not
/// part of the database's definition and are left out; a partitioned one is invalid until all its parts are attached.
pub async fn load(session: &Session, scope: &Scope) -> Result<Vec<Index>> {
    let version = session.version();
    let distinct = version.pick(Capability::NullsNotDistinct, "i.indnullsnotdistinct", "false");
    // A target of -1 or NULL is the default.
    let sql = format!(
        "SELECT i.indexrelid, n.nspname, o.relname, i.indrelid,
           k.oid IS NOT NULL AS by_constraint,
           CASE WHEN k.oid IS NULL AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL OR o.reloptions IS NOT NULL
                  OR st.has_options) THEN pg_catalog.pg_get_indexdef(i.indexrelid) END AS definition,
           i.indisunique, m.amname, i.indkey, i.indclass, i.indcollation, i.indoption,
           (SELECT h.inhparent FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid) AS parent,
           i.indisclustered, i.indisreplident, {distinct} AS nulls_not_distinct, o.reloptions, s.spcname AS tablespace,
           i.indnkeyatts, o.relkind = 'I' AS is_partitioned,
           st.columns AS statistics_columns, st.targets AS statistics_targets,
           {extensions} AS extensions
         FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class o ON o.oid = i.indexrelid
         JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
         LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
           AND k.contype = ANY ('{{p,u,x}}'::\"char\"[])
         LEFT JOIN pg_catalog.pg_am m ON m.oid = o.relam
         LEFT JOIN (SELECT a.attrelid, pg_catalog.bool_or(a.attoptions IS NOT NULL) AS has_options,
                           pg_catalog.array_agg(a.attnum ORDER BY a.attnum) FILTER (WHERE a.attstattarget >= 0) AS columns,
                           pg_catalog.array_agg(a.attstattarget::pg_catalog.int2 ORDER BY a.attnum)
                             FILTER (WHERE a.attstattarget >= 0) AS targets
                      FROM pg_catalog.pg_attribute a
                      WHERE a.attnum > 0 AND (a.attstattarget >= 0 OR a.attoptions IS NOT NULL) GROUP BY a.attrelid) st
           ON st.attrelid = i.indexrelid
         LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = o.reltablespace
         WHERE (i.indisvalid OR t.relkind = 'p') AND i.indisready AND t.relkind = ANY ('{{r,p,m}}'::\"char\"[])
           AND NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema' AND {wanted}",
        extensions = depends_on_extensions("pg_class", "i.indexrelid"),
        wanted = scope.has("i.indrelid"),
    );
    let mut known = Known::default();
    let mut all = session.all(&sql, |row| read(row, &mut known)).await?;
    all.sort_unstable_by_key(|index| index.oid);
    Ok(all)
}

/// An array of the names of the extensions that the object `oid` is marked to DEPEND ON.
pub fn depends_on_extensions(catalog: &str, oid: &str) -> String {
    format!(
        "CASE WHEN {oid} IN (SELECT x.objid FROM pg_catalog.pg_depend x WHERE x.deptype = 'x') THEN \
         ARRAY(SELECT e.extname FROM pg_catalog.pg_depend x JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid \
         WHERE x.deptype = 'x' AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass \
         AND x.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass AND x.objid = {oid} ORDER BY e.extname) \
         ELSE '{{}}' END"
    )
}

/// What was read of plain indexes before.
#[derive(Default)]
struct Known(HashSet<Arc<PlainIndex>>);

impl Known {
    fn share(&mut self, new: PlainIndex) -> Arc<PlainIndex> {
        if let Some(known) = self.0.get(&new) {
            return Arc::clone(known);
        }
        let new = Arc::new(new);
        self.0.insert(Arc::clone(&new));
        new
    }
}

fn read(row: &Row, known: &mut Known) -> Result<Index> {
    let statistics = match row.opt_i16_array("statistics_columns")? {
        Some(columns) => columns.into_iter().zip(row.i16_array("statistics_targets")?).collect(),
        None => Box::default(),
    };
    Ok(Index {
        oid: row.u32("indexrelid")?,
        schema: row.shared("nspname")?,
        name: Text::from(row.text("relname")?),
        table: row.u32("indrelid")?,
        made: made(row, known)?,
        parent: row.opt_u32("parent")?.unwrap_or(0),
        clustered: row.bool("indisclustered")?,
        replica_identity: row.bool("indisreplident")?,
        nulls_not_distinct: row.bool("nulls_not_distinct")?,
        options: row.shared_list("reloptions")?,
        tablespace: row.opt_shared("tablespace")?,
        columns: row.i16_array("indkey")?.into(),
        key_columns: usize::try_from(row.i16("indnkeyatts")?).unwrap_or(0),
        statistics,
        is_partitioned: row.bool("is_partitioned")?,
        extensions: row.shared_list("extensions")?,
    })
}

fn made(row: &Row, known: &mut Known) -> Result<Made> {
    if row.bool("by_constraint")? {
        return Ok(Made::ByConstraint);
    }
    match row.opt_statement("definition", &["CREATE INDEX", "CREATE UNIQUE INDEX"])? {
        Some(definition) => Ok(Made::Deparsed(definition.into())),
        None => {
            let new = PlainIndex {
                unique: row.bool("indisunique")?,
                method: row.shared("amname")?,
                classes: row.oid_array("indclass")?,
                collations: row.oid_array("indcollation")?,
                options: row.i16_array("indoption")?,
            };
            Ok(Made::Plain(known.share(new)))
        }
    }
}
