//! What is said of large objects, many of them at once: there may be millions, and of most nothing is said but the owner.

use crate::error::Result;
use crate::pg::catalog::comment::Notes;
use crate::pg::catalog::large_object::LargeObject;
use crate::pg::ddl;
use crate::pg::filter::Switch;
use crate::pg::selection::Selection;
use crate::pg::statements::{Sql, Statements};
use crate::text::Text;

/// Bytes of text of one kind that become one entry: some hundred objects.
const ENTRY_BYTES: usize = 32 << 10;

/// Owners, comments and labels, privileges: in this order, since a grant is the owner's.
const KINDS: [&str; 3] = ["OWNER", "COMMENT", "ACL"];

/// One entry of the script.
#[derive(Debug)]
pub struct Said {
    pub kind: &'static str,
    /// `LARGE OBJECT 7`, `LARGE OBJECTS 7..12`.
    pub name: Text,
    pub owner: Text,
    pub sql: Sql,
}

#[derive(Debug, Default)]
pub struct LargeObjects {
    pub oids: Vec<u32>,
    pub said: Vec<Said>,
    /// The text of `said`.
    pub statements: Statements,
    open: Open,
}

/// Objects of one owner that follow each other.
#[derive(Debug, Default)]
struct Open {
    owner: Text,
    texts: [Lines; 3],
}

/// Statements of one kind, and of which objects they are.
#[derive(Debug, Default)]
struct Lines {
    sql: String,
    first: u32,
    last: u32,
}

impl LargeObjects {
    pub fn add(&mut self, object: &LargeObject, notes: &Notes, selection: &Selection) -> Result<()> {
        let base = &object.base;
        let identity = ddl::large_object::identity(object);
        let wanted = |switch, sql| if selection.has(switch) { String::new() } else { sql };
        let texts = [
            wanted(Switch::NoOwner, ddl::large_object::alter_owner(object)),
            ddl::comment::notes(notes, base.id, 0, &identity),
            wanted(Switch::NoPrivileges, ddl::large_object::acl(object)?),
        ];
        self.say(base.id.oid, base.owner.clone().unwrap_or_default(), texts)
    }

    fn say(&mut self, oid: u32, owner: Text, texts: [String; 3]) -> Result<()> {
        let is_full = self.open.texts.iter().any(|lines| lines.sql.len() >= ENTRY_BYTES);
        if is_full || self.open.owner != *owner {
            self.close()?;
        }
        self.oids.push(oid);
        self.open.owner = owner;
        for (lines, text) in self.open.texts.iter_mut().zip(texts).filter(|(_, text)| !text.is_empty()) {
            if lines.sql.is_empty() {
                lines.first = oid;
            }
            lines.last = oid;
            lines.sql.push_str(&text);
        }
        Ok(())
    }

    /// No object follows.
    pub fn close(&mut self) -> Result<()> {
        let Open { owner, texts } = std::mem::take(&mut self.open);
        for (kind, lines) in KINDS.into_iter().zip(texts).filter(|(_, lines)| !lines.sql.is_empty()) {
            let Lines { sql, first, last } = lines;
            let name = match first == last {
                true => format!("LARGE OBJECT {first}"),
                false => format!("LARGE OBJECTS {first}..{last}"),
            };
            self.said.push(Said { kind, name: name.into(), owner: owner.clone(), sql: self.statements.add(&sql)? });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_many_is_few_entries() {
        let mut all = LargeObjects::default();
        let of = |oid: u32, acl: bool| {
            let acl = if acl { format!("GRANT {oid};\n") } else { String::new() };
            [format!("ALTER LARGE OBJECT {oid} OWNER TO \"a\";\n"), String::new(), acl]
        };
        for oid in 1..=3000 {
            all.say(oid, "a".into(), of(oid, oid == 7 || oid == 9)).unwrap();
        }
        all.say(3001, "b".into(), of(3001, true)).unwrap();
        all.close().unwrap();
        assert_eq!(all.oids.len(), 3001);
        assert!(all.said.len() < 10, "{}", all.said.len());
        let names: Vec<(&str, &str)> = all.said.iter().map(|said| (said.kind, said.name.as_str())).collect();
        assert_eq!(names[1], ("ACL", "LARGE OBJECTS 7..9"));
        assert_eq!(names[names.len() - 2..], [("OWNER", "LARGE OBJECT 3001"), ("ACL", "LARGE OBJECT 3001")]);
        let text: String = all.said.iter().map(|said| all.statements.get(said.sql).unwrap()).collect();
        assert_eq!(text.matches("ALTER LARGE OBJECT ").count(), 3001);
        let granted = text.find("GRANT 7;").unwrap();
        assert!(text.find("OBJECT 7 OWNER").unwrap() < granted);
    }
}
