//! Makes backups: one archive a source, published only when it is whole.
//!
//! Sources are backed up one after the other, each with all connections and threads of the job. One that fails does
//! not stop the others; a signal does. What was published stays.

mod globals;
pub mod outcome;
mod postgres;
mod publish;
mod recorder;
mod run_manifest;
mod sections;
mod sqlite;

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::archive::ArchiveId;
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{BackupJob, Context, Place, Source};
use crate::policy::naming;
use crate::state::{RunLock, TreeKey};
use crate::store::{LocalStore, Store};

pub use outcome::{BackedUp, BackupOutcome, SourceOutcome};
pub use postgres::digest;

use run_manifest::RunFiles;

const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Backs up every source of the job. An error is returned only if nothing could be begun.
pub async fn run(job: &BackupJob, context: &Context) -> Result<BackupOutcome> {
    if job.sources.is_empty() {
        return Err(Error::new(Kind::Nothing, "nothing to back up: no database is named or configured"));
    }
    let _lock = lock(job, context)?;
    let mut outcome = BackupOutcome { sources: Vec::new(), swept: sweep(job)? };
    let mut files = RunFiles::begin(context);
    let is_globals = |source: &Source| matches!(source, Source::Globals(_));
    let only_globals = job.sources.iter().all(is_globals);
    for source in &job.sources {
        let result = back_up(source, job, context, &mut files).await;
        let stopped = matches!(&result, Err(error) if matches!(error.kind(), Kind::Signal(_)));
        let (label, from) = (source.label().to_owned(), source.describe());
        let goes_along = is_globals(source) && !only_globals;
        outcome.sources.push(SourceOutcome { label, source: from, goes_along, result });
        if stopped {
            break;
        }
    }
    if let Err(error) = files.publish(job) {
        outcome.sources.push(SourceOutcome {
            label: "run manifest".to_owned(),
            source: job.place.describe(),
            goes_along: false,
            result: Err(error),
        });
    }
    Ok(outcome)
}

async fn back_up(source: &Source, job: &BackupJob, context: &Context, files: &mut RunFiles) -> Result<BackedUp> {
    context.cancel.check()?;
    let named = |error: Error| error.while_doing(format!("cannot back up {}", source.describe()));
    match source {
        Source::Postgres(database) => postgres::back_up(database, job, context).await.map_err(named),
        Source::Globals(server) => globals::back_up(server, job, context).await.map_err(named),
        Source::Sqlite(file) => {
            let done = sqlite::back_up(file, job, context).await.map_err(named);
            files.add(file, &done);
            done.map(|done| done.backed_up)
        }
    }
}

/// One run a tree at a time. `--output` writes into no tree and needs no lock.
fn lock(job: &BackupJob, context: &Context) -> Result<Option<RunLock>> {
    match &job.place {
        Place::File { .. } => Ok(None),
        Place::Tree { root } => {
            make_folder(root)?;
            RunLock::acquire(&job.state_dir, &TreeKey::of_folder(root)?, context.clock.now()).map(Some)
        }
    }
}

/// Removes what runs that died left in the tree.
fn sweep(job: &BackupJob) -> Result<Vec<String>> {
    match &job.place {
        Place::File { .. } => Ok(Vec::new()),
        Place::Tree { root } => LocalStore::new(root).sweep(&naming::is_ours_unfinished),
    }
}

/// Creates a folder that only we can read, and those above it that are missing.
fn make_folder(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .context(Kind::Place, || format!("cannot create folder {}", path.display()))
}

/// 128 random bits that tell this archive's members from any other's.
fn new_id() -> Result<ArchiveId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).context(Kind::Bug, || "cannot draw random bytes".to_owned())?;
    Ok(ArchiveId(id))
}
