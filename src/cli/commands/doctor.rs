//! `doctor`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Run, schedule, status};
use crate::cli::{json, resolve};
use crate::drill;
use crate::error::{Error, Kind, Result};
use crate::ops::doctor::{self, Examined, machine};
use crate::ops::status::{Code, Level, StatusJob};
use crate::state::history::History;
use crate::store::Places;

pub async fn run(run: &mut Run<'_>) -> Result<u8> {
    let resolve::Status { roots, job, sources, failures } = resolve::status(run.config, &mut run.notes)?;
    run.show_notes();
    let (mut all, majors) = doctor::sources(&sources, run.context).await;
    all.extend(failures.iter().map(|failure| Examined::of_error(&failure.label, &failure.error)));
    all.extend(drill_server(&majors, run).await);
    if sources.is_empty() && failures.is_empty() {
        all.push(Examined::bad("configuration", "no database is configured").mend([
            "name them in miyabi-backup.toml, in this folder or in /etc/miyabi-backup: docs/CONFIGURATION.md has an example".to_owned(),
        ]));
    }
    let mut missing = missing_folders(&job.state_dir);
    for place in resolve::places(run.config)? {
        missing.extend(missing_folders(&place));
        all.extend(examined(place, job.min_free, run).await?);
    }
    all.push(state_folder(&job));
    // To write for trial made them; each goes that nothing was put into.
    missing.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
    all.extend(timers(&job, run)?);
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

/// The server that is named for drills alone. A drill elsewhere makes its databases beside the one that it is about.
async fn drill_server(majors: &BTreeMap<String, u32>, run: &mut Run<'_>) -> Vec<Examined> {
    let server = match resolve::drill_server(run.config, &mut run.notes) {
        Ok(Some(server)) => server,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Examined::of_error("drill", &error)],
    };
    let subject = format!("drill on {}", server.describe_hosts());
    let ground = match doctor::ask(&subject, drill::look(&server)).await {
        Ok(ground) => ground,
        Err(found) => return vec![found],
    };
    let mut all = vec![Examined::fine(
        &subject,
        match ground.may_all {
            true => format!("{} may make all that backups hold; the server holds nothing else", server.user),
            false => format!("{} may make databases, and reaches no files or programs of the server", server.user),
        },
    )];
    if let Some(warning) = ground.warning {
        let mend =
            "add sslmode=verify-full to `url` of [drill]; sslrootcert names who vouches for the server".to_owned();
        all.push(Examined::warning(&subject, warning).mend([mend]));
    }
    all.extend(doctor::older_than_sources(&subject, ground.major, majors));
    all
}

/// The folder and those above it that are not there, innermost first. Of a bucket there are none.
fn missing_folders(path: &Path) -> Vec<PathBuf> {
    if Places::bucket(path).is_some() {
        return Vec::new();
    }
    let named = path.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    named.take_while(|folder| !folder.exists()).map(Path::to_owned).collect()
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
        (Err(cause), _) => Examined::bad(&subject, format!("the state folder cannot be written: {cause}"))
            .mend([format!("let this user write to {subject}, or name another folder by `state_dir`")]),
        (_, Err(error)) => Examined::of_error(&subject, &error),
        _ => Examined::fine(&subject, "the state folder can be written"),
    }
}

/// Whether the backup is started at all, also when nobody is logged in, and when it was meant to be.
fn timers(job: &StatusJob, run: &Run<'_>) -> Result<Vec<Examined>> {
    let (now, machine) = (run.context.clock.zoned(), resolve::machine_zone());
    let mut all = vec![machine::zone(&now, &machine)];
    let schedule::Standing { timers, crontab, crontab_at, of_user } = schedule::installed(run)?;
    if timers.is_empty() && !crontab {
        all.push(
            Examined::warning("schedule", "no timer of ours is installed for this user")
                .mend(["miyabi-backup schedule install".to_owned()]),
        );
    }
    for (name, state) in &timers {
        all.push(match state.as_str() {
            "active" => Examined::fine("schedule", format!("{name} is active")),
            _ => Examined::bad("schedule", format!("{name} is {state}: it starts nothing"))
                .mend(["miyabi-backup schedule install".to_owned()]),
        });
    }
    if of_user && !timers.is_empty() {
        all.extend(machine::lingering(resolve::user(run.config).as_deref(), Path::new(machine::LINGERING)));
    }
    if crontab {
        all.push(Examined::fine("schedule", "the crontab has our lines"));
        let times = job.schedule.zip(crontab_at);
        all.extend(times.and_then(|(at, starts)| machine::cron_time(at, starts, &now, &machine)));
    }
    Ok(all)
}

fn channels(run: &Run<'_>) -> Option<Examined> {
    match resolve::alerts(run.config, &run.context.host) {
        Ok(channels) if channels.has_any() => Some(Examined::fine("alerts", "somebody is told; try `alert test`")),
        Ok(_) => Some(
            Examined::warning("alerts", "nobody is told when a backup fails: [alerts] names no channel").mend([
                "set `webhook`, `email_to` with `smtp`, or `command` of [alerts], then run: miyabi-backup alert test"
                    .to_owned(),
            ]),
        ),
        Err(error) => Some(Examined::of_error("alerts", &error)),
    }
}

/// What the tree says of the space that it will need. A tree that is not there yet needs none.
async fn forecast(roots: &[PathBuf], job: &StatusJob, run: &Run<'_>) -> Result<Vec<Examined>> {
    let mut all = Vec::new();
    let sources_are_missing = job.expected.is_empty();
    for root in roots.iter().filter(|root| root.is_dir()) {
        let place = status::of_places(std::slice::from_ref(root), job, run.context).await?.place;
        all.extend(place.findings.iter().map(|finding| {
            let mend = match finding.code {
                Code::Space => "fewer days in [retention], `compress = \"zstd\"`, or a larger disk",
                Code::Failed => "miyabi-backup logs, then miyabi-backup backup by hand",
                _ if sources_are_missing => "name what is to be backed up in miyabi-backup.toml",
                _ => "see to the rights of the folder and what stands in it",
            };
            Examined::warning(&place.place, finding.message.clone()).mend([mend.to_owned()])
        }));
    }
    Ok(all)
}
