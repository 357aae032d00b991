//! GRANT and REVOKE: from the privileges that an object has right after its creation to those that it had.
//!
//! Items are compared whole, and their stored order is kept, since a grant option must be there before it is used;
//! only the owner's own grants come first. `ALL` is written where every privilege that any version knows is there:
//! loaded into a newer major, an item that lacked a privilege goes on lacking it.

use crate::error::{Error, Kind, Result};
use crate::ident::Ident;
use crate::pg::catalog::object::Base;
use crate::pg::ddl::text::split_quoted;

/// What GRANT can be given on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AclKind {
    Table,
    Column,
    Sequence,
    Database,
    Function,
    Procedure,
    Language,
    LargeObject,
    Schema,
    Type,
    ForeignDataWrapper,
    ForeignServer,
    Tablespace,
    Parameter,
}

impl AclKind {
    fn keyword(self) -> &'static str {
        match self {
            AclKind::Table | AclKind::Column => "TABLE",
            AclKind::Sequence => "SEQUENCE",
            AclKind::Database => "DATABASE",
            AclKind::Function => "FUNCTION",
            AclKind::Procedure => "PROCEDURE",
            AclKind::Language => "LANGUAGE",
            AclKind::LargeObject => "LARGE OBJECT",
            AclKind::Schema => "SCHEMA",
            AclKind::Type => "TYPE",
            AclKind::ForeignDataWrapper => "FOREIGN DATA WRAPPER",
            AclKind::ForeignServer => "FOREIGN SERVER",
            AclKind::Tablespace => "TABLESPACE",
            AclKind::Parameter => "PARAMETER",
        }
    }

    fn privileges(self) -> &'static [(char, &'static str)] {
        match self {
            AclKind::Table => &[
                ('a', "INSERT"),
                ('r', "SELECT"),
                ('w', "UPDATE"),
                ('d', "DELETE"),
                ('D', "TRUNCATE"),
                ('x', "REFERENCES"),
                ('t', "TRIGGER"),
                ('m', "MAINTAIN"),
            ],
            AclKind::Column => &[('a', "INSERT"), ('r', "SELECT"), ('w', "UPDATE"), ('x', "REFERENCES")],
            AclKind::Sequence => &[('r', "SELECT"), ('U', "USAGE"), ('w', "UPDATE")],
            AclKind::Database => &[('C', "CREATE"), ('c', "CONNECT"), ('T', "TEMPORARY")],
            AclKind::Function | AclKind::Procedure => &[('X', "EXECUTE")],
            AclKind::LargeObject => &[('r', "SELECT"), ('w', "UPDATE")],
            AclKind::Schema => &[('C', "CREATE"), ('U', "USAGE")],
            AclKind::Tablespace => &[('C', "CREATE")],
            AclKind::Parameter => &[('s', "SET"), ('A', "ALTER SYSTEM")],
            AclKind::Language | AclKind::Type | AclKind::ForeignDataWrapper | AclKind::ForeignServer => {
                &[('U', "USAGE")]
            }
        }
    }
}

/// Where grants go: `prefix` GRANT … ON `object`.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub kind: AclKind,
    /// `TABLE "s"."t"`, or `TABLES` in default privileges.
    pub object: String,
    pub column: Option<Ident>,
    /// `ALTER DEFAULT PRIVILEGES … ` or nothing.
    pub prefix: String,
}

/// The statements for an object as loaded; nothing if it has what it would get anyway. `name` is quoted and, for
/// functions, has its arguments.
pub fn of_object(base: &Base, kind: AclKind, name: &str) -> Result<String> {
    let acl = base.acl.as_ref().unwrap_or(&base.default_acl);
    let initial = base.init_acl.as_ref().unwrap_or(&base.default_acl);
    between(kind, name, base.owner.as_deref(), initial, acl)
}

/// The statements that turn `initial` into `acl`.
pub fn between(kind: AclKind, name: &str, owner: Option<&str>, initial: &[String], acl: &[String]) -> Result<String> {
    let object = format!("{} {name}", kind.keyword());
    statements(&Target { kind, object, column: None, prefix: String::new() }, owner, initial, acl)
}

/// The statements for one column of the table with this quoted name.
pub fn of_column(table: &str, column: &str, owner: Option<&str>, initial: &[String], acl: &[String]) -> Result<String> {
    let target = Target {
        kind: AclKind::Column,
        object: format!("TABLE {table}"),
        column: Some(Ident::new(column)),
        prefix: String::new(),
    };
    statements(&target, owner, initial, acl)
}

pub(super) fn statements(target: &Target, owner: Option<&str>, initial: &[String], acl: &[String]) -> Result<String> {
    let mut revokes = String::new();
    let mut owners = String::new();
    let mut others = String::new();
    for item in initial.iter().filter(|item| !acl.contains(item)) {
        let item = Item::parse(item, target)?;
        let all: Vec<char> = item.privileges.iter().map(|(letter, _)| *letter).collect();
        if let Some(words) = target.words(&all) {
            let from = grantee(&item);
            revokes.push_str(&format!("{}REVOKE {words} ON {} FROM {from};\n", target.prefix, target.object));
        }
    }
    for item in acl.iter().filter(|item| !initial.contains(item)) {
        let item = Item::parse(item, target)?;
        let own_grant =
            owner.is_some() && item.grantee.as_deref() == owner && item.grantor == owner.unwrap_or_default();
        let out = if own_grant { &mut owners } else { &mut others };
        let grants = target.grants(&item);
        if owner == Some(item.grantor.as_str()) {
            out.push_str(&grants);
        } else if !grants.is_empty() {
            let grantor = Ident::new(item.grantor);
            out.push_str(&format!("SET SESSION AUTHORIZATION {grantor};\n{grants}RESET SESSION AUTHORIZATION;\n"));
        }
    }
    Ok(revokes + &owners + &others)
}

impl Target {
    /// `SELECT, UPDATE`, or `ALL`; None for no privilege.
    fn words(&self, letters: &[char]) -> Option<String> {
        let known = self.kind.privileges();
        let column = self.column.as_ref().map(|column| format!("({column})")).unwrap_or_default();
        if known.iter().all(|(letter, _)| letters.contains(letter)) {
            return Some(format!("ALL{column}"));
        }
        let words: Vec<String> = known
            .iter()
            .filter(|(letter, _)| letters.contains(letter))
            .map(|(_, word)| format!("{word}{column}"))
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    fn grants(&self, item: &Item) -> String {
        let mut out = String::new();
        for (with_option, ending) in [(false, ""), (true, " WITH GRANT OPTION")] {
            let letters: Vec<char> = item
                .privileges
                .iter()
                .filter(|(_, option)| *option == with_option)
                .map(|(letter, _)| *letter)
                .collect();
            if let Some(words) = self.words(&letters) {
                let to = grantee(item);
                out.push_str(&format!("{}GRANT {words} ON {} TO {to}{ending};\n", self.prefix, self.object));
            }
        }
        out
    }
}

fn grantee(item: &Item) -> String {
    item.grantee.as_ref().map_or("PUBLIC".to_owned(), |role| Ident::new(role.as_str()).to_string())
}

/// One `aclitem`: `grantee=letters/grantor`, a `*` after a letter for the grant option.
#[derive(Debug, Eq, PartialEq)]
struct Item {
    /// None is PUBLIC.
    grantee: Option<String>,
    privileges: Vec<(char, bool)>,
    grantor: String,
}

impl Item {
    fn parse(text: &str, target: &Target) -> Result<Self> {
        let fail = |what: &str| {
            Error::new(Kind::Unsupported, format!("cannot read privileges `{text}` of {}: {what}", target.object))
        };
        let (grantee, rest) = role(text, '=').ok_or_else(|| fail("no role before `=`"))?;
        let letters = rest.strip_prefix('=').ok_or_else(|| fail("no `=`"))?;
        let (letters, grantor) = letters.split_once('/').ok_or_else(|| fail("no grantor"))?;
        let mut privileges: Vec<(char, bool)> = Vec::new();
        for letter in letters.chars() {
            match (letter, privileges.last_mut()) {
                ('*', Some(last)) => last.1 = true,
                ('*', None) => return Err(fail("a grant option without a privilege")),
                _ if target.kind.privileges().iter().any(|(known, _)| *known == letter) => {
                    privileges.push((letter, false));
                }
                _ => return Err(fail("an unknown privilege").hint("is the server newer than this program?")),
            }
        }
        let (grantor, _) = role(grantor, '\0').ok_or_else(|| fail("a quote is not closed"))?;
        Ok(Item { grantee: (!grantee.is_empty()).then_some(grantee), privileges, grantor })
    }
}

/// A role's name, in double quotes or up to `end`, and what follows it.
fn role(text: &str, end: char) -> Option<(String, &str)> {
    match text.strip_prefix('"') {
        Some(quoted) => split_quoted(quoted),
        None => {
            let at = text.find(end).unwrap_or(text.len());
            Some((text[..at].to_owned(), &text[at..]))
        }
    }
}

/// The roles that the statements from `initial` to `acl` name. The owner grants without being named.
pub fn named(owner: Option<&str>, initial: &[String], acl: &[String]) -> Vec<String> {
    let revoked = initial.iter().filter(|item| !acl.contains(item)).filter_map(|item| parties(item));
    let granted = acl.iter().filter(|item| !initial.contains(item)).filter_map(|item| parties(item));
    let others = granted.flat_map(|(grantee, grantor)| [Some(grantee), (owner != Some(&grantor)).then_some(grantor)]);
    let all = revoked.map(|(grantee, _)| grantee).chain(others.flatten());
    all.filter(|name| !name.is_empty()).collect()
}

/// The same for an object as loaded.
pub fn named_of_object(base: &Base) -> Vec<String> {
    let acl = base.acl.as_ref().unwrap_or(&base.default_acl);
    let initial = base.init_acl.as_ref().unwrap_or(&base.default_acl);
    named(base.owner.as_deref(), initial, acl)
}

/// Grantee, which is empty for PUBLIC, and grantor.
fn parties(item: &str) -> Option<(String, String)> {
    let (grantee, rest) = role(item, '=')?;
    let (grantor, _) = role(rest.split_once('/')?.1, '\0')?;
    Some((grantee, grantor))
}

/// The roles that these items name, as grantees or grantors.
pub fn roles(items: &[String]) -> Vec<String> {
    let named = items.iter().filter_map(|item| parties(item)).flat_map(|(grantee, grantor)| [grantee, grantor]);
    named.filter(|name| !name.is_empty()).collect()
}

/// Whether something of `wanted` is not among `found`: who may, what, with which options, by whom.
pub fn lacks(kind: AclKind, wanted: &[String], found: &[String]) -> Result<bool> {
    let target = Target { kind, object: kind.keyword().to_owned(), column: None, prefix: String::new() };
    let parse = |items: &[String]| items.iter().map(|item| Item::parse(item, &target)).collect::<Result<Vec<Item>>>();
    let found = parse(found)?;
    let has = |item: &Item, (letter, option): &(char, bool)| {
        found
            .iter()
            .filter(|one| one.grantee == item.grantee && one.grantor == item.grantor)
            .any(|one| one.privileges.iter().any(|(other, stronger)| other == letter && (*stronger || !option)))
    };
    Ok(parse(wanted)?.iter().any(|item| !item.privileges.iter().all(|privilege| has(item, privilege))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_wanted_lacks_nothing() {
        let lacks = |wanted: &[&str], found: &[&str]| lacks(AclKind::Parameter, &items(wanted), &items(found)).unwrap();
        assert!(!lacks(&["a=s/o", "=A/o"], &["a=s*A/o", "=sA/o", "b=s/o"]));
        assert!(lacks(&["a=s*/o"], &["a=sA/o"]) && lacks(&["a=s/o"], &["a=s/p"]) && lacks(&["a=s/o"], &[]));
    }

    fn items(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    fn table(initial: &[&str], acl: &[&str]) -> String {
        between(AclKind::Table, "\"s\".\"t\"", Some("own"), &items(initial), &items(acl)).unwrap()
    }

    #[test]
    fn equal_privileges_need_no_statement() {
        assert_eq!(table(&["own=arwdDxt/own"], &["own=arwdDxt/own"]), "");
    }

    #[test]
    fn what_is_gone_is_revoked_and_what_is_new_is_granted_in_stored_order() {
        assert_eq!(
            table(&["own=arwdDxtm/own"], &["app=r*w/own", "\"Odd \"\"one\"\"\"=r/app", "=r/own", "own=r/own"]),
            "REVOKE ALL ON TABLE \"s\".\"t\" FROM \"own\";\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO \"own\";\n\
             GRANT UPDATE ON TABLE \"s\".\"t\" TO \"app\";\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO \"app\" WITH GRANT OPTION;\n\
             SET SESSION AUTHORIZATION \"app\";\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO \"Odd \"\"one\"\"\";\n\
             RESET SESSION AUTHORIZATION;\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO PUBLIC;\n"
        );
    }

    #[test]
    fn an_older_all_does_not_become_a_newer_one() {
        assert_eq!(
            table(&[], &["app=arwdDxt/own"]),
            "GRANT INSERT, SELECT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON TABLE \"s\".\"t\" TO \"app\";\n"
        );
    }

    #[test]
    fn columns_name_themselves_after_each_privilege() {
        assert_eq!(
            of_column("\"t\"", "a", Some("own"), &[], &items(&["app=rw/own", "b=arwx/own"])).unwrap(),
            "GRANT SELECT(\"a\"), UPDATE(\"a\") ON TABLE \"t\" TO \"app\";\nGRANT ALL(\"a\") ON TABLE \"t\" TO \"b\";\n"
        );
    }

    #[test]
    fn odd_names_and_bad_items() {
        let target = Target { kind: AclKind::Table, object: "TABLE x".into(), column: None, prefix: String::new() };
        let item = Item::parse("\"a=b/c\"=r*/\"x\"\"y\"", &target).unwrap();
        assert_eq!((item.grantee.as_deref(), item.grantor.as_str()), (Some("a=b/c"), "x\"y"));
        assert_eq!(item.privileges, [('r', true)]);
        for bad in ["", "a", "a=r", "a=*r/b", "a=q/b", "\"a=r/b"] {
            assert_eq!(Item::parse(bad, &target).unwrap_err().kind(), Kind::Unsupported, "{bad}");
        }
    }

    #[test]
    fn no_privileges_at_all_differ_from_the_defaults() {
        let text = between(AclKind::Function, "f()", Some("o"), &items(&["=X/o", "o=X/o"]), &[]).unwrap();
        assert_eq!(text, "REVOKE ALL ON FUNCTION f() FROM PUBLIC;\nREVOKE ALL ON FUNCTION f() FROM \"o\";\n");
    }

    #[test]
    fn roles_are_grantees_and_grantors() {
        assert_eq!(roles(&items(&["=r/own", "\"a/b=c\"=r*/\"d\"\"e\""])), ["own", "a/b=c", "d\"e"]);
    }
}
