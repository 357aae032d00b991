//! Stage 1: what was typed. Values stay text; the third stage parses them, so that a flag, a variable and a line of
//! the configuration file are judged by the same code. Nothing here reads the environment, so `--help` always works.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

mod filter;
mod ops;

pub use filter::FilterArgs;
pub use ops::{
    AlertArgs, CompletionsArgs, DashboardArgs, DoctorArgs, DrillArgs, LogsArgs, ManArgs, MetricsArgs, PruneArgs,
    ScheduleAction, ScheduleArgs, ScheduleMethod, StatusArgs, WatchArgs,
};

const EXIT_CODES: &str = "\
Exit codes:
    0  done                          10  no connection, or login refused
    1  failed                        20  the source failed (query, COPY, lock, page)
    2  usage or configuration        21  the place failed (folder, disk, bucket)
    3  some failed, or partial       30  archive damaged
    4  refused (no confirmation,     31  not an archive of ours, or too new
       target exists, held)         130  stopped by SIGINT
    5  nothing to do                143  stopped by SIGTERM
   40  status: a warning             41  status: something is critical

Configuration: flags > environment > .env > miyabi-backup.toml > defaults.

EXAMPLES
    miyabi-backup backup                                     everything that is configured, into ./backups
    miyabi-backup backup postgres --url postgres://app@db.internal/shop --to /srv/backups
    miyabi-backup backup sqlite --file /var/lib/app/app.db --output app.db.gz
    miyabi-backup verify                                     every archive of the tree, byte by byte
    miyabi-backup restore --file latest --database shop_copy";

/// Back up, verify and restore PostgreSQL and SQLite databases.
///
/// A backup is a plain .sql.gz or .db.gz that gunzip, psql and sqlite3 understand, and at the same time an indexed,
/// checksummed archive that this program verifies, restores in parallel and salvages.
#[derive(Debug, Parser)]
#[command(name = "miyabi-backup", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Common {
    /// Configuration file [default: miyabi-backup.toml here, in ~/.config/miyabi-backup or /etc/miyabi-backup]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File of KEY=value lines that stand for unset environment variables [default: .env, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Where locks and history live [default: ~/.local/state/miyabi-backup, as root /var/lib/miyabi-backup]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<String>,
    /// Time zone of file names, weeks and months, such as Asia/Tokyo [default: the system's]
    #[arg(long, global = true, value_name = "ZONE")]
    pub zone: Option<String>,
    /// What opens encrypted backups: a file of age identities, or a private key of ssh; may be repeated
    #[arg(long = "identity", global = true, value_name = "FILE")]
    pub identities: Vec<String>,
    /// File with the passphrase that backups are encrypted by, and opened
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub passphrase_file: Option<String>,
    /// Take only backups that this key has signed: a public Ed25519 key in PEM
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub require_signature: Option<String>,
    #[command(flatten)]
    pub s3: S3Args,
    /// One JSON object on standard output, also for errors
    #[arg(long, global = true)]
    pub json: bool,
    /// Only warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// How messages on standard error look: text, or json, one object a line
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text, hide_default_value = true)]
    pub log_format: LogFormat,
    /// Log what is being done to standard error; -vv logs more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// How buckets are reached, and what objects are made like.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Buckets")]
pub struct S3Args {
    /// Where the store is, such as `https://s3.example.org` [default: Amazon's, by region]
    #[arg(long, global = true, value_name = "URL", hide_short_help = true)]
    pub s3_endpoint: Option<String>,
    /// Region of the buckets [default: as AWS tools find it, else us-east-1]
    #[arg(long, global = true, value_name = "REGION", hide_short_help = true)]
    pub s3_region: Option<String>,
    /// true: ENDPOINT/BUCKET/KEY, false: BUCKET.ENDPOINT/KEY [default: true with an endpoint]
    #[arg(long, global = true, value_name = "BOOL", hide_short_help = true)]
    pub s3_path_style: Option<String>,
    /// Certificates (PEM) that are trusted beside the system's
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub s3_ca: Option<String>,
    /// Parts that one object may have; then the archive goes on in .001, .002, … [default: 10000]
    #[arg(long, global = true, value_name = "N", hide_short_help = true)]
    pub s3_max_parts: Option<String>,
    /// Memory for the parts of an upload, such as 64M or 256M [default: 64M]
    #[arg(long, global = true, value_name = "BYTES", hide_short_help = true)]
    pub s3_memory: Option<String>,
    /// Storage class of new objects, such as STANDARD_IA [default: the bucket's]
    #[arg(long, global = true, value_name = "CLASS", hide_short_help = true)]
    pub s3_storage_class: Option<String>,
    /// Encryption by the store: AES256, aws:kms, or aws:kms:KEY [default: the bucket's]
    #[arg(long, global = true, value_name = "HOW", hide_short_help = true)]
    pub s3_sse: Option<String>,
    /// Lock new objects for the days that their tier is kept: governance or compliance
    #[arg(long, global = true, value_name = "MODE", hide_short_help = true)]
    pub s3_retain: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Verify(VerifyArgs),
    List(ListArgs),
    Inspect(InspectArgs),
    Salvage(SalvageArgs),
    Prune(PruneArgs),
    Status(StatusArgs),
    Logs(LogsArgs),
    Drill(DrillArgs),
    Watch(WatchArgs),
    Doctor(DoctorArgs),
    Dashboard(DashboardArgs),
    Alert(AlertArgs),
    Metrics(MetricsArgs),
    Schedule(ScheduleArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Copy(CopyArgs),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum What {
    /// Everything that is configured or named
    All,
    /// PostgreSQL databases, and the globals of their servers
    Postgres,
    /// SQLite files
    Sqlite,
    /// Roles, tablespaces and privileges on parameters of each server
    Globals,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Type {
    Postgres,
    Sqlite,
    Globals,
}

/// Back up databases: what the configuration names, or what --url and --file name
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    Everything that miyabi-backup.toml and the environment name, into its tree:
        miyabi-backup backup
    One database of a server, into another tree; the password comes from ~/.pgpass or PGPASSWORD:
        miyabi-backup backup postgres --url postgres://backup@db.internal:5432/shop --to /srv/backups
    Into a folder and a bucket, read once and written at the same time:
        miyabi-backup backup --to /srv/backups --to s3://vault/miyabi
    One SQLite file into exactly this file, with app.db.gz.meta beside it:
        miyabi-backup backup sqlite --file /var/lib/app/app.db --output app.db.gz
    Roles with their passwords, tablespaces and parameter privileges of a server, and nothing else:
        miyabi-backup backup globals --url postgres://postgres@db.internal --output globals.sql.gz
    One schema of it, without the rows of its logs; restored, it is added to what stands:
        miyabi-backup backup postgres --name shop --schema app --exclude-table-data 'app.log*'
    What would be done, without doing it:
        miyabi-backup backup --dry-run --json")]
pub struct BackupArgs {
    /// What to back up
    #[arg(value_enum, default_value_t = What::All)]
    pub what: What,
    /// PostgreSQL database as a libpq URI; may be repeated
    #[arg(long = "url", value_name = "URL")]
    pub urls: Vec<String>,
    /// SQLite file, or a quoted glob; may be repeated
    #[arg(long = "file", value_name = "DB")]
    pub files: Vec<String>,
    /// Only the configured source of this name; with one --url or --file: the name of its backups
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// Tree to write into: a folder or s3://BUCKET/PREFIX; may be repeated: all in one pass [default: ./backups]
    #[arg(long = "to", value_name = "PLACE", conflicts_with = "output")]
    pub to: Vec<String>,
    /// Write exactly this file, and FILE.meta beside it; takes one database, or the globals of one server
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// With --output: replace FILE and FILE.meta
    #[arg(long, requires = "output")]
    pub force: bool,
    /// gzip, gzip:1 to gzip:9, zstd, zstd:1 to zstd:19 (a .zst), or none; gzip without a level is as fast as it
    /// can be while the whole is about as small as by gzip -9 [default: gzip]
    #[arg(long, value_name = "CODEC[:LEVEL]")]
    pub compress: Option<String>,
    /// Encrypt by age for whoever has the private key: age1…, a line of a public ssh key, or a file of such; may be repeated
    #[arg(long = "encrypt-to", value_name = "RECIPIENT")]
    pub encrypt_to: Vec<String>,
    /// age or gpg: the program that opens the archives; by gpg with a passphrase (--passphrase-file), into ….gpg [default: age]
    #[arg(long, value_name = "PROGRAM")]
    pub encrypt: Option<String>,
    /// Sign each backup: a private Ed25519 key in PEM, as `openssl genpkey -algorithm ed25519` makes it
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub sign_key: Option<String>,
    /// What compresses with gzip: libdeflate or zlib-ng [default: libdeflate]
    #[arg(long, value_name = "ENGINE", hide_short_help = true)]
    pub gzip_engine: Option<String>,
    /// Connections that read one PostgreSQL database at once [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub jobs: Option<String>,
    /// Threads that compress [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
    /// Read no more bytes a second from a PostgreSQL server than this, such as 20M or 512K [default: no limit]
    #[arg(long, value_name = "BYTES[/s]")]
    pub limit_rate: Option<String>,
    /// One connection that reads tables whole, so that the server's cache keeps what its users need; one thread
    #[arg(long, conflicts_with = "jobs")]
    pub gentle: bool,
    /// Definitions without rows (PostgreSQL)
    #[arg(long, conflicts_with = "data_only")]
    pub schema_only: bool,
    /// Rows without definitions (PostgreSQL)
    #[arg(long)]
    pub data_only: bool,
    /// Leave out the globals: roles, tablespaces and privileges on parameters, otherwise saved once for each server
    #[arg(long)]
    pub no_globals: bool,
    /// Leave the hashes of roles' passwords out of the globals
    #[arg(long)]
    pub no_role_passwords: bool,
    /// How long to wait for a lock on a table, such as 30s or 5min [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub lock_timeout: Option<String>,
    /// Folder for the uncompressed copy of a SQLite file [default: beside the backup]
    #[arg(long, value_name = "DIR")]
    pub staging: Option<String>,
    /// How long a SQLite copy steps aside for writers before it holds them back [default: 3s]
    #[arg(long, value_name = "TIME")]
    pub sqlite_yield: Option<String>,
    /// How long to wait for a SQLite file that another process holds [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub sqlite_busy: Option<String>,
    /// Leave old backups for `prune`: after a successful backup of a database those whose days are over are removed
    #[arg(long)]
    pub no_prune: bool,
    /// Show what would be done, with every setting resolved, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub filter: Box<FilterArgs>,
}

/// Restore a backup: shows what will be replaced and asks, unless --confirm is given
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    The newest sound backup, under another name beside the original:
        miyabi-backup restore --file latest --name shop --database shop_copy
    As of yesterday evening, over the database that stands; the old one stays as shop_before_restore_<time>:
        miyabi-backup restore --file 'before:2026-11-21 20:00' --name shop --database shop
    To another server, from a pipe:
        ssh vault cat shop.sql.gz | miyabi-backup restore --file - --url postgres://postgres@db2/shop --confirm
    From a bucket, without a local copy:
        miyabi-backup restore --file latest --from s3://vault/miyabi --name shop --database shop
    One table, into a database of its own:
        miyabi-backup restore --file shop.sql.gz --database shop_rescued --table public.orders
    The roles and tablespaces of a lost server into a new one, before its databases:
        miyabi-backup restore --type globals --file latest --url postgres://postgres@db2
    To a managed server, as a role that may create databases:
        miyabi-backup restore --file shop.sql.gz --url postgres://app@db2/shop --no-owner --no-privileges
    To a server where another role stands in for the owner, and the others are made:
        miyabi-backup restore --file shop.sql.gz --database shop --role-map shop=shop_staging --create-roles
    A SQLite file, into the live file; the old content stays as app.db.before-restore-<time>:
        miyabi-backup restore --file latest --type sqlite --name app --database /var/lib/app/app.db")]
pub struct RestoreArgs {
    /// The archive: a file, s3://BUCKET/KEY, - for standard input, latest, or before:TIME
    #[arg(long, value_name = "F")]
    pub file: String,
    /// What it holds [default: as the archive's header says]
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Option<Type>,
    /// Target database as a libpq URI
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Target: a database on the configured server, or the path of a SQLite file [default: the archive's database]
    #[arg(long, value_name = "NAME|PATH")]
    pub database: Option<String>,
    /// With latest and before:TIME: whose backup
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// With latest and before:TIME: the tree to choose from, or s3://BUCKET/PREFIX [default: ./backups]
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub confirm: bool,
    /// Connections that load rows and build indexes at once [default: the number of
    /// cores, at most 12]
    #[arg(long, value_name = "N")]
    pub jobs: Option<String>,
    /// Threads that decompress [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
    /// Only this table, with its partitions, sequences, indexes and constraints; may be repeated
    #[arg(long = "table", value_name = "S.T")]
    pub tables: Vec<String>,
    /// Definitions without rows
    #[arg(long, conflicts_with = "data_only")]
    pub schema_only: bool,
    /// Rows without definitions, into tables that stand and are empty
    #[arg(long)]
    pub data_only: bool,
    /// Everything belongs to the role that restores
    #[arg(long)]
    pub no_owner: bool,
    /// Without GRANT, REVOKE and default privileges
    #[arg(long)]
    pub no_privileges: bool,
    /// The role NEW takes the place of the archive's role OLD; may be repeated
    #[arg(long = "role-map", value_name = "OLD=NEW")]
    pub role_map: Vec<String>,
    /// Create roles that the archive names and the server lacks, without passwords; not from a pipe
    #[arg(long)]
    pub create_roles: bool,
    /// Without comments
    #[arg(long)]
    pub no_comments: bool,
    /// Without security labels
    #[arg(long)]
    pub no_security_labels: bool,
    /// Without publications
    #[arg(long)]
    pub no_publications: bool,
    /// Without subscriptions
    #[arg(long)]
    pub no_subscriptions: bool,
    /// Everything into the target's own tablespace
    #[arg(long)]
    pub no_tablespaces: bool,
    /// No planner statistics: the target has to be analysed
    #[arg(long)]
    pub no_statistics: bool,
    /// How long to wait for a lock on the target, such as 30s or 5min [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub lock_timeout: Option<String>,
    /// Folder for the unpacked copy of a SQLite file [default: beside the target]
    #[arg(long, value_name = "DIR")]
    pub staging: Option<String>,
    /// How long to wait for a SQLite file that another process holds [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub sqlite_busy: Option<String>,
    /// Show what would be done, with every setting resolved, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Check archives byte by byte; exits with 0 only if every one named or found is sound
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    Every archive of the configured tree:
        miyabi-backup verify
    Some files and a folder, for a program:
        miyabi-backup verify shop.sql.gz /mnt/offsite/postgres/weekly --json")]
pub struct VerifyArgs {
    /// Archives and folders of archives, also in buckets (s3://BUCKET/KEY) [default: the configured places]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The tree to verify, in place of the configured one
    #[arg(long, value_name = "PLACE", conflicts_with = "paths")]
    pub from: Option<String>,
    /// Folder for the unpacked copy of a SQLite file [default: beside the archive]
    #[arg(long, value_name = "DIR")]
    pub staging: Option<String>,
    /// Threads that decompress [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
}

/// List the backups of a tree, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    miyabi-backup list
    miyabi-backup list --name shop --from /mnt/offsite
    miyabi-backup list --from s3://vault/miyabi
    miyabi-backup list --json | jq -r '.backups[].path'")]
pub struct ListArgs {
    /// The tree [default: ./backups]
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// Only backups of this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Only this type
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Option<Type>,
}

/// Copy backups to another place, with their digests checked; what stands there is left alone
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    A tree into a bucket; a second run copies what is new:
        miyabi-backup copy /srv/backups s3://vault/miyabi
    The backups of one database back onto a disk:
        miyabi-backup copy s3://vault/miyabi /mnt/rescue --name shop
    One backup:
        miyabi-backup copy /srv/backups/postgres/daily/postgres-shop-20260301-030000.sql.gz s3://vault/miyabi")]
pub struct CopyArgs {
    /// A tree, a folder or one archive: a path or s3://BUCKET/…
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// The root of a tree: a folder or s3://BUCKET/PREFIX
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// Only backups of this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Only this type
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Option<Type>,
}

/// Show what one archive holds: streams, rows, sizes, versions
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    miyabi-backup inspect shop.sql.gz
    miyabi-backup inspect shop.sql.gz --json | jq '.streams[] | {schema, name, rows}'
    miyabi-backup inspect shop.sql.gz --properties")]
pub struct InspectArgs {
    /// The archive, or a file of another tool
    #[arg(value_name = "F")]
    pub file: PathBuf,
    /// List every object of the script
    #[arg(long)]
    pub objects: bool,
    /// Show the database's own properties as SQL: owner, settings, privileges, limits
    #[arg(long)]
    pub properties: bool,
    /// Folder for the unpacked copy of another tool's SQLite file [default: beside it]
    #[arg(long, value_name = "DIR")]
    pub staging: Option<PathBuf>,
}

/// Write all sound members of a damaged archive as a sound one; names what was lost
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXAMPLES
    miyabi-backup salvage damaged.sql.gz --output rescued.sql.gz
    miyabi-backup restore --file rescued.sql.gz --database shop_rescued")]
pub struct SalvageArgs {
    /// The damaged archive
    #[arg(value_name = "F")]
    pub file: PathBuf,
    /// The archive to write
    #[arg(long, value_name = "G")]
    pub output: PathBuf,
    /// Replace G
    #[arg(long)]
    pub force: bool,
    /// Keep what is left of a SQLite file that lacks pages, although it is no database any more
    #[arg(long)]
    pub keep_torn_pages: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words as a shell splits them; what is behind a redirection or a comment is not ours.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        let (mut word, mut quote, mut open) = (String::new(), None, false);
        for c in line.chars().chain([' ']) {
            match (quote, c) {
                (Some(end), c) if c == end => quote = None,
                (None, '\'' | '"') => (quote, open) = (Some(c), true),
                (None, '#' | '>' | '|' | '&') if !open => break,
                (None, ' ') if open => {
                    words.push(std::mem::take(&mut word));
                    open = false;
                }
                (None, ' ') => {}
                (_, c) => {
                    word.push(c);
                    open = true;
                }
            }
        }
        words
    }

    #[test]
    fn every_command_of_the_documents_is_understood() {
        let documents = [
            include_str!("../../README.md"),
            include_str!("../../docs/OPERATIONS.md"),
            include_str!("../../docs/RECOVERY.md"),
        ];
        let mut count = 0;
        for line in documents.iter().flat_map(|text| text.lines()) {
            if !line.starts_with("miyabi-backup ") {
                continue;
            }
            count += 1;
            if let Err(fault) = Args::try_parse_from(words(line)) {
                panic!("{line}: {fault}");
            }
        }
        assert!(count > 40, "only {count} commands were found");
    }
}
