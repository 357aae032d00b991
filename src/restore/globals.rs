//! An archive of globals onto a server: read whole and checked first, then statement by statement.
//!
//! Nothing is ever dropped, and each statement stands alone: what the target cannot take is listed and the rest goes
//! on. Afterwards the target is read again: what still differs from the archive, for whatever reason, is listed too.
//! Statements may hold hashes of passwords, so no error shows one.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::TocEntry;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;
use crate::pg::connect::{Reached, Server};
use crate::pg::fault::Failure;
use crate::pg::globals::difference::{Difference, differences};
use crate::pg::globals::script::{ROLE, ROLE_PASSWORD, TABLESPACE};
use crate::pg::globals::{self, Globals};
use crate::pg::session::Session;
use crate::pg::settings::Purpose;
use crate::pg::wire::Conn;

use super::outcome::{GlobalsPreview, TargetPreview};
use super::postgres::until_stopped;
use super::source::Opened;

/// More than the roles of any server.
const SCRIPT_BYTES_MAX: u64 = 256 << 20;

/// An archive of globals, all of it checked.
pub struct Loaded {
    wanted: Globals,
    pub raw_bytes: u64,
    steps: Vec<Step>,
}

struct Step {
    entry: TocEntry,
    sql: Vec<u8>,
}

impl Step {
    fn what(&self) -> String {
        format!("{} {}", self.entry.kind, self.entry.name)
    }
}

/// Everything of an archive that was read to its end.
struct Contents {
    scripts: BTreeMap<StreamId, Vec<u8>>,
    toc: Vec<TocEntry>,
    properties: serde_json::Value,
}

/// Reads all of the archive; blocks. Nothing of one that is damaged, or cut short in its pipe, is ever run.
pub fn load(opened: Opened, named: &str) -> Result<Loaded> {
    let contents = read(opened)?;
    let raw_bytes = contents.scripts.values().map(|script| script.len() as u64).sum();
    if contents.toc.is_empty() && raw_bytes > 0 {
        return Err(Error::new(Kind::Unsupported, format!("{named} has lost its table of contents"))
            .hint("stock psql goes through it without one: gunzip -c FILE | psql -X -d postgres"));
    }
    let steps = contents.toc.iter().map(|entry| step(entry, &contents.scripts)).collect::<Result<_>>()?;
    Ok(Loaded { wanted: Globals::from_archive(&contents.properties)?, raw_bytes, steps })
}

fn step(entry: &TocEntry, scripts: &BTreeMap<StreamId, Vec<u8>>) -> Result<Step> {
    let span = usize::try_from(entry.offset).ok().zip(usize::try_from(entry.offset.saturating_add(entry.len)).ok());
    let sql = span.and_then(|(start, end)| scripts.get(&entry.stream)?.get(start..end));
    match sql {
        Some(sql) => Ok(Step { entry: entry.clone(), sql: sql.to_vec() }),
        None => Err(Error::new(Kind::Damaged, "the table of contents points outside of the script")),
    }
}

fn read(opened: Opened) -> Result<Contents> {
    let mut scripts: BTreeMap<StreamId, Vec<u8>> = BTreeMap::new();
    let mut bytes = Vec::new();
    match opened {
        Opened::Archive(archive) => {
            check_size(archive.streams().iter().map(|stream| stream.raw.0).fold(0, u64::saturating_add))?;
            for stream in archive.streams() {
                for member in archive.members_of(stream.id) {
                    archive.read_member(&member, &mut bytes)?;
                    scripts.entry(stream.id).or_default().extend_from_slice(&bytes);
                }
            }
            Ok(Contents { scripts, toc: archive.toc().to_vec(), properties: archive.properties().clone() })
        }
        Opened::Pipe(mut reader) => {
            let mut total = 0_u64;
            while let Some(member) = reader.next_member(&mut bytes)? {
                total = total.saturating_add(bytes.len() as u64);
                check_size(total)?;
                scripts.entry(member.stream).or_default().extend_from_slice(&bytes);
            }
            let tail = reader.finish()?;
            Ok(Contents { scripts, toc: tail.toc, properties: tail.properties })
        }
        Opened::Script(_) | Opened::DatabaseFile(_) => {
            Err(Error::new(Kind::Bug, "another tool's file was taken for an archive of globals"))
        }
    }
}

fn check_size(bytes: u64) -> Result<()> {
    match bytes <= SCRIPT_BYTES_MAX {
        true => Ok(()),
        false => Err(Error::new(Kind::Unsupported, "the archive's script is too large for one of globals")),
    }
}

/// The target in the database that is to be connected to.
async fn session(server: &Server, named: bool) -> Result<(Session, Server)> {
    match named {
        true => Ok((Session::open(server, Purpose::Write).await?, server.clone())),
        false => globals::session(server, Purpose::Write).await,
    }
}

/// What would change. `named`: the user said which database to connect to.
pub async fn look(loaded: &Loaded, server: &Server, named: bool) -> Result<(Server, TargetPreview, Vec<String>)> {
    let (session, server) = session(server, named).await?;
    let mut warnings: Vec<String> = session.reached().and_then(Reached::warning).into_iter().collect();
    let row = session.row("SELECT session_user::pg_catalog.text AS role").await?;
    let role = row.text("role")?;
    let own_password = |step: &&Step| step.entry.kind == ROLE_PASSWORD && step.entry.name == role;
    if loaded.steps.iter().any(|step| own_password(&step)) {
        warnings.push(format!("role {role}, which runs this, gets the password that it had when the backup was made"));
    }
    let (found, _) = globals::of_session(&session).await?;
    let preview = GlobalsPreview::of(server.describe_hosts(), &differences(&loaded.wanted, &found)?);
    Ok((server, TargetPreview::Globals(preview), warnings))
}

/// Runs every statement; what fails is listed, and what stands on it is left out. Returns the list.
pub async fn restore(loaded: Loaded, server: &Server, cancel: &Cancel) -> Result<Vec<String>> {
    let (session, _) = session(server, true).await?;
    let (before, _) = globals::of_session(&session).await?;
    let stands =
        |step: &Step| step.entry.kind == TABLESPACE && before.tablespaces.iter().any(|one| step.entry.name == one.name);
    let mut conn = Conn::open(server, Purpose::Write).await?;
    let mut run = Run { failed: BTreeSet::new(), left: Vec::new() };
    for (at, step) in (0_u32..).zip(&loaded.steps) {
        if stands(step) || run.is_moot(at, step) {
            continue;
        }
        run.step(&mut conn, at, step, cancel).await?;
    }
    conn.close().await;
    let (after, _) = globals::of_session(&session).await?;
    run.add_differences(&loaded.steps, differences(&loaded.wanted, &after)?);
    Ok(run.left)
}

struct Run {
    /// Positions of what failed or was left out.
    failed: BTreeSet<u32>,
    left: Vec<String>,
}

impl Run {
    /// What it stands on is not there.
    fn is_moot(&mut self, at: u32, step: &Step) -> bool {
        let moot = step.entry.depends.iter().any(|on| self.failed.contains(on));
        if moot {
            self.failed.insert(at);
        }
        moot
    }

    async fn step(&mut self, conn: &mut Conn, at: u32, step: &Step, cancel: &Cancel) -> Result<()> {
        let canceller = conn.canceller();
        let mut failure = None;
        let running = async {
            failure = conn.execute(&step.sql).await.err();
            Ok(())
        };
        until_stopped(canceller, running, cancel).await?;
        let Some(failure) = failure else { return Ok(()) };
        if conn.is_broken() {
            return Err(failure
                .while_doing(Kind::Target, format!("cannot restore {}", step.what()))
                .note("what came before it is restored; run it again for the rest"));
        }
        self.failed.insert(at);
        self.left.push(format!("{}: {}", step.what(), reason(&failure)));
        Ok(())
    }

    /// What no statement complained of, or warned only: a role that keeps what the archive would take.
    fn add_differences(&mut self, steps: &[Step], differences: Vec<Difference>) {
        let failed = |at: &u32| usize::try_from(*at).ok().and_then(|at| steps.get(at));
        let failed: Vec<&TocEntry> = self.failed.iter().filter_map(failed).map(|step| &step.entry).collect();
        for one in differences {
            let explained = failed.iter().any(|entry| {
                let base = [ROLE, TABLESPACE].contains(&entry.kind.as_str()) && entry.name == one.about;
                base || (entry.kind == one.kind && entry.name == one.name)
            });
            if !explained {
                let what = one.what.as_deref().unwrap_or("it is missing");
                self.left.push(format!("{} {}: not as in the backup: {what}", one.kind, one.name));
            }
        }
    }
}

/// Without the server's CONTEXT, which repeats the statement.
fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Server(error) => format!("{} (SQLSTATE {})", error.message, error.code),
        other => other.to_string(),
    }
}
