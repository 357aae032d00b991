//! `drill`: which archives, on which server, with which questions and targets.

use std::collections::BTreeMap;
use std::time::Duration;

use super::server::{self, Layer};
use super::{LOCK_TIMEOUT, Notes, SQLITE_BUSY, archive_kind, machine, places, sources, values};
use crate::cli::args::{DrillArgs, FilterArgs};
use crate::cli::config::{Config, Entry, Origin};
use crate::error::{Error, Kind, Result};
use crate::job::{Check, DrillJob, Sampling};
use crate::pg::connect::Server;

const RTO: Duration = Duration::from_secs(15 * 60);
const RTO_ALL: Duration = Duration::from_secs(30 * 60);
const RTO_DISASTER: Duration = Duration::from_secs(120 * 60);

pub fn drill(args: &DrillArgs, config: &Config, notes: &mut Notes) -> Result<DrillJob> {
    let sampling = match (args.all, args.sample) {
        (true, _) => Sampling::All,
        (_, Some(count)) => Sampling::Sample(count),
        _ => Sampling::Newest,
    };
    let configured = sources::postgres_configured(config, &FilterArgs::default(), notes)?;
    let servers: BTreeMap<String, Server> =
        configured.into_iter().map(|source| (source.label, source.server)).collect();
    Ok(DrillJob {
        root: places::to_read(config)?,
        names: args.names.clone(),
        kind: args.kind.map(archive_kind),
        sampling,
        scratch: scratch(config, notes)?,
        servers,
        as_superuser: args.as_superuser,
        checks: config.checks().iter().map(|entry| check(config, entry)).collect::<Result<_>>()?,
        rto: values::duration(config, "drill.rto", RTO)?,
        rto_all: values::duration(config, "drill.rto_all", RTO_ALL)?,
        rto_disaster: values::duration(config, "drill.rto_disaster", RTO_DISASTER)?,
        jobs: values::count(config, "jobs", machine::connections())?,
        threads: values::count(config, "threads", machine::cores())?,
        state_dir: machine::state_dir(config)?,
        staging: config.get("staging").map(|setting| config.path(setting)),
        lock_timeout: values::duration(config, "lock_timeout", LOCK_TIMEOUT)?,
        busy_limit: values::duration(config, "sqlite_busy", SQLITE_BUSY)?,
    })
}

/// The server that is named for drills alone. What the URL leaves open comes from the environment, as ever.
pub fn scratch(config: &Config, notes: &mut Notes) -> Result<Option<Server>> {
    let Some(url) = config.get("drill.url") else { return Ok(None) };
    let layer = Layer::from_flag(&url.value)?;
    if matches!(url.origin, Origin::Flag(_)) {
        sources::warn_of_password(&layer, notes);
    }
    let variables = Layer::from_variables(config)?;
    let fitting = variables.iter().filter(|variable| !variable.contradicts(&layer));
    let layers: Vec<&Layer> = std::iter::once(&layer).chain(fitting).collect();
    Ok(Some(server::merge(config, &layers)?.server))
}

fn check(config: &Config, entry: &Entry) -> Result<Check> {
    let text = |key: &str| {
        entry.get(key).map(|setting| setting.value.clone()).ok_or_else(|| {
            let file = config.file.as_ref().map(|file| file.path.display().to_string()).unwrap_or_default();
            let what = format!("the [[drill.check]] entry of {file}, line {}, has no `{key}`", entry.line);
            Error::new(Kind::Usage, what)
        })
    };
    Ok(Check { database: text("database")?, sql: text("sql")?, expect: text("expect")? })
}
