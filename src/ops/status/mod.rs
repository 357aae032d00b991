//! How the backups are: from what lies in the tree and what runs have noted, never from what a process claims.
//!
//! [`facts`] reads, [`database`] and [`place`] judge without reading anything. What is configured and has no backup is
//! the first thing that is said.

mod database;
mod facts;
pub mod outcome;
mod place;

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Zoned;
use jiff::civil::Time;

use crate::error::Result;
use crate::job::Context;
use crate::listing::{Listed, State};
use crate::manifest::Moment;
use crate::policy::{ArchiveKind, Retention, freshness};
use crate::prune::Tree;
use crate::state::alerts::Failure;
use crate::state::history::Run;

use facts::Facts;
pub use outcome::{Code, DatabaseStatus, Finding, Level, Status};
use outcome::{STATUS_VERSION, ScheduleStatus};

#[derive(Clone, Debug)]
pub struct StatusJob {
    /// What is to have backups. If nothing is configured, all that has some is.
    pub expected: Vec<(ArchiveKind, String)>,
    pub rules: Retention,
    /// Less free space than this is a warning.
    pub min_free: u64,
    pub schedule: Option<Time>,
    pub state_dir: PathBuf,
}

/// Reads the tree and the state folder, and judges them. Blocks.
pub fn run(tree: &Tree, job: &StatusJob, context: &Context) -> Result<Status> {
    let now = context.clock.zoned();
    let facts = Facts::read(tree, &job.state_dir, &now)?;
    Ok(assess(&facts, job, &now))
}

const RUNS_SHOWN: usize = 20;

fn assess(facts: &Facts, job: &StatusJob, now: &Zoned) -> Status {
    let databases: Vec<DatabaseStatus> = names(facts, job)
        .into_iter()
        .map(|(kind, name, expected)| database::assess(facts, kind, &name, expected, now))
        .collect();
    let place = place::assess(facts, job, &databases);
    let delivery = delivery(facts);
    let worst = databases.iter().map(|one| one.state).chain(delivery.iter().map(|one| one.level)).max();
    let next_run = job.schedule.and_then(|at| freshness::next_run(at, now));
    Status {
        status_version: STATUS_VERSION,
        state: worst.unwrap_or_default().max(place.state),
        at: Moment::from(now),
        databases,
        place,
        delivery,
        schedule: ScheduleStatus {
            at: job.schedule.map(|at| at.strftime("%H:%M").to_string()),
            next_run: next_run.as_ref().map(Moment::from),
        },
        kept_copies: None,
        runs: facts.history.iter().rev().take(RUNS_SHOWN).cloned().collect::<Vec<Run>>(),
    }
}

fn delivery(facts: &Facts) -> Vec<Finding> {
    let told = |(channel, failure): (&String, &Failure)| {
        Finding::warning(
            Code::Alert,
            format!("no alert gets through by {channel} since {:.0}: {}", failure.since, failure.why),
        )
    };
    facts.undelivered.iter().map(told).collect()
}

/// What is configured in its order, then what else has backups; with whether it is expected to have one.
fn names(facts: &Facts, job: &StatusJob) -> Vec<(ArchiveKind, String, bool)> {
    let mut seen: BTreeSet<(ArchiveKind, String)> = BTreeSet::new();
    let mut names = Vec::new();
    let all_expected = job.expected.is_empty();
    for one in &job.expected {
        if seen.insert(one.clone()) {
            names.push((one.0, one.1.clone(), true));
        }
    }
    let is_backup = |row: &&Listed| matches!(row.state, State::Complete | State::Damaged) && row.tier.is_some();
    let mut found: Vec<(ArchiveKind, String)> = Vec::new();
    for row in facts.listing.rows.iter().filter(is_backup) {
        found.extend(row.kind.map(|kind| (kind, row.label.clone())));
    }
    found.sort();
    for one in found {
        if seen.insert(one.clone()) {
            names.push((one.0, one.1, all_expected));
        }
    }
    names
}

#[cfg(test)]
mod tests;
