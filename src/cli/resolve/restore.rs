//! `restore`: which archive, into which target. Never guesses between servers.

use std::path::PathBuf;

use super::backup::content;
use super::globals::usual_label;
use super::server::{self, Layer};
use super::{LOCK_TIMEOUT, Notes, SQLITE_BUSY, archive_kind, machine, places, sources, values};
use crate::cli::args::{FilterArgs, RestoreArgs, Type};
use crate::cli::config::{Config, Setting};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::job::{Adaptation, ArchiveChoice, PostgresSource, PostgresTarget, RestoreJob, Selection};
use crate::pg::connect::Server;
use crate::script::{Part, Tailoring};

pub struct Restore {
    pub job: RestoreJob,
    pub hooks: Hooks,
}

/// Commands of the configuration, run by the shell around a restore.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    pub before: Option<String>,
    pub after: Option<String>,
}

pub fn restore(args: &RestoreArgs, config: &Config, clock: &Clock, notes: &mut Notes) -> Result<Restore> {
    check_flags(args)?;
    let tables = args.tables.iter().map(|text| values::table_name(text)).collect::<Result<Vec<_>>>()?;
    let job = RestoreJob {
        archive: archive(args, config, clock)?,
        kind: args.kind.map(archive_kind),
        postgres: postgres(args, config, notes)?,
        sqlite: args.database.clone().map(PathBuf::from),
        adaptation: adaptation(args)?,
        selection: Selection { tables, content: content(args.schema_only, args.data_only) },
        jobs: values::count(config, "jobs", machine::connections())?,
        threads: values::count(config, "threads", machine::cores())?,
        state_dir: machine::state_dir(config)?,
        staging: config.get("staging").map(|setting| config.path(setting)),
        lock_timeout: values::duration(config, "lock_timeout", LOCK_TIMEOUT)?,
        busy_limit: values::duration(config, "sqlite_busy", SQLITE_BUSY)?,
    };
    let command = |key: &str| config.get(key).map(|Setting { value, .. }| value.clone());
    let hooks = Hooks { before: command("restore.before_restore"), after: command("restore.after_restore") };
    Ok(Restore { job, hooks })
}

/// What is left out, and under which names roles go.
fn adaptation(args: &RestoreArgs) -> Result<Adaptation> {
    let parts = [
        (args.no_owner, Part::Owners),
        (args.no_privileges, Part::Privileges),
        (args.no_comments, Part::Comments),
        (args.no_security_labels, Part::SecurityLabels),
        (args.no_publications, Part::Publications),
        (args.no_subscriptions, Part::Subscriptions),
        (args.no_tablespaces, Part::Tablespaces),
        (args.no_statistics, Part::Statistics),
    ];
    let leave_out = parts.into_iter().filter(|(given, _)| *given).map(|(_, part)| part).collect();
    let mut tailoring = Tailoring { leave_out, ..Tailoring::default() };
    for text in &args.role_map {
        let (old, new) = values::role_pair(text)?;
        if let Some(other) = tailoring.role_map.insert(old.clone(), new.clone()).filter(|other| *other != new) {
            return Err(Error::new(Kind::Usage, format!("--role-map names two roles for {old}: {other} and {new}"))
                .hint("leave one of them out"));
        }
    }
    Ok(Adaptation { tailoring, create_roles: args.create_roles, pass_over_rights: false })
}

fn check_flags(args: &RestoreArgs) -> Result<()> {
    let wrong = |what: &str, hint: &str| Err(Error::new(Kind::Usage, what).hint(hint));
    let partial = !args.tables.is_empty() || args.schema_only || args.data_only;
    match args.kind {
        Some(Type::Sqlite) if args.database.is_none() => {
            wrong("the SQLite file to restore into is not named", "give --database PATH")
        }
        Some(Type::Sqlite) if args.url.is_some() => {
            wrong("--url names a PostgreSQL server, not a SQLite file", "give --database PATH")
        }
        Some(Type::Sqlite | Type::Globals) if partial => {
            wrong("--table, --schema-only and --data-only are for archives of PostgreSQL databases", "leave them out")
        }
        _ => Ok(()),
    }
}

fn archive(args: &RestoreArgs, config: &Config, clock: &Clock) -> Result<ArchiveChoice> {
    let before = match args.file.as_str() {
        "-" => return Ok(ArchiveChoice::Pipe),
        "latest" => None,
        file => match file.strip_prefix("before:") {
            Some(time) => Some(values::instant("--file before:TIME", time, clock.zone())?),
            None => return Ok(ArchiveChoice::File(PathBuf::from(file))),
        },
    };
    Ok(ArchiveChoice::Newest { root: places::to_read(config)?, label: args.name.clone(), before })
}

/// What stands in the way of a PostgreSQL target matters only if the archive turns out to need one.
fn postgres(args: &RestoreArgs, config: &Config, notes: &mut Notes) -> Result<PostgresTarget> {
    if args.kind == Some(Type::Sqlite) {
        let why = "the archive holds a PostgreSQL database, not the SQLite file that --type asks for".to_owned();
        return Ok(PostgresTarget::Unknown { kind: Kind::Usage, why, hint: None });
    }
    if let Some(url) = &args.url {
        return by_url(url, args, config, notes);
    }
    match configured(args, config, notes) {
        Ok(server) => Ok(PostgresTarget::Known { server: Box::new(server), database: args.database.clone() }),
        Err(fault) if args.kind.is_some() => Err(fault),
        Err(fault) => Ok(PostgresTarget::Unknown {
            kind: fault.kind(),
            why: fault.chain(),
            hint: fault.hint_text().map(str::to_owned),
        }),
    }
}

fn by_url(url: &str, args: &RestoreArgs, config: &Config, notes: &mut Notes) -> Result<PostgresTarget> {
    let flag = Layer::from_flag(url)?;
    sources::warn_of_password(&flag, notes);
    let database = match (flag.database(), &args.database) {
        // Those of globals go through whichever database lets us in.
        (None, None) if args.kind == Some(Type::Globals) => None,
        (Some(named), Some(other)) if named != other => {
            let what = format!("--url names the database {named}, --database names {other}");
            return Err(Error::new(Kind::Usage, what).hint("leave one of them out"));
        }
        (Some(named), _) => Some(named.to_owned()),
        (None, Some(named)) => Some(named.clone()),
        (None, None) => {
            return Err(Error::new(Kind::Usage, "--url names no database to restore into")
                .hint("write postgres://user@host/DATABASE, or give --database; globals need --type globals instead"));
        }
    };
    let variables = Layer::from_variables(config)?;
    let layers: Vec<&Layer> = std::iter::once(&flag).chain(&variables).collect();
    let server = server::merge(config, &layers)?.server;
    let server = database.as_ref().map_or_else(|| server.clone(), |database| server.with_database(database));
    Ok(PostgresTarget::Known { server: Box::new(server), database })
}

/// The configured server. Several that differ, or variables that name two, are refused: a restore overwrites.
fn configured(args: &RestoreArgs, config: &Config, notes: &mut Notes) -> Result<Server> {
    refuse_rivals(config)?;
    let all = sources::postgres_configured(config, &FilterArgs::default(), notes)?;
    let wanted = |source: &&PostgresSource| {
        let name = args.name.as_ref().or(args.database.as_ref());
        let of_server = |name: &String| args.kind == Some(Type::Globals) && usual_label(&source.server) == *name;
        name.is_some_and(|name| source.label == *name || source.server.database == *name || of_server(name))
    };
    let named: Vec<&PostgresSource> = all.iter().filter(wanted).collect();
    let candidates: Vec<&PostgresSource> = if named.is_empty() { all.iter().collect() } else { named };
    let Some(first) = candidates.first() else {
        return Err(Error::new(Kind::Nothing, "no PostgreSQL server is configured to restore to")
            .hint("give --url postgres://user@host/database"));
    };
    let same =
        |other: &&PostgresSource| other.server.hosts == first.server.hosts && other.server.user == first.server.user;
    if candidates.iter().all(same) {
        return Ok(first.server.clone());
    }
    let servers: Vec<String> = candidates.iter().map(|source| source.server.describe()).collect();
    let what = format!("the configuration names several servers to restore to: {}", servers.join("; "));
    Err(Error::new(Kind::Refused, what).hint("choose one by --url"))
}

fn refuse_rivals(config: &Config) -> Result<()> {
    let variables = Layer::from_variables(config)?;
    let layers: Vec<&Layer> = variables.iter().collect();
    match server::merge(config, &layers)?.conflicts.first() {
        None => Ok(()),
        Some(conflict) => {
            let what = format!("two servers are named to restore to: {}, and {}", conflict.used, conflict.ignored);
            Err(Error::new(Kind::Refused, what).hint("unset one of them, or say which by --url"))
        }
    }
}
