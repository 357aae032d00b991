//! An archive into a PostgreSQL database.
//!
//! Order: look at the target → make it ready → pre-data → rows by N connections, and by the same ones what is built on
//! each table once it is loaded → large objects and sequence values → the rest of post-data → properties and, where a
//! database is replaced, the exchange of names. What can be refused is refused by [`first_look`], before anything is
//! touched and before the services are stopped.

mod check;
mod fitting;
mod foreign;
mod freezing;
mod left;
mod locks;
mod parts;
mod pipe;
mod relations;
mod roles;
mod rows;
mod schedule;
mod script;
mod select;
mod steps;
mod survey;
mod target;
mod within;
mod workers;

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::archive::{Archive, ArchiveHeader, MemberEntry, ReadAt, Stream, StreamKind};
use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;
use crate::job::Adaptation;
use crate::pg::connect::Server;
use crate::pg::database::Shape;
use crate::pg::properties::Properties;
use crate::pg::version::ServerVersion;
use crate::pg::wire::{Conn, Row};
use crate::script::Tokens;

pub use check::{Wanted, first_look, free_on_server};
pub use foreign::restore_foreign;
pub use pipe::restore_pipe;
pub use rows::Loading;
pub use script::until_stopped;
pub use select::{Chosen, effective};
pub use target::inspect;

use fitting::Fitting;
use left::LeftBehind;
use relations::Relations;
use roles::Roles;
use script::{Frame, Runner};
use steps::SectionSteps;
use target::{Finished, Prepared};
use workers::{Awaited, Rows};

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
        self.left_behind.lines.extend(finished.left_behind);
        self.warnings.extend(finished.warning);
        self
    }
}

/// One archive, what of it is wanted, and how it goes into the target.
struct Work<'a, R> {
    archive: &'a Arc<Archive<R>>,
    chosen: &'a Chosen,
    loading: &'a Loading,
    fitting: &'a Fitting,
}

/// Restores an archive that can be read at any offset.
pub async fn restore_archive<R: ReadAt + 'static>(
    archive: Arc<Archive<R>>,
    server: &Server,
    chosen: &Chosen,
    adaptation: &Adaptation,
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
    let fitting = Fitting::new(adaptation, source_version(archive.header()), prepared.version());
    let work = Work { archive: &archive, chosen, loading: &loading, fitting: &fitting };
    let mut roles = Roles::default();
    let filled = match roles.create(&work, &properties, adaptation, prepared.admin()).await {
        Ok(()) if prepared.stands_apart() => fill(&work).await,
        Ok(()) => within::restore(&work).await,
        Err(error) => Err(error),
    };
    match filled {
        Ok(mut restored) => {
            let tables = chosen.tables_in(archive.streams()).len() as u64;
            restored.tables = tables.saturating_sub(restored.left_behind.missing_tables);
            restored.left_behind.lines.append(&mut roles.left_behind);
            restored.warnings.append(&mut roles.warnings);
            let not_brought = chosen.not_brought(archive.toc());
            if !not_brought.is_empty() {
                let all = not_brought.join(", ");
                restored.warnings.push(format!("not brought, since no table that was named owns it: {all}"));
            }
            let properties = if chosen.has_tables() { Properties::default() } else { properties };
            match prepared.finish(&properties, &fitting).await {
                Ok(finished) => Ok(restored.finished(finished)),
                Err(error) => Err(roles.undo(error, server).await),
            }
        }
        Err(error) => {
            let error = with_needs(error, &chosen.needs(archive.toc()));
            Err(roles.undo(prepared.abandon(error).await, server).await)
        }
    }
}

/// The source's version, as the archive's header has it.
pub fn source_version(header: &ArchiveHeader) -> Option<ServerVersion> {
    let num = header.source.get("server_version_num")?.parse().ok()?;
    Some(ServerVersion::from_num(num))
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
async fn fill<R: ReadAt + 'static>(work: &Work<'_, R>) -> Result<Restored> {
    let mut left = LeftBehind::default();
    let mut conn = work.loading.connect().await?;
    run(&mut conn, work, StreamKind::PreData, Frame::Step, &mut left).await?;
    let members = work.members_that_fit(&mut conn, &mut left).await?;
    let freezable = freezing::freezable(&mut conn, work.archive.streams(), &members).await?;
    // It would be idle for hours, which a firewall may end.
    conn.close().await;
    let rows = load_and_build(work, members, freezable, &mut left).await?;
    let mut conn = work.loading.connect().await?;
    for kind in [StreamKind::LargeObjects, StreamKind::Sequences] {
        run(&mut conn, work, kind, Frame::Step, &mut left).await?;
    }
    for stream in streams_of(work.archive, StreamKind::PostData) {
        let tail = steps::tail_at(work.archive.toc(), stream)..u64::MAX;
        run_part(&mut conn, work, stream, tail, Frame::Step, &mut left).await?;
    }
    let warnings = rows::flush(&mut conn).await?.into_iter().collect();
    conn.close().await;
    Ok(Restored { rows, left_behind: left, warnings, ..Restored::default() })
}

/// Rows, and what can be built on them side by side.
async fn load_and_build<R: ReadAt + 'static>(
    work: &Work<'_, R>,
    members: Vec<MemberEntry>,
    freezable: HashSet<Vec<u8>>,
    left: &mut LeftBehind,
) -> Result<u64> {
    let archive = work.archive;
    let mut relations = Relations::of(archive.toc(), archive.streams());
    let sections = streams_of(archive, StreamKind::PostData).into_iter().map(|stream| {
        let part = 0..steps::tail_at(archive.toc(), stream);
        SectionSteps::new(archive, stream, part, |at, entry| work.chosen.wants(at, entry))
    });
    let mut sections: Vec<_> = sections.rev().collect();
    let mut next = || loop {
        let Some(section) = sections.last_mut() else { return Ok(None) };
        if let Some(steps) = section.next_member()? {
            return Ok(Some(steps.into_iter().map(|step| work.chosen.fit(step)).collect()));
        }
        sections.pop();
    };
    if members.is_empty() {
        return workers::run(work.loading, work.fitting, None, &mut relations, left, &mut next).await;
    }
    let awaited = Awaited::of(&members, &relations);
    let (source, unpacker) = rows::unpack_for_many(Arc::clone(archive), members, work.loading, freezable);
    let rows = Some(Rows { source, awaited });
    let loaded = workers::run(work.loading, work.fitting, rows, &mut relations, left, &mut next).await;
    rows::both(unpacker, loaded).await
}

fn streams_of<R: ReadAt>(archive: &Archive<R>, kind: StreamKind) -> Vec<StreamId> {
    archive.streams().iter().filter(|stream| stream.spec.kind == kind).map(|stream| stream.id).collect()
}

/// The streams of one kind.
async fn run<R: ReadAt>(
    conn: &mut Conn,
    work: &Work<'_, R>,
    kind: StreamKind,
    frame: Frame,
    left: &mut LeftBehind,
) -> Result<()> {
    for stream in streams_of(work.archive, kind) {
        run_part(conn, work, stream, steps::ALL, frame, left).await?;
    }
    Ok(())
}

async fn run_part<R: ReadAt>(
    conn: &mut Conn,
    work: &Work<'_, R>,
    stream: StreamId,
    part: Range<u64>,
    frame: Frame,
    left: &mut LeftBehind,
) -> Result<()> {
    let mut runner = Runner { conn, frame, cancel: &work.loading.cancel, fitting: work.fitting, left };
    runner.stream(work.archive, stream, part, work.chosen).await
}

impl<R: ReadAt> Work<'_, R> {
    /// Members of the tables that stand: where something could not be created, a table with rows may be missing.
    async fn members_that_fit(&self, conn: &mut Conn, left: &mut LeftBehind) -> Result<Vec<MemberEntry>> {
        let mut members = self.chosen.row_members(self.archive);
        if !left.has_lost() {
            return Ok(members);
        }
        let standing = standing(conn).await?;
        let wanted = self.chosen.row_streams(self.archive.streams()).into_iter();
        let attached = self.archive.toc().iter().filter(|entry| entry.kind == "TABLE ATTACH");
        let partitions: HashSet<StreamId> = attached.filter_map(|entry| entry.table).collect();
        let mut missing: Vec<&Stream> = Vec::new();
        for stream in wanted {
            if !standing.contains(&self.loaded_through(stream, partitions.contains(&stream.id))?) {
                missing.push(stream);
            }
        }
        left.lose_rows(missing.iter().map(|stream| (stream.spec.label(), stream.rows)));
        let missing: HashSet<StreamId> = missing.iter().map(|stream| stream.id).collect();
        members.retain(|member| !missing.contains(&member.stream));
        Ok(members)
    }
}

impl<R: ReadAt> Work<'_, R> {
    /// Schema and name of the table that the stream's COPY names: of a partition it may be the root of its tree.
    fn loaded_through(&self, stream: &Stream, is_partition: bool) -> Result<(String, String)> {
        let own = || (stream.spec.schema.to_string(), stream.spec.name.to_string());
        let Some(first) = self.archive.members_of(stream.id).next().filter(|_| is_partition) else { return Ok(own()) };
        let mut bytes = Vec::new();
        self.archive.read_member(&first, &mut bytes)?;
        let table = Tokens::of(rows::copied_table(&bytes));
        Ok(table.name(0).zip(table.name(2)).unwrap_or_else(own))
    }
}

/// Schema and name of every table of the target.
async fn standing(conn: &mut Conn) -> Result<BTreeSet<(String, String)>> {
    let sql = b"SELECT n.nspname, c.relname FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'f')";
    let found = conn.query(sql).await;
    let rows = found.map_err(|failure| failure.while_doing(Kind::Target, "cannot list the target's tables"))?;
    let text =
        |row: &Row, column: usize| conn.codec().decode(row.get(column).and_then(Option::as_deref).unwrap_or_default());
    rows.iter().map(|row| Ok((text(row, 0)?, text(row, 1)?))).collect()
}
