//! What to back up, how, and where to.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::pg::connect::Server;
use crate::pg::filter::Filter;
use crate::pg::globals::PasswordPolicy;
use crate::policy::{Compression, Tier};
use crate::seal::{Recipients, Signer};
use crate::store::Lock;

#[derive(Clone, Debug)]
pub struct BackupJob {
    /// Never empty; labels are unique within each kind.
    pub sources: Vec<Source>,
    pub place: Place,
    /// Roots of further trees, written in the same pass. Empty unless `place` is a tree.
    pub copies: Vec<PathBuf>,
    /// How long objects of a bucket are locked; `None` leaves it to the bucket.
    pub retain: Option<Retain>,
    /// Whom archives are sealed for; `None` leaves them open.
    pub recipients: Option<Arc<Recipients>>,
    /// Whose signature stands in each `.meta`.
    pub signer: Option<Arc<Signer>>,
    pub compress: Compress,
    /// Connections that read one PostgreSQL database at once.
    pub jobs: usize,
    /// Bytes that all of them together read in a second.
    pub limit_rate: Option<NonZeroU64>,
    /// Threads that compress.
    pub threads: usize,
    pub content: Content,
    pub state_dir: PathBuf,
    /// Where SQLite files are staged; `None` is beside the backup.
    pub staging: Option<PathBuf>,
    /// How long a lock on a table is waited for.
    pub lock_timeout: Duration,
}

#[derive(Clone, Debug)]
pub enum Source {
    Postgres(Box<PostgresSource>),
    Globals(Box<GlobalsSource>),
    Sqlite(SqliteSource),
}

impl Source {
    pub fn label(&self) -> &str {
        match self {
            Source::Postgres(source) => &source.label,
            Source::Globals(source) => &source.label,
            Source::Sqlite(source) => &source.label,
        }
    }

    /// The database and where it is, for messages.
    pub fn describe(&self) -> String {
        match self {
            Source::Postgres(source) => source.server.describe(),
            Source::Globals(source) => format!("globals of {}", source.server.describe_hosts()),
            Source::Sqlite(source) => source.path.display().to_string(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct PostgresSource {
    pub label: String,
    pub server: Server,
    /// What is wanted of the database.
    pub filter: Filter,
}

/// Roles, tablespaces and privileges on parameters of one server.
#[derive(Clone, Debug)]
pub struct GlobalsSource {
    pub label: String,
    /// Its database is used only where no maintenance database lets us in.
    pub server: Server,
    pub passwords: PasswordPolicy,
}

#[derive(Clone, Debug)]
pub struct SqliteSource {
    pub label: String,
    pub path: PathBuf,
    pub limits: Limits,
}

/// How long a SQLite file's other users come first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// A copy of a file with a rollback journal steps aside for writers this long, then holds them back.
    pub yield_limit: Duration,
    /// A file that another process holds is waited for this long.
    pub busy_limit: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// Our naming scheme below this folder, or in `s3://bucket/prefix`.
    Tree { root: PathBuf },
    /// Exactly this file, with its `.meta` beside it; `force` replaces both.
    File { path: PathBuf, force: bool },
}

impl Place {
    /// For messages.
    pub fn describe(&self) -> String {
        match self {
            Place::Tree { root: path } | Place::File { path, .. } => path.display().to_string(),
        }
    }
}

/// Locks that end when the backup's tier may lose it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retain {
    pub lock: Lock,
    /// Calendar days.
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
}

impl Retain {
    pub const fn days(&self, tier: Tier) -> u32 {
        match tier {
            Tier::Daily => self.daily,
            Tier::Weekly => self.weekly,
            Tier::Monthly => self.monthly,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compress {
    /// gzip members, each of the level that its data need for all to be no larger than by `gzip -9`.
    #[default]
    Fitted,
    /// gzip members of this level, 1 to 9.
    Gzip { level: u32, engine: GzipEngine },
    /// zstd frames of this level, 1 to 19.
    Zstd(u32),
    /// gzip members of stored blocks.
    Stored,
}

impl Compress {
    /// What `zstd` alone means: smaller than `gzip -9` in a fraction of the time.
    pub const ZSTD_LEVEL: u32 = 1;

    /// As a backup's name shows it.
    pub const fn suffix(self) -> Compression {
        match self {
            Compress::Fitted | Compress::Gzip { .. } | Compress::Stored => Compression::Gzip,
            Compress::Zstd(_) => Compression::Zstd,
        }
    }
}

/// What makes gzip members; what they hold does not tell which.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum GzipEngine {
    #[default]
    Libdeflate,
    ZlibNg,
}

impl GzipEngine {
    pub const ALL: [GzipEngine; 2] = [GzipEngine::Libdeflate, GzipEngine::ZlibNg];

    /// As `--gzip-engine` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            GzipEngine::Libdeflate => "libdeflate",
            GzipEngine::ZlibNg => "zlib-ng",
        }
    }

    /// What `gzip` alone means.
    pub const fn compress(self) -> Compress {
        match self {
            GzipEngine::Libdeflate => Compress::Fitted,
            // Its fastest level whose output is about as large as that of `gzip -9`: docs/PERFORMANCE.md.
            GzipEngine::ZlibNg => Compress::Gzip { level: 6, engine: self },
        }
    }
}

/// As `--compress` takes it and `.meta` shows it.
impl fmt::Display for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compress::Fitted => f.write_str("gzip"),
            Compress::Gzip { level, .. } => write!(f, "gzip:{level}"),
            Compress::Zstd(level) => write!(f, "zstd:{level}"),
            Compress::Stored => f.write_str("none"),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    All,
    SchemaOnly,
    DataOnly,
}

impl Content {
    pub const fn name(self) -> &'static str {
        match self {
            Content::All => "all",
            Content::SchemaOnly => "schema-only",
            Content::DataOnly => "data-only",
        }
    }
}
