//! Which archive goes where.
//!
//! The archive's kind may be known only once it is opened, so a job carries both targets: the server and the file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::Content;
use crate::error::{Error, Kind, Result};
use crate::pg::connect::Server;
use crate::policy::ArchiveKind;
use crate::script::Tailoring;

#[derive(Clone, Debug)]
pub struct RestoreJob {
    pub archive: ArchiveChoice,
    /// `--type`: an archive of another kind is refused. `None` leaves it to the archive's header.
    pub kind: Option<ArchiveKind>,
    pub postgres: PostgresTarget,
    /// `--database` as a path; `None` refuses archives of SQLite files.
    pub sqlite: Option<PathBuf>,
    pub selection: Selection,
    pub adaptation: Adaptation,
    /// Connections that load rows and build indexes at once.
    pub jobs: usize,
    /// Threads that decompress.
    pub threads: usize,
    pub state_dir: PathBuf,
    /// Where SQLite files are unpacked; `None` is beside the target.
    pub staging: Option<PathBuf>,
    pub lock_timeout: Duration,
    /// How long a SQLite file that another process holds is waited for.
    pub busy_limit: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ArchiveChoice {
    File(PathBuf),
    /// Standard input.
    Pipe,
    /// The newest sound backup below `root`: of this label, and not younger than `before`.
    Newest {
        root: PathBuf,
        label: Option<String>,
        before: Option<Timestamp>,
    },
}

/// Where an archive of a PostgreSQL database goes, or why that is not known.
#[derive(Clone, Debug)]
pub enum PostgresTarget {
    /// `server.database` counts for nothing where `database` is `None`: the archive's own name is then the target.
    Known { server: Box<Server>, database: Option<String> },
    /// To be reported once the archive turns out to need a server.
    Unknown { kind: Kind, why: String, hint: Option<String> },
}

impl PostgresTarget {
    pub fn known(&self) -> Result<(&Server, Option<&str>)> {
        match self {
            PostgresTarget::Known { server, database } => Ok((server, database.as_deref())),
            PostgresTarget::Unknown { kind, why, hint } => {
                let error = Error::new(*kind, why.clone());
                Err(match hint {
                    Some(hint) => error.hint(hint.clone()),
                    None => error,
                })
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct Selection {
    /// Empty means the whole archive.
    pub tables: Vec<TableName>,
    pub content: Content,
}

impl Selection {
    /// Only a whole archive may take a database's place.
    pub fn is_whole(&self) -> bool {
        self.tables.is_empty() && self.content == Content::All
    }
}

/// How a database is fitted to the roles and tablespaces of its target.
#[derive(Clone, Debug, Default)]
pub struct Adaptation {
    pub tailoring: Tailoring,
    /// Roles that the archive names and the server lacks are made from the archive's definitions.
    pub create_roles: bool,
    /// What the role that restores may not make (extensions that are not trusted to it, event triggers, …) is left out and
    /// listed, with what stands on it. For drills: in a real restore it would be a loss.
    pub pass_over_rights: bool,
}

impl Adaptation {
    pub fn is_none(&self) -> bool {
        self.tailoring.is_none() && !self.create_roles && !self.pass_over_rights
    }
}

/// A table as `--table` names it; without a schema it must be the only one of its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableName {
    pub schema: Option<String>,
    pub name: String,
}

impl TableName {
    pub fn is(&self, schema: &str, name: &str) -> bool {
        self.name == name && self.schema.as_deref().is_none_or(|wanted| wanted == schema)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
