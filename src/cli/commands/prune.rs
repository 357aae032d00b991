//! `prune`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::Run;
use crate::cli::args::PruneArgs;
use crate::cli::prompt::{self, Answerer};
use crate::cli::resolve::{self, Prune};
use crate::cli::{json, record, render};
use crate::error::{Error, Kind, Result};
use crate::job::{Context, PruneJob, Source};
use crate::prune::{self, PruneOutcome, Tree, kept};
use crate::store::Places;

pub async fn run(args: &PruneArgs, run: &mut Run<'_>) -> Result<u8> {
    if !args.dry_run {
        run.record("prune");
    }
    let plan = resolve::prune(args, run.config, &mut run.notes)?;
    run.show_notes();
    match plan {
        Prune::Backups { roots, job } => backups(&roots, &job, run).await,
        Prune::BeforeRestore(sources) => before_restore(args, &sources, run).await,
    }
}

/// Each place by what lies in it. One that fails does not stop the others.
async fn backups(roots: &[PathBuf], job: &PruneJob, run: &mut Run<'_>) -> Result<u8> {
    let (mut done, mut failed): (Vec<PruneOutcome>, Vec<(&PathBuf, Error)>) = (Vec::new(), Vec::new());
    for root in roots {
        match in_standing_tree(root, job, run.context).await {
            Ok(outcome) => {
                run.items.extend(record::prune(&outcome));
                match job.dry_run {
                    true => run.terminal.answer(&render::prune_plan(&outcome))?,
                    false => run.terminal.result(&render::pruned(&outcome))?,
                }
                done.push(outcome);
            }
            Err(error) if matches!(error.kind(), Kind::Signal(_)) => return Err(error),
            Err(error) => failed.push((root, error)),
        }
    }
    if done.is_empty() {
        let mut failed = failed.into_iter().map(|(_, error)| error);
        let first = failed.next().unwrap_or_else(|| Error::new(Kind::Bug, "no place was looked at"));
        return Err(failed.fold(first, |first, error| first.note(error.chain())));
    }
    failed.iter().for_each(|(_, error)| run.terminal.error(error));
    let exit_code = if failed.is_empty() { 0 } else { Kind::Partial.exit_code() };
    run.terminal.json(&json::pruned(&done, &failed, exit_code, &run.notes)?);
    Ok(exit_code)
}

async fn in_standing_tree(root: &Path, job: &PruneJob, context: &Context) -> Result<PruneOutcome> {
    if Places::bucket(root).is_none() && !root.is_dir() {
        return Err(Error::new(Kind::Nothing, format!("there is no tree of backups in {}", root.display()))
            .hint("run it where miyabi-backup.toml is, or name it by --config; --from names another tree"));
    }
    in_tree(root, job, context).await
}

/// Rotates one tree. Deleting blocks, so it has a thread of its own.
pub async fn in_tree(root: &Path, job: &PruneJob, context: &Context) -> Result<PruneOutcome> {
    let (root, job, context) = (root.to_owned(), job.clone(), context.clone());
    tokio::task::spawn_blocking(move || prune::run(&Tree::open(&root, &context.places)?, &job, &context))
        .await
        .map_err(|cause| Error::new(Kind::Bug, "rotation did not end").because(cause))?
}

async fn before_restore(args: &PruneArgs, sources: &[Source], run: &mut Run<'_>) -> Result<u8> {
    let copies = run.context.cancel.guard(kept::find(sources)).await?;
    if copies.is_empty() {
        return Err(Error::new(Kind::Nothing, "no restore has kept anything of the configured databases"));
    }
    if !args.dry_run {
        run.terminal.show(&render::kept_copies(&copies), !args.confirm);
        if !args.confirm {
            let what = "what restores have kept";
            prompt::confirm_removal(run.terminal, Answerer::Stdin, what, &run.context.cancel).await?;
        }
        run.context.cancel.guard(kept::remove(&copies)).await?;
        run.terminal.result(&format!("removed {} old copies", copies.len()))?;
    } else {
        run.terminal.answer(&render::kept_copies(&copies))?;
    }
    run.terminal.json(&json!({
        "exit_code": 0,
        "dry_run": args.dry_run,
        "removed_copies": json::to_value(&copies)?,
        "configuration_warnings": run.notes.all(),
    }));
    Ok(0)
}
