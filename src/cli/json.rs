//! The objects of `--json`, as docs/JSON.md describes them. Fields are added, never renamed. No secret is ever in one.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::resolve::{Backup, Failure, Notes, Restore};
use crate::backup::BackupOutcome;
use crate::error::{Error, Kind, Result};
use crate::job::{ArchiveChoice, BackupJob, Place, PostgresTarget, RestoreJob, Source};
use crate::pg::connect::{Server, SslMode};
use crate::pg::filter::{Filter, Rule, Switch};
use crate::pg::globals::PasswordPolicy;
use crate::prune::PruneOutcome;

/// An error as the whole answer of a command.
pub fn failure(fault: &Error) -> Value {
    json!({ "error": error(fault) })
}

pub fn error(fault: &Error) -> Value {
    json!({
        "kind": fault.kind().name(),
        "exit_code": fault.kind().exit_code(),
        "message": fault.chain(),
        "hint": fault.hint_text(),
        "notes": fault.notes(),
    })
}

/// A value of a lower floor as an object, with the exit code in front and the warnings behind.
pub fn outcome(value: &impl Serialize, exit_code: u8, notes: &Notes) -> Result<Value> {
    let mut object = Map::new();
    object.insert("exit_code".to_owned(), exit_code.into());
    match to_value(value)? {
        Value::Object(fields) => object.extend(fields),
        other => {
            object.insert("result".to_owned(), other);
        }
    }
    if !notes.all().is_empty() {
        object.insert("configuration_warnings".to_owned(), notes.all().into());
    }
    Ok(Value::Object(object))
}

pub fn to_value(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|cause| Error::new(Kind::Bug, "cannot write JSON").because(cause))
}

pub fn backup(outcome: &BackupOutcome, rotated: &Rotated, exit_code: u8, notes: &Notes) -> Result<Value> {
    let mut sources = Vec::new();
    for source in &outcome.sources {
        sources.push(match &source.result {
            Ok(done) => json!({
                "name": source.label, "source": source.source, "ok": true, "backup": to_value(done)?,
            }),
            Err(fault) => json!({
                "name": source.label, "source": source.source, "ok": false, "error": error(fault),
            }),
        });
    }
    Ok(json!({
        "exit_code": exit_code,
        "sources": sources,
        "swept": outcome.swept,
        "pruned": to_value(&rotated.done)?,
        "prune_error": rotated.failed.as_ref().map(error),
        "configuration_warnings": notes.all(),
    }))
}

/// The first place as it always was; the others, and those that failed, beside it.
pub fn pruned(done: &[PruneOutcome], failed: &[(&PathBuf, Error)], exit_code: u8, notes: &Notes) -> Result<Value> {
    let Some((first, further)) = done.split_first() else {
        return Err(Error::new(Kind::Bug, "no place was pruned"));
    };
    let failed = failed.iter().map(|(place, fault)| json!({ "place": place, "error": error(fault) }));
    let mut object = outcome(first, exit_code, notes)?;
    if let Some(fields) = object.as_object_mut() {
        fields.insert("further_places".to_owned(), to_value(&further)?);
        fields.insert("failed".to_owned(), failed.collect::<Vec<_>>().into());
    }
    Ok(object)
}

/// What the rotation after a backup did, tree by tree.
#[derive(Default)]
pub struct Rotated {
    pub done: Vec<PruneOutcome>,
    pub failed: Option<Error>,
}

/// `backup --dry-run`: everything that was decided.
pub fn backup_plan(plan: &Backup, zone: Option<&str>, notes: &Notes) -> Value {
    json!({
        "dry_run": true,
        "job": plan.job.as_ref().map(backup_job),
        "failed": plan.failures.iter().map(failed_source).collect::<Vec<_>>(),
        "zone": zone,
        "retention": to_value(&plan.retention).unwrap_or_default(),
        "prunes": plan.prunes,
        "schedule": { "at": plan.schedule },
        "configuration_warnings": notes.all(),
    })
}

pub fn failed_source(failure: &Failure) -> Value {
    json!({ "name": failure.label, "error": error(&failure.error) })
}

fn backup_job(job: &BackupJob) -> Value {
    let place = match &job.place {
        Place::Tree { root } => json!({ "tree": root }),
        Place::File { path, force } => json!({ "file": path, "force": force }),
    };
    json!({
        "sources": job.sources.iter().map(source).collect::<Vec<_>>(),
        "place": place,
        "copies": job.copies,
        "retain": job.retain.map(|retain| format!("{:?}", retain.lock).to_lowercase()),
        "compress": job.compress.to_string(),
        "encrypt": job.recipients.as_ref().map(|recipients| recipients.seal().name()),
        "encrypt_to": job.recipients.as_ref().map(|recipients| recipients.shown()),
        "compress_pages": job.compress.to_string(),
        "jobs": job.jobs,
        "limit_rate": job.limit_rate,
        "threads": job.threads,
        "content": job.content.name(),
        "state_dir": job.state_dir,
        "staging": job.staging,
        "lock_timeout_seconds": seconds(job.lock_timeout),
    })
}

fn source(source: &Source) -> Value {
    match source {
        Source::Postgres(postgres) => json!({
            "type": "postgres",
            "name": postgres.label,
            "server": server(&postgres.server),
            "filter": filter(&postgres.filter),
        }),
        Source::Globals(globals) => json!({
            "type": "globals",
            "name": globals.label,
            "server": server(&globals.server),
            "role_passwords": globals.passwords == PasswordPolicy::Include,
        }),
        Source::Sqlite(sqlite) => json!({
            "type": "sqlite",
            "name": sqlite.label,
            "path": sqlite.path,
            "yield_seconds": seconds(sqlite.limits.yield_limit),
            "busy_seconds": seconds(sqlite.limits.busy_limit),
        }),
    }
}

/// What was asked for, by the names of the configuration's keys, and what it makes of the archive.
fn filter(filter: &Filter) -> Value {
    let patterns = |rule: &Rule| filter.patterns(*rule).map(ToString::to_string).collect::<Vec<_>>();
    let rules = Rule::ALL.iter().filter(|rule| filter.names(**rule)).map(|rule| (rule.key(), patterns(rule).into()));
    let switches = Switch::ALL.iter().filter(|switch| filter.has(**switch)).map(|switch| (switch.key(), true.into()));
    let mut shown: Map<String, Value> = rules.chain(switches).map(|(key, value)| (key.to_owned(), value)).collect();
    shown.insert("whole".to_owned(), filter.part().is_none().into());
    Value::Object(shown)
}

/// Says whether there is a password, never what it is.
fn server(server: &Server) -> Value {
    json!({
        "hosts": server.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "database": server.database,
        "user": server.user,
        "has_password": server.password.is_some(),
        "passfile": server.passfile,
        "sslmode": sslmode(server.tls.mode),
        "application_name": server.application_name,
    })
}

fn sslmode(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Allow => "allow",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}

/// `restore --dry-run`: everything that was decided.
pub fn restore_plan(plan: &Restore, notes: &Notes) -> Value {
    json!({
        "dry_run": true,
        "job": restore_job(&plan.job),
        "before_restore": plan.hooks.before,
        "after_restore": plan.hooks.after,
        "configuration_warnings": notes.all(),
    })
}

fn restore_job(job: &RestoreJob) -> Value {
    let archive = match &job.archive {
        ArchiveChoice::File(path) => json!({ "file": path }),
        ArchiveChoice::Pipe => json!({ "pipe": true }),
        ArchiveChoice::Newest { root, label, before } => json!({ "tree": root, "name": label, "before": before }),
    };
    let postgres = match &job.postgres {
        PostgresTarget::Known { server: known, database } => {
            let mut shown = server(known);
            if let Some(object) = shown.as_object_mut() {
                object.insert("database".to_owned(), database.clone().into());
            }
            shown
        }
        PostgresTarget::Unknown { .. } => job.postgres.known().err().as_ref().map_or(Value::Null, failure),
    };
    json!({
        "archive": archive,
        "type": job.kind.map(|kind| kind.name()),
        "postgres": postgres,
        "sqlite": job.sqlite,
        "tables": job.selection.tables.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "content": job.selection.content.name(),
        "leave_out": job.adaptation.tailoring.leave_out.iter().map(|part| part.name()).collect::<Vec<_>>(),
        "role_map": job.adaptation.tailoring.role_map,
        "create_roles": job.adaptation.create_roles,
        "jobs": job.jobs,
        "threads": job.threads,
        "state_dir": job.state_dir,
        "staging": job.staging,
        "lock_timeout_seconds": seconds(job.lock_timeout),
        "busy_seconds": seconds(job.busy_limit),
    })
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
