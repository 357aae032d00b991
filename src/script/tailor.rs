//! Fits the statements of a script to another server: leaves some out, and gives roles other names.
//!
//! A statement is judged by its first words, whether this program or pg_dump wrote it. A role is replaced where the
//! grammar has a role and nowhere else: owners, grantees and grantors, those of policies, default privileges, user
//! mappings, `SET SESSION AUTHORIZATION`, `ALTER ROLE … IN DATABASE`. Bodies, literals and settings are never looked
//! into: a function that names a role in its text goes on naming the old one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Kind, Tokens};
use crate::ident::{Ident, Literal};

/// What a restore can do without.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Part {
    Owners,
    /// GRANT, REVOKE and default privileges.
    Privileges,
    Comments,
    SecurityLabels,
    Publications,
    Subscriptions,
    /// Everything goes where the target's own default is.
    Tablespaces,
    /// What ANALYZE found at the source.
    Statistics,
    /// Materialized views stay empty: filling one runs its query, which may reach other servers.
    Refreshes,
}

impl Part {
    /// The word in `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Part::Owners => "owners",
            Part::Privileges => "privileges",
            Part::Comments => "comments",
            Part::SecurityLabels => "security-labels",
            Part::Publications => "publications",
            Part::Subscriptions => "subscriptions",
            Part::Tablespaces => "tablespaces",
            Part::Statistics => "statistics",
            Part::Refreshes => "refreshes",
        }
    }
}

/// What is left out, and which roles go under which names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tailoring {
    pub leave_out: BTreeSet<Part>,
    pub role_map: BTreeMap<String, String>,
}

impl Tailoring {
    /// Whether every statement stays as it is.
    pub fn is_none(&self) -> bool {
        self.leave_out.is_empty() && self.role_map.is_empty()
    }

    pub fn omits(&self, part: Part) -> bool {
        self.leave_out.contains(&part)
    }

    /// The name under which a role of the source goes.
    pub fn role<'a>(&'a self, name: &'a str) -> &'a str {
        self.role_map.get(name).map_or(name, String::as_str)
    }

    /// The statement as it is to be run; `None` if it is not to be.
    pub fn apply<'a>(&self, sql: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if self.is_none() || !may_concern(sql) {
            return Some(Cow::Borrowed(sql));
        }
        let judged = Judged::of(sql);
        if judged.parts.iter().any(|part| self.omits(*part)) {
            return None;
        }
        let mut changes: Vec<_> = judged.roles.iter().filter_map(|role| self.renamed(&judged.tokens, role)).collect();
        if let (true, Some((first, last))) = (self.omits(Part::Owners), judged.authorization) {
            changes = vec![(judged.tokens.span(first, last), String::new())];
        }
        match changes.is_empty() {
            true => Some(Cow::Borrowed(sql)),
            false => Some(Cow::Owned(judged.tokens.replaced(changes))),
        }
    }

    fn renamed(&self, tokens: &Tokens<'_>, role: &RoleAt) -> Option<(std::ops::Range<usize>, String)> {
        let new = self.role_map.get(&role.name)?;
        let quoted = match tokens.get(role.token)?.kind {
            Kind::Text => Literal(new).to_string(),
            _ => Ident::new(new.as_str()).to_string(),
        };
        Some((tokens.span(role.token, role.token), quoted))
    }
}

/// The roles that a statement names. They must exist when it runs.
pub fn roles_of(sql: &[u8]) -> Vec<String> {
    match may_concern(sql) {
        true => Judged::of(sql).roles.into_iter().map(|role| role.name).collect(),
        false => Vec::new(),
    }
}

/// The role that the statement gives an object to.
pub fn owner_of(sql: &[u8]) -> Option<String> {
    let judged = may_concern(sql).then(|| Judged::of(sql))?;
    let gives = judged.parts.contains(&Part::Owners) || judged.authorization.is_some();
    judged.roles.into_iter().next().filter(|_| gives).map(|role| role.name)
}

/// The tablespace that the statement asks for.
pub fn tablespace_of(sql: &[u8]) -> Option<String> {
    let tokens = Tokens::of(sql);
    let value = tokens.are(0, "SET default_tablespace").then_some(3)?;
    tokens.name(value).or_else(|| tokens.string(value)).filter(|name| !name.is_empty())
}

/// Whether the statement is a block of code that brings back planner statistics, as this program writes it.
pub fn is_statistics(sql: &[u8]) -> bool {
    const HEAD: &[u8] = b"$BEGIN\nIF pg_catalog.current_setting('server_version_num')";
    let Some(quoted) = sql.strip_prefix(b"DO $") else { return false };
    let tag = quoted.iter().position(|byte| *byte == b'$');
    tag.and_then(|end| quoted.get(end..)).is_some_and(|body| body.starts_with(HEAD))
}

/// Cheap: of most statements the first word says that nothing here is about them.
fn may_concern(sql: &[u8]) -> bool {
    const FIRST: [&str; 10] =
        ["ALTER", "COMMENT", "CREATE", "DO", "GRANT", "REFRESH", "RESET", "REVOKE", "SECURITY", "SET"];
    let start = sql.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let rest = sql.get(start..).unwrap_or_default();
    let word = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = rest.get(..word).unwrap_or_default();
    // A comment before the first word hides it.
    word.is_empty() || FIRST.iter().any(|first| word.eq_ignore_ascii_case(first.as_bytes()))
}

#[derive(Debug)]
struct RoleAt {
    token: usize,
    name: String,
}

/// A statement, which parts of a restore it belongs to, and where it names roles.
#[derive(Debug)]
struct Judged<'a> {
    tokens: Tokens<'a>,
    parts: Vec<Part>,
    roles: Vec<RoleAt>,
    /// `AUTHORIZATION role` of a CREATE SCHEMA.
    authorization: Option<(usize, usize)>,
}

impl<'a> Judged<'a> {
    fn of(sql: &'a [u8]) -> Self {
        let tokens = Tokens::of(sql);
        let mut judged = Judged { tokens, parts: Vec::new(), roles: Vec::new(), authorization: None };
        judged.judge();
        judged
    }

    fn judge(&mut self) {
        let tokens = &self.tokens;
        match () {
            () if tokens.is(0, "GRANT") || tokens.is(0, "REVOKE") => self.privileges(0),
            () if tokens.are(0, "ALTER DEFAULT PRIVILEGES") => self.default_privileges(),
            () if tokens.is(0, "ALTER") => self.alter(),
            () if tokens.is(0, "COMMENT") => self.note(Part::Comments),
            () if tokens.are(0, "SECURITY LABEL") => self.note(Part::SecurityLabels),
            () if tokens.is(0, "SET") || tokens.is(0, "RESET") => self.set(),
            () if tokens.is(0, "DO") && is_statistics(tokens.sql()) => self.parts.push(Part::Statistics),
            () if tokens.are(0, "REFRESH MATERIALIZED VIEW") => self.parts.push(Part::Refreshes),
            () if tokens.are(0, "CREATE PUBLICATION") => self.parts.push(Part::Publications),
            () if tokens.are(0, "CREATE SUBSCRIPTION") => self.parts.push(Part::Subscriptions),
            () if tokens.are(0, "CREATE POLICY") => self.policy(),
            () if tokens.are(0, "CREATE USER MAPPING") => self.user_mapping(),
            () if tokens.are(0, "CREATE SCHEMA") => self.schema(),
            () => {}
        }
    }

    /// `GRANT … ON … TO a, b WITH …`, from the token of the verb on.
    fn privileges(&mut self, verb: usize) {
        self.parts.push(Part::Privileges);
        let Some(on) = self.tokens.find(verb, &["ON"]) else { return };
        let Some(to) = self.tokens.find(on, &["TO", "FROM"]) else { return };
        let end = self.list(to + 1);
        if let Some(by) = self.tokens.find(end, &["GRANTED"]).filter(|by| self.tokens.is(by + 1, "BY")) {
            self.role(by + 2);
        }
    }

    fn default_privileges(&mut self) {
        let verb = self.tokens.find(3, &["GRANT", "REVOKE"]).unwrap_or(self.tokens.count());
        if self.tokens.is(3, "FOR") {
            self.list(5);
        }
        self.privileges(verb);
    }

    /// `ALTER … OWNER TO role;` and what alters a publication or a subscription in any way.
    fn alter(&mut self) {
        let tokens = &self.tokens;
        match () {
            () if tokens.is(1, "PUBLICATION") => self.parts.push(Part::Publications),
            () if tokens.is(1, "SUBSCRIPTION") => self.parts.push(Part::Subscriptions),
            () if tokens.is(1, "ROLE") && tokens.are(3, "IN DATABASE") => return self.role(2),
            () if tokens.is(1, "POLICY") => return self.policy(),
            () if tokens.are(1, "USER MAPPING") => return self.user_mapping(),
            () => {}
        }
        let last = self.tokens.count().saturating_sub(1);
        let name = if self.tokens.is_mark(last, b';') { last.saturating_sub(1) } else { last };
        if name >= 2 && self.tokens.are(name - 2, "OWNER TO") && self.tokens.depth(name) == 0 {
            self.parts.push(Part::Owners);
            self.role(name);
        }
    }

    /// `COMMENT ON kind …`, `SECURITY LABEL FOR provider ON kind …`.
    fn note(&mut self, part: Part) {
        self.parts.push(part);
        let Some(on) = self.tokens.find(1, &["ON"]) else { return };
        match () {
            () if self.tokens.is(on + 1, "PUBLICATION") => self.parts.push(Part::Publications),
            () if self.tokens.is(on + 1, "SUBSCRIPTION") => self.parts.push(Part::Subscriptions),
            () => {}
        }
    }

    /// pg_dump writes the role as a string where it stands for an owner, and as a name where it stands for a grantor.
    fn set(&mut self) {
        if self.tokens.are(1, "SESSION AUTHORIZATION") {
            let by_owner = self.tokens.string(3).is_some() || self.tokens.is(3, "DEFAULT");
            self.parts.push(if by_owner { Part::Owners } else { Part::Privileges });
            self.role(3);
        } else if self.tokens.is(1, "default_tablespace") {
            self.parts.push(Part::Tablespaces);
        }
    }

    fn policy(&mut self) {
        if let Some(to) = self.tokens.find(2, &["TO", "USING", "WITH"]).filter(|at| self.tokens.is(*at, "TO")) {
            self.list(to + 1);
        }
    }

    fn user_mapping(&mut self) {
        if let Some(of) = self.tokens.find(3, &["FOR"]) {
            self.role(of + 1);
        }
    }

    fn schema(&mut self) {
        if let Some(at) = self.tokens.find(3, &["AUTHORIZATION"]) {
            self.role(at + 1);
            self.authorization = Some((at, at + 1));
        }
    }

    /// `a, GROUP b, c`; gives the token behind it.
    fn list(&mut self, mut at: usize) -> usize {
        loop {
            if self.tokens.is(at, "GROUP") && self.tokens.name(at + 1).is_some() {
                at += 1;
            }
            self.role(at);
            if !self.tokens.is_mark(at + 1, b',') {
                return at + 1;
            }
            at += 2;
        }
    }

    /// Words such as PUBLIC stand for no role of their own, unless they are quoted.
    fn role(&mut self, token: usize) {
        const NONE: [&str; 6] = ["PUBLIC", "CURRENT_USER", "CURRENT_ROLE", "SESSION_USER", "DEFAULT", "NONE"];
        if NONE.iter().any(|word| self.tokens.is(token, word)) {
            return;
        }
        if let Some(name) = self.tokens.name(token).or_else(|| self.tokens.string(token)) {
            self.roles.push(RoleAt { token, name });
        }
    }
}

#[cfg(test)]
mod tests;
