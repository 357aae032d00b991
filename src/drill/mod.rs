//! Restores backups for trial, and compares what came back with what was dumped.
//!
//! Loading rows runs code of the database (checks, generated columns, domains) with the rights of whoever loads, so a
//! drill is refused as superuser on a server that holds anything else. Nothing outside of the scratch database is
//! written; it is dropped at the end, whatever happened, and what a killed drill left goes with the next one.

mod checks;
mod choose;
mod compare;
mod look;
pub mod outcome;
mod pages;
mod postgres;
mod role;
mod scratch;
mod sqlite;

use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::job::{Context, DrillJob};
use crate::listing::{Listed, at_path};
use crate::policy::ArchiveKind;
use crate::state::drills::{self, Drill};
use crate::state::{RunLock, TreeKey};
use crate::store::Places;

pub use look::{Ground, look};
pub use outcome::{DrillOutcome, Drilled};

/// Drills one archive after the other; each has a line in the state folder. An error is returned only if nothing
/// could be begun, or the run is stopped.
pub async fn run(job: &DrillJob, context: &Context) -> Result<DrillOutcome> {
    let (store, listing) = at_path(&job.root, &context.places, context.clock.zone())?;
    let chosen = choose::choose(&listing, job)?;
    let tree = match Places::bucket(&job.root) {
        Some(location) => TreeKey::of_url(&location?.to_string()),
        None => TreeKey::of_folder(&job.root)?,
    };
    // Two at once would measure each other, and the second would sweep away what the first has just made.
    let _lock = RunLock::acquire(&job.state_dir, &tree.of_drills(), context.clock.now())?;
    let mut outcome = DrillOutcome::default();
    for row in chosen {
        context.cancel.check()?;
        let path = PathBuf::from(store.shown(&row.path));
        let done = match row.kind {
            Some(ArchiveKind::Sqlite) => sqlite::drill(row, store.as_ref(), &path, job, context).await,
            _ => postgres::drill(row, &path, job, context).await,
        };
        if let Err(error) = &done
            && matches!(error.kind(), Kind::Signal(_))
        {
            return Err(done.err().unwrap_or_else(|| Error::new(Kind::Bug, "a stopped drill has no error")));
        }
        let drilled = outcome::drilled(row, done, job, context.clock.now());
        drills::record(&job.state_dir, &[record(row, &drilled)])?;
        outcome.drills.push(drilled);
    }
    outcome.judge_together(job);
    Ok(outcome)
}

fn record(row: &Listed, drilled: &Drilled) -> Drill {
    Drill {
        at: drilled.at,
        kind: row.kind.map_or("postgres", ArchiveKind::name).to_owned(),
        name: drilled.name.clone(),
        archive: drilled.archive.clone(),
        ok: drilled.ok,
        incomplete: drilled.incomplete,
        restore_seconds: drilled.restore_seconds,
        rto_seconds: drilled.rto_seconds,
        age_seconds: drilled.age_seconds,
        tables: drilled.tables,
        rows: drilled.rows,
        findings: drilled.findings.clone(),
        left_out: drilled.left_out.clone(),
    }
}
