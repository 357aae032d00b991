//! What belongs to a database but to none of its objects: owner, privileges, settings, limits, comment; and the
//! roles that its objects name.
//!
//! Stands in an archive's index, never as SQL in its script: `gunzip | psql -d copy` must not alter another
//! database. A native restore applies it to a database that it creates.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};
use crate::ident::{Ident, Literal};

use super::ddl::acl::{AclKind, between};
use super::ddl::text::setting;
use super::role::{Membership, Role, read_memberships, read_roles};
use super::session::Session;

/// As it stands in an archive's index. Fields of newer versions are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Properties {
    pub database: DatabaseProperties,
    /// `name=value`, for every role.
    pub settings: Vec<String>,
    /// For one role in this database.
    pub role_settings: BTreeMap<String, Vec<String>>,
    /// Every role that the script names.
    pub roles: Vec<Role>,
    pub memberships: Vec<Membership>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseProperties {
    /// Empty: whoever creates the database.
    pub owner: String,
    /// `None`: the defaults apply.
    pub acl: Option<Vec<String>>,
    pub default_acl: Vec<String>,
    /// -1: no limit.
    pub connection_limit: i32,
    pub is_template: bool,
    pub comment: Option<String>,
}

impl Default for DatabaseProperties {
    fn default() -> Self {
        DatabaseProperties {
            owner: String::new(),
            acl: None,
            default_acl: Vec::new(),
            connection_limit: -1,
            is_template: false,
            comment: None,
        }
    }
}

impl Properties {
    /// From the index of an archive.
    pub fn from_archive(stored: &serde_json::Value) -> Result<Self> {
        match stored {
            serde_json::Value::Null => Ok(Properties::default()),
            value => Properties::deserialize(value)
                .context(Kind::Damaged, || "cannot read the database properties of the archive".to_owned()),
        }
    }

    /// As it stands in the index.
    pub fn to_json(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).context(Kind::Bug, || "cannot write database properties as JSON".to_owned())
    }

    /// Adds the definitions of these roles, without their passwords, and who is a member of whom among them.
    pub async fn add_roles(&mut self, session: &Session, names: &BTreeSet<String>) -> Result<()> {
        self.roles = read_roles(session).await?;
        self.roles.retain(|role| names.contains(&role.name));
        let wanted = |name: &str| names.contains(name) || name.starts_with("pg_");
        (self.memberships, _) = read_memberships(session).await?;
        self.memberships.retain(|one| names.contains(&one.member) && wanted(&one.role));
        Ok(())
    }

    pub fn role_names(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| role.name.as_str())
    }
}

/// The properties of the database `name`, without roles; the session may be connected to any database of the server.
pub async fn read(session: &Session, name: &str) -> Result<Properties> {
    let database = match session.can_send(name) {
        true => Literal(name).to_string(),
        false => session.literal(name)?,
    };
    let sql = format!(
        "SELECT pg_catalog.pg_get_userbyid(d.datdba)::text AS owner, d.datacl::text[] AS acl,
                pg_catalog.acldefault('d', d.datdba)::text[] AS default_acl, d.datconnlimit AS connection_limit,
                d.datistemplate AS is_template, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment
           FROM pg_catalog.pg_database d WHERE d.datname = {database}"
    );
    let rows = session.rows(&sql).await?;
    let row = rows.first().ok_or_else(|| Error::new(Kind::Source, format!("there is no database {name}")))?;
    let database_properties = DatabaseProperties {
        owner: row.text("owner")?,
        acl: row.opt_text_array("acl")?,
        default_acl: row.text_array("default_acl")?,
        connection_limit: row.i32("connection_limit")?,
        is_template: row.bool("is_template")?,
        comment: row.opt_text("comment")?,
    };
    let mut properties = Properties { database: database_properties, ..Properties::default() };
    let sql = format!(
        "SELECT r.rolname::text AS role, s.setconfig AS settings
           FROM pg_catalog.pg_db_role_setting s
           JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
           LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
          WHERE d.datname = {database} ORDER BY r.rolname"
    );
    for row in session.rows(&sql).await? {
        let settings = row.text_array("settings")?;
        match row.opt_text("role")? {
            None => properties.settings = settings,
            Some(role) => _ = properties.role_settings.insert(role, settings),
        }
    }
    Ok(properties)
}

impl Properties {
    /// The statements that give these properties to the database `name`, whose owner so far is whoever created it.
    pub fn statements(&self, name: &Ident) -> Result<Vec<String>> {
        let database = &self.database;
        let mut all = Vec::new();
        if !database.owner.is_empty() {
            all.push(format!("ALTER DATABASE {name} OWNER TO {}", Ident::new(database.owner.as_str())));
        }
        if database.connection_limit != -1 {
            all.push(format!("ALTER DATABASE {name} CONNECTION LIMIT {}", database.connection_limit));
        }
        if database.is_template {
            all.push(format!("ALTER DATABASE {name} IS_TEMPLATE true"));
        }
        if let Some(comment) = &database.comment {
            all.push(format!("COMMENT ON DATABASE {name} IS {}", Literal(comment)));
        }
        all.extend(set_statements(&format!("ALTER DATABASE {name}"), &self.settings));
        for (role, settings) in &self.role_settings {
            let role = Ident::new(role.as_str());
            all.extend(set_statements(&format!("ALTER ROLE {role} IN DATABASE {name}"), settings));
        }
        if let Some(acl) = &database.acl {
            let target = name.to_string();
            let grants = between(AclKind::Database, &target, Some(&database.owner), &database.default_acl, acl)?;
            if !grants.is_empty() {
                all.push(grants);
            }
        }
        Ok(all)
    }
}

fn set_statements<'a>(alter: &'a str, settings: &'a [String]) -> impl Iterator<Item = String> + 'a {
    settings.iter().filter_map(|item| setting(item)).map(move |set| format!("{alter} SET {set}"))
}

/// Gives the properties to a database that this process created.
pub async fn apply(session: &Session, name: &Ident, properties: &Properties) -> Result<()> {
    for statement in properties.statements(name)? {
        session.execute(&statement).await.map_err(|error| {
            error.of_kind(Kind::Target).while_doing(format!("cannot set the properties of database {}", name.as_str()))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_become_statements_with_quoted_names() {
        let properties = Properties {
            database: DatabaseProperties {
                owner: "Own\"er".to_owned(),
                acl: Some(vec!["=T/Own\"er".to_owned()]),
                connection_limit: 5,
                comment: Some("it's".to_owned()),
                ..DatabaseProperties::default()
            },
            settings: vec!["work_mem=8MB".to_owned()],
            role_settings: [("app".to_owned(), vec!["jit=off".to_owned()])].into(),
            ..Properties::default()
        };
        let all = properties.statements(&Ident::new("d")).unwrap();
        assert_eq!(all[0], "ALTER DATABASE \"d\" OWNER TO \"Own\"\"er\"");
        assert_eq!(all[1], "ALTER DATABASE \"d\" CONNECTION LIMIT 5");
        assert_eq!(all[2], "COMMENT ON DATABASE \"d\" IS 'it''s'");
        assert!(all[3].starts_with("ALTER DATABASE \"d\" SET ") && all[3].contains("8MB"), "{}", all[3]);
        assert!(all[4].starts_with("ALTER ROLE \"app\" IN DATABASE \"d\" SET "), "{}", all[4]);
        assert!(all[5].starts_with("GRANT TEMPORARY ON DATABASE \"d\" TO PUBLIC"), "{}", all[5]);
    }

    #[test]
    fn an_archive_without_properties_has_the_defaults() {
        assert_eq!(Properties::from_archive(&serde_json::Value::Null).unwrap(), Properties::default());
        let stored = serde_json::json!({"roles": [{"name": "a"}], "from_the_future": 1});
        assert_eq!(Properties::from_archive(&stored).unwrap().role_names().collect::<Vec<_>>(), ["a"]);
    }
}
