//! Room on the server's disk, where it can be known: no query tells it, so only a server on this machine is looked at,
//! and only if its data folder is provably the one that this process sees. Elsewhere nothing is said.

use std::path::Path;

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
    let Some(free) = free_bytes(place).await.filter(|free| *free < needed) else { return Ok(()) };
    findings.warn(format!(
        "the restore needs about {} on the server's disk, where {} are free",
        human_bytes(needed),
        human_bytes(free)
    ));
    Ok(())
}

/// Whatever goes wrong on the way means that it is not known.
async fn free_bytes(place: &Place<'_>) -> Option<u64> {
    if !place.rights.superuser {
        return None;
    }
    let folder = data_folder(&place.admin).await.ok()??;
    LocalStore::new(Path::new(&folder).join("base")).space().ok()?.map(|space| space.free)
}

/// The server's data folder, if its `postmaster.pid` is the file of that name that this process sees.
async fn data_folder(admin: &Session) -> Result<Option<String>> {
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
