//! What the history says of a run: the outcome of each command in the history's own words.

use crate::backup::{BackupOutcome, PlaceFailure, SourceOutcome};
use crate::drill::{DrillOutcome, Drilled};
use crate::job::{BackupJob, Source};
use crate::policy::ArchiveKind;
use crate::prune::{PruneOutcome, Pruned};
use crate::restore::RestoreOutcome;
use crate::state::history::{Item, Missed};
use crate::verify::outcome::{Verdict, VerifyOutcome};

pub fn backup(outcome: &BackupOutcome, job: Option<&BackupJob>) -> Vec<Item> {
    let sources = job.map_or(&[][..], |job| &job.sources);
    outcome.sources.iter().enumerate().map(|(at, one)| source(one, sources.get(at))).collect()
}

fn source(one: &SourceOutcome, source: Option<&Source>) -> Item {
    // Outcomes stand in the order of sources; whatever follows them has no source, or has none that was read.
    let kind = source.filter(|source| source.label() == one.label).map(|source| match source {
        Source::Postgres(_) => ArchiveKind::Postgres,
        Source::Globals(_) => ArchiveKind::Globals,
        Source::Sqlite(_) => ArchiveKind::Sqlite,
    });
    let kind = kind.map(|kind| kind.name().to_owned());
    match &one.result {
        Ok(done) => Item {
            name: one.label.clone(),
            ok: true,
            kind,
            path: Some(done.path.display().to_string()),
            size_bytes: Some(done.size_bytes.0),
            raw_bytes: Some(done.raw_bytes.0),
            rows: Some(done.rows),
            duration_seconds: Some(done.duration_seconds),
            error: None,
            missed: done.failed.iter().map(missed).collect(),
        },
        Err(error) => Item { name: one.label.clone(), kind, error: Some(error.chain()), ..Item::default() },
    }
}

fn missed(failure: &PlaceFailure) -> Missed {
    Missed { place: failure.place.display().to_string(), error: failure.error.clone() }
}

/// Archives that are not sound, each by its name; the sound ones are counted by nobody but status.
pub fn verify(outcome: &VerifyOutcome) -> Vec<Item> {
    let unsound = outcome.files.iter().filter(|file| !matches!(file.verdict, Verdict::Sound | Verdict::Unfinished));
    let item = |(name, why): (String, String)| Item { name, error: Some(why), ..Item::default() };
    let files = unsound.map(|file| {
        let why = file.findings.first().map_or("it is not sound", |finding| finding.what.as_str());
        (file.path.display().to_string(), why.to_owned())
    });
    let nothing = outcome.nothing.iter().map(|nothing| (nothing.path.display().to_string(), nothing.why.clone()));
    files.chain(nothing).map(item).collect()
}

pub fn prune(outcome: &PruneOutcome) -> Vec<Item> {
    let item =
        |one: &Pruned| Item { name: one.path.clone(), ok: true, size_bytes: Some(one.size_bytes.0), ..Item::default() };
    outcome.removed.iter().map(item).collect()
}

pub fn drill(outcome: &DrillOutcome) -> Vec<Item> {
    let item = |one: &Drilled| Item {
        name: one.name.clone(),
        ok: one.ok,
        kind: one.kind.map(|kind| kind.name().to_owned()),
        path: Some(one.archive.clone()),
        rows: Some(one.rows),
        duration_seconds: one.restore_seconds,
        error: (!one.ok).then(|| one.findings.join("; ")),
        ..Item::default()
    };
    outcome.drills.iter().map(item).collect()
}

pub fn restore(outcome: &RestoreOutcome) -> Vec<Item> {
    vec![Item {
        name: outcome.target.clone(),
        ok: true,
        path: Some(outcome.archive.clone()),
        raw_bytes: Some(outcome.raw_bytes),
        rows: Some(outcome.rows),
        duration_seconds: Some(outcome.duration_seconds),
        ..Item::default()
    }]
}
