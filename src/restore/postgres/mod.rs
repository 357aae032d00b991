//! An archive into a PostgreSQL database.
//!
//! Order: look at the target → make it ready → pre-data → rows by N connections → large objects and sequence
//! values → post-data → properties and, where a database is replaced, the exchange of names.

mod check;
mod foreign;
mod pipe;
mod rows;
mod script;
mod select;
mod steps;
mod target;

use std::sync::Arc;

use crate::archive::{Archive, ReadAt, StreamKind};
use crate::error::Result;
use crate::pg::connect::Server;
use crate::pg::database::Shape;
use crate::pg::properties::Properties;
use crate::pg::settings::Purpose;
use crate::pg::wire::Conn;

pub use foreign::restore_foreign;
pub use pipe::restore_pipe;
pub use rows::Loading;
pub use select::Chosen;
pub use target::inspect;

use script::LeftBehind;
use target::{Finished, Prepared};

/// What came of it.
#[derive(Debug, Default)]
pub struct Restored {
    pub rows: u64,
    /// The old database's new name, where one was replaced.
    pub kept: Option<String>,
    pub left_behind: LeftBehind,
    pub warnings: Vec<String>,
}

impl Restored {
    fn finished(mut self, finished: Finished) -> Self {
        self.kept = finished.kept;
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
    let shape = Shape::from_source(&archive.header().source);
    let properties = Properties::from_archive(archive.properties())?;
    let prepared = match chosen.is_whole() {
        true => Prepared::whole(server, &shape, stamp).await?,
        false => Prepared::within(server, &shape).await?,
    };
    let loading = loading(prepared.working_server());
    let filled = async {
        check::roles_exist(prepared.admin(), &properties).await?;
        if !chosen.is_whole() {
            check::tables_take_it(&loading.server, &archive, chosen).await?;
        }
        fill(&archive, chosen, &loading).await
    };
    match filled.await {
        Ok(restored) => Ok(restored.finished(prepared.finish(&properties).await?)),
        Err(error) => Err(prepared.abandon(error).await),
    }
}

/// All sections of the selection, in the order that their dependencies need.
async fn fill<R: ReadAt + 'static>(archive: &Arc<Archive<R>>, chosen: &Chosen, loading: &Loading) -> Result<Restored> {
    let mut conn = Conn::open(&loading.server, Purpose::Write).await?;
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
    for stream in archive.streams().iter().filter(|stream| stream.spec.kind == kind) {
        script::run_stream(conn, archive, stream.id, chosen, &loading.cancel, left).await?;
    }
    Ok(())
}
