//! Roles belong to the server, not to the database: those that the restored part names must stand there, or be made.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::job::Adaptation;
use crate::pg::new_roles::{NewRoles, present};
use crate::pg::properties::Properties;
use crate::pg::session::Session;

use super::super::fitting::Fitting;
use super::super::survey::Needs;
use super::{Findings, Place};

pub async fn look(
    place: &Place<'_>,
    needs: &Needs,
    properties: &Properties,
    adaptation: &Adaptation,
    fitting: &Fitting,
    findings: &mut Findings,
) -> Result<()> {
    let present = present(&place.admin).await?;
    let mut missing: BTreeSet<String> = needs.roles.difference(&present).cloned().collect();
    if fitting.other_major().is_some() {
        pass_over_predefined(&mut missing, findings);
    }
    if adaptation.create_roles {
        let new = NewRoles::of(properties, &missing, |name| adaptation.tailoring.role(name).to_owned());
        missing.retain(|name| !new.has(name));
        can_be_created(place, &new, needs, findings);
    }
    refuse_missing(&missing, adaptation, findings);
    if !place.rights.superuser {
        owners_can_be_set(&place.admin, &needs.owners, findings).await?;
    }
    Ok(())
}

/// What is granted to a role that only other majors have is left behind and listed.
fn pass_over_predefined(missing: &mut BTreeSet<String>, findings: &mut Findings) {
    let predefined: Vec<String> = missing.iter().filter(|name| name.starts_with("pg_")).cloned().collect();
    missing.retain(|name| !name.starts_with("pg_"));
    if !predefined.is_empty() {
        let all = predefined.join(", ");
        findings.warn(format!("the server does not have these roles of the source's version: {all}"));
    }
}

fn refuse_missing(missing: &BTreeSet<String>, adaptation: &Adaptation, findings: &mut Findings) {
    if missing.is_empty() {
        return;
    }
    let all: Vec<&str> = missing.iter().map(String::as_str).collect();
    let all = all.join(", ");
    match adaptation.create_roles {
        true => findings.refuse(
            format!("the archive has no definition of roles that it names and the server lacks: {all}"),
            "create them first, or let others take their place with --role-map OLD=NEW",
        ),
        false => findings.refuse(
            format!("the server lacks roles that the archive names: {all}"),
            "--create-roles makes them, --role-map OLD=NEW lets others take their place, --no-owner and --no-privileges \
             do without; `miyabi-backup inspect F --json` has their definitions under properties.roles",
        ),
    }
}

fn can_be_created(place: &Place<'_>, new: &NewRoles, needs: &Needs, findings: &mut Findings) {
    if new.is_empty() || place.rights.superuser {
        return;
    }
    let role = &place.rights.role;
    let hint = "restore as a superuser, or create the roles first";
    if !place.rights.creates_roles {
        findings.refuse(format!("role {role} may not create the roles that are missing"), hint);
    }
    let privileged = new.privileged();
    if !privileged.is_empty() {
        let all = privileged.join(", ");
        findings
            .refuse(format!("role {role} may not create roles with rights that only a superuser gives: {all}"), hint);
    }
    let owners: Vec<&str> = new.names().filter(|name| needs.owners.contains(*name)).collect();
    if !owners.is_empty() {
        let all = owners.join(", ");
        findings.refuse(format!("role {role} may not give objects to roles that it only creates: {all}"), hint);
    }
}

/// Without superuser a role gives objects only to roles that it is a member of.
async fn owners_can_be_set(admin: &Session, owners: &BTreeSet<String>, findings: &mut Findings) -> Result<()> {
    let sql = "SELECT rolname::text AS role FROM pg_catalog.pg_roles
                WHERE NOT pg_catalog.pg_has_role(current_user, oid, 'MEMBER')";
    let others = admin.rows(sql).await?.iter().map(|row| row.text("role")).collect::<Result<BTreeSet<_>>>()?;
    let beyond: Vec<&str> = owners.intersection(&others).map(String::as_str).collect();
    if !beyond.is_empty() {
        findings.refuse(
            format!("the role that restores may not give objects to their owners: {}", beyond.join(", ")),
            "restore as a superuser, or without owners (--no-owner), or make the role a member of each: GRANT owner TO role",
        );
    }
    Ok(())
}
