//! Tablespaces: read, and made again where they are missing.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ident::{Ident, Literal};
use crate::pg::catalog::comment::Label;
use crate::pg::ddl::acl::{AclKind, between};
use crate::pg::ddl::options;
use crate::pg::role::{labels_of, read_labels};
use crate::pg::session::{Row, Session};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tablespace {
    pub name: String,
    pub owner: String,
    /// Empty for one inside of the server's own folder.
    pub location: String,
    pub options: Vec<String>,
    /// `None`: the defaults apply.
    pub acl: Option<Vec<String>>,
    pub default_acl: Vec<String>,
    pub comment: Option<String>,
    pub labels: Vec<Label>,
}

/// All but the server's own.
pub async fn read(session: &Session) -> Result<Vec<Tablespace>> {
    let sql = format!(
        "SELECT t.spcname, pg_catalog.pg_get_userbyid(t.spcowner)::pg_catalog.text AS owner,
           pg_catalog.pg_tablespace_location(t.oid) AS location, t.spcoptions, t.spcacl::pg_catalog.text[] AS acl,
           pg_catalog.acldefault('t', t.spcowner)::pg_catalog.text[] AS default_acl,
           pg_catalog.shobj_description(t.oid, 'pg_tablespace') AS comment, {}
         FROM pg_catalog.pg_tablespace t WHERE NOT t.spcname ^@ 'pg_' ORDER BY t.spcname",
        labels_of("pg_tablespace", "t.oid")
    );
    session.rows(&sql).await?.iter().map(tablespace).collect()
}

fn tablespace(row: &Row) -> Result<Tablespace> {
    let location = row.text("location")?;
    Ok(Tablespace {
        name: row.text("spcname")?,
        owner: row.text("owner")?,
        location: if location.starts_with('/') { location } else { String::new() },
        options: row.opt_text_array("spcoptions")?.unwrap_or_default(),
        acl: row.opt_text_array("acl")?,
        default_acl: row.text_array("default_acl")?,
        comment: row.opt_text("comment")?,
        labels: read_labels(row)?,
    })
}

impl Tablespace {
    fn ident(&self) -> Ident {
        Ident::new(self.name.as_str())
    }

    /// True in a query's place if it stands on the target.
    pub fn stands(&self) -> String {
        format!("EXISTS (SELECT FROM pg_catalog.pg_tablespace WHERE spcname = {})", Literal(&self.name))
    }

    pub fn create(&self) -> String {
        let (owner, location) = (Ident::new(self.owner.as_str()), Literal(&self.location));
        format!("CREATE TABLESPACE {} OWNER {owner} LOCATION {location};\n", self.ident())
    }

    pub fn give_owner(&self) -> String {
        format!("ALTER TABLESPACE {} OWNER TO {};\n", self.ident(), Ident::new(self.owner.as_str()))
    }

    /// Empty without options, as all of these are where there is nothing to say.
    pub fn set_options(&self) -> String {
        match self.options.is_empty() {
            true => String::new(),
            false => format!("ALTER TABLESPACE {} SET ({});\n", self.ident(), options::list(&self.options)),
        }
    }

    pub fn grants(&self) -> Result<String> {
        match &self.acl {
            None => Ok(String::new()),
            Some(acl) => {
                between(AclKind::Tablespace, &self.ident().to_string(), Some(&self.owner), &self.default_acl, acl)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_quoted() {
        let one = Tablespace {
            name: "a\"b".into(),
            owner: "o'".into(),
            location: "/srv/it's".into(),
            options: vec!["seq_page_cost=1.5".into()],
            acl: Some(vec!["\"o'\"=C/\"o'\"".into(), "app=C*/\"o'\"".into()]),
            default_acl: vec!["\"o'\"=C/\"o'\"".into()],
            ..Tablespace::default()
        };
        assert_eq!(one.create(), "CREATE TABLESPACE \"a\"\"b\" OWNER \"o'\" LOCATION '/srv/it''s';\n");
        assert_eq!(one.set_options(), "ALTER TABLESPACE \"a\"\"b\" SET (\"seq_page_cost\"='1.5');\n");
        assert_eq!(one.grants().unwrap(), "GRANT ALL ON TABLESPACE \"a\"\"b\" TO \"app\" WITH GRANT OPTION;\n");
    }
}
