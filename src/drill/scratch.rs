//! The scratch database: a name that nothing else has, and its end.

use crate::error::{Context as _, Kind, Result};
use crate::ident::Ident;
use crate::pg::database;
use crate::pg::session::Session;

const PREFIX: &str = "miyabi_drill_";
const ID_DIGITS: usize = 16;

pub fn new_name() -> Result<Ident> {
    let mut id = [0; 8];
    getrandom::fill(&mut id).context(Kind::Bug, || "cannot draw random bytes".to_owned())?;
    Ok(Ident::new(format!("{PREFIX}{:016x}", u64::from_be_bytes(id))))
}

/// Whether a drill of ours has given this name, and nobody else is likely to have.
pub fn is_scratch(name: &str) -> bool {
    let is_hex = |digits: &str| digits.len() == ID_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
    name.strip_prefix(PREFIX).is_some_and(is_hex)
}

/// Drops what drills that were killed have left. One that somebody is connected to belongs to a drill that is going on.
pub async fn sweep(admin: &Session) -> Result<Vec<String>> {
    const IDLE: &str = "
        SELECT d.datname::text AS name FROM pg_catalog.pg_database d
         WHERE d.datdba = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)";
    let mut swept = Vec::new();
    for name in admin.all(IDLE, |row| row.text("name")).await? {
        if is_scratch(&name) && database::drop_kept(admin, &name).await.is_ok() {
            swept.push(name);
        }
    }
    Ok(swept)
}
