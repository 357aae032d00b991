//! `watch`, `alert test`, and what follows every recorded run: alerts, the dead-man's switch, metrics.

use serde_json::json;

use super::{Run, metrics, status};
use crate::cli::{json, resolve};
use crate::error::{Error, Kind, Result};
use crate::ops::alert::Outcome;
use crate::ops::status::{Level, Status};

pub async fn watch(run: &mut Run<'_>) -> Result<u8> {
    let resolve::Status { roots, job, .. } = resolve::status(run.config, &mut run.notes)?;
    let channels = resolve::alerts(run.config, &run.context.host)?;
    run.show_notes();
    let status = status::of_places(&roots, &job, run.context).await?;
    status::is_about_something(&status)?;
    metrics::write_textfile(&status, run)?;
    if !channels.has_any() {
        let what = "no channel of [alerts] is configured: nobody is told";
        run.terminal.warning(what);
        findings(&status, run);
        run.terminal.json(&json::outcome(&status, status.state.exit_code(), &run.notes)?);
        return Ok(status.state.exit_code());
    }
    let outcome = channels.tell(&status).await?;
    for notice in &outcome.told {
        run.terminal.note(&format!("{}: {}: {}", notice.change.name(), notice.about.subject, notice.about.message));
    }
    finish(&outcome, run)
}

pub async fn test(run: &mut Run<'_>) -> Result<u8> {
    let channels = resolve::alerts(run.config, &run.context.host)?;
    run.show_notes();
    if !channels.has_any() && channels.ping.is_none() {
        return Err(Error::new(Kind::Nothing, "no channel of [alerts] is configured")
            .hint("set `webhook`, `email_to` with `smtp`, `command` or `ping`"));
    }
    let outcome = channels.test(run.context.clock.now()).await?;
    for channel in &outcome.delivered {
        run.terminal.result(&format!("{channel}: delivered"))?;
    }
    finish(&outcome, run)
}

/// 0 if everybody was told, 3 if a channel failed.
fn finish(outcome: &Outcome, run: &Run<'_>) -> Result<u8> {
    outcome.failed.iter().for_each(|(_, error)| run.terminal.error(error));
    let exit_code = if outcome.failed.is_empty() { 0 } else { Kind::Partial.exit_code() };
    run.terminal.json(&json!({
        "exit_code": exit_code,
        "told": json::to_value(&outcome.told)?,
        "delivered": outcome.delivered,
        "failed": outcome.failed.iter().map(|(_, error)| json::error(error)).collect::<Vec<_>>(),
        "configuration_warnings": run.notes.all(),
    }));
    Ok(exit_code)
}

fn findings(status: &Status, run: &Run<'_>) {
    for about in status.findings().iter().filter(|about| about.finding.level > Level::Ok) {
        let text = format!("{}: {}", about.subject, about.finding.message);
        match about.finding.level {
            Level::Critical => run.terminal.failure(&text),
            _ => run.terminal.warning(&text),
        }
    }
}

/// Whatever goes wrong here is told on standard error, and makes no good backup a failed one.
pub async fn after(command: &str, exit_code: u8, run: &mut Run<'_>) {
    if !matches!(command, "backup" | "verify" | "drill") || run.context.cancel.is_cancelled() {
        return;
    }
    if let Err(error) = tell(command, exit_code, run).await {
        run.terminal.warning(&error.while_doing("nobody could be told of this run").chain());
    }
}

async fn tell(command: &str, exit_code: u8, run: &mut Run<'_>) -> Result<()> {
    let channels = resolve::alerts(run.config, &run.context.host)?;
    let wants_ping = command == "backup" && exit_code == 0 && channels.ping.is_some();
    if !channels.has_any() && !wants_ping && resolve::textfile(run.config).is_none() {
        return Ok(());
    }
    let resolve::Status { roots, job, .. } = resolve::status(run.config, &mut run.notes)?;
    let status = status::of_places(&roots, &job, run.context).await?;
    metrics::write_textfile(&status, run)?;
    if channels.has_any() {
        let outcome = channels.tell(&status).await?;
        outcome.failed.iter().for_each(|(_, error)| run.terminal.warning(&error.chain()));
    }
    if wants_ping {
        channels.ping().await.map_err(|error| error.while_doing("cannot ping the dead-man's switch"))?;
    }
    Ok(())
}
