//! `list`

use serde_json::json;

use super::Run;
use crate::cli::args::ListArgs;
use crate::cli::{json, render, resolve};
use crate::error::{Error, Kind, Result};
use crate::listing::{self, Listed};

pub fn run(args: &ListArgs, run: &mut Run<'_>) -> Result<u8> {
    let job = resolve::list(args, run.config)?;
    run.show_notes();
    let (_, listing) = listing::at_path(&job.root, &run.context.places, run.context.clock.zone())?;
    let wanted = |row: &&Listed| {
        job.label.as_ref().is_none_or(|label| *label == row.label) && job.kind.is_none_or(|kind| row.kind == Some(kind))
    };
    let rows: Vec<&Listed> = listing.rows.iter().filter(wanted).collect();
    for skipped in &listing.skipped {
        run.terminal.warning(&format!("{} was not looked at: {}", skipped.path, skipped.why));
    }
    if rows.is_empty() {
        let whose = job.label.as_ref().map_or_else(String::new, |label| format!(" of `{label}`"));
        return Err(Error::new(Kind::Nothing, format!("no backup{whose} in {}", job.root.display())));
    }
    run.terminal.answer(&render::listing(&rows, run.context.clock.now()))?;
    if !run.terminal.wants_json() {
        return Ok(0);
    }
    run.terminal.json(&json!({
        "exit_code": 0,
        "root": job.root,
        "backups": json::to_value(&rows)?,
        "manifests": listing.manifests,
        "skipped": json::to_value(&listing.skipped)?,
        "configuration_warnings": run.notes.all(),
    }));
    Ok(0)
}
