//! What would make a restore fail half-way, looked for before anything is touched.

use std::collections::BTreeSet;

use crate::archive::{Archive, ReadAt};
use crate::error::{Error, Kind, Result};
use crate::ident::{Ident, Literal, QualifiedName};
use crate::job::Content;
use crate::pg::connect::{Reached, Server};
use crate::pg::database::{Filled, Target};
use crate::pg::properties::Properties;
use crate::pg::session::Session;
use crate::pg::settings::Purpose;

use super::select::Chosen;
use super::within;

/// Refuses what cannot end well. `part` is the archive, where it can be looked into, and what of it is wanted;
/// without it everything is. Returns a warning if others could read along or answer in the server's place.
pub async fn first_look<R: ReadAt>(
    server: &Server,
    target: &Target,
    part: Option<(&Archive<R>, &Chosen)>,
) -> Result<Option<String>> {
    let admin = Session::open_maintenance(server).await?;
    let rights = Rights::of(&admin, &server.database).await?;
    let whole = part.is_none_or(|(_, chosen)| chosen.is_whole());
    match target {
        Target::Filled(filled) if whole => {
            refuse_templates_of_the_server(&server.database)?;
            may_be_replaced(&server.database, filled)?;
            rights.may_create(&server.database)?;
            rights.may_rename(&server.database, filled)?;
        }
        Target::Missing => rights.may_create(&server.database)?,
        Target::Filled(_) | Target::Empty => {}
    }
    let warning = admin.reached().and_then(Reached::warning);
    let Some((archive, chosen)) = part else { return Ok(warning) };
    let owners = chosen.owners(archive.toc());
    let named = match whole {
        true => Properties::from_archive(archive.properties())?.role_names().map(str::to_owned).collect(),
        false => owners.clone(),
    };
    roles_exist(&admin, &named).await?;
    if !rights.superuser {
        owners_can_be_set(&admin, &owners).await?;
    }
    if !whole {
        tables_take_it(server, target, archive, chosen).await?;
    }
    Ok(warning)
}

struct Rights {
    role: String,
    superuser: bool,
    creates_databases: bool,
    /// Of the target, where it exists.
    owns: bool,
}

impl Rights {
    async fn of(admin: &Session, database: &str) -> Result<Self> {
        let sql = format!(
            "SELECT r.rolname::text AS role, r.rolsuper AS superuser, r.rolcreatedb AS creates,
                    EXISTS (SELECT FROM pg_catalog.pg_database d
                             WHERE d.datname = {} AND pg_catalog.pg_has_role(r.oid, d.datdba, 'USAGE')) AS owns
               FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
            Literal(database)
        );
        let row = admin.row(&sql).await?;
        Ok(Rights {
            role: row.text("role")?,
            superuser: row.bool("superuser")?,
            creates_databases: row.bool("creates")?,
            owns: row.bool("owns")?,
        })
    }

    fn may_create(&self, database: &str) -> Result<()> {
        match self.superuser || self.creates_databases {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Refused,
                format!("cannot create a database to restore {database} into: role {} may not", self.role),
            )
            .hint(format!("as a superuser run: ALTER ROLE {} CREATEDB", Ident::new(self.role.as_str())))),
        }
    }

    fn may_rename(&self, database: &str, filled: &Filled) -> Result<()> {
        match self.superuser || self.owns {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Refused,
                format!("cannot replace database {database}: it belongs to {}, not to {}", filled.owner, self.role),
            )
            .hint("restore as its owner or a superuser, or under another name with --database")),
        }
    }
}

/// New databases are made from template1, and its place cannot be taken while the server runs on it.
fn refuse_templates_of_the_server(database: &str) -> Result<()> {
    match ["template0", "template1"].contains(&database) {
        false => Ok(()),
        true => Err(Error::new(Kind::Refused, format!("{database} is the server's own template and is not replaced"))
            .hint("--database names another target")),
    }
}

/// Subscriptions and logical slots stay with the old database: a swap would end them silently.
pub fn may_be_replaced(name: &str, filled: &Filled) -> Result<()> {
    let refuse = |what: String, hint: &str| Err(Error::new(Kind::Refused, what).hint(hint));
    match (filled.subscriptions, filled.logical_slots) {
        (0, 0) => Ok(()),
        (0, slots) => refuse(
            format!("database {name} has {slots} logical replication slots that a replacement would not have"),
            "drop the slots or restore under another name with --database",
        ),
        (subscriptions, _) => refuse(
            format!("database {name} has {subscriptions} subscriptions that a replacement would not have"),
            "drop the subscriptions or restore under another name with --database",
        ),
    }
}

/// Roles belong to the server, not to the database: those that the script names must stand there already.
async fn roles_exist(admin: &Session, named: &BTreeSet<String>) -> Result<()> {
    let rows = admin.rows("SELECT rolname::text AS role FROM pg_catalog.pg_roles").await?;
    let present: BTreeSet<String> = rows.iter().map(|row| row.text("role")).collect::<Result<_>>()?;
    let missing: Vec<&str> = named.difference(&present).map(String::as_str).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Refused,
            format!("the server lacks roles that the archive names: {}", missing.join(", ")),
        )
        .hint("create them first; `miyabi-backup inspect F --json` has their definitions under properties.roles")),
    }
}

/// Without superuser a role gives objects only to roles that it is a member of.
async fn owners_can_be_set(admin: &Session, owners: &BTreeSet<String>) -> Result<()> {
    let sql = "SELECT rolname::text AS role FROM pg_catalog.pg_roles
                WHERE NOT pg_catalog.pg_has_role(current_user, oid, 'MEMBER')";
    let others = admin.rows(sql).await?.iter().map(|row| row.text("role")).collect::<Result<BTreeSet<_>>>()?;
    let beyond: Vec<&str> = owners.intersection(&others).map(String::as_str).collect();
    match beyond.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Refused,
            format!("the role that restores may not give objects to their owners: {}", beyond.join(", ")),
        )
        .hint("restore as a superuser, or make the role a member of each: GRANT owner TO role")),
    }
}

/// A part of an archive never replaces anything: tables that would be created must not exist, tables that would be
/// filled must be empty.
async fn tables_take_it<R: ReadAt>(
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
