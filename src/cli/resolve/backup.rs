//! `backup`: which sources, into which place, how.

use super::{Failure, LOCK_TIMEOUT, Notes, SQLITE_BUSY, SQLITE_YIELD, machine, places, sources, values};
use crate::cli::args::{BackupArgs, What};
use crate::cli::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::{BackupJob, Content, Limits, Place, Source};

pub struct Backup {
    /// `None` if every source failed already.
    pub job: Option<BackupJob>,
    pub failures: Vec<Failure>,
    pub retention: Retention,
    /// The time of day at which a timer is to start the run.
    pub schedule: Option<String>,
}

impl Backup {
    /// As if every source that is left succeeded.
    pub fn exit_code(&self) -> u8 {
        match (self.failures.first(), &self.job) {
            (None, _) => 0,
            (Some(_), Some(_)) => Kind::Partial.exit_code(),
            (Some(failure), None) => failure.error.kind().exit_code(),
        }
    }
}

/// Calendar days in the configured zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retention {
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
}

pub fn backup(args: &BackupArgs, config: &Config, notes: &mut Notes) -> Result<Backup> {
    check_flags(args)?;
    let (sources, failures) = all_sources(args, config, notes)?;
    if sources.is_empty() && failures.is_empty() {
        return Err(nothing(args));
    }
    let (place, copies) = places::to_write(args, config)?;
    if matches!(place, Place::File { .. }) && sources.len() + failures.len() > 1 {
        let labels: Vec<&str> = sources.iter().map(Source::label).collect();
        let what = format!("--output takes one database, and there are {}: {}", labels.len(), labels.join(", "));
        return Err(Error::new(Kind::Usage, what).hint("choose one by --name, --url or --file, or give --to"));
    }
    let job = BackupJob {
        sources,
        place,
        copies,
        compress: values::compress(config)?,
        jobs: values::count(config, "jobs", machine::connections())?,
        threads: values::count(config, "threads", machine::cores())?,
        content: content(args.schema_only, args.data_only),
        state_dir: machine::state_dir(config)?,
        staging: config.get("staging").map(|setting| config.path(setting)),
        lock_timeout: values::duration(config, "lock_timeout", LOCK_TIMEOUT)?,
    };
    let retention = Retention {
        daily: values::days(config, "retention.daily", 7)?,
        weekly: values::days(config, "retention.weekly", 28)?,
        monthly: values::days(config, "retention.monthly", 180)?,
    };
    let schedule = values::time_of_day(config, "schedule.at")?;
    Ok(Backup { job: (!job.sources.is_empty()).then_some(job), failures, retention, schedule })
}

pub fn content(schema_only: bool, data_only: bool) -> Content {
    match (schema_only, data_only) {
        (true, _) => Content::SchemaOnly,
        (_, true) => Content::DataOnly,
        _ => Content::All,
    }
}

/// Flags that would have no effect are mistakes.
fn check_flags(args: &BackupArgs) -> Result<()> {
    let wrong = |what: &str, hint: &str| Err(Error::new(Kind::Usage, what).hint(hint));
    if args.what == What::Sqlite && !args.urls.is_empty() {
        return wrong("--url names a PostgreSQL database, not a SQLite file", "use `backup postgres`, or --file");
    }
    if args.what == What::Postgres && !args.files.is_empty() {
        return wrong("--file names a SQLite file, not a PostgreSQL database", "use `backup sqlite`, or --url");
    }
    let partial = args.schema_only || args.data_only;
    if partial && (args.what == What::Sqlite || !args.files.is_empty()) {
        return wrong("--schema-only and --data-only are for PostgreSQL", "a SQLite file is backed up whole");
    }
    Ok(())
}

/// `--url` and `--file` name everything that is wanted; without them it is what is configured.
fn all_sources(args: &BackupArgs, config: &Config, notes: &mut Notes) -> Result<(Vec<Source>, Vec<Failure>)> {
    let named = !args.urls.is_empty() || !args.files.is_empty();
    let limits = Limits {
        yield_limit: values::duration(config, "sqlite_yield", SQLITE_YIELD)?,
        busy_limit: values::duration(config, "sqlite_busy", SQLITE_BUSY)?,
    };
    let mut postgres = match (named, args.what) {
        (true, _) => sources::postgres_by_url(config, &args.urls, notes)?,
        (false, What::Sqlite) => Vec::new(),
        (false, _) => sources::postgres_configured(config, notes)?,
    };
    let (mut sqlite, mut failures) = match (named, args.what) {
        (true, _) if args.files.is_empty() => (Vec::new(), Vec::new()),
        (false, What::Postgres) => (Vec::new(), Vec::new()),
        _ => sources::sqlite(config, &args.files, limits, notes)?,
    };
    if named {
        if let (Some(name), more) = (args.names.first(), args.names.len() > 1) {
            let mut labels = postgres.iter_mut().map(|source| &mut source.label);
            let mut labels = labels.by_ref().chain(sqlite.iter_mut().map(|source| &mut source.label));
            match (labels.next(), labels.next(), more) {
                (Some(label), None, false) => label.clone_from(name),
                _ => return Err(Error::new(Kind::Usage, "--name names the backups of exactly one --url or --file")),
            }
        }
    } else if !args.names.is_empty() {
        let known: Vec<&str> = postgres
            .iter()
            .map(|source| source.label.as_str())
            .chain(sqlite.iter().map(|source| source.label.as_str()))
            .collect();
        refuse_unknown_names(&args.names, &known)?;
        postgres.retain(|source| args.names.contains(&source.label));
        sqlite.retain(|source| args.names.contains(&source.label));
        failures.retain(|failure| args.names.contains(&failure.label));
    }
    sources::refuse_clashes(postgres.iter().map(|source| (source.label.as_str(), source.server.describe())))?;
    sources::refuse_clashes(sqlite.iter().map(|source| (source.label.as_str(), source.path.display().to_string())))?;
    let all = postgres
        .into_iter()
        .map(|source| Source::Postgres(Box::new(source)))
        .chain(sqlite.into_iter().map(Source::Sqlite));
    Ok((all.collect(), failures))
}

fn refuse_unknown_names(wanted: &[String], known: &[&str]) -> Result<()> {
    let Some(unknown) = wanted.iter().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let error = Error::new(Kind::Nothing, format!("no configured source is named `{unknown}`"));
    Err(if known.is_empty() { error } else { error.hint(format!("there are: {}", known.join(", "))) })
}

fn nothing(args: &BackupArgs) -> Error {
    let (what, hint) = match args.what {
        What::Postgres => ("no PostgreSQL database is configured", "give --url postgres://user@host/database"),
        What::Sqlite => ("no SQLite file is configured", "give --file, or set SQLITE_DATABASES"),
        What::All => {
            ("nothing is configured to be backed up", "write miyabi-backup.toml, set DATABASE_URL, or give --url")
        }
    };
    Error::new(Kind::Nothing, what).hint(hint)
}
