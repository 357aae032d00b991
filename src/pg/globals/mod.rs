//! What belongs to a server and to none of its databases: roles with memberships and settings, tablespaces, privileges
//! on parameters. Read at once under one snapshot; written as a script that can be run again and never drops anything.
//!
//! Not here: what belongs to a database, also a role's settings in one database; those are in the database's archive.
//! Hashes of passwords stand in [`Passwords`] and in the script alone, never in [`Globals`].

pub mod difference;
mod membership;
mod parameter;
mod password;
mod role;
pub mod script;
mod tablespace;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};

use super::connect::Server;
use super::encoding::Codec;
use super::role::{Membership, Role, read_memberships, read_roles};
use super::session::Session;
use super::settings::Purpose;

pub use parameter::Parameter;
pub use password::{PasswordPolicy, Passwords};
pub use tablespace::Tablespace;

/// As it stands in an archive's index. Fields of newer versions are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Globals {
    /// The role that the server was founded with. Privileges that it granted are the server's own.
    pub bootstrap_superuser: String,
    pub roles: Vec<Role>,
    /// `ALTER ROLE ALL SET …`.
    pub settings: Vec<String>,
    pub memberships: Vec<Membership>,
    pub tablespaces: Vec<Tablespace>,
    pub parameters: Vec<Parameter>,
}

/// Everything that was read of one server.
#[derive(Debug)]
pub struct Reading {
    pub globals: Globals,
    pub passwords: Passwords,
    pub server_version: String,
    pub server_version_num: u32,
    pub codec: Codec,
    /// The server that answered.
    pub reached: Server,
    pub warnings: Vec<String>,
}

/// Databases that every server has. Names of roles are read best there: a database of another encoding would hand them
/// out changed.
const MAINTENANCE_DATABASES: [&str; 2] = ["postgres", "template1"];

/// A session in a maintenance database, or in the server's own one where no other lets us in.
pub async fn session(server: &Server, purpose: Purpose) -> Result<(Session, Server)> {
    for name in MAINTENANCE_DATABASES {
        let candidate = server.with_database(name);
        if let Ok(session) = Session::open(&candidate, purpose).await {
            return Ok((session, candidate));
        }
    }
    Ok((Session::open(server, purpose).await?, server.clone()))
}

pub async fn read(server: &Server, passwords: PasswordPolicy) -> Result<Reading> {
    let (session, _) = session(server, Purpose::Read).await?;
    let mut warnings: Vec<String> = session.reached().and_then(|reached| reached.warning()).into_iter().collect();
    warnings.extend(session.version().check()?);
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let (globals, dangling) = of_session(&session).await?;
    if dangling > 0 {
        warnings.push(format!("{dangling} memberships name a role that does not exist any more: they are left out"));
    }
    let passwords = Passwords::read(&session, passwords).await?;
    warnings.extend(passwords.warning());
    let sql = "SELECT pg_catalog.current_setting('server_version') AS server_version";
    let server_version = session.row(sql).await?.text("server_version")?;
    session.execute("COMMIT").await?;
    Ok(Reading {
        globals,
        passwords,
        server_version,
        server_version_num: session.version().num(),
        codec: session.codec(),
        reached: session.reached().map_or_else(|| server.clone(), |reached| reached.server.clone()),
        warnings,
    })
}

/// Second: memberships of roles that do not exist any more.
pub async fn of_session(session: &Session) -> Result<(Globals, u64)> {
    let own = "SELECT pg_catalog.pg_get_userbyid(10)::pg_catalog.text AS founder,
         (SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = 0 AND s.setdatabase = 0) AS settings";
    let row = session.row(own).await?;
    let (memberships, dangling) = read_memberships(session).await?;
    let globals = Globals {
        bootstrap_superuser: row.text("founder")?,
        settings: row.opt_text_array("settings")?.unwrap_or_default(),
        roles: read_roles(session).await?,
        memberships,
        tablespaces: tablespace::read(session).await?,
        parameters: parameter::read(session).await?,
    };
    Ok((globals, dangling))
}

impl Globals {
    /// From the index of an archive.
    pub fn from_archive(stored: &serde_json::Value) -> Result<Self> {
        match stored {
            serde_json::Value::Null => Ok(Globals::default()),
            value => Globals::deserialize(value)
                .context(Kind::Damaged, || "cannot read the globals of the archive's index".to_owned()),
        }
    }

    /// As it stands in the index.
    pub fn to_json(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(|cause| Error::new(Kind::Bug, "cannot write globals as JSON").because(cause))
    }

    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }

    /// Whether a privilege was given by the server itself, whatever its founder is called.
    fn is_founder(&self, name: &str) -> bool {
        self.bootstrap_superuser == name
    }
}
