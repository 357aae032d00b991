//! Indexes, those behind constraints included: `pg_index`.

use crate::error::Result;
use crate::ident::QualifiedName;
use crate::pg::catalog::scope::Scope;
use crate::pg::session::{Row, Session};
use crate::pg::version::Capability;

#[derive(Clone, Debug)]
pub struct Index {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub table: u32,
    /// `pg_get_indexdef`; None where a constraint made it, since that costs the server more than all the rest.
    pub definition: Option<String>,
    /// The partitioned index that it is attached to, or 0.
    pub parent: u32,
    pub clustered: bool,
    pub replica_identity: bool,
    pub nulls_not_distinct: bool,
    pub options: Vec<String>,
    pub tablespace: Option<String>,
    /// Of a constraint's index: the names of its columns, key columns first.
    pub columns: Vec<String>,
    pub key_columns: usize,
    /// Column number and target where one was set.
    pub statistics: Vec<(i16, i16)>,
    pub is_partitioned: bool,
    /// Names of extensions that it DEPENDS ON.
    pub extensions: Vec<String>,
}

impl Index {
    pub fn qualified(&self) -> QualifiedName {
        QualifiedName::new(self.schema.as_str(), self.name.as_str())
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
           CASE WHEN k.oid IS NULL THEN pg_catalog.pg_get_indexdef(i.indexrelid) END AS definition,
           (SELECT h.inhparent FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid) AS parent,
           i.indisclustered, i.indisreplident, {distinct} AS nulls_not_distinct, o.reloptions, s.spcname AS tablespace,
           i.indnkeyatts, o.relkind = 'I' AS is_partitioned,
           CASE WHEN k.contype = ANY ('{{p,u}}'::\"char\"[]) THEN
             ARRAY(SELECT a.attname::pg_catalog.text
                     FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS c(attnum, position)
                     JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = c.attnum
                     ORDER BY c.position) END AS columns,
           st.columns AS statistics_columns, st.targets AS statistics_targets,
           {extensions} AS extensions
         FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class o ON o.oid = i.indexrelid
         JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
         LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
           AND k.contype = ANY ('{{p,u,x}}'::\"char\"[])
         LEFT JOIN (SELECT a.attrelid, pg_catalog.array_agg(a.attnum ORDER BY a.attnum) AS columns,
                           pg_catalog.array_agg(a.attstattarget::pg_catalog.int2 ORDER BY a.attnum) AS targets
                      FROM pg_catalog.pg_attribute a WHERE a.attnum > 0 AND a.attstattarget >= 0 GROUP BY a.attrelid) st
           ON st.attrelid = i.indexrelid
         LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = o.reltablespace
         WHERE (i.indisvalid OR t.relkind = 'p') AND i.indisready AND t.relkind = ANY ('{{r,p,m}}'::\"char\"[])
           AND NOT n.nspname ^@ 'pg_' AND n.nspname <> 'information_schema' AND {wanted}
         ORDER BY i.indexrelid",
        extensions = depends_on_extensions("pg_class", "i.indexrelid"),
        wanted = scope.has("i.indrelid"),
    );
    session.all(&sql, read).await
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

fn read(row: &Row) -> Result<Index> {
    let statistics = match row.opt_i16_array("statistics_columns")? {
        Some(columns) => columns.into_iter().zip(row.i16_array("statistics_targets")?).collect(),
        None => Vec::new(),
    };
    Ok(Index {
        oid: row.u32("indexrelid")?,
        schema: row.text("nspname")?,
        name: row.text("relname")?,
        table: row.u32("indrelid")?,
        definition: row.opt_statement("definition", &["CREATE INDEX", "CREATE UNIQUE INDEX"])?,
        parent: row.opt_u32("parent")?.unwrap_or(0),
        clustered: row.bool("indisclustered")?,
        replica_identity: row.bool("indisreplident")?,
        nulls_not_distinct: row.bool("nulls_not_distinct")?,
        options: row.opt_text_array("reloptions")?.unwrap_or_default(),
        tablespace: row.opt_text("tablespace")?,
        columns: row.opt_text_array("columns")?.unwrap_or_default(),
        key_columns: usize::try_from(row.i16("indnkeyatts")?).unwrap_or(0),
        statistics,
        is_partitioned: row.bool("is_partitioned")?,
        extensions: row.text_array("extensions")?,
    })
}
