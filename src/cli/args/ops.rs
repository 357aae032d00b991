//! Arguments of what runs for years: rotation, status, history, drills.

use std::path::PathBuf;

use clap::ValueEnum;

use super::Type;

/// Remove backups whose days are over: 7 for daily, 28 for weekly, 180 for monthly ones, as `[retention]` says
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

/// Tell what changed since the last time: stale, failed, damaged, out of space, recovered; for a timer of its own
///
/// Looks at the tree as `status` does and sends what is new to the channels of `[alerts]`. Exits with 0 once it is told, with
/// 3 if a channel failed, and like `status` where no channel is configured.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    From a timer, every hour; `schedule install` sets one up:
        miyabi-backup watch --quiet")]
pub struct WatchArgs {}

/// Before the first night: can everything be read and written, is there room, is the schedule there?
///
/// Changes nothing. Exits with 0 if all is well, 40 for a warning, 41 if a backup would fail.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    miyabi-backup doctor
    Statements that are missing, alone:
        miyabi-backup doctor --json | jq -r '.findings[].mend[]'")]
pub struct DoctorArgs {
    /// The tree [default: ./backups]
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
}

/// The status as a page: in a file, or served live and read-only with /metrics, /health and /api/status
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    One self-contained file:
        miyabi-backup dashboard --output status.html
    Live, on this machine alone:
        miyabi-backup dashboard --listen 127.0.0.1:8420
    For others, who need the token:
        miyabi-backup dashboard --listen 0.0.0.0:8420 --token-file /etc/miyabi-backup/token")]
pub struct DashboardArgs {
    /// The tree [default: ./backups]
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// Write the page to this file
    #[arg(long, value_name = "FILE", required_unless_present = "listen")]
    pub output: Option<PathBuf>,
    /// Serve it at this address until Ctrl-C
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "output")]
    pub listen: Option<std::net::SocketAddr>,
    /// File whose first line every request has to name, as a bearer token or as ?token=
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub token_file: Option<PathBuf>,
}

/// Send one alert of each kind to every configured channel
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    miyabi-backup alert test")]
pub struct AlertArgs {
    /// What to do
    #[arg(value_enum)]
    pub what: AlertAction,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum AlertAction {
    /// One of each kind, to every channel
    Test,
}

/// Show the status as Prometheus metrics, or write them for node_exporter
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    miyabi-backup metrics
    As a textfile of node_exporter, replaced in one step:
        miyabi-backup metrics --output /var/lib/prometheus/node-exporter/miyabi.prom")]
pub struct MetricsArgs {
    /// The tree [default: ./backups]
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// Write this file instead
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Install timers for backup (daily), verify (weekly), drill (monthly) and watch (hourly), show them, or remove them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    What would be written, first:
        miyabi-backup schedule install --dry-run
    Timers of systemd if it runs here, else a crontab; the backup at half past two:
        miyabi-backup schedule install --time 02:30
        miyabi-backup schedule install --method cron
    What is installed:
        miyabi-backup schedule status")]
pub struct ScheduleArgs {
    /// What to do
    #[arg(value_enum)]
    pub what: ScheduleAction,
    /// systemd or cron [default: what runs here]
    #[arg(long, value_enum, value_name = "METHOD")]
    pub method: Option<ScheduleMethod>,
    /// When the backup is made [default: 03:00]
    #[arg(long, value_name = "HH:MM")]
    pub time: Option<String>,
    /// Units of the machine, not of this user [default: as root]
    #[arg(long)]
    pub system: bool,
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Of `trial`: what its unit's lines are to have made read-only.
    #[arg(long, hide = true, value_name = "PATH")]
    pub protected: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ScheduleAction {
    Install,
    Status,
    Uninstall,
    /// What `install` starts in a copy of each unit.
    #[value(hide = true)]
    Trial,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ScheduleMethod {
    Systemd,
    Cron,
}

/// Write completions for a shell to standard output
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    miyabi-backup completions bash > /etc/bash_completion.d/miyabi-backup
    miyabi-backup completions zsh > ~/.zfunc/_miyabi-backup")]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Write the manual pages into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    miyabi-backup man --output /usr/local/share/man/man1")]
pub struct ManArgs {
    /// The folder
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
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
    /// Only runs that began at this time or later, such as 2026-03-01, '2026-03-01 03:00', or 12h or 7d ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Go on as runs begin and end
    #[arg(short = 'f', long)]
    pub follow: bool,
}
