//! `salvage`: a sound archive from what is left of a damaged one, published like any other.

use super::Run;
use crate::cli::args::SalvageArgs;
use crate::cli::progress::Bar;
use crate::cli::{json, render};
use crate::error::Result;
use crate::salvage::{self, Options};

pub fn run(args: &SalvageArgs, run: &mut Run<'_>) -> Result<u8> {
    run.show_notes();
    let options = Options { force: args.force, keep_torn_pages: args.keep_torn_pages };
    let outcome = {
        let _bar = Bar::start(run.terminal, &run.context.progress);
        salvage::run(&args.file, &args.output, options, run.context)?
    };
    run.terminal.result(&render::salvaged(&outcome))?;
    if !outcome.complete {
        outcome.warnings.iter().for_each(|warning| run.terminal.warning(warning));
    }
    run.terminal.json(&json::outcome(&outcome, outcome.exit_code(), &run.notes)?);
    Ok(outcome.exit_code())
}
