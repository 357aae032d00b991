//! One archive of a PostgreSQL database: scratch database, restore, comparison, checks, and the end of it.

use std::path::Path;

use crate::backup;
use crate::error::{Error, Kind, Result};
use crate::ident::Ident;
use crate::job::{
    Adaptation, ArchiveChoice, BackupJob, Check, Compress, Content, Context, DrillJob, Place, PostgresSource,
    PostgresTarget, RestoreJob, Selection,
};
use crate::listing::Listed;
use crate::manifest::TableFacts;
use crate::pg::connect::Server;
use crate::pg::database;
use crate::pg::filter::Filter;
use crate::pg::session::Session;
use crate::pg::settings::Purpose;
use crate::policy::ArchiveKind;
use crate::restore::{self, BeyondRights};
use crate::script::{Part, Tailoring};
use crate::units::human_bytes;

use super::outcome::Restored;
use super::{checks, compare, role, scratch};

pub async fn drill(row: &Listed, archive: &Path, job: &DrillJob, context: &Context) -> Result<Restored> {
    let server = job.scratch.as_ref().or_else(|| job.servers.get(&row.label)).ok_or_else(|| {
        Error::new(Kind::Nothing, format!("no server is known to restore {} on", row.label))
            .hint("configure the database, or name a server by `url` of [drill] or --url")
    })?;
    let admin = Session::open_maintenance(server).await?;
    let may_all = role::check(&admin, job.as_superuser).await?;
    scratch::sweep(&admin).await?;
    has_room(row, &admin).await?;
    let name = scratch::new_name()?;
    let server = server.with_database(name.as_str());
    let restore_job = restore_job(archive, &server, job, !may_all);
    let done = in_scratch(row, &restore_job, &server, job, context).await;
    // The session may have been idle for hours.
    let dropped = drop_scratch(&server, &name).await;
    match (done, dropped) {
        (Ok(mut restored), Err(left)) => {
            restored.warnings.push(format!("the scratch database {} stays: {}", name.as_str(), left.chain()));
            Ok(restored)
        }
        (Err(error), Err(left)) => {
            Err(error.note(format!("the scratch database {} stays: {}", name.as_str(), left.chain())))
        }
        (done, Ok(())) => done,
    }
}

/// Before a byte is written: where the server's disk can be known, there must be room for what the rows take as text. Indexes come
/// on top, and are not known.
async fn has_room(row: &Listed, admin: &Session) -> Result<()> {
    let needed = row.meta.as_ref().and_then(|meta| meta.details.as_ref()).map_or(0, |details| details.raw_bytes.0);
    match restore::free_on_server(admin).await {
        Some(free) if free < needed => {
            let (free, needed) = (human_bytes(free), human_bytes(needed));
            let what = format!("cannot drill: about {needed} are needed on the server's disk, where {free} are free");
            Err(Error::new(Kind::Place, what).hint("make room, or name another server by `url` of [drill] or --url"))
        }
        _ => Ok(()),
    }
}

async fn drop_scratch(server: &Server, name: &Ident) -> Result<()> {
    let admin = Session::open_maintenance(server).await?;
    database::drop_own(&admin, name).await
}

async fn in_scratch(
    row: &Listed,
    restore_job: &RestoreJob,
    server: &Server,
    job: &DrillJob,
    context: &Context,
) -> Result<Restored> {
    let began = context.clock.now();
    let plan = context.cancel.guard(restore::plan(restore_job, context)).await?;
    let mut warnings = plan.preview.warnings.clone();
    let outcome = plan.run(restore_job, context).await?;
    let restore_seconds = context.clock.now().duration_since(began).as_secs_f64().max(0.0);
    warnings.extend(outcome.warnings);
    let details = row.meta.as_ref().and_then(|meta| meta.details.as_ref());
    let source = PostgresSource { label: row.label.clone(), server: server.clone(), filter: Filter::default() };
    let found = backup::digest(&source, &reading(job), context).await?;
    let mut findings: Vec<String> = outcome.left_behind.iter().map(|left| format!("not restored: {left}")).collect();
    let recorded = details.map_or(&[][..], |details| &details.tables);
    let (beyond, recorded): (Vec<_>, Vec<_>) =
        recorded.iter().cloned().partition(|table| is_beyond(&outcome.beyond_rights, table));
    findings.extend(compare::tables(&recorded, &found.tables));
    let objects = details.and_then(|details| details.large_objects.as_ref());
    findings.extend(compare::large_objects(objects, &found.large_objects));
    let asked: Vec<&Check> = job.checks.iter().filter(|check| check.database == row.label).collect();
    if !asked.is_empty() {
        let session = Session::open(server, Purpose::Write).await?;
        findings.extend(context.cancel.guard(checks::postgres(&session, &asked)).await?);
        session.close().await?;
    }
    let rows = found.tables.iter().map(|table| table.rows).fold(0, u64::saturating_add);
    let not_compared = beyond.iter().map(|table| format!("{}.{} ({} rows)", table.schema, table.name, table.rows));
    Ok(Restored {
        restore_seconds,
        tables: found.tables.len() as u64,
        rows,
        findings,
        warnings,
        left_out: outcome.beyond_rights.iter().map(|one| format!("{}: {}", one.what, one.why)).collect(),
        not_compared: not_compared.collect(),
    })
}

/// Whether the table is not there because the role may not make it, or what it stands on.
fn is_beyond(beyond: &[BeyondRights], table: &TableFacts) -> bool {
    let name = format!("TABLE {}.{}", table.schema, table.name);
    beyond.iter().any(|one| one.what == name)
}

/// Owners and privileges belong to roles that the scratch server need not have; subscriptions and refreshes would reach
/// other servers.
fn restore_job(archive: &Path, server: &Server, job: &DrillJob, pass_over_rights: bool) -> RestoreJob {
    let without = [
        Part::Owners,
        Part::Privileges,
        Part::SecurityLabels,
        Part::Publications,
        Part::Subscriptions,
        Part::Tablespaces,
        Part::Refreshes,
    ];
    RestoreJob {
        archive: ArchiveChoice::File(archive.to_owned()),
        kind: Some(ArchiveKind::Postgres),
        postgres: PostgresTarget::Known { server: Box::new(server.clone()), database: Some(server.database.clone()) },
        sqlite: None,
        selection: Selection { tables: Vec::new(), content: Content::All },
        adaptation: Adaptation {
            tailoring: Tailoring { leave_out: without.into(), ..Tailoring::default() },
            create_roles: false,
            pass_over_rights,
        },
        jobs: job.jobs,
        threads: job.threads,
        state_dir: job.state_dir.clone(),
        staging: job.staging.clone(),
        lock_timeout: job.lock_timeout,
        busy_limit: job.busy_limit,
    }
}

/// How the restored rows are read again; nothing is written.
fn reading(job: &DrillJob) -> BackupJob {
    BackupJob {
        sources: Vec::new(),
        place: Place::Tree { root: job.root.clone() },
        copies: Vec::new(),
        retain: None,
        compress: Compress::Stored,
        recipients: None,
        signer: None,
        jobs: job.jobs,
        limit_rate: None,
        threads: job.threads,
        content: Content::DataOnly,
        state_dir: job.state_dir.clone(),
        staging: None,
        lock_timeout: job.lock_timeout,
    }
}
