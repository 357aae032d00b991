//! `copy`

use super::Run;
use crate::cli::args::CopyArgs;
use crate::cli::progress::Bar;
use crate::cli::{json, render, resolve};
use crate::copy;
use crate::error::{Error, Kind, Result};

pub fn run(args: &CopyArgs, run: &mut Run<'_>) -> Result<u8> {
    let job = resolve::copy(args, run.config)?;
    run.show_notes();
    let outcome = {
        let _bar = Bar::start(run.terminal, &run.context.progress);
        copy::run(&job, run.context)?
    };
    if outcome.copied.is_empty() && outcome.present.is_empty() && outcome.failed.is_empty() {
        return Err(Error::new(Kind::Nothing, format!("no backup to copy in {}", job.from.display())));
    }
    outcome.failed.iter().for_each(|failure| run.terminal.error(&failure.to_error()));
    run.terminal.result(&render::copied(&outcome, run.took()))?;
    run.terminal.json(&json::outcome(&outcome, outcome.exit_code(), &run.notes)?);
    Ok(outcome.exit_code())
}
