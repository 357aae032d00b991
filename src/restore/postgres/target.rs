//! The database that is restored into: found, made ready, and at the end put in its place or cleaned away.
//!
//! The rule behind all of it: until the last step has succeeded the old data stands where it stood.

use crate::error::{Error, Kind, Result};
use crate::ident::Ident;
use crate::pg::connect::Server;
use crate::pg::database::{self, Shape, Target};
use crate::pg::properties::{self, Properties};
use crate::pg::session::Session;
use crate::pg::settings::Purpose;
use crate::pg::version::ServerVersion;

use super::check;
use super::fitting::Fitting;

/// Where rows go while the restore runs.
#[derive(Debug)]
enum Working {
    /// Made by this run under its final name; dropped if the restore fails.
    Created,
    /// It existed and held nothing; stays, whatever happens.
    InPlace,
    /// It holds other things; a part is added in one transaction.
    Within,
    /// A temporary database that takes the old one's place at the end.
    Beside { temporary: Ident, kept: Ident },
}

/// A target that is ready to be filled.
pub struct Prepared {
    admin: Session,
    server: Server,
    name: Ident,
    working: Working,
}

/// How the last step ended.
#[derive(Debug, Default)]
pub struct Finished {
    /// The old database's new name, where one was replaced.
    pub kept: Option<String>,
    /// Properties that a new database could not be given.
    pub left_behind: Vec<String>,
    pub warning: Option<String>,
}

/// What stands under the target's name now.
pub async fn inspect(server: &Server) -> Result<Target> {
    let admin = Session::open_maintenance(server).await?;
    inspect_with(&admin, server).await
}

async fn inspect_with(admin: &Session, server: &Server) -> Result<Target> {
    let name = server.database.as_str();
    match database::accepts_connections(admin, name).await? {
        None => return Ok(Target::Missing),
        Some(true) => {}
        Some(false) => {
            return Err(Error::new(Kind::Refused, format!("database {name} does not accept connections"))
                .hint("a person or a broken-off restore closed it; ALTER DATABASE … ALLOW_CONNECTIONS true opens it"));
        }
    }
    let inside = Session::open(server, Purpose::Write).await?;
    let objects = database::user_objects(&inside).await?;
    let own = inside.row("SELECT pg_catalog.pg_backend_pid() AS pid").await?.i32("pid")?;
    match objects {
        0 => Ok(Target::Empty),
        objects => {
            let written = database::last_written(&inside).await?;
            Ok(Target::Filled(database::filled(admin, name, objects, written, own).await?))
        }
    }
}

impl Prepared {
    /// Creates what has to be created. `stamp` goes into the names of temporary and kept databases.
    pub async fn whole(server: &Server, shape: &Shape, stamp: &str) -> Result<Self> {
        let admin = Session::open_maintenance(server).await?;
        let name = Ident::new(server.database.as_str());
        let working = match inspect_with(&admin, server).await? {
            Target::Empty => Working::InPlace,
            Target::Missing => {
                database::create(&admin, &name, shape).await?;
                Working::Created
            }
            Target::Filled(filled) => {
                check::may_be_replaced(name.as_str(), &filled)?;
                let live = database::shape_of(&admin, name.as_str()).await?;
                let shape = match shape.encoding.is_empty() {
                    true => live,
                    false => Shape { tablespace: live.tablespace, ..shape.clone() },
                };
                let temporary = database::free_name(&admin, name.as_str(), "restoring", stamp).await?;
                let kept = database::free_name(&admin, name.as_str(), "before_restore", stamp).await?;
                database::create(&admin, &temporary, &shape).await?;
                Working::Beside { temporary, kept }
            }
        };
        Ok(Prepared { admin, server: server.clone(), name, working })
    }

    /// For a part of an archive: the target stays what it is, and is created only if it is missing.
    pub async fn within(server: &Server, shape: &Shape) -> Result<Self> {
        let admin = Session::open_maintenance(server).await?;
        let name = Ident::new(server.database.as_str());
        let working = match inspect_with(&admin, server).await? {
            Target::Filled(_) => Working::Within,
            Target::Empty => Working::InPlace,
            Target::Missing => {
                database::create(&admin, &name, shape).await?;
                Working::Created
            }
        };
        Ok(Prepared { admin, server: server.clone(), name, working })
    }

    pub fn version(&self) -> ServerVersion {
        self.admin.version()
    }

    /// A session on the server that is in none of the databases at hand.
    pub fn admin(&self) -> &Session {
        &self.admin
    }

    /// The server and database that rows are loaded into.
    pub fn working_server(&self) -> Server {
        match &self.working {
            Working::Beside { temporary, .. } => self.server.with_database(temporary.as_str()),
            Working::Created | Working::InPlace | Working::Within => self.server.clone(),
        }
    }

    /// Nobody works in the database yet, so it may be seen half filled.
    pub fn stands_apart(&self) -> bool {
        !matches!(self.working, Working::Within)
    }

    /// Loading may take hours, in which a firewall or an administrator ends the idle session. If no new one can be
    /// had either, what is tried next says so.
    async fn revive(&mut self) {
        if self.admin.rows("SELECT 1 AS one").await.is_err()
            && let Ok(admin) = Session::open_maintenance(&self.server).await
        {
            self.admin = admin;
        }
    }

    /// Everything is loaded: properties are set and names exchanged.
    pub async fn finish(mut self, archived: &Properties, fitting: &Fitting) -> Result<Finished> {
        self.revive().await;
        match &self.working {
            Working::InPlace | Working::Within => Ok(Finished::default()),
            Working::Created => {
                let left_behind = self.give(archived, fitting).await?;
                Ok(Finished { left_behind, ..Finished::default() })
            }
            Working::Beside { temporary, kept } => match self.exchange(temporary, kept).await {
                Ok(warning) => Ok(Finished { kept: Some(kept.as_str().to_owned()), warning, ..Finished::default() }),
                Err(error) => Err(self.abandon(error).await),
            },
        }
    }

    /// All rows are there: a property that the role may not set, or that this server does not know, is listed.
    async fn give(&self, archived: &Properties, fitting: &Fitting) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for statement in archived.statements(&self.name)? {
            let fitted = fitting.fit(format!("{};", statement.trim_end().trim_end_matches(';')).as_bytes())?.batch();
            let fitted = String::from_utf8_lossy(&fitted);
            if let Err(error) = self.admin.execute(&fitted).await {
                left.push(format!("a property of database {}: {}", self.name.as_str(), error.chain()));
            }
        }
        Ok(left)
    }

    /// The new database looks from outside as the old one did: owner, rights, settings, comment, limits.
    async fn exchange(&self, temporary: &Ident, kept: &Ident) -> Result<Option<String>> {
        let old = properties::read(&self.admin, self.name.as_str()).await?;
        properties::apply(&self.admin, temporary, &old).await?;
        database::swap(&self.admin, &self.name, temporary, kept).await
    }

    /// The restore failed: takes away what this run created and says in which state the target is.
    pub async fn abandon(mut self, error: Error) -> Error {
        self.revive().await;
        let name = self.name.as_str();
        match &self.working {
            Working::InPlace => error.note(format!(
                "database {name} was empty and is now partly filled; drop and create it again before the next try"
            )),
            Working::Within => error.note(format!("nothing was changed in database {name}")),
            Working::Created => match database::drop_own(&self.admin, &self.name).await {
                Ok(()) => error.note(format!("database {name}, which this run had created, was dropped again")),
                Err(left) => {
                    error.note(format!("the partly filled database {name} could not be dropped: {}", left.chain()))
                }
            },
            Working::Beside { temporary, .. } => match database::drop_own(&self.admin, temporary).await {
                Ok(()) => error.note(format!("database {name} stands as it was")),
                Err(left) => error.note(format!(
                    "database {name} stands as it was; the temporary {} could not be dropped: {}",
                    temporary.as_str(),
                    left.chain()
                )),
            },
        }
    }
}
