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
mod trees;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::archive::ArchiveId;
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{BackupJob, Context, Place, Source};
use crate::pipeline::joined;
use crate::policy::naming;
use crate::state::{RunLock, TreeKey};
use crate::store::Places;

pub use outcome::{BackedUp, BackupOutcome, PlaceFailure, SourceOutcome};
pub use postgres::{Digested, digest};

use run_manifest::RunFiles;

const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Backs up every source of the job. An error is returned only if nothing could be begun.
pub async fn run(job: &BackupJob, context: &Context) -> Result<BackupOutcome> {
    if job.sources.is_empty() {
        return Err(Error::new(Kind::Nothing, "nothing to back up: no database is named or configured"));
    }
    let _locks = lock(job, context)?;
    let mut outcome = BackupOutcome { sources: Vec::new(), swept: sweep(job, context).await? };
    let mut files = RunFiles::begin(context);
    let is_globals = |source: &Source| matches!(source, Source::Globals(_));
    let only_globals = job.sources.iter().all(is_globals);
    for source in &job.sources {
        let result = back_up(source, job, context, &mut files).await.map_err(|error| with_leftovers(error, context));
        let stopped = matches!(&result, Err(error) if matches!(error.kind(), Kind::Signal(_)));
        let (label, from) = (source.label().to_owned(), source.describe());
        let goes_along = is_globals(source) && !only_globals;
        outcome.sources.push(SourceOutcome { label, source: from, goes_along, result });
        if stopped {
            break;
        }
    }
    if let Err(error) = files.publish(job, context) {
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

/// What a failed upload could not take back is told with the error that ended it.
fn with_leftovers(error: Error, context: &Context) -> Error {
    context.places.left_behind().into_iter().fold(error, Error::note)
}

/// The roots of the trees that the job writes into.
fn roots(job: &BackupJob) -> Vec<&Path> {
    match &job.place {
        Place::File { .. } => Vec::new(),
        Place::Tree { root } => std::iter::once(root).chain(&job.copies).map(PathBuf::as_path).collect(),
    }
}

/// One run a tree at a time. `--output` writes into no tree and needs no lock.
fn lock(job: &BackupJob, context: &Context) -> Result<Vec<RunLock>> {
    let roots = roots(job);
    let mut locks = Vec::new();
    for root in &roots {
        let key = match Places::bucket(root) {
            Some(location) => TreeKey::of_url(&location?.to_string()),
            None => match make_folder(root) {
                Ok(()) => TreeKey::of_folder(root)?,
                // Of several places this one fails when it is written to.
                Err(_) if roots.len() > 1 => continue,
                Err(error) => return Err(error),
            },
        };
        locks.push(RunLock::acquire(&job.state_dir, &key, context.clock.now())?);
    }
    Ok(locks)
}

/// Removes what runs that died left in the trees.
async fn sweep(job: &BackupJob, context: &Context) -> Result<Vec<String>> {
    let roots: Vec<PathBuf> = roots(job).into_iter().map(Path::to_owned).collect();
    let (job, places) = (job.clone(), context.places.clone());
    let swept = move || {
        let mut swept = sqlite::sweep(&job)?;
        for root in &roots {
            match places.open(root).and_then(|store| store.sweep(&naming::is_ours_unfinished)) {
                Ok(removed) => swept.extend(removed),
                // Of several places this one fails when it is written to.
                Err(error) if roots.len() > 1 && !matches!(error.kind(), Kind::Signal(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(swept)
    };
    joined(tokio::task::spawn_blocking(swept).await)
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
