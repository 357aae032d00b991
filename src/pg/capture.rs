//! Opens a consistent view of one database: an exported snapshot, locked tables, the catalog read, the script made.
//!
//! Tables are locked *before* the snapshot is taken (LOCK TABLE takes none), so that no DDL or TRUNCATE can come
//! between; whatever appeared meanwhile is locked after it and looked at again. What the server deparses is therefore
//! what the snapshot shows. Views, sequences and functions cannot be locked: `unchanged` proves that they stayed what
//! they are, and a capture that ran into a change starts again, a few times. The session must stay open, and `commit`
//! succeed, for the rows to be worth anything.

use std::collections::HashMap;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::ident::Literal;
use crate::pg::catalog::Catalog;
use crate::pg::catalog::object::ObjectId;
use crate::pg::catalog::{relation, sequence};
use crate::pg::connect::{self, Driver, Reached, Server};
use crate::pg::filter::Filter;
use crate::pg::piece::collect;
use crate::pg::script::{Script, data, tables};
use crate::pg::selection::{Matches, Selection};
use crate::pg::session::Session;
use crate::pg::settings::Purpose;
use crate::pipeline::joined;

mod compose;
mod facts;
mod lock;
mod unchanged;

use compose::{Composed, Gathered, compose};

pub use facts::Facts;

#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// How long to wait for a lock that another session holds.
    pub lock_timeout: Duration,
    /// With more than one, a second session helps to read the catalog, and threads share the writing of the script.
    pub connections: usize,
    /// Whether rows will be copied: sizes of tables and values of sequences are read for them.
    pub rows: bool,
    /// What is wanted of the database.
    pub filter: Filter,
}

pub struct Capture {
    session: Session,
    driver: Driver,
    reached: Reached,
    snapshot: String,
    facts: Facts,
    script: Script,
    warnings: Vec<String>,
}

/// Between two looks at whether the session still stands, and how many of them to a query: one every 30 seconds.
const LOOK: Duration = Duration::from_millis(500);
const LOOKS_PER_QUERY: u32 = 60;

/// A change of the schema under our hands is rare; several of them in a row are somebody's migration, which is given
/// a few seconds to end.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The server's default of 4 MB sends joins over the catalog of a large schema to its disk.
const ROOM_TO_SORT: &str = "SELECT pg_catalog.set_config('work_mem', '32MB', false) FROM pg_catalog.pg_settings
     WHERE name = 'work_mem' AND setting::pg_catalog.int8 < 32768";

pub async fn open(server: &Server, options: &CaptureOptions, cancel: &Cancel) -> Result<Capture> {
    let doing = || format!("cannot read the schema of {}", server.describe());
    let (mut attempt, mut pause) = (1, FIRST_PAUSE);
    loop {
        let opened = cancel.guard(try_open(server, options)).await;
        match opened {
            Err(error) if attempt < ATTEMPTS && is_transient(&error) => {
                let resting = async {
                    tokio::time::sleep(pause).await;
                    Ok(())
                };
                cancel.guard(resting).await?;
                (attempt, pause) = (attempt + 1, pause * 2);
            }
            Err(error) if error.kind() == Kind::Connect => return Err(error),
            Err(error) => return Err(error.while_doing(doing())),
            Ok(capture) => return Ok(capture),
        }
    }
}

/// What a schema that changes while it is read looks like.
fn is_transient(error: &Error) -> bool {
    let text = error.chain();
    error.kind() == Kind::Source
        && ["cache lookup failed", "could not open relation", "changed while", "does not exist"]
            .iter()
            .any(|sign| text.contains(sign))
}

async fn try_open(server: &Server, options: &CaptureOptions) -> Result<Capture> {
    let control = connect::client(server, Purpose::Read).await?;
    let mut session = Session::start(control.client).await?;
    let mut warnings: Vec<String> = control.reached.warning().into_iter().collect();
    warnings.extend(session.version().check()?);

    session.speak_own().await?;
    session.execute(ROOM_TO_SORT).await?;
    let matches = Matches::load(&session, &options.filter).await?;
    let listed = lock::list(&session, matches.as_ref()).await?;
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    lock::take(&session, &listed, options.lock_timeout).await?;
    let snapshot = session.row("SELECT pg_catalog.pg_export_snapshot() AS snapshot").await?.text("snapshot")?;
    let helper = match options.connections {
        0 | 1 => None,
        _ => Some(join_snapshot(&control.reached.server, &snapshot).await?),
    };
    let readers = (&session, helper.as_ref().unwrap_or(&session));
    let (relations, sequences) = tokio::try_join!(relation::load(readers.0), sequence::load(readers.1))?;
    let matches = Matches::load(&session, &options.filter).await?;
    lock::complete(&session, &relations, matches.as_ref(), options.lock_timeout).await?;

    let selection = Selection::of(&options.filter, matches, &relations, &sequences);
    let catalog = Catalog::load(readers, relations, sequences, selection).await?;
    let facts = Facts::load(&mut session, &options.filter).await?;
    let readers = (&session, helper.as_ref().unwrap_or(&session));
    let gathered = gather(readers, catalog, &facts, options, &mut warnings).await?;
    if let Some(helper) = helper {
        helper.close().await?;
    }
    let composing = tokio::task::spawn_blocking(move || compose(gathered));
    let ((), composed) =
        tokio::try_join!(unchanged::schema(&session, &control.reached.server), async { joined(composing.await) })?;
    let Composed { script, unread, broken } = composed;
    warn_of_unread(&session, &unread, &mut warnings).await?;
    warnings.extend(
        broken.iter().map(|names| format!("objects depend on each other in a circle that no order satisfies: {names}")),
    );
    let facts = facts.with_roles(&mut session, &script).await?;
    let Reached { server, guard } = control.reached;
    let reached = Reached { server, guard };
    Ok(Capture { session, driver: control.driver, reached, snapshot, facts, script, warnings })
}

/// Another session that sees what the first one sees.
async fn join_snapshot(server: &Server, snapshot: &str) -> Result<Session> {
    let mut session = Session::open(server, Purpose::Read).await?;
    session.speak_own().await?;
    session.execute(ROOM_TO_SORT).await?;
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    session.execute(&format!("SET TRANSACTION SNAPSHOT {}", Literal(snapshot))).await?;
    Ok(session)
}

/// What the script needs besides the catalog.
async fn gather(
    readers: (&Session, &Session),
    catalog: Catalog,
    facts: &Facts,
    options: &CaptureOptions,
    warnings: &mut Vec<String>,
) -> Result<Gathered> {
    let found = collect::collect(readers, &catalog).await?;
    let session = readers.0;
    warnings.extend(found.warnings.iter().cloned());
    let sizes = match options.rows {
        true => lock::sizes(session, &catalog, &found.conditions).await?,
        false => HashMap::new(),
    };
    let codec = session.codec();
    let tables = tables::plan(&catalog, codec, &found.conditions, &sizes, facts.in_recovery, warnings);
    let (values, analysed) = match options.rows {
        true => {
            (data::values(session, &catalog, &found.conditions, warnings).await?, tables::analysed(&catalog, &tables))
        }
        false => (Vec::new(), Vec::new()),
    };
    Ok(Gathered { catalog, found, tables, values, analysed, codec, threads: options.connections })
}

async fn warn_of_unread(session: &Session, unread: &[ObjectId], warnings: &mut Vec<String>) -> Result<()> {
    if unread.is_empty() {
        return Ok(());
    }
    let (classes, oids): (Vec<u32>, Vec<u32>) = unread.iter().map(|id| (id.class, id.oid)).unzip();
    // An operator without a function is only a name that another one gave as its commutator or negator; it comes back
    // with that one.
    let sql = "SELECT pg_catalog.pg_describe_object(o.class, o.oid, 0) AS description
         FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.oid[]))
           AS o (class, oid)
         WHERE NOT (o.class = 'pg_catalog.pg_operator'::pg_catalog.regclass AND EXISTS
           (SELECT FROM pg_catalog.pg_operator p WHERE p.oid = o.oid AND p.oprcode = 0))";
    for row in session.query(sql, &[&classes, &oids]).await? {
        let what = row.opt_text("description")?.unwrap_or_else(|| "an object that was dropped meanwhile".to_owned());
        warnings.push(format!("not in the backup, since this program cannot read it: {what}"));
    }
    Ok(())
}

impl Capture {
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The script, to be used up: that of a large schema is most of what this program holds.
    pub fn take_script(&mut self) -> Script {
        std::mem::take(&mut self.script)
    }

    /// What somebody should know: things that were left out or cannot be restored in order.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The server that holds the snapshot: the one to open data connections to.
    pub fn reached(&self) -> &Reached {
        &self.reached
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// For `SET TRANSACTION SNAPSHOT` of data connections, as long as this capture lives.
    pub fn snapshot_id(&self) -> &str {
        &self.snapshot
    }

    /// Runs until the session that holds the snapshot is lost, and says so. A query every now and then keeps whatever
    /// stands between us and the server from taking it for dead.
    pub async fn lost(&self) -> Error {
        loop {
            for _ in 0..LOOKS_PER_QUERY {
                tokio::time::sleep(LOOK).await;
                if self.session.client().is_closed() {
                    return self.gone(None);
                }
            }
            if let Err(cause) = self.session.execute("SELECT 1").await {
                return self.gone(Some(cause));
            }
        }
    }

    fn gone(&self, cause: Option<Error>) -> Error {
        let what = format!("lost the session that holds the snapshot of {}", self.reached.server.describe());
        let error = Error::new(Kind::Source, what)
            .hint("did the server restart, or was the session terminated? nothing was published");
        match cause {
            Some(cause) => error.because(cause),
            None => error,
        }
    }

    /// Ends the transaction. Only now it is certain that the snapshot was there to the end, and that rows print as the
    /// script's types read them.
    pub async fn commit(self) -> Result<()> {
        unchanged::labels(&self.session, &self.reached.server).await?;
        self.session.execute("COMMIT").await?;
        drop(self.session);
        self.driver.finish().await
    }
}
