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

use crate::error::{Error, Kind, Result};
use crate::job::Context;
use crate::listing::{Listed, State};
use crate::manifest::Moment;
use crate::policy::{ArchiveKind, Retention, freshness};
use crate::prune::Tree;
use crate::state::alerts::Failure;
use crate::state::history::Run;

use facts::{Facts, Past};
pub use outcome::{Code, DatabaseStatus, Finding, FurtherPlace, Level, PlaceStatus, Status};
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

/// Reads the trees and the state folder, and judges each tree by itself. Blocks.
pub fn run(roots: &[PathBuf], job: &StatusJob, context: &Context) -> Result<Status> {
    let opened = |root: &PathBuf| (root.display().to_string(), Tree::open(root, &context.places));
    of_trees(roots.iter().map(opened).collect(), job, context)
}

/// The same of trees under the names of their places. One of several that cannot be read is a finding.
pub fn of_trees(trees: Vec<(String, Result<Tree>)>, job: &StatusJob, context: &Context) -> Result<Status> {
    let now = context.clock.zoned();
    let past = Past::read(&job.state_dir)?;
    let is_alone = trees.len() == 1;
    let mut status: Option<Status> = None;
    for (place, tree) in trees {
        context.cancel.check()?;
        let facts = match tree.and_then(|tree| Facts::read(&place, &tree, &past, &now)) {
            Err(error) if is_alone || matches!(error.kind(), Kind::Signal(_)) => return Err(error),
            facts => facts,
        };
        match (&mut status, facts) {
            (None, Ok(facts)) => status = Some(assess(&facts, job, &now)),
            (None, Err(error)) => {
                status = Some(overall(place::unreadable(&place, &error, &past), Vec::new(), &past, job, &now))
            }
            (Some(status), facts) => status.add(beside(&place, facts, &past, job, &now)),
        }
    }
    status.ok_or_else(|| Error::new(Kind::Bug, "no place was looked at"))
}

const RUNS_SHOWN: usize = 20;

fn assess(facts: &Facts, job: &StatusJob, now: &Zoned) -> Status {
    let databases: Vec<DatabaseStatus> = names(facts, job)
        .into_iter()
        .map(|(kind, name, expected)| database::assess(facts, kind, &name, expected, now))
        .collect();
    let place = place::assess(facts, job, &databases);
    overall(place, databases, &facts.past, job, now)
}

/// A place beside the first: how its own copies are. What the run and the source are like is told of the first.
fn beside(place: &str, facts: Result<Facts>, past: &Past, job: &StatusJob, now: &Zoned) -> FurtherPlace {
    let facts = match facts {
        Ok(facts) => facts,
        Err(error) => return FurtherPlace { place: place::unreadable(place, &error, past), databases: Vec::new() },
    };
    let databases: Vec<DatabaseStatus> = names(&facts, job)
        .into_iter()
        .map(|(kind, name, expected)| database::assess_copies(&facts, kind, &name, expected, now))
        .collect();
    FurtherPlace { place: place::assess(&facts, job, &databases), databases }
}

fn overall(place: PlaceStatus, databases: Vec<DatabaseStatus>, past: &Past, job: &StatusJob, now: &Zoned) -> Status {
    let delivery = delivery(past);
    let worst = databases.iter().map(|one| one.state).chain(delivery.iter().map(|one| one.level)).max();
    let next_run = job.schedule.and_then(|at| freshness::next_run(at, now));
    Status {
        status_version: STATUS_VERSION,
        state: worst.unwrap_or_default().max(place.state),
        at: Moment::from(now),
        databases,
        place,
        further_places: Vec::new(),
        delivery,
        schedule: ScheduleStatus {
            at: job.schedule.map(|at| at.strftime("%H:%M").to_string()),
            next_run: next_run.as_ref().map(Moment::from),
        },
        kept_copies: None,
        runs: past.history.iter().rev().take(RUNS_SHOWN).cloned().collect::<Vec<Run>>(),
    }
}

fn delivery(past: &Past) -> Vec<Finding> {
    let told = |(channel, failure): (&String, &Failure)| {
        Finding::warning(
            Code::Alert,
            format!("no alert gets through by {channel} since {}: {}", database::minute(failure.since), failure.why),
        )
    };
    past.undelivered.iter().map(told).collect()
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
