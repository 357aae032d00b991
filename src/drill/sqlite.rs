//! One archive of a SQLite file: restored as a new file, checked, asked, removed.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::archive::{Archive, PipeReader};
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{Adaptation, ArchiveChoice, Check, Content, Context, DrillJob, PostgresTarget, RestoreJob, Selection};
use crate::listing::Listed;
use crate::policy::ArchiveKind;
use crate::read_at::Sequential;
use crate::restore;
use crate::seal::{self, Keys};
use crate::sqlite::inspect;
use crate::store::{Bytes, LocalStore, Store};
use crate::units::human_bytes;
use crate::verify::stored;

use super::outcome::Restored;
use super::{checks, compare, pages};

pub async fn drill(
    row: &Listed,
    store: &dyn Store,
    archive: &Path,
    job: &DrillJob,
    context: &Context,
) -> Result<Restored> {
    let folder = Scratch::make(job, row)?;
    let target = folder.0.join("restored.db");
    let restore_job = restore_job(archive, &target, job, &folder.0);
    let began = context.clock.now();
    let plan = context.cancel.guard(restore::plan(&restore_job, context)).await?;
    let outcome = plan.run(&restore_job, context).await?;
    let restore_seconds = context.clock.now().duration_since(began).as_secs_f64().max(0.0);
    let asked: Vec<Check> = job.checks.iter().filter(|check| check.database == row.label).cloned().collect();
    let is_ours = row.meta.as_ref().is_some_and(|meta| !meta.is_foreign());
    let stored = is_ours.then(|| stored::open(store, row)).transpose()?;
    let keys = Arc::clone(&context.keys);
    let looked = tokio::task::spawn_blocking(move || {
        // Pages first: whatever asks the file next may write to it.
        let (mut findings, properties) = match stored {
            Some(stored) => against_archive(&target, stored, &keys)?,
            None => (Vec::new(), None),
        };
        let facts = inspect::staged(&target)?;
        findings.extend(properties.iter().flat_map(|known| compare::sqlite_tables(known, &facts.tables)));
        findings.extend(checks::sqlite(&target, &asked.iter().collect::<Vec<_>>()));
        Ok::<_, Error>((facts, findings))
    });
    let (facts, findings) = looked.await.map_err(|cause| Error::new(Kind::Bug, "a check died").because(cause))??;
    Ok(Restored {
        restore_seconds,
        tables: facts.tables.len() as u64,
        rows: facts.tables.iter().filter_map(|table| table.rows).fold(0, u64::saturating_add),
        findings,
        warnings: outcome.warnings,
        left_out: Vec::new(),
        not_compared: Vec::new(),
    })
}

/// Pages that are not the archive's, and what the archive knows of its tables.
fn against_archive(target: &Path, stored: Box<dyn Bytes>, keys: &Arc<Keys>) -> Result<(Vec<String>, Option<Value>)> {
    if seal::reads_in_order(&stored) {
        let reader = PipeReader::open(seal::unseal_stream(Sequential::new(stored), keys)?)?;
        let (findings, tail) = pages::compare_in_order(target, reader)?;
        return Ok((findings, Some(tail.properties)));
    }
    let archive = Archive::open(seal::open(stored, keys)?)?;
    Ok((pages::compare(target, &archive)?, Some(archive.properties().clone())))
}

/// A folder of this drill alone; removed with all that is in it, and by the next drill if this one is killed.
struct Scratch(PathBuf);

impl Scratch {
    fn make(job: &DrillJob, row: &Listed) -> Result<Scratch> {
        let at = job.staging.as_ref().unwrap_or(&job.state_dir);
        let path = at.join(".miyabi-drill");
        let doing = || format!("cannot make a folder for the drill in {}", at.display());
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(at).context(Kind::Place, doing)?;
        if path.exists() {
            std::fs::remove_dir_all(&path).context(Kind::Place, doing)?;
        }
        std::fs::DirBuilder::new().mode(0o700).create(&path).context(Kind::Place, doing)?;
        let scratch = Scratch(path);
        // The unpacked copy, and the file that is made of it.
        let raw = row.meta.as_ref().and_then(|meta| meta.details.as_ref()).map_or(0, |details| details.raw_bytes.0);
        let needed = raw.saturating_mul(2);
        match LocalStore::new(&scratch.0).space()? {
            Some(space) if space.free < needed => {
                let (free, needed) = (human_bytes(space.free), human_bytes(needed));
                Err(Error::new(Kind::Place, format!("{}: {free} free, {needed} needed", doing()))
                    .hint("--staging names another folder"))
            }
            _ => Ok(scratch),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed by the next drill.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn restore_job(archive: &Path, target: &Path, job: &DrillJob, folder: &Path) -> RestoreJob {
    let why = "a drill of a SQLite file needs no server".to_owned();
    RestoreJob {
        archive: ArchiveChoice::File(archive.to_owned()),
        kind: Some(ArchiveKind::Sqlite),
        postgres: PostgresTarget::Unknown { kind: Kind::Usage, why, hint: None },
        sqlite: Some(target.to_owned()),
        selection: Selection { tables: Vec::new(), content: Content::All },
        adaptation: Adaptation::default(),
        jobs: job.jobs,
        threads: job.threads,
        state_dir: job.state_dir.clone(),
        staging: Some(folder.to_owned()),
        lock_timeout: job.lock_timeout,
        busy_limit: job.busy_limit,
    }
}
