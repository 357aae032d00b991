//! `status`: what is to have backups, and what is to be alarming.

use std::path::PathBuf;

use jiff::civil::Time;

use super::backup::{configured, retention};
use super::{Failure, Notes, machine, places, values};
use crate::cli::config::Config;
use crate::error::Result;
use crate::job::Source;
use crate::ops::status::StatusJob;
use crate::policy::ArchiveKind;

const MIN_FREE: u64 = 10 << 30;

pub struct Status {
    /// The first one is where the run and the source are judged by.
    pub roots: Vec<PathBuf>,
    pub job: StatusJob,
    pub sources: Vec<Source>,
    /// What is configured and cannot be found.
    pub failures: Vec<Failure>,
}

pub fn status(config: &Config, notes: &mut Notes) -> Result<Status> {
    let (sources, failures) = configured(config, notes)?;
    let kind = |source: &Source| match source {
        Source::Postgres(_) => ArchiveKind::Postgres,
        Source::Globals(_) => ArchiveKind::Globals,
        Source::Sqlite(_) => ArchiveKind::Sqlite,
    };
    let mut expected: Vec<_> = sources.iter().map(|source| (kind(source), source.label().to_owned())).collect();
    // A pattern that matches no file any more is what the backup fails for: it has no backup under its own name.
    expected.extend(failures.iter().map(|failure| (ArchiveKind::Sqlite, failure.label.clone())));
    let job = StatusJob {
        expected,
        rules: retention(config)?,
        min_free: values::bytes(config, "status.min_free", MIN_FREE)?,
        schedule: schedule(config)?,
        state_dir: machine::state_dir(config)?,
    };
    Ok(Status { roots: places::to_look_at(config)?, job, sources, failures })
}

pub fn schedule(config: &Config) -> Result<Option<Time>> {
    let text = values::time_of_day(config, "schedule.at")?;
    Ok(text.and_then(|text| text.parse().ok()))
}
