//! `verify`

use super::Run;
use crate::cli::args::VerifyArgs;
use crate::cli::progress::Bar;
use crate::cli::{json, render, resolve};
use crate::error::{Error, Kind, Result};
use crate::verify;
use crate::verify::outcome::Verdict;

pub fn run(args: &VerifyArgs, run: &mut Run<'_>) -> Result<u8> {
    let job = resolve::verify(args, run.config)?;
    run.show_notes();
    let outcome = {
        let _bar = Bar::start(run.terminal, &run.context.progress);
        verify::run(&job, run.context)?
    };
    if outcome.files.is_empty() {
        let looked: Vec<String> = job.paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Error::new(Kind::Nothing, format!("no archive to verify in {}", looked.join(", ")))
            .hint("name files or folders, or the tree by --from"));
    }
    for file in &outcome.files {
        let shown = render::verified(file);
        match file.verdict {
            Verdict::Sound => run.terminal.result(&shown)?,
            Verdict::Unfinished => run.terminal.warning(&shown),
            _ => run.terminal.failure(&shown),
        }
    }
    for nothing in &outcome.nothing {
        run.terminal.failure(&format!("nothing to verify in {}: {}", nothing.path.display(), nothing.why));
    }
    if outcome.files.iter().any(|file| file.verdict == Verdict::Damaged && !file.foreign) {
        run.terminal.hint("`miyabi-backup salvage FILE --output NEW` keeps every member that is sound");
    }
    run.terminal.result(&render::verify_summary(&outcome, run.took()))?;
    run.terminal.json(&json::outcome(&outcome, outcome.exit_code(), &run.notes)?);
    Ok(outcome.exit_code())
}
