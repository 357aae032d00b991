//! What would go wrong in the first night: asked of every database, the place and the machine, before it does.
//!
//! Everything is looked at, whatever was found before; nothing is changed.

pub mod machine;
mod postgres;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::job::{Context, Source};
use crate::ops::status::Level;
use crate::sqlite::inspect;
use crate::store::{Excess, Name, Store, is_denied};
use crate::units::human_bytes;

#[derive(Clone, Debug, Serialize)]
pub struct Examined {
    pub subject: String,
    pub level: Level,
    pub what: String,
    /// What to run, or to do, to mend it.
    pub mend: Vec<String>,
}

impl Examined {
    pub fn fine(subject: &str, what: impl Into<String>) -> Self {
        Examined { subject: subject.to_owned(), level: Level::Ok, what: what.into(), mend: Vec::new() }
    }

    pub fn warning(subject: &str, what: impl Into<String>) -> Self {
        Examined { level: Level::Warning, ..Examined::fine(subject, what) }
    }

    pub fn bad(subject: &str, what: impl Into<String>) -> Self {
        Examined { level: Level::Critical, ..Examined::fine(subject, what) }
    }

    /// By the error's own hint, or else by its kind: nobody is left without a word of what to do.
    pub fn of_error(subject: &str, error: &Error) -> Self {
        let usual = match error.kind() {
            Kind::Connect => "is the address right, and can it be reached from this machine?",
            Kind::Place => "does the place exist, and may this user write there? `root` of [places] names it",
            Kind::Source => "may this user read it, and is it what miyabi-backup.toml says?",
            Kind::Usage => "correct miyabi-backup.toml: docs/CONFIGURATION.md has every key",
            _ => "see to what the message names, then run: miyabi-backup doctor",
        };
        Examined::of_error_or(subject, error, usual)
    }

    fn of_error_or(subject: &str, error: &Error, usual: &str) -> Self {
        Examined::bad(subject, error.chain()).mend([error.hint_text().unwrap_or(usual).to_owned()])
    }

    pub fn mend(mut self, how: impl IntoIterator<Item = String>) -> Self {
        self.mend.extend(how);
        self
    }
}

/// How long one server may take to answer everything.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server has to say; else what is wrong with it.
pub async fn ask<T>(subject: &str, answer: impl Future<Output = Result<T>>) -> std::result::Result<T, Examined> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| Examined::of_error(subject, &error)),
        Err(_) => {
            let what = format!("the server does not answer within {} s", PATIENCE.as_secs());
            let mend = "look at the server's load and log; is it a firewall that keeps silent?".to_owned();
            Err(Examined::bad(subject, what).mend([mend]))
        }
    }
}

/// What was found, and the majors of the databases' servers.
pub async fn sources(sources: &[Source], context: &Context) -> (Vec<Examined>, BTreeMap<String, u32>) {
    let (mut all, mut majors) = (Vec::new(), BTreeMap::new());
    for source in sources {
        let subject = source.describe();
        match source {
            Source::Postgres(database) => match ask(&subject, postgres::examine(&subject, database, context)).await {
                Ok((found, major)) => {
                    all.extend(found);
                    majors.insert(database.label.clone(), major);
                }
                Err(found) => all.push(found),
            },
            Source::Sqlite(file) => {
                all.push(sqlite(&subject, &file.path, file.limits.busy_limit, &context.cancel).await)
            }
            Source::Globals(_) => {}
        }
    }
    (all, majors)
}

/// Backups of a newer server than the one they are drilled on.
pub fn older_than_sources(subject: &str, major: u32, sources: &BTreeMap<String, u32>) -> Option<Examined> {
    let newest = sources.values().copied().max().filter(|newest| *newest > major)?;
    let newer: Vec<&str> = sources.iter().filter(|(_, one)| **one > major).map(|(label, _)| label.as_str()).collect();
    let what = format!(
        "is PostgreSQL {major}, older than the server of {}: what {major} does not know is not restored there, and fails the drill",
        newer.join(", ")
    );
    Some(Examined::warning(subject, what).mend([format!("name a server of PostgreSQL {newest} by `url` of [drill]")]))
}

async fn sqlite(subject: &str, path: &Path, busy_limit: Duration, cancel: &Cancel) -> Examined {
    let (path, cancel) = (path.to_owned(), cancel.clone());
    match tokio::task::spawn_blocking(move || inspect::run(&path, busy_limit, &cancel)).await {
        Ok(Ok(facts)) => Examined::fine(subject, format!("can be read, {} tables", facts.tables.len())),
        Ok(Err(error)) => {
            Examined::of_error_or(subject, &error, "is `path` of [[sqlite]] still right, and may this user read it?")
        }
        Err(cause) => Examined::of_error(subject, &Error::new(Kind::Bug, "the examination did not end").because(cause)),
    }
}

/// Whether backups can be written there, and whether there is room.
/// `locks`: what is written is locked, so that no key removes it before its time.
pub fn place(store: &dyn Store, min_free: u64, locks: bool) -> Vec<Examined> {
    let subject = store.describe();
    let mut all = Vec::new();
    match probe(store) {
        Ok(()) => {
            all.push(Examined::fine(&subject, "can be written"));
            match store.excess() {
                Ok(found) => all.extend(more_than_needed(&subject, &found, locks)),
                Err(error) => {
                    let found = Examined::of_error(&subject, &error);
                    all.push(Examined { level: Level::Warning, ..found });
                }
            }
        }
        Err(error) => all.push(Examined::of_error(&subject, &error)),
    }
    match store.list_here("doctor-probe") {
        Ok(_) => {}
        Err(error) if is_denied(&error) => {
            let what = "may not be listed: `status` knows nothing of its backups and `prune` removes none";
            let mend = "run `status` and `prune` elsewhere, with a key that may list: docs/CONFIGURATION.md, \"Keys\"";
            all.push(Examined::warning(&subject, what).mend([mend.to_owned()]));
        }
        Err(error) => all.push(Examined::of_error(&subject, &error)),
    }
    match store.space() {
        Ok(Some(space)) if space.free < min_free => {
            let (free, least) = (human_bytes(space.free), human_bytes(min_free));
            let mend = "make room, name a larger disk by `root` of [places], or set `min_free` of [status] lower";
            all.push(Examined::warning(&subject, format!("{free} free, less than {least}")).mend([mend.to_owned()]));
        }
        Ok(Some(space)) => all.push(Examined::fine(&subject, format!("{} free", human_bytes(space.free)))),
        Ok(None) => {}
        Err(error) => all.push(Examined::of_error(&subject, &error)),
    }
    all
}

/// Rights by which whoever takes over this machine could do away with the backups, or look around.
fn more_than_needed(subject: &str, found: &[Excess], locks: bool) -> Option<Examined> {
    let removes = found.iter().any(|one| matches!(one, Excess::Delete | Excess::DeleteVersions));
    let told = |one: &Excess| match one {
        Excess::Delete | Excess::DeleteVersions if locks => None,
        Excess::Delete => Some("remove backups"),
        Excess::DeleteVersions => Some("remove versions of them for good"),
        Excess::ListOthers => Some("list what else lies in the bucket"),
        Excess::ReadPolicy => Some("read the bucket's policy"),
    };
    let told: Vec<&str> = found.iter().filter_map(told).collect();
    if told.is_empty() {
        return None;
    }
    let what = format!("this key may do more than backups need: {}", told.join(", "));
    let mut mend =
        vec!["give backups a key of their own with the policy in docs/CONFIGURATION.md, \"Keys\"".to_owned()];
    if removes && !locks {
        mend.push("run `prune` elsewhere, with a key that may remove, and set `automatic = false` in [retention] here; or lock backups by s3_retain".to_owned());
    }
    Some(Examined::warning(subject, what).mend(mend))
}

/// Begins a file and takes it back: nothing gets a name.
fn probe(store: &dyn Store) -> Result<()> {
    let mut upload = store.begin(&Name::new("doctor-probe")?)?;
    upload.write_all(b"?").map_err(|cause| Error::new(Kind::Place, "cannot write").because(cause))?;
    upload.abort()
}
