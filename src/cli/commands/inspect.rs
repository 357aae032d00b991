//! `inspect`: what one stored file says of itself. Checks none of an archive's rows.

use super::Run;
use crate::cli::args::InspectArgs;
use crate::cli::progress::Bar;
use crate::cli::{json, render};
use crate::error::Result;
use crate::inspect::{self, Options};

pub fn run(args: &InspectArgs, run: &mut Run<'_>) -> Result<u8> {
    run.show_notes();
    let options = Options { objects: args.objects, properties_sql: args.properties, staging: args.staging.clone() };
    let inspected = {
        let _bar = Bar::start(run.terminal, &run.context.progress);
        inspect::run(&args.file, &options, run.context)?
    };
    run.terminal.answer(&render::inspected(&inspected))?;
    inspected.problems.iter().for_each(|problem| run.terminal.failure(problem));
    run.terminal.json(&json::outcome(&inspected, inspected.exit_code(), &run.notes)?);
    Ok(inspected.exit_code())
}
