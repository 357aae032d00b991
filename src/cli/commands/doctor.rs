//! `doctor`

use std::path::PathBuf;

use serde_json::json;

use super::{Run, schedule, status};
use crate::cli::{json, resolve};
use crate::error::{Error, Kind, Result};
use crate::ops::doctor::{self, Examined};
use crate::ops::status::{Level, StatusJob};
use crate::state::history::History;

pub async fn run(run: &mut Run<'_>) -> Result<u8> {
    let resolve::Status { roots, job, sources } = resolve::status(run.config, &mut run.notes)?;
    run.show_notes();
    let mut all = doctor::sources(&sources, run.context).await;
    if sources.is_empty() {
        all.push(Examined::bad("configuration", "no database is configured"));
    }
    for place in resolve::places(run.config)? {
        all.extend(examined(place, job.min_free, run).await?);
    }
    all.push(state_folder(&job));
    all.push(timers(run)?);
    all.extend(channels(run));
    all.extend(forecast(&roots, &job, run).await?);
    for one in &all {
        match one.level {
            Level::Ok => run.terminal.result(&format!("ok: {}: {}", one.subject, one.what))?,
            Level::Warning => run.terminal.warning(&format!("{}: {}", one.subject, one.what)),
            Level::Critical => run.terminal.failure(&format!("{}: {}", one.subject, one.what)),
        }
        one.mend.iter().for_each(|how| run.terminal.hint(how));
    }
    let worst = all.iter().map(|one| one.level).max().unwrap_or_default();
    run.terminal.json(&json!({
        "exit_code": worst.exit_code(),
        "state": worst.name(),
        "findings": json::to_value(&all)?,
        "configuration_warnings": run.notes.all(),
    }));
    Ok(worst.exit_code())
}

/// Folders and buckets block, so they have a thread of their own.
async fn examined(place: PathBuf, min_free: u64, run: &Run<'_>) -> Result<Vec<Examined>> {
    let places = run.context.places.clone();
    let locks = resolve::s3_lock(run.config)?.is_some();
    let looked = tokio::task::spawn_blocking(move || match places.open(&place) {
        Ok(store) => doctor::place(store.as_ref(), min_free, locks),
        Err(error) => vec![Examined::of_error(&place.display().to_string(), &error)],
    });
    looked.await.map_err(|cause| Error::new(Kind::Bug, "the examination of a place did not end").because(cause))
}

fn state_folder(job: &StatusJob) -> Examined {
    let subject = job.state_dir.display().to_string();
    let probe = std::fs::create_dir_all(&job.state_dir).and_then(|()| {
        let path = job.state_dir.join(".doctor-probe");
        std::fs::write(&path, b"?").and_then(|()| std::fs::remove_file(&path))
    });
    match (probe, History::read(&job.state_dir)) {
        (Err(cause), _) => Examined::bad(&subject, format!("the state folder cannot be written: {cause}")),
        (_, Err(error)) => Examined::of_error(&subject, &error),
        _ => Examined::fine(&subject, "the state folder can be written"),
    }
}

fn timers(run: &Run<'_>) -> Result<Examined> {
    let installed = schedule::installed(run)?;
    Ok(match installed.is_empty() {
        true => Examined::warning("schedule", "no timer of ours is installed for this user")
            .mend(["miyabi-backup schedule install".to_owned()]),
        false => Examined::fine("schedule", installed.join(", ")),
    })
}

fn channels(run: &Run<'_>) -> Option<Examined> {
    match resolve::alerts(run.config, &run.context.host) {
        Ok(channels) if channels.has_any() => Some(Examined::fine("alerts", "somebody is told; try `alert test`")),
        Ok(_) => Some(Examined::warning("alerts", "nobody is told when a backup fails: [alerts] names no channel")),
        Err(error) => Some(Examined::of_error("alerts", &error)),
    }
}

/// What the tree says of the space that it will need. A tree that is not there yet needs none.
async fn forecast(roots: &[PathBuf], job: &StatusJob, run: &Run<'_>) -> Result<Vec<Examined>> {
    let mut all = Vec::new();
    for root in roots.iter().filter(|root| root.is_dir()) {
        let place = status::of_places(std::slice::from_ref(root), job, run.context).await?.place;
        all.extend(place.findings.iter().map(|finding| Examined::warning(&place.place, finding.message.clone())));
    }
    Ok(all)
}
