//! Arguments of what runs for years: rotation, status, history, drills.

use super::Type;

/// Remove backups whose days are over: 7 for daily, 28 for weekly, 180 for monthly ones, as [retention] says
///
/// `backup` does the same after it has succeeded. The last good backup of a database is never removed, nor any while
/// its newest one is damaged or failed verification, nor anything that this program did not publish.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    What would go, and why everything else stays:
        miyabi-backup prune --dry-run
    Remove it:
        miyabi-backup prune
    Backups that pg_dump and gzip made under the same names as well:
        miyabi-backup prune --adopt --dry-run
    The old databases and files that restores have kept:
        miyabi-backup prune --before-restore")]
pub struct PruneArgs {
    /// The tree [default: ./backups]
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// Keep the newest N good backups of each database, however old they are [default: 1]
    #[arg(long, value_name = "N")]
    pub keep_last: Option<String>,
    /// Treat backups of the older shell system as ours: remove them by the same rules
    #[arg(long)]
    pub adopt: bool,
    /// Remove what restores have kept, and nothing else: databases NAME_before_restore_TIME, FILE.before-restore-TIME
    #[arg(long, conflicts_with_all = ["from", "keep_last", "adopt"])]
    pub before_restore: bool,
    /// With --before-restore: do not ask
    #[arg(long, requires = "before_restore")]
    pub confirm: bool,
    /// Show what would be removed, with the reason for every backup, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// How the backups are: age, size, rows, verification, drills, space; exits with 40 for a warning, 41 if critical
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    miyabi-backup status
    For a monitoring system; docs/JSON.md has the fields:
        miyabi-backup status --json
    With the databases and files that restores have kept, for which each server is asked:
        miyabi-backup status --copies
    Of a tree on a machine without a configuration:
        miyabi-backup status --from /mnt/offsite")]
pub struct StatusArgs {
    /// The tree [default: ./backups]
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// Also look for what restores have kept
    #[arg(long)]
    pub copies: bool,
}

/// Restore backups for trial, compare every table with what was dumped, ask your own questions, and measure the time
///
/// The newest backup of each database is restored into a scratch database (or file) that is dropped at the end. Rows can
/// run code of the database that they come from, so this is refused as superuser on a server that holds others.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    The newest backup of everything that has one, on the configured servers:
        miyabi-backup drill
    On another server, as a role that may do nothing but create databases:
        miyabi-backup drill --url postgres://miyabi_drill@scratch.internal
    One database, and three older archives by chance:
        miyabi-backup drill shop --sample 3")]
pub struct DrillArgs {
    /// Only backups of these names
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Only this type
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Option<Type>,
    /// Every archive of the tree
    #[arg(long, conflicts_with = "sample")]
    pub all: bool,
    /// The newest of each database, and N others by chance
    #[arg(long, value_name = "N")]
    pub sample: Option<usize>,
    /// The tree [default: ./backups]
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// The server for scratch databases, as a libpq URI [default: the configured one of each database]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Also as a superuser, and on a server that holds other databases: code of the restored rows has all its rights
    #[arg(long)]
    pub as_superuser: bool,
    /// Folder for restored SQLite files [default: the state folder]
    #[arg(long, value_name = "DIR")]
    pub staging: Option<String>,
}

/// What ran and what came of it, also runs that failed, were killed or vanished
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    The last twenty runs:
        miyabi-backup logs
    Since a day, and whatever follows until Ctrl-C:
        miyabi-backup logs --since 2026-03-01 --follow")]
pub struct LogsArgs {
    /// How many of the last runs [default: 20, with --since all]
    #[arg(short = 'n', long = "lines", value_name = "N")]
    pub lines: Option<usize>,
    /// Only runs that began at this time or later, such as 2026-03-01 or '2026-03-01 03:00'
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Go on as runs begin and end
    #[arg(short = 'f', long)]
    pub follow: bool,
}
