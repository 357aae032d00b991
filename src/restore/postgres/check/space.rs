//! Room on the server's disk, where it can be known: no query tells it, so only a server on this machine is looked at,
//! and only if its data folder is provably the one that this process sees. Elsewhere nothing is said.

use std::path::{Path, PathBuf};

use crate::archive::Stream;
use crate::error::Result;
use crate::pg::database::Target;
use crate::pg::session::Session;
use crate::store::{LocalStore, Store};
use crate::units::human_bytes;

use super::{Findings, Place};

/// A table takes about what its rows take as text, and its indexes come on top: a warning, no refusal.
pub async fn look(place: &Place<'_>, rows: Vec<&Stream>, findings: &mut Findings) -> Result<()> {
    let raw = rows.iter().map(|stream| stream.raw.0).fold(0, u64::saturating_add);
    let old = match place.target {
        Target::Filled(filled) if place.whole => filled.bytes,
        _ => 0,
    };
    let needed = raw.max(old);
    let Some(free) = free_on_server(&place.admin).await.filter(|free| *free < needed) else { return Ok(()) };
    findings.warn(format!(
        "the restore needs about {} on the server's disk, where {} are free",
        human_bytes(needed),
        human_bytes(free)
    ));
    Ok(())
}

/// Whatever goes wrong on the way means that it is not known.
pub async fn free_on_server(admin: &Session) -> Option<u64> {
    let folder = match told_folder(admin).await.ok().flatten() {
        Some(folder) => PathBuf::from(folder),
        None => folder_of_process(admin).await?,
    };
    LocalStore::new(folder.join("base")).space().ok()?.map(|space| space.free)
}

/// Where the server's process works, if it runs on this machine: its id there is that of a process whose folder holds the
/// `postmaster.pid` of a server that began then and listens there. Needs no right on the server, but one to look at the process.
async fn folder_of_process(admin: &Session) -> Option<PathBuf> {
    const APART_MAX: i64 = 5;
    let sql = "SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.current_setting('port') AS port,
                      pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::pg_catalog.int8 AS began";
    let row = admin.row(sql).await.ok()?;
    let folder = std::fs::read_link(format!("/proc/{}/cwd", row.i32("pid").ok()?)).ok()?;
    let noted = std::fs::read_to_string(folder.join("postmaster.pid")).ok()?;
    let mut lines = noted.lines().map(str::trim).skip(2);
    let began: i64 = lines.next()?.parse().ok()?;
    let same =
        began.abs_diff(row.i64("began").ok()?) <= APART_MAX.unsigned_abs() && lines.next()? == row.text("port").ok()?;
    same.then_some(folder)
}

/// The server's data folder by its own word, if its `postmaster.pid` is the file of that name that this process sees.
async fn told_folder(admin: &Session) -> Result<Option<String>> {
    const MAY_ASK: &str = "SELECT rolsuper AS may FROM pg_catalog.pg_roles WHERE rolname = current_user";
    if !admin.row(MAY_ASK).await?.bool("may")? {
        return Ok(None);
    }
    let sql = "SELECT pg_catalog.current_setting('data_directory') AS folder, f.size AS size,
                      pg_catalog.date_part('epoch', f.modification)::pg_catalog.int8 AS written
                 FROM pg_catalog.pg_stat_file('postmaster.pid') AS f";
    let row = admin.row(sql).await?;
    let folder = row.text("folder")?;
    let same = std::fs::metadata(Path::new(&folder).join("postmaster.pid")).is_ok_and(|facts| {
        let written = facts.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
        let size = i64::try_from(facts.len()).ok();
        let seen = (size, written.map(|time| time.as_second()));
        row.i64("size").is_ok_and(|size| row.i64("written").is_ok_and(|written| seen == (Some(size), Some(written))))
    });
    Ok(same.then_some(folder))
}
