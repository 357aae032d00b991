//! An archive into a PostgreSQL database.
//!
//! Order: look at the target → make it ready → pre-data → rows by N connections → large objects and sequence
//! values → post-data → properties and, where a database is replaced, the exchange of names. What can be refused is
//! refused by [`first_look`], before anything is touched and before the services are stopped.

mod check;
mod foreign;
mod pipe;
mod rows;
mod script;
mod select;
mod steps;
mod target;
mod within;

use std::sync::Arc;

use crate::archive::{Archive, ReadAt, StreamKind};
use crate::error::{Error, Kind, Result};
use crate::pg::connect::Server;
use crate::pg::database::Shape;
use crate::pg::properties::Properties;
use crate::pg::wire::Conn;

pub use check::first_look;
pub use foreign::restore_foreign;
pub use pipe::restore_pipe;
pub use rows::Loading;
pub use select::{Chosen, effective};
pub use target::inspect;

use script::{Frame, LeftBehind, Runner};
use target::{Finished, Prepared};

/// What came of it.
#[derive(Debug, Default)]
pub struct Restored {
    pub tables: u64,
    pub rows: u64,
    /// The old database's new name, where one was replaced.
    pub kept: Option<String>,
    pub left_behind: LeftBehind,
    pub warnings: Vec<String>,
}

impl Restored {
    fn finished(mut self, finished: Finished) -> Self {
        self.kept = finished.kept;
        self.left_behind.extend(finished.left_behind);
        self.warnings.extend(finished.warning);
        self
    }
}

/// Restores an archive that can be read at any offset.
pub async fn restore_archive<R: ReadAt + 'static>(
    archive: Arc<Archive<R>>,
    server: &Server,
    chosen: &Chosen,
    loading: impl Fn(Server) -> Loading,
    stamp: &str,
) -> Result<Restored> {
    let source = &archive.header().source;
    let (shape, encoding) = (Shape::from_source(source), source.get("client_encoding").cloned());
    let properties = Properties::from_archive(archive.properties())?;
    let prepared = match chosen.is_whole() {
        true => Prepared::whole(server, &shape, stamp).await?,
        false => Prepared::within(server, &shape).await?,
    };
    let loading = Loading { encoding, ..loading(prepared.working_server()) };
    let filled = match prepared.stands_apart() {
        true => fill(&archive, chosen, &loading).await,
        false => within::restore(&archive, chosen, &loading).await,
    };
    match filled {
        Ok(mut restored) => {
            restored.tables = chosen.tables_in(archive.streams()).len() as u64;
            let not_brought = chosen.not_brought(archive.toc());
            if !not_brought.is_empty() {
                let all = not_brought.join(", ");
                restored.warnings.push(format!("not brought, since no table that was named owns it: {all}"));
            }
            let properties = if chosen.has_tables() { Properties::default() } else { properties };
            Ok(restored.finished(prepared.finish(&properties).await?))
        }
        Err(error) => {
            let error = with_needs(error, &chosen.needs(archive.toc()));
            Err(prepared.abandon(error).await)
        }
    }
}

/// Tables alone may lack a type or function: then it helps to know what the archive's own tables stand on.
fn with_needs(error: Error, needs: &[String]) -> Error {
    match (needs, error.kind()) {
        ([_, ..], Kind::Target) => {
            error.note(format!("the tables stand on what the target must have: {}", needs.join(", ")))
        }
        _ => error,
    }
}

/// All sections of the selection, in the order that their dependencies need.
async fn fill<R: ReadAt + 'static>(archive: &Arc<Archive<R>>, chosen: &Chosen, loading: &Loading) -> Result<Restored> {
    let mut conn = loading.connect().await?;
    let mut left = LeftBehind::new();
    run(&mut conn, archive, StreamKind::PreData, chosen, loading, &mut left).await?;
    let members = chosen.row_members(archive);
    let rows = rows::load(Arc::clone(archive), members, loading).await?;
    for kind in [StreamKind::LargeObjects, StreamKind::Sequences, StreamKind::PostData] {
        run(&mut conn, archive, kind, chosen, loading, &mut left).await?;
    }
    conn.close().await;
    Ok(Restored { rows, left_behind: left, ..Restored::default() })
}

async fn run<R: ReadAt>(
    conn: &mut Conn,
    archive: &Archive<R>,
    kind: StreamKind,
    chosen: &Chosen,
    loading: &Loading,
    left: &mut LeftBehind,
) -> Result<()> {
    let mut runner = Runner { conn, frame: Frame::Step, cancel: &loading.cancel, left };
    for stream in archive.streams().iter().filter(|stream| stream.spec.kind == kind) {
        runner.stream(archive, stream.id, chosen).await?;
    }
    Ok(())
}
