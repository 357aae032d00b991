//! Roles that an archive names and a server lacks: made from the definitions in the archive's index, which hold no
//! passwords.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Kind, Result};
use crate::ident::{Ident, Literal};

use super::ddl::text::setting;
use super::properties::Properties;
use super::role::{Membership, Role};
use super::session::Session;
use super::version::{Capability, ServerVersion};

/// Roles to be made, under the names that they shall have, and who becomes a member of whom.
#[derive(Clone, Debug, Default)]
pub struct NewRoles {
    roles: BTreeMap<String, Role>,
    memberships: Vec<Membership>,
}

impl NewRoles {
    /// Definitions for these `missing` names; `renamed` says how a role of the archive is called here. Names without a
    /// definition are left over.
    pub fn of(properties: &Properties, missing: &BTreeSet<String>, renamed: impl Fn(&str) -> String) -> Self {
        let mut roles = BTreeMap::new();
        for role in &properties.roles {
            let name = renamed(&role.name);
            if missing.contains(&name) {
                roles.entry(name).or_insert_with(|| role.clone());
            }
        }
        let concerns = |one: &Membership| roles.contains_key(&one.role) || roles.contains_key(&one.member);
        let memberships = properties.memberships.iter().map(|one| Membership {
            role: renamed(&one.role),
            member: renamed(&one.member),
            ..one.clone()
        });
        let memberships = memberships.filter(|one| one.role != one.member && concerns(one)).collect();
        NewRoles { roles, memberships }
    }

    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }

    pub fn has(&self, name: &str) -> bool {
        self.roles.contains_key(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().map(String::as_str)
    }

    /// Those that can log in and have no password yet.
    pub fn logins(&self) -> Vec<&str> {
        self.roles.iter().filter(|(_, role)| role.login).map(|(name, _)| name.as_str()).collect()
    }

    /// Those with rights that only a superuser gives.
    pub fn privileged(&self) -> Vec<&str> {
        let is = |role: &Role| role.superuser || role.replication || role.bypass_row_security;
        self.roles.iter().filter(|(_, role)| is(role)).map(|(name, _)| name.as_str()).collect()
    }

    /// Makes all of them or none. Returns what a server of this version, or these rights, could not be told.
    pub async fn create(&self, admin: &Session) -> Result<Vec<String>> {
        let present: BTreeSet<String> = present(admin).await?;
        let mut sql = String::from("BEGIN;\n");
        for (name, role) in &self.roles {
            sql.push_str(&create_statement(name, role));
        }
        for one in self.memberships.iter().filter(|one| self.can_grant(one, &present)) {
            sql.push_str(&grant_statement(one, admin.version()));
        }
        sql.push_str("COMMIT");
        if let Err(error) = admin.execute(&sql).await {
            // The transaction is broken: ending it cannot hide the cause.
            let _ = admin.execute("ROLLBACK").await;
            return Err(error.of_kind(Kind::Target).while_doing("cannot create the missing roles"));
        }
        Ok(self.apply_settings(admin).await)
    }

    fn can_grant(&self, one: &Membership, present: &BTreeSet<String>) -> bool {
        [&one.role, &one.member].iter().all(|name| self.has(name) || present.contains(*name))
    }

    async fn apply_settings(&self, admin: &Session) -> Vec<String> {
        let mut left = Vec::new();
        for (name, role) in &self.roles {
            for set in role.settings.iter().flatten().filter_map(|item| setting(item)) {
                let sql = format!("ALTER ROLE {} SET {set}", Ident::new(name.as_str()));
                if let Err(error) = admin.execute(&sql).await {
                    left.push(format!("a setting of role {name}: {}", error.chain()));
                }
            }
        }
        left
    }

    /// After a failure: takes them away again. Returns those that could not be, since something belongs to them.
    pub async fn drop_again(&self, admin: &Session) -> Vec<String> {
        let mut left = Vec::new();
        for name in self.roles.keys() {
            if let Err(error) = admin.execute(&format!("DROP ROLE {}", Ident::new(name.as_str()))).await {
                left.push(format!("role {name}, which this run had created, could not be dropped: {}", error.chain()));
            }
        }
        left
    }
}

/// The names of all roles of the server.
pub async fn present(admin: &Session) -> Result<BTreeSet<String>> {
    let rows = admin.rows("SELECT rolname::text AS role FROM pg_catalog.pg_roles").await?;
    rows.iter().map(|row| row.text("role")).collect()
}

fn create_statement(name: &str, role: &Role) -> String {
    let flags = [
        (role.superuser, "SUPERUSER"),
        (!role.inherit, "NOINHERIT"),
        (role.create_role, "CREATEROLE"),
        (role.create_database, "CREATEDB"),
        (role.login, "LOGIN"),
        (role.replication, "REPLICATION"),
        (role.bypass_row_security, "BYPASSRLS"),
    ];
    let mut sql = format!("CREATE ROLE {}", Ident::new(name));
    for (_, word) in flags.iter().filter(|(given, _)| *given) {
        sql.push_str(&format!(" {word}"));
    }
    if role.connection_limit >= 0 && role.login {
        sql.push_str(&format!(" CONNECTION LIMIT {}", role.connection_limit));
    }
    if let Some(until) = &role.valid_until {
        sql.push_str(&format!(" VALID UNTIL {}", Literal(until)));
    }
    sql + ";\n"
}

/// Options of a membership say something only where both servers have them.
fn grant_statement(one: &Membership, version: ServerVersion) -> String {
    let (role, member) = (Ident::new(one.role.as_str()), Ident::new(one.member.as_str()));
    let mut options = Vec::new();
    match (version.has(Capability::MembershipOptions), one.inherit, one.set) {
        (true, Some(inherit), Some(set)) => {
            let option = |word: &str, given: bool| format!("{word} {}", if given { "TRUE" } else { "FALSE" });
            options.extend([option("ADMIN", one.admin), option("INHERIT", inherit), option("SET", set)]);
        }
        _ if one.admin => options.push("ADMIN OPTION".to_owned()),
        _ => {}
    }
    match options.is_empty() {
        true => format!("GRANT {role} TO {member};\n"),
        false => format!("GRANT {role} TO {member} WITH {};\n", options.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Role {
        Role { name: name.into(), inherit: true, connection_limit: -1, ..Role::default() }
    }

    #[test]
    fn a_role_is_made_as_it_was_and_without_a_password() {
        assert_eq!(create_statement("A\"b", &role("x")), "CREATE ROLE \"A\"\"b\";\n");
        let app = Role {
            login: true,
            inherit: false,
            connection_limit: 5,
            valid_until: Some("infinity".into()),
            ..role("x")
        };
        assert_eq!(
            create_statement("app", &app),
            "CREATE ROLE \"app\" NOINHERIT LOGIN CONNECTION LIMIT 5 VALID UNTIL 'infinity';\n"
        );
        let one = Membership {
            role: "g".into(),
            member: "m".into(),
            admin: true,
            inherit: Some(false),
            set: Some(true),
            grantor: None,
        };
        let (old, new) = (ServerVersion::from_num(150_000), ServerVersion::from_num(160_000));
        assert_eq!(grant_statement(&one, old), "GRANT \"g\" TO \"m\" WITH ADMIN OPTION;\n");
        assert_eq!(grant_statement(&one, new), "GRANT \"g\" TO \"m\" WITH ADMIN TRUE, INHERIT FALSE, SET TRUE;\n");
    }

    #[test]
    fn only_missing_roles_are_made_under_their_new_names() {
        let member =
            |role: &str, member: &str| Membership { role: role.into(), member: member.into(), ..Membership::default() };
        let properties = Properties {
            roles: vec![role("a"), role("b"), role("c")],
            memberships: vec![member("a", "b"), member("c", "c2"), member("b", "a")],
            ..Properties::default()
        };
        let missing = ["n".to_owned(), "unknown".to_owned()].into();
        let new = NewRoles::of(&properties, &missing, |name| if name == "a" { "n".into() } else { name.into() });
        assert_eq!(new.names().collect::<Vec<_>>(), ["n"]);
        let granted: Vec<_> = new.memberships.iter().map(|one| (one.role.as_str(), one.member.as_str())).collect();
        assert_eq!(granted, [("n", "b"), ("b", "n")]);
    }
}
