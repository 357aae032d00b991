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
use crate::pg::connect::Server;
use crate::pg::database;
use crate::pg::filter::Filter;
use crate::pg::session::Session;
use crate::pg::settings::Purpose;
use crate::policy::ArchiveKind;
use crate::restore;
use crate::script::{Part, Tailoring};

use super::outcome::Restored;
use super::{checks, compare, role, scratch};

pub async fn drill(row: &Listed, archive: &Path, job: &DrillJob, context: &Context) -> Result<Restored> {
    let server = job.scratch.as_ref().or_else(|| job.servers.get(&row.label)).ok_or_else(|| {
        Error::new(Kind::Nothing, format!("no server is known to restore {} on", row.label))
            .hint("configure the database, or name a server by `url` of [drill] or --url")
    })?;
    let admin = Session::open_maintenance(server).await?;
    role::check(&admin, job.as_superuser).await?;
    scratch::sweep(&admin).await?;
    let name = scratch::new_name()?;
    let server = server.with_database(name.as_str());
    let done = in_scratch(row, archive, &server, job, context).await;
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

async fn drop_scratch(server: &Server, name: &Ident) -> Result<()> {
    let admin = Session::open_maintenance(server).await?;
    database::drop_own(&admin, name).await
}

async fn in_scratch(
    row: &Listed,
    archive: &Path,
    server: &Server,
    job: &DrillJob,
    context: &Context,
) -> Result<Restored> {
    let restore_job = restore_job(archive, server, job);
    let began = context.clock.now();
    let plan = context.cancel.guard(restore::plan(&restore_job, context)).await?;
    let mut warnings = plan.preview.warnings.clone();
    let outcome = plan.run(&restore_job, context).await?;
    let restore_seconds = context.clock.now().duration_since(began).as_secs_f64().max(0.0);
    warnings.extend(outcome.warnings);
    let recorded = row.meta.as_ref().and_then(|meta| meta.details.as_ref()).map(|details| details.tables.as_slice());
    let source = PostgresSource { label: row.label.clone(), server: server.clone(), filter: Filter::default() };
    let found = backup::digest(&source, &reading(job), context).await?;
    let mut findings: Vec<String> = outcome.left_behind.iter().map(|left| format!("not restored: {left}")).collect();
    findings.extend(compare::tables(recorded.unwrap_or_default(), &found));
    let asked: Vec<&Check> = job.checks.iter().filter(|check| check.database == row.label).collect();
    if !asked.is_empty() {
        let session = Session::open(server, Purpose::Write).await?;
        findings.extend(context.cancel.guard(checks::postgres(&session, &asked)).await?);
        session.close().await?;
    }
    let rows = found.iter().map(|table| table.rows).fold(0, u64::saturating_add);
    Ok(Restored { restore_seconds, tables: found.len() as u64, rows, findings, warnings })
}

/// Owners and privileges belong to roles that the scratch server need not have; subscriptions and refreshes would reach
/// other servers.
fn restore_job(archive: &Path, server: &Server, job: &DrillJob) -> RestoreJob {
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
        compress_pages: Compress::Stored,
        jobs: job.jobs,
        limit_rate: None,
        threads: job.threads,
        content: Content::DataOnly,
        state_dir: job.state_dir.clone(),
        staging: None,
        lock_timeout: job.lock_timeout,
    }
}
