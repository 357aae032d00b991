//! `status`

use std::path::PathBuf;
use std::time::Duration;

use super::Run;
use crate::cli::args::StatusArgs;
use crate::cli::{json, render, resolve};
use crate::error::{Error, Kind, Result};
use crate::job::{Context, Source};
use crate::ops::status::{self, Status, StatusJob};
use crate::prune::kept::{self, KeptCopy};

/// A server that is down must not hold up the word that it is.
const PATIENCE: Duration = Duration::from_secs(5);

pub async fn run(args: &StatusArgs, run: &mut Run<'_>) -> Result<u8> {
    let resolve::Status { roots, job, sources, .. } = resolve::status(run.config, &mut run.notes)?;
    run.show_notes();
    let mut status = of_places(&roots, &job, run.context).await?;
    is_about_something(&status)?;
    if args.copies {
        status.kept_copies = look_for_copies(&sources, run).await;
    }
    run.terminal.answer(&render::status(&status, run.context.clock.now()))?;
    let exit_code = status.state.exit_code();
    if run.terminal.wants_json() {
        run.terminal.json(&json::outcome(&status, exit_code, &run.notes)?);
    }
    Ok(exit_code)
}

/// In the wrong folder there is nothing to be alarmed of: that must not look like health.
pub fn is_about_something(status: &Status) -> Result<()> {
    let further = &status.further_places;
    if !status.databases.is_empty()
        || further.iter().any(|one| !one.databases.is_empty() || !one.place.readable)
        || !status.place.readable
    {
        return Ok(());
    }
    let what = format!("nothing is configured, and there is no backup in {}", status.place.place);
    Err(Error::new(Kind::Nothing, what)
        .hint("run it where miyabi-backup.toml is, or name it by --config; --from names another tree"))
}

pub async fn of_places(roots: &[PathBuf], job: &StatusJob, context: &Context) -> Result<Status> {
    let (roots, job, context) = (roots.to_vec(), job.clone(), context.clone());
    tokio::task::spawn_blocking(move || status::run(&roots, &job, &context))
        .await
        .map_err(|cause| Error::new(Kind::Bug, "status did not end").because(cause))?
}

async fn look_for_copies(sources: &[Source], run: &Run<'_>) -> Option<Vec<KeptCopy>> {
    match tokio::time::timeout(PATIENCE, kept::find(sources)).await {
        Ok(Ok(copies)) => Some(copies),
        Ok(Err(error)) => {
            run.terminal.warning(&format!("what restores have kept is not known: {}", error.chain()));
            None
        }
        Err(_) => {
            run.terminal.warning("what restores have kept is not known: a server does not answer");
            None
        }
    }
}
