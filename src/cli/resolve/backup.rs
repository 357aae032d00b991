//! `backup`: which sources, into which place, how.

use super::{
    Failure, LOCK_TIMEOUT, Notes, SQLITE_BUSY, SQLITE_YIELD, globals, machine, places, s3, sealing, sources, values,
};
use crate::cli::args::{BackupArgs, FilterArgs, What};
use crate::cli::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::{BackupJob, Content, GlobalsSource, Limits, Place, PostgresSource, Retain, Source, SqliteSource};
use crate::policy::Retention;

pub struct Backup {
    /// `None` if every source failed already.
    pub job: Option<BackupJob>,
    pub failures: Vec<Failure>,
    pub retention: Retention,
    /// Whether old backups are removed afterwards.
    pub prunes: bool,
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

pub fn backup(args: &BackupArgs, config: &Config, notes: &mut Notes) -> Result<Backup> {
    check_flags(args)?;
    let (sources, failures) = all_sources(args, config, notes)?;
    if sources.is_empty() && failures.is_empty() {
        return Err(nothing(args));
    }
    let (place, copies) = places::to_write(args, config)?;
    if matches!(place, Place::File { .. }) && sources.len() + failures.len() > 1 {
        let labels: Vec<&str> = sources.iter().map(Source::label).collect();
        let what = format!("--output takes one source, and there are {}: {}", labels.len(), labels.join(", "));
        return Err(Error::new(Kind::Usage, what).hint("choose one by --name, --url or --file, or give --to"));
    }
    let retention = retention(config)?;
    let retain = s3::lock(config)?.map(|lock| {
        let Retention { daily, weekly, monthly, .. } = retention;
        Retain { lock, daily, weekly, monthly }
    });
    let job = BackupJob {
        sources,
        place,
        copies,
        retain,
        recipients: sealing::recipients(config)?,
        signer: sealing::signer(config)?,
        compress: values::compress(config)?,
        jobs: at_once(config, "jobs")?,
        limit_rate: values::rate(config, "limit_rate")?,
        threads: at_once(config, "threads")?,
        content: content(args.schema_only, args.data_only),
        state_dir: machine::state_dir(config)?,
        staging: config.get("staging").map(|setting| config.path(setting)),
        lock_timeout: values::duration(config, "lock_timeout", LOCK_TIMEOUT)?,
    };
    let prunes = values::switch(config, "retention.automatic", true)? && matches!(job.place, Place::Tree { .. });
    let schedule = values::time_of_day(config, "schedule.at")?;
    Ok(Backup { job: (!job.sources.is_empty()).then_some(job), failures, retention, prunes, schedule })
}

/// Calendar days in the configured zone, and how many stay whatever their age.
pub fn retention(config: &Config) -> Result<Retention> {
    let usual = Retention::default();
    Ok(Retention {
        daily: values::days(config, "retention.daily", usual.daily)?,
        weekly: values::days(config, "retention.weekly", usual.weekly)?,
        monthly: values::days(config, "retention.monthly", usual.monthly)?,
        keep_last: values::number(config, "retention.keep_last", usual.keep_last)?,
    })
}

/// Every source that is configured, as `backup` without arguments finds them.
pub fn configured(config: &Config, notes: &mut Notes) -> Result<(Vec<Source>, Vec<Failure>)> {
    let limits = limits(config)?;
    let postgres = sources::postgres_configured(config, &FilterArgs::default(), notes)?;
    let (sqlite, failures) = sources::sqlite(config, &[], limits, notes)?;
    let globals = match values::switch(config, "globals", true)? {
        true => globals::of_databases(config, &postgres)?,
        false => Vec::new(),
    };
    Found { postgres, globals, sqlite, failures }.into_sources()
}

fn limits(config: &Config) -> Result<Limits> {
    Ok(Limits {
        yield_limit: values::duration(config, "sqlite_yield", SQLITE_YIELD)?,
        busy_limit: values::duration(config, "sqlite_busy", SQLITE_BUSY)?,
    })
}

/// Connections or threads. A gentle backup has one of each unless somebody asks for more threads; more connections would
/// read tables in parts, through the server's cache.
fn at_once(config: &Config, key: &str) -> Result<usize> {
    let gentle = values::switch(config, "gentle", false)?;
    let count = values::count(config, key, if gentle { 1 } else { machine::cores() })?;
    Ok(if gentle && key == "jobs" { 1 } else { count })
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
    if args.what == What::Globals && !args.files.is_empty() {
        return wrong("--file names a SQLite file, which has no globals", "use `backup sqlite`, or --url");
    }
    let partial = args.schema_only || args.data_only;
    if args.what == What::Globals && (partial || args.no_globals) {
        let hint = "leave them out, or use `backup postgres`";
        return wrong("--schema-only, --data-only and --no-globals leave nothing of globals", hint);
    }
    if partial && (args.what == What::Sqlite || !args.files.is_empty()) {
        return wrong("--schema-only and --data-only are for PostgreSQL", "a SQLite file is backed up whole");
    }
    if let Some(flag) = args.filter.first().filter(|_| args.what == What::Sqlite || !args.files.is_empty()) {
        let what = format!("--{flag} is for PostgreSQL");
        return wrong(&what, "a SQLite file is backed up whole");
    }
    Ok(())
}

/// Sources of both kinds, before they become one list.
struct Found {
    postgres: Vec<PostgresSource>,
    globals: Vec<GlobalsSource>,
    sqlite: Vec<SqliteSource>,
    failures: Vec<Failure>,
}

/// `--url` and `--file` name everything that is wanted; without them it is what is configured.
fn all_sources(args: &BackupArgs, config: &Config, notes: &mut Notes) -> Result<(Vec<Source>, Vec<Failure>)> {
    let is_named = !args.urls.is_empty() || !args.files.is_empty();
    let limits = limits(config)?;
    let postgres = match args.what {
        _ if is_named => sources::postgres_by_url(config, &args.urls, &args.filter, notes)?,
        What::Sqlite => Vec::new(),
        What::All | What::Postgres | What::Globals => sources::postgres_configured(config, &args.filter, notes)?,
    };
    let wants_sqlite = if is_named { !args.files.is_empty() } else { matches!(args.what, What::All | What::Sqlite) };
    let (sqlite, failures) =
        if wants_sqlite { sources::sqlite(config, &args.files, limits, notes)? } else { (Vec::new(), Vec::new()) };
    let mut found = Found { postgres, globals: Vec::new(), sqlite, failures };
    let only_globals = args.what == What::Globals;
    match args.names.as_slice() {
        names @ [_, ..] if !is_named => found.select(names)?,
        names @ [_, ..] if !only_globals => found.label(names)?,
        _ => {}
    }
    let into_tree = args.output.is_none() && args.what != What::Sqlite;
    if only_globals || (into_tree && values::switch(config, "globals", true)?) {
        found.globals = globals::of_databases(config, &found.postgres)?;
    }
    if only_globals {
        found.postgres.clear();
        if is_named && !args.names.is_empty() {
            found.label(&args.names)?;
        }
    }
    found.into_sources()
}

impl Found {
    fn labels(&mut self) -> Vec<&mut String> {
        let postgres = self.postgres.iter_mut().map(|source| &mut source.label);
        let globals = self.globals.iter_mut().map(|source| &mut source.label);
        let sqlite = self.sqlite.iter_mut().map(|source| &mut source.label);
        postgres
            .chain(globals)
            .chain(sqlite)
            .chain(self.failures.iter_mut().map(|failure| &mut failure.label))
            .collect()
    }

    /// `--name` beside `--url` or `--file`: what the one backup is called.
    fn label(&mut self, names: &[String]) -> Result<()> {
        match (names, self.labels().as_mut_slice()) {
            ([name], [label]) => {
                label.clone_from(name);
                Ok(())
            }
            _ => Err(Error::new(Kind::Usage, "--name names the backups of exactly one --url or --file")),
        }
    }

    /// `--name` alone: which of the configured sources.
    fn select(&mut self, names: &[String]) -> Result<()> {
        let known: Vec<String> = self.labels().into_iter().map(|label| label.clone()).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
            let error = Error::new(Kind::Nothing, format!("no configured source is named `{unknown}`"));
            return Err(if known.is_empty() { error } else { error.hint(format!("there are: {}", known.join(", "))) });
        }
        self.postgres.retain(|source| names.contains(&source.label));
        self.sqlite.retain(|source| names.contains(&source.label));
        self.failures.retain(|failure| names.contains(&failure.label));
        Ok(())
    }

    fn into_sources(self) -> Result<(Vec<Source>, Vec<Failure>)> {
        let databases = self.postgres.iter().map(|source| (source.label.as_str(), source.server.describe()));
        sources::refuse_clashes(databases)?;
        let files = self.sqlite.iter().map(|source| (source.label.as_str(), source.path.display().to_string()));
        sources::refuse_clashes(files)?;
        let postgres = self.postgres.into_iter().map(|source| Source::Postgres(Box::new(source)));
        // After the databases: a role that appears meanwhile, and that one of them names, is then among them.
        let globals = self.globals.into_iter().map(|source| Source::Globals(Box::new(source)));
        Ok((postgres.chain(globals).chain(self.sqlite.into_iter().map(Source::Sqlite)).collect(), self.failures))
    }
}

fn nothing(args: &BackupArgs) -> Error {
    let (what, hint) = match args.what {
        What::Postgres => ("no PostgreSQL database is configured", "give --url postgres://user@host/database"),
        What::Globals => ("no PostgreSQL server is configured", "give --url postgres://user@host"),
        What::Sqlite => ("no SQLite file is configured", "give --file, or set SQLITE_DATABASES"),
        What::All => {
            ("nothing is configured to be backed up", "write miyabi-backup.toml, set DATABASE_URL, or give --url")
        }
    };
    Error::new(Kind::Nothing, what).hint(hint)
}
