//! What would make a restore fail half-way, looked for before anything is touched.

use std::collections::BTreeSet;

use crate::archive::{Archive, ReadAt};
use crate::error::{Error, Kind, Result};
use crate::ident::{Literal, QualifiedName};
use crate::job::Content;
use crate::pg::connect::Server;
use crate::pg::properties::Properties;
use crate::pg::session::Session;
use crate::pg::settings::Purpose;

use super::select::Chosen;

/// Roles belong to the server, not to the database: those that the script names must stand there already.
pub async fn roles_exist(admin: &Session, properties: &Properties) -> Result<()> {
    let rows = admin.rows("SELECT rolname::text AS role FROM pg_catalog.pg_roles").await?;
    let present: BTreeSet<String> = rows.iter().map(|row| row.text("role")).collect::<Result<_>>()?;
    let missing: Vec<&str> = properties.role_names().filter(|role| !present.contains(*role)).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Refused,
            format!("the server lacks roles that the archive names: {}", missing.join(", ")),
        )
        .hint("create them first: `miyabi-backup inspect --roles` prints the statements")),
    }
}

/// A part of an archive never replaces anything: tables that would be created must not exist, tables that would be filled must be empty.
pub async fn tables_take_it<R: ReadAt>(server: &Server, archive: &Archive<R>, chosen: &Chosen) -> Result<()> {
    let session = Session::open(server, Purpose::Write).await?;
    for stream in chosen.tables_in(archive.streams()) {
        let table = QualifiedName::new(stream.spec.schema.as_str(), stream.spec.name.as_str());
        match (chosen.content(), state_of(&session, &table).await?) {
            (Content::DataOnly, State::Missing) => {
                return Err(Error::new(
                    Kind::Refused,
                    format!("table {} does not exist in {}", table.plain(), server.database),
                )
                .hint("restore its definition first, with --schema-only"));
            }
            (Content::DataOnly, State::HasRows) => {
                return Err(Error::new(
                    Kind::Refused,
                    format!("table {} has rows, and --data-only never replaces any", table.plain()),
                )
                .hint("empty the table, or restore under another database name with --database"));
            }
            (Content::All | Content::SchemaOnly, State::HasRows | State::Empty) => {
                return Err(Error::new(
                    Kind::Refused,
                    format!("table {} exists in {} already", table.plain(), server.database),
                )
                .hint("rename or drop it, or restore under another database name with --database"));
            }
            (Content::DataOnly, State::Empty) | (_, State::Missing) => {}
        }
    }
    Ok(())
}

enum State {
    Missing,
    Empty,
    HasRows,
}

async fn state_of(session: &Session, table: &QualifiedName) -> Result<State> {
    let name = table.to_string();
    let found =
        session.rows(&format!("SELECT pg_catalog.to_regclass({}) IS NOT NULL AS found", Literal(&name))).await?;
    if !found.first().map(|row| row.bool("found")).transpose()?.unwrap_or(false) {
        return Ok(State::Missing);
    }
    let rows = session.rows(&format!("SELECT 1 AS one FROM ONLY {table} LIMIT 1")).await?;
    Ok(if rows.is_empty() { State::Empty } else { State::HasRows })
}
