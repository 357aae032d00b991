//! What the server itself must have on offer: extensions whose files are installed, tablespaces.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::job::Adaptation;
use crate::pg::session::Session;
use crate::pg::settings::Purpose;

use super::super::survey::Needs;
use super::{Findings, Place};

pub async fn look(place: &Place<'_>, needs: &Needs, adaptation: &Adaptation, findings: &mut Findings) -> Result<()> {
    if !needs.extensions.is_empty() {
        extensions(place, &needs.extensions, adaptation, findings).await?;
    }
    if !needs.tablespaces.is_empty() {
        tablespaces(place, &needs.tablespaces, findings).await?;
    }
    Ok(())
}

async fn extensions(
    place: &Place<'_>,
    wanted: &BTreeSet<String>,
    adaptation: &Adaptation,
    findings: &mut Findings,
) -> Result<()> {
    let installed = installed(place).await?;
    let wanted: BTreeSet<&String> = wanted.difference(&installed).collect();
    let offered = offered(&place.admin).await?;
    let missing: Vec<&&String> = wanted.iter().filter(|name| !offered.contains_key(**name)).collect();
    let (dropped, missing): (Vec<&&String>, Vec<&&String>) =
        missing.into_iter().partition(|name| place.admin.version().has_dropped(name));
    if !dropped.is_empty() {
        let major = place.admin.version().major();
        findings.warn(format!("extensions that PostgreSQL {major} no longer has are left out: {}", joined(&dropped)));
    }
    if !missing.is_empty() {
        findings.refuse(
            format!("the server does not offer extensions that the archive creates: {}", joined(&missing)),
            "install their packages on the server; pg_available_extensions lists what it offers",
        );
    }
    let beyond: Vec<&&String> = match place.rights.superuser {
        true => Vec::new(),
        false => wanted.iter().filter(|name| offered.get(**name) == Some(&true)).collect(),
    };
    if !beyond.is_empty() && !adaptation.pass_over_rights {
        findings.refuse(
            format!("only a superuser may create extensions of the archive: {}", joined(&beyond)),
            "restore as a superuser, or let one create them first in an empty database of the target's name",
        );
    }
    Ok(())
}

fn joined(names: &[&&String]) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Those that stand in the database that is filled; a new one has what template0 has.
async fn installed(place: &Place<'_>) -> Result<BTreeSet<String>> {
    const IN_TEMPLATE: &str = "plpgsql";
    if place.is_created() {
        return Ok([IN_TEMPLATE.to_owned()].into());
    }
    let inside = Session::open(place.server, Purpose::Write).await?;
    let rows = inside.rows("SELECT extname::text AS name FROM pg_catalog.pg_extension").await?;
    rows.iter().map(|row| row.text("name")).collect()
}

/// Whether only a superuser may create it.
async fn offered(admin: &Session) -> Result<BTreeMap<String, bool>> {
    let sql = "SELECT e.name::text AS name, COALESCE(v.superuser AND NOT v.trusted, false) AS closed
                 FROM pg_catalog.pg_available_extensions e
                 LEFT JOIN pg_catalog.pg_available_extension_versions v
                   ON v.name = e.name AND v.version = e.default_version";
    admin.rows(sql).await?.iter().map(|row| Ok((row.text("name")?, row.bool("closed")?))).collect()
}

async fn tablespaces(place: &Place<'_>, wanted: &BTreeSet<String>, findings: &mut Findings) -> Result<()> {
    let sql = "SELECT spcname::text AS name, pg_catalog.has_tablespace_privilege(oid, 'CREATE') AS usable
                 FROM pg_catalog.pg_tablespace";
    let rows = place.admin.rows(sql).await?;
    let standing: BTreeMap<String, bool> =
        rows.iter().map(|row| Ok((row.text("name")?, row.bool("usable")?))).collect::<Result<_>>()?;
    let with = |usable: Option<bool>| {
        let names = wanted.iter().filter(|name| standing.get(*name).copied() == usable);
        names.map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    let (missing, closed) = (with(None), with(Some(false)));
    let hint = "create them first, or put everything into the database's own with --no-tablespaces";
    if !missing.is_empty() {
        findings.refuse(format!("the server lacks tablespaces that the archive names: {missing}"), hint);
    }
    if !closed.is_empty() {
        let role = &place.rights.role;
        findings.refuse(
            format!("role {role} may not create anything in tablespaces that the archive names: {closed}"),
            hint,
        );
    }
    Ok(())
}
