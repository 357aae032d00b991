//! Roles and memberships as the server's catalogs hold them, without passwords.
//!
//! A database's archive carries those of the roles that its script names; an archive of globals carries all. The
//! server's own roles, `pg_*`, are never read: they are there on every server.

use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::catalog::comment::Label;
use super::session::{Row, Session};
use super::version::Capability;

/// A role's definition without its password. Fields of newer versions are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Role {
    pub name: String,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_database: bool,
    pub login: bool,
    pub replication: bool,
    pub bypass_row_security: bool,
    /// -1: no limit.
    pub connection_limit: i32,
    /// In UTC.
    pub valid_until: Option<String>,
    /// `name=value`, for every database.
    pub settings: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

/// As CREATE ROLE makes one.
impl Default for Role {
    fn default() -> Self {
        Role {
            name: String::new(),
            superuser: false,
            inherit: true,
            create_role: false,
            create_database: false,
            login: false,
            replication: false,
            bypass_row_security: false,
            connection_limit: -1,
            valid_until: None,
            settings: None,
            comment: None,
            labels: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Membership {
    pub role: String,
    pub member: String,
    pub admin: bool,
    /// `None` before PostgreSQL 16.
    pub inherit: Option<bool>,
    pub set: Option<bool>,
    /// `None`: whoever it was does not exist any more, which servers before 16 let happen.
    pub grantor: Option<String>,
}

/// Names stay here to be matched, never in the query: those of a SQL_ASCII database may not be UTF-8, and would not
/// go back as they came.
pub async fn read_roles(session: &Session) -> Result<Vec<Role>> {
    let sql = format!(
        "SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
           r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::pg_catalog.text AS valid_until,
           (SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0)
             AS settings,
           pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment, {}
         FROM pg_catalog.pg_roles r WHERE NOT r.rolname ^@ 'pg_' ORDER BY r.rolname",
        labels_of("pg_authid", "r.oid")
    );
    session.rows(&sql).await?.iter().map(role).collect()
}

fn role(row: &Row) -> Result<Role> {
    Ok(Role {
        name: row.text("rolname")?,
        superuser: row.bool("rolsuper")?,
        inherit: row.bool("rolinherit")?,
        create_role: row.bool("rolcreaterole")?,
        create_database: row.bool("rolcreatedb")?,
        login: row.bool("rolcanlogin")?,
        replication: row.bool("rolreplication")?,
        bypass_row_security: row.bool("rolbypassrls")?,
        connection_limit: row.i32("rolconnlimit")?,
        valid_until: row.opt_text("valid_until")?,
        settings: row.opt_text_array("settings")?,
        comment: row.opt_text("comment")?,
        labels: read_labels(row)?,
    })
}

/// Two columns with the security labels of a shared object, for [`read_labels`].
pub(super) fn labels_of(catalog: &str, oid: &str) -> String {
    let all = |column: &str| {
        format!(
            "(SELECT pg_catalog.array_agg(l.{column} ORDER BY l.provider) FROM pg_catalog.pg_shseclabel l
               WHERE l.classoid = 'pg_catalog.{catalog}'::pg_catalog.regclass AND l.objoid = {oid})"
        )
    };
    format!("{} AS label_providers, {} AS label_texts", all("provider"), all("label"))
}

pub(super) fn read_labels(row: &Row) -> Result<Vec<Label>> {
    let providers = row.opt_text_array("label_providers")?.unwrap_or_default();
    let texts = row.opt_text_array("label_texts")?.unwrap_or_default();
    Ok(providers.into_iter().zip(texts).map(|(provider, text)| Label { provider, text }).collect())
}

/// Those among the server's own roles are left out. Second: how many name a role that does not exist any more.
pub async fn read_memberships(session: &Session) -> Result<(Vec<Membership>, u64)> {
    let options = session.version().pick(
        Capability::MembershipOptions,
        ", m.inherit_option, m.set_option",
        ", NULL::pg_catalog.bool AS inherit_option, NULL::pg_catalog.bool AS set_option",
    );
    let sql = format!(
        "SELECT g.rolname AS role, u.rolname AS member, m.admin_option, b.rolname AS grantor{options}
         FROM pg_catalog.pg_auth_members m LEFT JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
         LEFT JOIN pg_catalog.pg_roles u ON u.oid = m.member LEFT JOIN pg_catalog.pg_roles b ON b.oid = m.grantor
         WHERE NOT coalesce(g.rolname ^@ 'pg_' AND u.rolname ^@ 'pg_', false)
         ORDER BY g.rolname, u.rolname, b.rolname"
    );
    let (mut memberships, mut dangling) = (Vec::new(), 0);
    for row in session.rows(&sql).await? {
        let (Some(role), Some(member)) = (row.opt_text("role")?, row.opt_text("member")?) else {
            dangling += 1;
            continue;
        };
        memberships.push(Membership {
            role,
            member,
            admin: row.bool("admin_option")?,
            inherit: row.opt_bool("inherit_option")?,
            set: row.opt_bool("set_option")?,
            grantor: row.opt_text("grantor")?,
        });
    }
    Ok((memberships, dangling))
}
