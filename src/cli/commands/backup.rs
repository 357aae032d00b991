//! `backup`

use super::{Run, prune};
use crate::backup::{self, BackupOutcome, PlaceFailure, SourceOutcome};
use crate::cli::args::BackupArgs;
use crate::cli::json::Rotated;
use crate::cli::progress::Bar;
use crate::cli::resolve::{self, Backup};
use crate::cli::{json, record, render};
use crate::error::{Error, Kind, Result};

pub async fn run(args: &BackupArgs, run: &mut Run<'_>) -> Result<u8> {
    if !args.dry_run {
        run.record("backup");
    }
    let plan = resolve::backup(args, run.config, &mut run.notes)?;
    run.show_notes();
    if args.dry_run {
        return show_plan(&plan, run);
    }
    let mut outcome = match &plan.job {
        None => BackupOutcome::default(),
        Some(job) => {
            let _bar = Bar::start(run.terminal, &run.context.progress);
            backup::run(job, run.context).await?
        }
    };
    let rotated = rotate(&plan, &outcome, run).await;
    outcome.sources.extend(plan.failures.into_iter().map(|failure| {
        let source = failure.label.clone();
        SourceOutcome { label: failure.label, source, goes_along: false, result: Err(failure.error) }
    }));
    run.items = record::backup(&outcome, plan.job.as_ref());
    let exit_code = outcome.exit_code();
    show(&outcome, run)?;
    show_rotated(&rotated, run)?;
    run.terminal.json(&json::backup(&outcome, &rotated, exit_code, &run.notes)?);
    Ok(exit_code)
}

/// Removes what is too old by now, of those databases alone of which there is a new backup. A failure is told, and does not
/// make a good backup a failed one.
async fn rotate(plan: &Backup, outcome: &BackupOutcome, run: &Run<'_>) -> Rotated {
    let mut rotated = Rotated::default();
    let Some((roots, job)) = resolve::rotation(plan, outcome) else { return rotated };
    if run.context.cancel.is_cancelled() {
        return rotated;
    }
    for root in roots {
        match prune::in_tree(&root, &job, run.context).await {
            Ok(done) => rotated.done.push(done),
            Err(error) => {
                let is_stopped = matches!(error.kind(), Kind::Signal(_));
                rotated.failed = Some(match rotated.failed.take() {
                    None => error,
                    Some(first) => first.note(error.chain()),
                });
                if is_stopped {
                    break;
                }
            }
        }
    }
    rotated
}

fn show_rotated(rotated: &Rotated, run: &Run<'_>) -> Result<()> {
    for tree in rotated.done.iter().filter(|tree| !tree.removed.is_empty()) {
        run.terminal.result(&render::pruned(tree))?;
    }
    if let Some(error) = &rotated.failed {
        run.terminal.warning(&format!("old backups were not removed: {}", error.chain()));
    }
    Ok(())
}

fn show_plan(plan: &Backup, run: &Run<'_>) -> Result<u8> {
    let shown = json::backup_plan(plan, run.context.clock.zone().iana_name(), &run.notes);
    run.terminal.answer(&render::plan(&shown))?;
    run.terminal.json(&json::outcome(&shown, plan.exit_code(), &run.notes)?);
    plan.failures.iter().for_each(|failure| run.terminal.error(&failure.error));
    Ok(plan.exit_code())
}

/// A place that has no backup of a source that others have.
fn missed(source: &str, failure: &PlaceFailure) -> Error {
    let PlaceFailure { place, error, hint, notes } = failure;
    let what = format!("cannot back up {source} into {}: {error}", place.display());
    let error = notes.iter().fold(Error::new(Kind::Place, what), |error, note| error.note(note));
    hint.iter().fold(error, |error, hint| error.hint(hint))
}

fn show(outcome: &BackupOutcome, run: &Run<'_>) -> Result<()> {
    for name in &outcome.swept {
        run.terminal.note(&format!("removed {name}, left by a run that died"));
    }
    for source in &outcome.sources {
        match &source.result {
            Ok(done) => {
                run.terminal.result(&render::backed_up(&source.label, done))?;
                done.failed.iter().for_each(|failure| run.terminal.error(&missed(&source.source, failure)));
                done.warnings.iter().for_each(|warning| run.terminal.warning(&format!("{}: {warning}", source.label)));
            }
            Err(error) => run.terminal.error(error),
        }
    }
    run.terminal.result(&render::backup_summary(outcome, run.took()))
}
