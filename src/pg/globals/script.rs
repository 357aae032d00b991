//! The script of a server's globals. It can be run again, goes on after an error, and never drops anything.
//!
//! CREATE TABLESPACE can be put into no block, so psql is told by its own `\if` lines to pass over one that stands. A
//! native restore runs the entries alone and does the same itself.

use std::collections::BTreeMap;

use super::{Globals, Passwords, membership, role};
use crate::error::Result;
use crate::ident::{Ident, Literal};
use crate::pg::catalog::comment::Label;
use crate::pg::ddl::comment::{comment, label};
use crate::pg::ddl::text::setting;
use crate::pg::encoding::Codec;
use crate::pg::script::preamble;

pub const ROLE: &str = "ROLE";
pub const ROLE_PASSWORD: &str = "ROLE PASSWORD";
pub const ROLE_SETTING: &str = "ROLE SETTING";
pub const ROLE_MEMBERSHIP: &str = "ROLE MEMBERSHIP";
pub const PARAMETER_ACL: &str = "PARAMETER ACL";
/// CREATE TABLESPACE alone: to be left out where the tablespace stands.
pub const TABLESPACE: &str = "TABLESPACE";
pub const TABLESPACE_OWNER: &str = "TABLESPACE OWNER";
pub const TABLESPACE_OPTIONS: &str = "TABLESPACE OPTIONS";
pub const TABLESPACE_ACL: &str = "TABLESPACE ACL";
pub const COMMENT: &str = "COMMENT";
pub const SECURITY_LABEL: &str = "SECURITY LABEL";

/// Of the table of contents.
pub struct Entry {
    pub kind: &'static str,
    pub name: String,
    /// Whole statements, each ending in `;` and a newline.
    pub sql: String,
    /// Positions of the entries that must come before.
    pub depends: Vec<u32>,
}

pub enum Part {
    /// For psql; no entry of the table of contents.
    Psql(String),
    Entry(Entry),
}

pub struct Script {
    pub preamble: String,
    /// What belongs together, since psql would read it otherwise than it is meant if a piece of it were lost.
    pub chunks: Vec<Vec<Part>>,
}

/// What `of_all` is called in tables of contents; no role can have this name.
pub const ALL_ROLES: &str = "all roles";

pub fn script(globals: &Globals, passwords: &Passwords, codec: Codec) -> Result<Script> {
    let mut writer = Writer { globals, chunks: Vec::new(), count: 0, made: BTreeMap::new() };
    writer.roles(passwords);
    writer.settings();
    writer.memberships();
    for tablespace in &globals.tablespaces {
        writer.tablespace(tablespace)?;
    }
    writer.parameters()?;
    // What another role could have switched on would make every statement below fail.
    let preamble = format!("{}SET default_transaction_read_only = off;\n", preamble::settings(codec));
    Ok(Script { preamble, chunks: writer.chunks })
}

struct Writer<'a> {
    globals: &'a Globals,
    chunks: Vec<Vec<Part>>,
    /// Entries so far.
    count: u32,
    /// The entry that makes a role.
    made: BTreeMap<&'a str, u32>,
}

/// What the name of a setting, membership or comment in the table of contents is made of.
pub fn setting_name(role: &str, item: &str) -> String {
    let name = item.split_once('=').map_or(item, |(name, _)| name);
    format!("{name} of {role}")
}

pub fn membership_name(member: &str, role: &str) -> String {
    format!("{member} in {role}")
}

impl<'a> Writer<'a> {
    fn entry(&mut self, kind: &'static str, name: String, sql: String, depends: Vec<u32>) -> Part {
        self.count += 1;
        Part::Entry(Entry { kind, name, sql, depends })
    }

    fn alone(&mut self, kind: &'static str, name: String, sql: String, depends: Vec<u32>) {
        if !sql.is_empty() {
            let entry = self.entry(kind, name, sql, depends);
            self.chunks.push(vec![entry]);
        }
    }

    fn roles(&mut self, passwords: &Passwords) {
        for one in &self.globals.roles {
            let at = self.count;
            self.made.insert(&one.name, at);
            self.alone(ROLE, one.name.clone(), role::make(one), Vec::new());
            let ident = Ident::new(one.name.as_str());
            if let Some(hash) = passwords.of(&one.name) {
                let sql = format!("ALTER ROLE {ident} PASSWORD {};\n", Literal(hash.reveal()));
                self.alone(ROLE_PASSWORD, one.name.clone(), sql, vec![at]);
            }
            let notes = notes(&format!("ROLE {ident}"), one.comment.as_deref(), &one.labels);
            for (kind, sql) in notes {
                self.alone(kind, format!("ROLE {}", one.name), sql, vec![at]);
            }
        }
    }

    /// After all roles, since a setting may name one.
    fn settings(&mut self) {
        let globals = self.globals;
        let of_all = globals.settings.iter().map(|item| (ALL_ROLES, "ALL".to_owned(), item));
        let of_roles = globals.roles.iter().flat_map(|one| {
            let ident = Ident::new(one.name.as_str()).to_string();
            one.settings.iter().flatten().map(move |item| (one.name.as_str(), ident.clone(), item))
        });
        for (role, target, item) in of_all.chain(of_roles) {
            let sql = setting(item).map(|set| format!("ALTER ROLE {target} SET {set};\n"));
            let depends = self.made.get(role).copied().into_iter().collect();
            self.alone(ROLE_SETTING, setting_name(role, item), sql.unwrap_or_default(), depends);
        }
    }

    fn memberships(&mut self) {
        for one in membership::ordered(self.globals) {
            let names = [one.role.as_str(), one.member.as_str()];
            let depends = names.iter().filter_map(|name| self.made.get(name).copied()).collect();
            let sql = membership::make(self.globals, one);
            self.alone(ROLE_MEMBERSHIP, membership_name(&one.member, &one.role), sql, depends);
        }
    }

    fn tablespace(&mut self, one: &super::Tablespace) -> Result<()> {
        let (at, name, on) = (self.count, &one.name, format!("TABLESPACE {}", Ident::new(one.name.as_str())));
        let only_if =
            |query: String| Part::Psql(format!("SELECT {query} AS miyabi_wanted \\gset\n\\if :miyabi_wanted\n"));
        let end = || Part::Psql("\\endif\n".to_owned());
        let mut chunk = vec![only_if(format!("NOT {}", one.stands()))];
        let owner = self.made.get(one.owner.as_str()).copied().into_iter().collect();
        chunk.push(self.entry(TABLESPACE, name.clone(), one.create(), owner));
        chunk.extend([end(), only_if(one.stands())]);
        let mut rest = vec![
            (TABLESPACE_OWNER, one.give_owner()),
            (TABLESPACE_OPTIONS, one.set_options()),
            (TABLESPACE_ACL, one.grants()?),
        ];
        rest.extend(notes(&on, one.comment.as_deref(), &one.labels));
        for (kind, sql) in rest.into_iter().filter(|(_, sql)| !sql.is_empty()) {
            let name =
                if [COMMENT, SECURITY_LABEL].contains(&kind) { format!("TABLESPACE {name}") } else { name.clone() };
            chunk.push(self.entry(kind, name, sql, vec![at]));
        }
        chunk.push(end());
        self.chunks.push(chunk);
        Ok(())
    }

    fn parameters(&mut self) -> Result<()> {
        for one in &self.globals.parameters {
            let sql = one.grants(&self.globals.bootstrap_superuser)?;
            self.alone(PARAMETER_ACL, one.name.clone(), sql, Vec::new());
        }
        Ok(())
    }
}

fn notes(on: &str, text: Option<&str>, labels: &[Label]) -> Vec<(&'static str, String)> {
    let text = text.map(|text| (COMMENT, comment(on, text)));
    text.into_iter().chain(labels.iter().map(|one| (SECURITY_LABEL, label(on, one)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::globals::Tablespace;
    use crate::pg::role::{Membership, Role};
    use crate::pg::server::Secret;

    fn sample() -> (Globals, Passwords) {
        let role = |name: &str| Role { name: name.into(), ..Role::default() };
        let mut app = role("app");
        app.settings = Some(vec!["search_path=a, \"B c\"".into(), "work_mem=8MB".into()]);
        app.comment = Some("it's".into());
        let globals = Globals {
            bootstrap_superuser: "boss".into(),
            roles: vec![app, role("boss")],
            settings: vec!["jit=off".into()],
            memberships: vec![Membership { role: "pg_monitor".into(), member: "app".into(), ..Membership::default() }],
            tablespaces: vec![Tablespace {
                name: "fast".into(),
                owner: "app".into(),
                location: "/fast".into(),
                comment: Some("c".into()),
                ..Tablespace::default()
            }],
            ..Globals::default()
        };
        (globals, Passwords::Read([("app".to_owned(), Secret::new("SCRAM-SHA-256$x"))].into()))
    }

    fn entries(script: &Script) -> Vec<&Entry> {
        let parts = script.chunks.iter().flatten();
        parts.filter_map(|part| if let Part::Entry(entry) = part { Some(entry) } else { None }).collect()
    }

    #[test]
    fn every_entry_has_a_name_and_waits_for_its_object() {
        let (globals, passwords) = sample();
        let script = script(&globals, &passwords, Codec::Utf8).unwrap();
        let all = entries(&script);
        let named: Vec<_> = all.iter().map(|one| (one.kind, one.name.as_str(), one.depends.as_slice())).collect();
        let expected: [(&str, &str, &[u32]); 11] = [
            (ROLE, "app", &[]),
            (ROLE_PASSWORD, "app", &[0]),
            (COMMENT, "ROLE app", &[0]),
            (ROLE, "boss", &[]),
            (ROLE_SETTING, "jit of all roles", &[]),
            (ROLE_SETTING, "search_path of app", &[0]),
            (ROLE_SETTING, "work_mem of app", &[0]),
            (ROLE_MEMBERSHIP, "app in pg_monitor", &[0]),
            (TABLESPACE, "fast", &[0]),
            (TABLESPACE_OWNER, "fast", &[8]),
            (COMMENT, "TABLESPACE fast", &[8]),
        ];
        assert_eq!(named, expected);
        assert_eq!(all[5].sql, "ALTER ROLE \"app\" SET \"search_path\" TO 'a', 'B c';\n");
        assert_eq!(all[4].sql, "ALTER ROLE ALL SET \"jit\" TO 'off';\n");
    }

    #[test]
    fn a_hash_is_in_its_own_statement_alone() {
        let (globals, passwords) = sample();
        let script = script(&globals, &passwords, Codec::Utf8).unwrap();
        let holding: Vec<&str> =
            entries(&script).into_iter().filter(|one| one.sql.contains("SCRAM")).map(|one| one.kind).collect();
        assert_eq!(holding, [ROLE_PASSWORD]);
        assert!(!globals.to_json().unwrap().to_string().contains("SCRAM"));
        assert!(!format!("{passwords:?}").contains("SCRAM"));
    }
}
