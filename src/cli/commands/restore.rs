//! `restore`: preview, question, hooks, restore. Nothing is touched before the answer.

use super::Run;
use crate::cli::args::RestoreArgs;
use crate::cli::progress::Bar;
use crate::cli::prompt::{self, Answerer};
use crate::cli::resolve::{self, Hooks, Restore};
use crate::cli::{hooks, json, record, render};
use crate::error::Result;
use crate::job::{ArchiveChoice, RestoreJob};
use crate::restore::{self, Plan, Preview, RestoreOutcome};

pub async fn run(args: &RestoreArgs, run: &mut Run<'_>) -> Result<u8> {
    if !args.dry_run {
        run.record("restore");
    }
    let plan = resolve::restore(args, run.config, &run.context.clock, &mut run.notes)?;
    run.show_notes();
    if args.dry_run {
        let shown = json::restore_plan(&plan, &run.notes);
        run.terminal.answer(&render::plan(&shown))?;
        run.terminal.json(&json::outcome(&shown, 0, &run.notes)?);
        return Ok(0);
    }
    let Restore { job, hooks } = plan;
    let plan = {
        let _bar = Bar::start(run.terminal, &run.context.progress);
        run.context.cancel.guard(restore::plan(&job, run.context)).await?
    };
    run.terminal.show(&render::preview(&plan.preview), !args.confirm);
    plan.preview.warnings.iter().for_each(|warning| run.terminal.warning(warning));
    if !args.confirm {
        ask(&job, &plan.preview, run).await?;
    }
    let outcome = between_hooks(&hooks, plan, &job, run).await?;
    run.items = record::restore(&outcome);
    run.terminal.result(&render::restored(&outcome))?;
    outcome.left_behind.iter().for_each(|left| run.terminal.warning(&format!("not restored: {left}")));
    outcome.warnings.iter().for_each(|warning| run.terminal.warning(warning));
    run.terminal.json(&json::outcome(&outcome, outcome.exit_code(), &run.notes)?);
    Ok(outcome.exit_code())
}

async fn ask(job: &RestoreJob, preview: &Preview, run: &Run<'_>) -> Result<()> {
    let answerer = match job.archive {
        ArchiveChoice::Pipe => Answerer::ControllingTerminal,
        _ => Answerer::Stdin,
    };
    prompt::confirm(run.terminal, answerer, &preview.target.name(), &run.context.cancel).await
}

/// What `before_restore` stopped is started again whether or not the restore succeeded: the old data still stands.
async fn between_hooks(hooks: &Hooks, plan: Plan, job: &RestoreJob, run: &Run<'_>) -> Result<RestoreOutcome> {
    if let Some(command) = &hooks.before {
        hooks::run("before_restore", command)?;
    }
    let restored = {
        let _bar = Bar::start(run.terminal, &run.context.progress);
        plan.run(job, run.context).await
    };
    let after = hooks.after.as_ref().map_or(Ok(()), |command| hooks::run("after_restore", command));
    match (restored, after) {
        (Ok(outcome), Ok(())) => Ok(outcome),
        (Ok(outcome), Err(error)) => {
            run.terminal.result(&render::restored(&outcome))?;
            Err(error.hint("the restore itself is complete"))
        }
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(also)) => Err(error.note(also.chain())),
    }
}
