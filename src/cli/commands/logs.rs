//! `logs`

use std::time::Duration;

use serde_json::json;

use super::Run;
use crate::cli::args::LogsArgs;
use crate::cli::{json, render, resolve};
use crate::error::{Error, Kind, Result};
use crate::state::History;
use crate::state::history::{self, RunState};

const SHOWN: usize = 20;
const LOOKS_EVERY: Duration = Duration::from_millis(500);

pub async fn run(args: &LogsArgs, run: &mut Run<'_>) -> Result<u8> {
    run.show_notes();
    let zone = run.context.clock.zone().clone();
    let now = run.context.clock.now().to_zoned(zone.clone());
    let since = args.since.as_deref().map(|text| resolve::since("--since", text, &now)).transpose()?;
    if args.follow && run.terminal.wants_json() {
        return Err(Error::new(Kind::Usage, "--follow and --json do not go together: one object cannot be endless"));
    }
    let state_dir = resolve::state_dir(run.config)?;
    let mut history = History::read(&state_dir)?;
    let wanted: Vec<&history::Run> =
        history.runs.iter().filter(|run| since.is_none_or(|since| run.start.at >= since)).collect();
    let most = args.lines.unwrap_or(if since.is_some() { usize::MAX } else { SHOWN });
    let shown = wanted.get(wanted.len().saturating_sub(most)..).unwrap_or_default();
    if history.unreadable > 0 {
        run.terminal.warning(&format!("{} lines of the history cannot be read", history.unreadable));
    }
    if !args.follow {
        let text = shown.iter().map(|one| render::history_run(one, &zone)).collect::<Vec<_>>().join("\n");
        let nothing = format!("no run is noted in {}", state_dir.display());
        run.terminal.answer(if shown.is_empty() { &nothing } else { &text })?;
        run.terminal.json(&json!({
            "exit_code": 0,
            "runs": json::to_value(&shown)?,
            "unreadable": history.unreadable,
            "configuration_warnings": run.notes.all(),
        }));
        return Ok(0);
    }
    let mut told: Vec<(String, RunState)> = Vec::new();
    for one in shown {
        run.terminal.answer(&render::history_run(one, &zone))?;
    }
    told.extend(history.runs.iter().map(|one| (one.start.run.clone(), one.state)));
    loop {
        let pause = async {
            tokio::time::sleep(LOOKS_EVERY).await;
            Ok(())
        };
        run.context.cancel.guard(pause).await?;
        if !history.read_on(&state_dir)? {
            continue;
        }
        for one in &history.runs {
            let now = (one.start.run.clone(), one.state);
            if !told.contains(&now) {
                run.terminal.answer(&render::history_run(one, &zone))?;
                told.push(now);
            }
        }
    }
}
