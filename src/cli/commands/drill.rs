//! `drill`

use super::Run;
use crate::cli::args::DrillArgs;
use crate::cli::progress::Bar;
use crate::cli::{json, record, render, resolve};
use crate::drill;
use crate::error::Result;

const SERVER_OF_ITS_OWN: &str =
    "a server that holds nothing else may be drilled on as its superuser: name it by `url` of [drill]";

pub async fn run(args: &DrillArgs, run: &mut Run<'_>) -> Result<u8> {
    run.record("drill");
    let job = resolve::drill(args, run.config, &mut run.notes)?;
    run.show_notes();
    let outcome = {
        let _bar = Bar::start(run.terminal, &run.context.progress);
        drill::run(&job, run.context).await?
    };
    run.items = record::drill(&outcome);
    for drilled in &outcome.drills {
        match drilled.ok {
            true => run.terminal.result(&render::drilled(drilled))?,
            false if drilled.incomplete => {
                let named = |finding: &String| format!("{}: {}: {finding}", drilled.name, drilled.archive);
                drilled.findings.iter().for_each(|finding| run.terminal.warning(&named(finding)));
                run.terminal.hint(SERVER_OF_ITS_OWN);
            }
            false => {
                let named = |finding: &String| format!("{}: {}: {finding}", drilled.name, drilled.archive);
                drilled.findings.iter().for_each(|finding| run.terminal.failure(&named(finding)));
            }
        }
        for left in &drilled.left_out {
            run.terminal
                .warning(&format!("{}: left out, since the role that drills may not make it: {left}", drilled.name));
        }
        drilled.warnings.iter().for_each(|warning| run.terminal.warning(&format!("{}: {warning}", drilled.name)));
    }
    outcome.findings.iter().for_each(|finding| run.terminal.failure(finding));
    let good = outcome.drills.iter().filter(|one| one.ok).count();
    run.terminal.result(&format!("{good} of {} drills succeeded", outcome.drills.len()))?;
    let exit_code = outcome.exit_code();
    run.terminal.json(&json::outcome(&outcome, exit_code, &run.notes)?);
    Ok(exit_code)
}
