//! What a restore would replace, and what came of it.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::Kind;
use crate::pg::database;
use crate::pg::globals::difference::Difference;
use crate::pg::globals::script::{PARAMETER_ACL, ROLE, TABLESPACE};
use crate::units::StoredBytes;

/// Shown before anything is touched; the question that follows names what would be replaced.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The archive as it was named or chosen; `-` for a pipe.
    pub archive: String,
    /// Of the source when the archive was made: `database miyabi of db.example:5432, 2025-11-29 03:00`.
    pub holds: String,
    pub size: Option<StoredBytes>,
    /// Newer backups that were passed over, and why.
    pub passed_over: Vec<String>,
    pub target: TargetPreview,
    /// What deserves a look before the answer is yes.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TargetPreview {
    Postgres {
        server: String,
        database: String,
        #[serde(flatten)]
        found: database::Target,
        /// Tables are added to the target, or filled; nothing is replaced.
        within: bool,
    },
    Globals(GlobalsPreview),
    Sqlite {
        path: PathBuf,
        /// `None`: the file does not exist.
        bytes: Option<u64>,
        /// When the file, or its WAL, was last written.
        written: Option<jiff::Timestamp>,
        /// Processes that have it open.
        holders: Vec<String>,
    },
}

/// What globals would change on a server. Nothing is ever taken away from it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GlobalsPreview {
    pub server: String,
    pub new_roles: Vec<String>,
    /// Also those that get a setting, a comment or a membership.
    pub changed_roles: Vec<String>,
    pub new_tablespaces: Vec<String>,
    pub changed_tablespaces: Vec<String>,
    /// Configuration parameters on which privileges are granted.
    pub parameters: Vec<String>,
}

impl GlobalsPreview {
    pub fn of(server: String, differences: &[Difference]) -> Self {
        let mut preview = GlobalsPreview { server, ..GlobalsPreview::default() };
        let add = |list: &mut Vec<String>, about: &str| {
            if !list.iter().any(|one| one == about) {
                list.push(about.to_owned());
            }
        };
        for one in differences {
            let is_new = one.what.is_none();
            let about = one.about.as_str();
            match one.kind {
                ROLE if is_new => add(&mut preview.new_roles, about),
                TABLESPACE if is_new => add(&mut preview.new_tablespaces, about),
                PARAMETER_ACL => add(&mut preview.parameters, about),
                kind if kind.starts_with(TABLESPACE) || one.name.starts_with("TABLESPACE ") => {
                    add(&mut preview.changed_tablespaces, about);
                }
                _ if preview.new_roles.iter().any(|new| new == about) => {}
                _ => add(&mut preview.changed_roles, about),
            }
        }
        preview
    }
}

impl TargetPreview {
    /// Whether a yes has to be asked for: something with content would be replaced or changed.
    pub fn replaces(&self) -> bool {
        match self {
            TargetPreview::Postgres { found: database::Target::Filled(_), .. } => true,
            TargetPreview::Postgres { .. } => false,
            TargetPreview::Globals(globals) => !globals.changed_roles.is_empty(),
            TargetPreview::Sqlite { bytes, .. } => bytes.is_some(),
        }
    }

    /// What the user types to confirm.
    pub fn name(&self) -> String {
        match self {
            TargetPreview::Postgres { database, .. } => database.clone(),
            TargetPreview::Globals(globals) => globals.server.clone(),
            TargetPreview::Sqlite { path, .. } => path.display().to_string(),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct RestoreOutcome {
    pub archive: String,
    /// `miyabi on db.example:5432`, or the path.
    pub target: String,
    pub rows: u64,
    pub tables: u64,
    pub raw_bytes: u64,
    pub duration_seconds: f64,
    /// Where the old data is now: a database's new name, or the safety copy's path.
    pub kept: Option<String>,
    /// What could not be restored although all rows and constraints were; not empty means exit code 3.
    pub left_behind: Vec<String>,
    /// What the role that restored may not make; only a drill passes over it.
    #[serde(skip)]
    pub beyond_rights: Vec<BeyondRights>,
    pub warnings: Vec<String>,
}

/// An object that only another role could make, such as `EXTENSION postgis`, or one that stands on such an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BeyondRights {
    pub what: String,
    pub why: String,
}

impl RestoreOutcome {
    pub fn exit_code(&self) -> u8 {
        if self.left_behind.is_empty() { 0 } else { Kind::Partial.exit_code() }
    }
}
