//! Publications with their tables and schemas, which are objects of their own.

use super::nameless;
use crate::error::Result;
use crate::ident::QualifiedName;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;
use crate::pg::version::{Capability, ServerVersion};

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Publication {
    pub base: Base,
    pub all_tables: bool,
    /// Of `insert`, `update`, `delete`, `truncate`.
    pub publishes: Vec<&'static str>,
    pub via_partition_root: bool,
    pub generated_columns_stored: bool,
}

/// A table in a publication. Its base is named after the publication and owned by its owner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicationTable {
    pub base: Base,
    pub publication: String,
    pub relation: u32,
    pub table: QualifiedName,
    /// None for all columns.
    pub columns: Option<Vec<String>>,
    pub filter: Option<String>,
}

/// All tables of a schema in a publication.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicationSchema {
    pub base: Base,
    pub publication: String,
    pub schema: String,
}

const BASE: BaseColumns =
    BaseColumns { catalog: "pg_publication", name: "pubname", in_schema: false, owner: Some("pubowner"), acl: None };

pub async fn load(session: &Session) -> Result<Vec<Publication>> {
    let generated =
        session.version().pick(Capability::PublicationGeneratedColumns, "o.pubgencols = 's'::\"char\"", "false");
    let sql = format!(
        "SELECT {}, o.puballtables, o.pubinsert, o.pubupdate, o.pubdelete, o.pubtruncate, o.pubviaroot, \
         {generated} AS generated FROM pg_catalog.pg_publication o ORDER BY o.pubname",
        BASE.sql()
    );
    let mut publications = Vec::new();
    for row in session.rows(&sql).await? {
        let mut publishes = Vec::new();
        let actions =
            [("pubinsert", "insert"), ("pubupdate", "update"), ("pubdelete", "delete"), ("pubtruncate", "truncate")];
        for (column, action) in actions {
            if row.bool(column)? {
                publishes.push(action);
            }
        }
        publications.push(Publication {
            base: Base::read(&row, class::PG_PUBLICATION)?,
            all_tables: row.bool("puballtables")?,
            publishes,
            via_partition_root: row.bool("pubviaroot")?,
            generated_columns_stored: row.bool("generated")?,
        });
    }
    Ok(publications)
}

pub async fn load_tables(session: &Session) -> Result<Vec<PublicationTable>> {
    let sql = tables_sql(session.version());
    let mut tables = Vec::new();
    for row in session.rows(&sql).await? {
        tables.push(PublicationTable {
            base: Base::read(&row, class::PG_PUBLICATION_REL)?,
            publication: row.text("name")?,
            relation: row.u32("prrelid")?,
            table: QualifiedName::new(row.text("table_schema")?, row.text("table_name")?),
            columns: row.opt_text_array("columns")?,
            filter: row.opt_sql("filter")?,
        });
    }
    Ok(tables)
}

fn tables_sql(version: ServerVersion) -> String {
    let (columns, filter) = version.pick(
        Capability::PublicationFilters,
        (
            "CASE WHEN o.prattrs IS NOT NULL THEN ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a \
             WHERE a.attrelid = o.prrelid AND a.attnum = ANY (o.prattrs::pg_catalog.int2[]) ORDER BY a.attnum) END",
            "pg_catalog.pg_get_expr(o.prqual, o.prrelid)",
        ),
        ("NULL::pg_catalog.text[]", "NULL::pg_catalog.text"),
    );
    format!(
        "SELECT {}, o.prrelid, n.nspname AS table_schema, c.relname AS table_name, {columns} AS columns, \
         {filter} AS filter FROM pg_catalog.pg_publication_rel o \
         JOIN pg_catalog.pg_publication p ON p.oid = o.prpubid JOIN pg_catalog.pg_class c ON c.oid = o.prrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY n.nspname, c.relname, p.pubname",
        nameless::columns("pg_publication_rel", "p.pubname", Some("p.pubowner"))
    )
}

/// None exist on servers that cannot publish schemas.
pub async fn load_schemas(session: &Session) -> Result<Vec<PublicationSchema>> {
    if !session.version().has(Capability::PublicationFilters) {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT {}, n.nspname AS member FROM pg_catalog.pg_publication_namespace o \
         JOIN pg_catalog.pg_publication p ON p.oid = o.pnpubid \
         JOIN pg_catalog.pg_namespace n ON n.oid = o.pnnspid ORDER BY n.nspname, p.pubname",
        nameless::columns("pg_publication_namespace", "p.pubname", Some("p.pubowner"))
    );
    let mut schemas = Vec::new();
    for row in session.rows(&sql).await? {
        schemas.push(PublicationSchema {
            base: Base::read(&row, class::PG_PUBLICATION_NAMESPACE)?,
            publication: row.text("name")?,
            schema: row.text("member")?,
        });
    }
    Ok(schemas)
}
