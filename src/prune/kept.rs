//! What restores have kept: `<database>_before_restore_<stamp>` on a server, `<file>.before-restore-<stamp>` beside a
//! SQLite file. Nothing removes these but somebody who asks for it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::job::Source;
use crate::pg::connect::Server;
use crate::pg::database;
use crate::pg::session::Session;
use crate::sqlite::kept as files;

#[derive(Clone, Debug, Serialize)]
pub struct KeptCopy {
    /// The database's name, or the file's path.
    pub name: String,
    /// `shop on db.example:5432`, or the path of the SQLite file that was restored.
    pub source: String,
    pub bytes: u64,
    #[serde(skip)]
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    Server(Box<Server>),
    /// With its journals.
    Files(Vec<PathBuf>),
}

/// Of all these sources, in their order. A server that does not answer is an error.
pub async fn find(sources: &[Source]) -> Result<Vec<KeptCopy>> {
    let mut found = Vec::new();
    for source in sources {
        match source {
            Source::Postgres(postgres) => found.extend(databases(&postgres.server).await?),
            Source::Sqlite(sqlite) => found.extend(beside(&sqlite.path)?),
            Source::Globals(_) => {}
        }
    }
    Ok(found)
}

/// Of one database.
pub async fn databases(server: &Server) -> Result<Vec<KeptCopy>> {
    let admin = Session::open_maintenance(server).await?;
    let kept = database::kept_copies(&admin, &server.database).await?;
    let copy =
        |(name, bytes)| KeptCopy { name, source: server.describe(), bytes, at: At::Server(Box::new(server.clone())) };
    Ok(kept.into_iter().map(copy).collect())
}

/// Of one SQLite file.
pub fn beside(path: &Path) -> Result<Vec<KeptCopy>> {
    let copies = files::beside(path)?;
    let copy = |copy: files::SafetyCopy| KeptCopy {
        name: copy.path.display().to_string(),
        source: path.display().to_string(),
        bytes: copy.bytes,
        at: At::Files(copy.files),
    };
    Ok(copies.into_iter().map(copy).collect())
}

/// Removes all of them; stops at the first that cannot be removed. A database that somebody works in is not removed.
pub async fn remove(copies: &[KeptCopy]) -> Result<()> {
    for copy in copies {
        match &copy.at {
            At::Server(server) => {
                let admin = Session::open_maintenance(server).await?;
                database::drop_kept(&admin, &copy.name).await?;
            }
            At::Files(files) => files.iter().try_for_each(|path| remove_file(path))?,
        }
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(Kind::Target, format!("cannot remove {}", path.display())).because(cause))
        }
        _ => Ok(()),
    }
}
