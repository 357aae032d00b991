//! Hashes of roles' passwords: read where the server lets us, shown nowhere.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::pg::server::Secret;
use crate::pg::session::{Row, Session};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PasswordPolicy {
    /// Where the server lets them be read.
    Include,
    LeaveOut,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Passwords {
    /// By role, of those that have one.
    Read(BTreeMap<String, Secret>),
    LeftOut,
    /// The role that reads may not.
    Hidden {
        role: String,
    },
}

impl Passwords {
    /// Managed servers hide `pg_authid` from everybody.
    pub async fn read(session: &Session, policy: PasswordPolicy) -> Result<Self> {
        if policy == PasswordPolicy::LeaveOut {
            return Ok(Passwords::LeftOut);
        }
        let sql = "SELECT current_user::pg_catalog.text AS role,
             pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS readable";
        let row = session.row(sql).await?;
        if !row.bool("readable")? {
            return Ok(Passwords::Hidden { role: row.text("role")? });
        }
        let sql = "SELECT r.rolname, r.rolpassword FROM pg_catalog.pg_authid r
             WHERE r.rolpassword IS NOT NULL AND NOT r.rolname ^@ 'pg_'";
        let rows = session.rows(sql).await?;
        let hash = |row: &Row| Ok((row.text("rolname")?, Secret::new(row.text("rolpassword")?)));
        rows.iter().map(hash).collect::<Result<_>>().map(Passwords::Read)
    }

    pub fn of(&self, role: &str) -> Option<&Secret> {
        match self {
            Passwords::Read(hashes) => hashes.get(role),
            Passwords::LeftOut | Passwords::Hidden { .. } => None,
        }
    }

    /// As the archive's header says it.
    pub fn word(&self) -> &'static str {
        match self {
            Passwords::Read(_) => "included",
            Passwords::LeftOut => "left out",
            Passwords::Hidden { .. } => "hidden by the server",
        }
    }

    pub fn warning(&self) -> Option<String> {
        match self {
            Passwords::Hidden { role } => Some(format!(
                "passwords are not in the backup: the server does not let role {role} read pg_authid, \
                 so restored roles have none"
            )),
            Passwords::Read(_) | Passwords::LeftOut => None,
        }
    }
}
