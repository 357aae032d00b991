//! `completions` and `man`, made of the arguments' own descriptions.

use clap::CommandFactory;

use super::Run;
use crate::cli::args::{Args, CompletionsArgs, ManArgs};
use crate::error::{Context as _, Kind, Result};

const NAME: &str = "miyabi-backup";

pub fn completions(args: &CompletionsArgs, run: &Run<'_>) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), NAME, &mut script);
    run.terminal.answer(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// `miyabi-backup.1`, and a page for each command.
pub fn pages(args: &ManArgs, run: &Run<'_>) -> Result<u8> {
    let doing = || format!("cannot write manual pages into {}", args.output.display());
    std::fs::create_dir_all(&args.output).context(Kind::Place, doing)?;
    clap_mangen::generate_to(Args::command(), &args.output).context(Kind::Place, doing)?;
    run.terminal.result(&format!("manual pages are in {}", args.output.display()))?;
    Ok(0)
}
