//! What the role that restores may do with the database that is restored into.

use crate::error::{Error, Kind, Result};
use crate::ident::{Ident, Literal};
use crate::pg::database::Filled;
use crate::pg::session::Session;

pub struct Rights {
    pub role: String,
    pub superuser: bool,
    pub creates_roles: bool,
    creates_databases: bool,
    /// Of the target, where it exists.
    owns: bool,
}

impl Rights {
    pub async fn of(admin: &Session, database: &str) -> Result<Self> {
        let sql = format!(
            "SELECT r.rolname::text AS role, r.rolsuper AS superuser, r.rolcreatedb AS creates, r.rolcreaterole AS creates_roles,
                    EXISTS (SELECT FROM pg_catalog.pg_database d
                             WHERE d.datname = {} AND pg_catalog.pg_has_role(r.oid, d.datdba, 'USAGE')) AS owns
               FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
            Literal(database)
        );
        let row = admin.row(&sql).await?;
        Ok(Rights {
            role: row.text("role")?,
            superuser: row.bool("superuser")?,
            creates_roles: row.bool("creates_roles")?,
            creates_databases: row.bool("creates")?,
            owns: row.bool("owns")?,
        })
    }

    pub fn may_create(&self, database: &str) -> Result<()> {
        match self.superuser || self.creates_databases {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Refused,
                format!("cannot create a database to restore {database} into: role {} may not", self.role),
            )
            .hint(format!("as a superuser run: ALTER ROLE {} CREATEDB", Ident::new(self.role.as_str())))),
        }
    }

    pub fn may_rename(&self, database: &str, filled: &Filled) -> Result<()> {
        match self.superuser || self.owns {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Refused,
                format!("cannot replace database {database}: it belongs to {}, not to {}", filled.owner, self.role),
            )
            .hint("restore as its owner or a superuser, or under another name with --database")),
        }
    }
}

/// New databases are made from template1, and its place cannot be taken while the server runs on it.
pub fn refuse_templates_of_the_server(database: &str) -> Result<()> {
    match ["template0", "template1"].contains(&database) {
        false => Ok(()),
        true => Err(Error::new(Kind::Refused, format!("{database} is the server's own template and is not replaced"))
            .hint("--database names another target")),
    }
}

/// Subscriptions and logical slots stay with the old database: a swap would end them silently.
pub fn may_be_replaced(name: &str, filled: &Filled) -> Result<()> {
    let refuse = |what: String, hint: &str| Err(Error::new(Kind::Refused, what).hint(hint));
    match (filled.subscriptions, filled.logical_slots) {
        (0, 0) => Ok(()),
        (0, slots) => refuse(
            format!("database {name} has {slots} logical replication slots that a replacement would not have"),
            "drop the slots or restore under another name with --database",
        ),
        (subscriptions, _) => refuse(
            format!("database {name} has {subscriptions} subscriptions that a replacement would not have"),
            "drop the subscriptions or restore under another name with --database",
        ),
    }
}
