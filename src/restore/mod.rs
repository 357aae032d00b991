//! Restores archives into databases and files.
//!
//! Two steps: [`plan`] opens the archive and looks at the target without touching anything, so that its preview can
//! be shown and confirmed; [`Plan::run`] does it.

mod globals;
pub mod outcome;
mod postgres;
mod source;
mod sqlite;

use std::path::{Path, PathBuf};

use crate::archive::{ArchiveHeader, SourceKind};
use crate::error::{Error, Kind, Result};
use crate::job::{Adaptation, ArchiveChoice, Context, RestoreJob};
use crate::pg::connect::Server;
use crate::pipeline::joined;
use crate::policy::ArchiveKind;
use crate::sqlite::holders;
use crate::units::StoredBytes;

pub use outcome::{BeyondRights, Preview, RestoreOutcome, TargetPreview};

pub use postgres::free_on_server;

use globals::Loaded;
use postgres::{Chosen, Loading, Restored, Wanted};
use source::{Found, Opened};

/// An opened archive and the target that it would go into.
pub struct Plan {
    work: Work,
    pub preview: Preview,
}

enum Work {
    Source {
        found: Found,
        target: Target,
        /// What of an archive is wanted; `None` is all of it.
        chosen: Option<Chosen>,
    },
    /// The server as the statements are run on it: connected to the right database.
    Globals { loaded: Loaded, server: Box<Server> },
}

enum Target {
    Postgres(Box<Server>),
    Sqlite(PathBuf),
}

/// Opens the archive, finds the target, and says what would happen.
pub async fn plan(job: &RestoreJob, context: &Context) -> Result<Plan> {
    let found = {
        let (job, context) = (job.clone(), context.clone());
        joined(tokio::task::spawn_blocking(move || source::open(&job, &context)).await)?
    };
    if !job.adaptation.is_none() && found.opened.kind() != ArchiveKind::Postgres {
        return Err(Error::new(Kind::Usage, format!("{} does not hold a PostgreSQL database", found.named))
            .hint("leave out the flags about owners, privileges, roles and what else only such a database has"));
    }
    if job.adaptation.create_roles && !matches!(found.opened, Opened::Archive(_)) {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "--create-roles needs the index of an archive, and {} has none that can be read first",
                found.named
            ),
        )
        .hint("save the archive to a file first, or create the roles by hand"));
    }
    if !job.selection.is_whole() && !matches!(found.opened, Opened::Archive(_)) {
        return Err(Error::new(Kind::Usage, format!("only a whole restore is possible from {}", found.named))
            .hint("--table, --schema-only and --data-only need one of our archives as a file; gpg -d F > PLAIN decrypts one of gpg first"));
    }
    if found.opened.kind() == ArchiveKind::Globals {
        return plan_globals(found, job).await;
    }
    let target = find_target(&found, job)?;
    let chosen = choose(&found, job)?;
    let (target_preview, mut warnings) = match &target {
        Target::Postgres(server) => look_at_database(server, &found, chosen.as_ref(), &job.adaptation).await?,
        Target::Sqlite(path) => (look_at_file(path), Vec::new()),
    };
    warnings.extend(only_a_part(&found, job));
    let preview = Preview {
        archive: found.named.clone(),
        holds: describe(&found),
        size: found.size.map(StoredBytes),
        passed_over: found.passed_over.clone(),
        target: target_preview,
        warnings,
    };
    Ok(Plan { work: Work::Source { found, target, chosen }, preview })
}

/// The archive is read whole before anybody is asked: from a pipe it could not be read again.
async fn plan_globals(found: Found, job: &RestoreJob) -> Result<Plan> {
    if !job.selection.is_whole() {
        return Err(whole_only());
    }
    let holds = describe(&found);
    let Found { opened, named, size, passed_over, .. } = found;
    let (server, database) = job.postgres.known()?;
    let loaded = {
        let named = named.clone();
        joined(tokio::task::spawn_blocking(move || globals::load(opened, &named)).await)?
    };
    let wanted = database.map_or_else(|| server.clone(), |database| server.with_database(database));
    let (server, target, warnings) = globals::look(&loaded, &wanted, database.is_some()).await?;
    let preview = Preview { archive: named, holds, size: size.map(StoredBytes), passed_over, target, warnings };
    Ok(Plan { work: Work::Globals { loaded, server: Box::new(server) }, preview })
}

/// Of a database that has no whole backup, `latest` picks what there is.
fn only_a_part(found: &Found, job: &RestoreJob) -> Option<String> {
    let part = found.opened.header().and_then(ArchiveHeader::part)?;
    let was_picked = matches!(job.archive, ArchiveChoice::Newest { .. });
    was_picked.then(|| format!("no sound backup of the whole database was found; {} holds a part: {part}", found.named))
}

/// The target that the job names or, for a database, the archive.
fn find_target(found: &Found, job: &RestoreJob) -> Result<Target> {
    match found.opened.kind() {
        ArchiveKind::Sqlite => match &job.sqlite {
            Some(path) => Ok(Target::Sqlite(path.clone())),
            None => {
                Err(Error::new(Kind::Usage, format!("{} holds a SQLite file, and no target is named", found.named))
                    .hint("--database PATH names the file to restore"))
            }
        },
        ArchiveKind::Postgres | ArchiveKind::Globals => {
            let (server, database) = job.postgres.known()?;
            let own = || found.opened.header().and_then(|header| header.source.get("database").cloned());
            let database = database.map(str::to_owned).or_else(own).or_else(|| found.label.clone());
            match database {
                Some(database) => Ok(Target::Postgres(Box::new(server.with_database(&database)))),
                None => Err(Error::new(Kind::Usage, format!("{} does not say which database it holds", found.named))
                    .hint("--database NAME names the target")),
            }
        }
    }
}

/// What is wanted of an archive of a PostgreSQL database.
fn choose(found: &Found, job: &RestoreJob) -> Result<Option<Chosen>> {
    match (&found.opened, found.opened.header()) {
        (Opened::Archive(archive), Some(header)) if header.kind == SourceKind::Postgres => {
            let selection = postgres::effective(&job.selection, header, &found.named)?;
            Chosen::of(archive, &selection).map(Some)
        }
        (Opened::Pipe(_), Some(header)) if header.kind == SourceKind::Postgres => {
            let is_whole = postgres::effective(&job.selection, header, &found.named)?.is_whole();
            match is_whole && header.part().is_none() {
                true => Ok(None),
                false => Err(Error::new(Kind::Usage, format!("{} holds a part of a database", found.named))
                    .hint("save it to a file first, decrypted: only whole archives are restored in order")),
            }
        }
        _ if !job.selection.is_whole() => Err(whole_only()),
        _ => Ok(None),
    }
}

fn whole_only() -> Error {
    let what = "--table, --schema-only and --data-only are for archives of PostgreSQL databases";
    Error::new(Kind::Usage, what).hint("leave them out: a SQLite file, or globals, are restored as a whole")
}

/// Also whether the way to the server is unsafe.
/// Also what deserves a look, such as an unsafe way to the server.
async fn look_at_database(
    server: &Server,
    found: &Found,
    chosen: Option<&Chosen>,
    adaptation: &Adaptation,
) -> Result<(TargetPreview, Vec<String>)> {
    let target = postgres::inspect(server).await?;
    let part = match (&found.opened, chosen) {
        (Opened::Archive(archive), Some(chosen)) => Some((archive.as_ref(), chosen)),
        _ => None,
    };
    let wanted = Wanted { header: found.opened.header(), part, adaptation };
    let warnings = postgres::first_look(server, &target, &wanted).await?;
    let preview = TargetPreview::Postgres {
        server: server.describe_hosts(),
        database: server.database.clone(),
        found: target,
        within: chosen.is_some_and(|chosen| !chosen.is_whole()),
    };
    Ok((preview, warnings))
}

fn look_at_file(path: &Path) -> TargetPreview {
    let written = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let wal = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
    TargetPreview::Sqlite {
        path: path.to_owned(),
        bytes: std::fs::metadata(path).ok().map(|found| found.len()),
        written: written(path).max(written(&wal)).and_then(|time| jiff::Timestamp::try_from(time).ok()),
        holders: holders::of(path).iter().map(ToString::to_string).collect(),
    }
}

/// What the archive holds, in one line.
fn describe(found: &Found) -> String {
    let Some(header) = found.opened.header() else {
        return match found.opened.kind() {
            ArchiveKind::Sqlite => "a SQLite database, written by another tool".to_owned(),
            _ => "a PostgreSQL script, written by another tool".to_owned(),
        };
    };
    let fact = |key: &str| header.source.get(key).map_or("?", String::as_str);
    let made = header.created.strftime("%Y-%m-%d %H:%M:%S UTC");
    match header.kind {
        SourceKind::Postgres => {
            let part = header.part().map_or_else(String::new, |part| format!("a part ({part}) of "));
            format!("{part}database {} of PostgreSQL {}, backed up {made}", fact("database"), fact("server_version"))
        }
        SourceKind::Globals => {
            let (server, version) = (fact("server"), fact("server_version"));
            format!("globals of {server}, PostgreSQL {version}, passwords {}, backed up {made}", fact("passwords"))
        }
        SourceKind::Sqlite => format!("SQLite file {}, backed up {}", fact("path"), made),
    }
}

impl Plan {
    /// Does what the preview says. On any error the old data stands where it stood.
    pub async fn run(self, job: &RestoreJob, context: &Context) -> Result<RestoreOutcome> {
        let now = context.clock.zoned();
        let archive = self.preview.archive;
        let restored = match self.work {
            Work::Source { found, target: Target::Postgres(server), chosen } => {
                let stamp = now.strftime("%Y%m%d_%H%M%S").to_string();
                into_database(found, chosen, &server, job, context, &stamp).await
            }
            Work::Source { found, target: Target::Sqlite(path), .. } => {
                let stamp = now.strftime("%Y%m%d-%H%M%S").to_string();
                into_file(found.opened, path, job, context, stamp).await
            }
            Work::Globals { loaded, server } => onto_server(loaded, &server, context).await,
        };
        // Readers of an archive know offsets, not the file's name.
        let mut outcome = restored.map_err(|error| match error.kind() {
            Kind::Damaged => error.while_doing(format!("cannot restore from {archive}")),
            _ => error,
        })?;
        outcome.archive = archive;
        outcome.duration_seconds = context.clock.now().duration_since(now.timestamp()).as_secs_f64().max(0.0);
        Ok(outcome)
    }
}

async fn into_database(
    found: Found,
    chosen: Option<Chosen>,
    server: &Server,
    job: &RestoreJob,
    context: &Context,
    stamp: &str,
) -> Result<RestoreOutcome> {
    let loading = |server: Server| Loading {
        server,
        jobs: job.jobs,
        threads: job.threads,
        cancel: context.cancel.child(),
        progress: context.progress.clone(),
        lock_timeout: job.lock_timeout,
        encoding: None,
    };
    let restored: Restored = match found.opened {
        Opened::Archive(archive) => {
            let chosen = chosen.ok_or_else(|| Error::new(Kind::Bug, "an archive is restored without a choice"))?;
            let rows = chosen.row_streams(archive.streams());
            context.progress.stage(format!("restoring {}", server.database), rows.iter().map(|one| one.raw.0).sum());
            postgres::restore_archive(archive, server, &chosen, &job.adaptation, loading, stamp).await?
        }
        Opened::Pipe(reader) => {
            context.progress.stage(format!("restoring {}", server.database), 0);
            postgres::restore_pipe(*reader, server, &job.adaptation, loading, stamp).await?
        }
        Opened::Script(input) => {
            context.progress.stage(format!("restoring {}", server.database), 0);
            postgres::restore_foreign(input, &found.named, server, &job.adaptation, loading, stamp).await?
        }
        Opened::DatabaseFile(_) => {
            return Err(Error::new(Kind::Usage, "a SQLite file cannot be restored into PostgreSQL"));
        }
    };
    Ok(RestoreOutcome {
        archive: String::new(),
        target: server.describe(),
        rows: restored.rows,
        tables: restored.tables,
        raw_bytes: context.progress.read().raw_bytes,
        duration_seconds: 0.0,
        kept: restored.kept,
        left_behind: restored.left_behind.lines,
        beyond_rights: restored.left_behind.beyond_rights,
        warnings: restored.warnings,
    })
}

async fn onto_server(loaded: Loaded, server: &Server, context: &Context) -> Result<RestoreOutcome> {
    context.progress.stage(format!("restoring globals onto {}", server.describe_hosts()), 0);
    let raw_bytes = loaded.raw_bytes;
    let left_behind = globals::restore(loaded, server, &context.cancel.child()).await?;
    Ok(RestoreOutcome {
        archive: String::new(),
        target: server.describe_hosts(),
        rows: 0,
        tables: 0,
        raw_bytes,
        duration_seconds: 0.0,
        kept: None,
        left_behind,
        beyond_rights: Vec::new(),
        warnings: Vec::new(),
    })
}

async fn into_file(
    opened: Opened,
    path: PathBuf,
    job: &RestoreJob,
    context: &Context,
    stamp: String,
) -> Result<RestoreOutcome> {
    let (job, context) = (job.clone(), context.clone());
    let restored =
        joined(tokio::task::spawn_blocking(move || sqlite::restore(opened, &path, &job, &context, &stamp)).await)?;
    let violations = restored.integrity.foreign_key_violations;
    let warnings = match violations {
        0 => Vec::new(),
        _ => vec![format!("{violations} rows violate foreign keys, as they did in the source")],
    };
    Ok(RestoreOutcome {
        archive: String::new(),
        target: restored.target.display().to_string(),
        rows: 0,
        tables: 0,
        raw_bytes: restored.bytes,
        duration_seconds: 0.0,
        kept: restored.safety_copy.map(|path| path.display().to_string()),
        left_behind: Vec::new(),
        beyond_rights: Vec::new(),
        warnings,
    })
}
