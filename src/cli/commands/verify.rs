//! `verify`

use super::Run;
use crate::cli::args::VerifyArgs;
use crate::cli::progress::Bar;
use crate::cli::{json, record, render, resolve};
use crate::error::{Error, Kind, Result};
use crate::state::{Verdicts, Verified};
use crate::verify;
use crate::verify::outcome::{Severity, Verdict, VerifyOutcome};

/// Rotation and status ask what verification last said. An archive without a `.meta` is no backup, and has no say.
fn remember(outcome: &VerifyOutcome, run: &Run<'_>) -> Result<()> {
    let verified =
        outcome.files.iter().filter(|file| !matches!(file.verdict, Verdict::Unfinished | Verdict::Sealed)).map(
            |file| Verified {
                at: run.context.clock.now(),
                path: file.path.canonicalize().unwrap_or_else(|_| file.path.clone()).display().to_string(),
                sound: file.verdict == Verdict::Sound,
                why: (file.verdict != Verdict::Sound).then(|| {
                    let first = file.findings.iter().find(|finding| finding.severity == Severity::Damage);
                    first.or(file.findings.first()).map_or_else(String::new, |finding| finding.what.clone())
                }),
            },
        );
    Verdicts::record(&resolve::state_dir(run.config)?, &verified.collect::<Vec<_>>())
}

pub fn run(args: &VerifyArgs, run: &mut Run<'_>) -> Result<u8> {
    run.record("verify");
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
    remember(&outcome, run)?;
    run.items = record::verify(&outcome);
    for file in &outcome.files {
        let shown = render::verified(file);
        match file.verdict {
            Verdict::Sound => run.terminal.result(&shown)?,
            Verdict::Unfinished | Verdict::Sealed => run.terminal.warning(&shown),
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
