//! What a server lacks of the globals that it should have: before a restore what it would change, after it what it
//! could not. What a server has besides is no difference: nothing is ever taken away.

use super::script::{
    ALL_ROLES, COMMENT, PARAMETER_ACL, ROLE, ROLE_MEMBERSHIP, ROLE_SETTING, SECURITY_LABEL, TABLESPACE, TABLESPACE_ACL,
    TABLESPACE_OPTIONS, TABLESPACE_OWNER, membership_name, setting_name,
};
use super::{Globals, Parameter, Tablespace, membership};
use crate::error::Result;
use crate::pg::catalog::comment::Label;
use crate::pg::ddl::acl::{AclKind, lacks};
use crate::pg::role::{Membership, Role};

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Kind and name as the script's table of contents has them.
    pub kind: &'static str,
    pub name: String,
    /// The role that it is about, or the tablespace, or the parameter.
    pub about: String,
    /// `None`: it is missing.
    pub what: Option<String>,
}

pub fn differences(wanted: &Globals, found: &Globals) -> Result<Vec<Difference>> {
    let mut all = Found(Vec::new());
    for role in &wanted.roles {
        match found.role(&role.name) {
            None => all.missing(ROLE, &role.name, &role.name),
            Some(there) => all.role(role, there),
        }
    }
    all.settings(ALL_ROLES, &wanted.settings, &found.settings);
    for role in &wanted.roles {
        let there = found.role(&role.name).and_then(|role| role.settings.as_deref()).unwrap_or_default();
        all.settings(&role.name, role.settings.as_deref().unwrap_or_default(), there);
    }
    for one in &wanted.memberships {
        all.membership(wanted, found, one);
    }
    for tablespace in &wanted.tablespaces {
        match found.tablespaces.iter().find(|one| one.name == tablespace.name) {
            None => all.missing(TABLESPACE, &tablespace.name, &tablespace.name),
            Some(there) => all.tablespace(tablespace, there)?,
        }
    }
    for parameter in &wanted.parameters {
        all.parameter(wanted, found, parameter)?;
    }
    Ok(all.0)
}

struct Found(Vec<Difference>);

impl Found {
    fn missing(&mut self, kind: &'static str, name: &str, about: &str) {
        self.0.push(Difference { kind, name: name.to_owned(), about: about.to_owned(), what: None });
    }

    fn differs(&mut self, kind: &'static str, name: &str, about: &str, what: String) {
        self.0.push(Difference { kind, name: name.to_owned(), about: about.to_owned(), what: Some(what) });
    }

    fn role(&mut self, wanted: &Role, found: &Role) {
        let flags = [
            ("SUPERUSER", wanted.superuser, found.superuser),
            ("INHERIT", wanted.inherit, found.inherit),
            ("CREATEROLE", wanted.create_role, found.create_role),
            ("CREATEDB", wanted.create_database, found.create_database),
            ("LOGIN", wanted.login, found.login),
            ("REPLICATION", wanted.replication, found.replication),
            ("BYPASSRLS", wanted.bypass_row_security, found.bypass_row_security),
        ];
        let mut differing: Vec<String> = flags
            .into_iter()
            .filter(|(_, wanted, found)| wanted != found)
            .map(|(word, wanted, _)| if wanted { word.to_owned() } else { format!("NO{word}") })
            .collect();
        if wanted.connection_limit != found.connection_limit {
            differing.push(format!("CONNECTION LIMIT {}", wanted.connection_limit));
        }
        let until = |role: &Role| role.valid_until.clone().unwrap_or_else(|| "infinity".to_owned());
        if until(wanted) != until(found) {
            differing.push(format!("VALID UNTIL {}", until(wanted)));
        }
        if !differing.is_empty() {
            self.differs(ROLE, &wanted.name, &wanted.name, differing.join(", "));
        }
        self.notes("ROLE", &wanted.name, (&wanted.comment, &wanted.labels), (&found.comment, &found.labels));
    }

    fn notes(
        &mut self,
        of: &str,
        about: &str,
        wanted: (&Option<String>, &[Label]),
        found: (&Option<String>, &[Label]),
    ) {
        let name = format!("{of} {about}");
        if wanted.0.is_some() && wanted.0 != found.0 {
            self.differs(COMMENT, &name, about, "the comment".to_owned());
        }
        if wanted.1.iter().any(|label| !found.1.contains(label)) {
            self.differs(SECURITY_LABEL, &name, about, "the security label".to_owned());
        }
    }

    fn settings(&mut self, role: &str, wanted: &[String], found: &[String]) {
        for item in wanted.iter().filter(|item| !found.contains(item)) {
            self.differs(ROLE_SETTING, &setting_name(role, item), role, format!("SET {item}"));
        }
    }

    fn membership(&mut self, wanted: &Globals, found: &Globals, one: &Membership) {
        let name = membership_name(&one.member, &one.role);
        let there: Vec<&Membership> =
            found.memberships.iter().filter(|other| other.role == one.role && other.member == one.member).collect();
        if there.is_empty() {
            return self.missing(ROLE_MEMBERSHIP, &name, &one.member);
        }
        let grantor = membership::grantor(wanted, one);
        let by_grantor = |other: &&&Membership| grantor.is_none() || other.grantor.as_deref() == grantor;
        if let (None, Some(grantor)) = (there.iter().find(by_grantor), grantor) {
            return self.differs(ROLE_MEMBERSHIP, &name, &one.member, format!("granted by {grantor}"));
        }
        let fits = |other: &&Membership| {
            let inherits = other.inherit.or(found.role(&one.member).map(|member| member.inherit));
            let same =
                |wanted: Option<bool>, found: Option<bool>| wanted.is_none() || found.is_none() || wanted == found;
            (!one.admin || other.admin) && same(one.inherit, inherits) && same(one.set, other.set)
        };
        if !there.into_iter().filter(|other| by_grantor(&other)).any(|other| fits(&other)) {
            self.differs(ROLE_MEMBERSHIP, &name, &one.member, "its options".to_owned());
        }
    }

    fn tablespace(&mut self, wanted: &Tablespace, found: &Tablespace) -> Result<()> {
        let name = wanted.name.as_str();
        if wanted.location != found.location {
            let what = format!("LOCATION {}, and there is one at {}", wanted.location, found.location);
            self.differs(TABLESPACE, name, name, what);
        }
        if wanted.owner != found.owner {
            self.differs(TABLESPACE_OWNER, name, name, format!("OWNER {}", wanted.owner));
        }
        for option in wanted.options.iter().filter(|option| !found.options.contains(option)) {
            self.differs(TABLESPACE_OPTIONS, name, name, option.clone());
        }
        let effective = |one: &Tablespace| one.acl.clone().unwrap_or_else(|| one.default_acl.clone());
        if wanted.acl.is_some() && lacks(AclKind::Tablespace, &effective(wanted), &effective(found))? {
            self.differs(TABLESPACE_ACL, name, name, "privileges".to_owned());
        }
        self.notes("TABLESPACE", name, (&wanted.comment, &wanted.labels), (&found.comment, &found.labels));
        Ok(())
    }

    /// Where the bootstrap superusers have different names, only whether there are privileges is looked at.
    fn parameter(&mut self, wanted: &Globals, found: &Globals, one: &Parameter) -> Result<()> {
        let Some(there) = found.parameters.iter().find(|other| other.name == one.name) else {
            self.missing(PARAMETER_ACL, &one.name, &one.name);
            return Ok(());
        };
        let comparable = wanted.bootstrap_superuser == found.bootstrap_superuser;
        if comparable && lacks(AclKind::Parameter, &one.acl, &there.acl)? {
            self.differs(PARAMETER_ACL, &one.name, &one.name, "privileges".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globals(role: Role) -> Globals {
        Globals { bootstrap_superuser: "boss".into(), roles: vec![role], ..Globals::default() }
    }

    #[test]
    fn equal_servers_and_richer_ones_do_not_differ() {
        let role = Role { name: "a".into(), login: true, ..Role::default() };
        let richer = Role {
            settings: Some(vec!["jit=off".into()]),
            comment: Some("x".into()),
            valid_until: Some("infinity".into()),
            ..role.clone()
        };
        assert_eq!(differences(&globals(role), &globals(richer)).unwrap(), []);
    }

    #[test]
    fn each_difference_is_named_as_its_entry() {
        let wanted =
            Role { name: "a".into(), superuser: true, settings: Some(vec!["jit=off".into()]), ..Role::default() };
        let found = Role { name: "a".into(), login: true, connection_limit: 3, ..Role::default() };
        let all = differences(&globals(wanted.clone()), &globals(found)).unwrap();
        let shown: Vec<_> = all.iter().map(|one| (one.kind, one.name.as_str(), one.what.as_deref())).collect();
        assert_eq!(
            shown,
            [
                (ROLE, "a", Some("SUPERUSER, NOLOGIN, CONNECTION LIMIT -1")),
                (ROLE_SETTING, "jit of a", Some("SET jit=off")),
            ]
        );
        let nothing = differences(&globals(wanted), &Globals::default()).unwrap();
        assert_eq!(nothing[0].what, None);
    }

    #[test]
    fn a_membership_by_another_grantor_differs() {
        let one = |grantor: &str| Membership {
            role: "r".into(),
            member: "m".into(),
            grantor: Some(grantor.into()),
            ..Membership::default()
        };
        let server = |grantor: &str| Globals { memberships: vec![one(grantor)], ..globals(Role::default()) };
        assert_eq!(differences(&server("x"), &server("y")).unwrap()[0].what.as_deref(), Some("granted by x"));
        assert_eq!(differences(&server("boss"), &server("y")).unwrap(), []);
    }
}
