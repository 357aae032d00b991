//! A part of an archive adds to what stands: its tables must be new, or empty.

use std::collections::BTreeSet;

use crate::archive::{Archive, ReadAt};
use crate::error::{Error, Kind, Result};
use crate::ident::{Literal, QualifiedName};
use crate::job::Content;
use crate::pg::connect::Server;
use crate::pg::database::Target;
use crate::pg::session::Session;
use crate::pg::settings::Purpose;

use crate::restore::postgres::select::Chosen;
use crate::restore::postgres::within;

/// A part of an archive never replaces anything: tables that would be created must not exist, tables that would be
/// filled must be empty.
pub async fn tables_take_it<R: ReadAt>(
    server: &Server,
    target: &Target,
    archive: &Archive<R>,
    chosen: &Chosen,
) -> Result<()> {
    if matches!(target, Target::Missing) {
        return match chosen.content() {
            Content::DataOnly => Err(Error::new(Kind::Refused, format!("database {} does not exist", server.database))
                .hint("--data-only fills tables that stand: restore their definitions first, with --schema-only")),
            Content::All | Content::SchemaOnly => Ok(()),
        };
    }
    let session = Session::open(server, Purpose::Write).await?;
    match chosen.content() {
        Content::DataOnly => tables_are_empty(&session, server, archive, chosen).await,
        Content::All | Content::SchemaOnly => tables_are_new(&session, server, archive, chosen).await,
    }
}

async fn tables_are_empty<R: ReadAt>(
    session: &Session,
    server: &Server,
    archive: &Archive<R>,
    chosen: &Chosen,
) -> Result<()> {
    let streams = chosen.tables_in(archive.streams()).into_iter();
    let tables: Vec<QualifiedName> =
        streams.map(|stream| QualifiedName::new(stream.spec.schema.as_str(), stream.spec.name.as_str())).collect();
    let standing = standing(session, &tables).await?;
    for table in &tables {
        if !standing.contains(&table.to_string()) {
            return Err(Error::new(
                Kind::Refused,
                format!("table {} does not exist in {}", table.plain(), server.database),
            )
            .hint("restore its definition first, with --schema-only"));
        }
        if !session.rows(&format!("SELECT 1 AS one FROM ONLY {table} LIMIT 1")).await?.is_empty() {
            return Err(within::has_rows(table));
        }
    }
    Ok(())
}

async fn tables_are_new<R: ReadAt>(
    session: &Session,
    server: &Server,
    archive: &Archive<R>,
    chosen: &Chosen,
) -> Result<()> {
    let database = &server.database;
    let created = chosen.created_tables(archive);
    let mut tables: Vec<QualifiedName> = created.map(|(schema, name)| QualifiedName::new(schema, name)).collect();
    if chosen.has_tables() {
        // Rows of an extension's own table have no definition here: it must not stand either.
        let rows = chosen.tables_in(archive.streams()).into_iter();
        tables.extend(rows.map(|one| QualifiedName::new(one.spec.schema.as_str(), one.spec.name.as_str())));
    }
    if let Some(table) = standing(session, &tables).await?.into_iter().next() {
        let taken = tables.iter().find(|one| one.to_string() == table).map_or(table, QualifiedName::plain);
        return Err(Error::new(Kind::Refused, format!("table {taken} exists in {database} already"))
            .hint("rename or drop it, or restore under another database name with --database"));
    }
    if !chosen.has_tables() {
        return Ok(());
    }
    let rows = session.rows("SELECT nspname::text AS schema FROM pg_catalog.pg_namespace").await?;
    let schemas: BTreeSet<String> = rows.iter().map(|row| row.text("schema")).collect::<Result<_>>()?;
    match tables.iter().find(|table| !schemas.contains(table.schema.as_str())) {
        None => Ok(()),
        Some(table) => Err(Error::new(
            Kind::Refused,
            format!("schema {} of table {} does not exist in {database}", table.schema.as_str(), table.plain()),
        )
        .hint(format!("create it first: CREATE SCHEMA {}", table.schema))),
    }
}

/// Those of the names, quoted, under which a relation stands.
async fn standing(session: &Session, tables: &[QualifiedName]) -> Result<Vec<String>> {
    let quoted: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let names: Vec<String> = quoted.iter().map(|name| Literal(name).to_string()).collect();
    let sql = format!(
        "SELECT name FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) AS name
          WHERE pg_catalog.to_regclass(name) IS NOT NULL",
        names.join(", ")
    );
    session.rows(&sql).await?.iter().map(|row| row.text("name")).collect()
}
