//! One data connection, on a thread of its own: takes pieces until there are none.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use tokio::runtime::Builder;

use super::assemble::Assembler;
use super::queue::Piece;
use super::{Copied, CopyTask, Shared};
use crate::error::{Context, Error, Kind, Result};
use crate::ident::{Literal, QualifiedName};
use crate::pg::fault::Failure;
use crate::pg::settings::Purpose;
use crate::pg::wire::pace::Pace;
use crate::pg::wire::{Conn, CopyStep, Row};
use crate::pipeline::BLOCK_BYTES;

const SMALL_BYTES: usize = 8 << 10;

const TORN: &str = "a backup needs the table as the snapshot saw it: run it again, apart from TRUNCATE, CLUSTER, \
                    VACUUM FULL and migrations";

/// Blocks the calling thread. It has a runtime of its own, so that it may sleep when its socket has run dry.
pub(super) fn run(shared: &Shared) -> Result<Copied> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.context(Kind::Source, || "cannot start a COPY worker".to_owned())?.block_on(connect_and_work(shared))
}

async fn connect_and_work(shared: &Shared) -> Result<Copied> {
    let stop = &shared.stop;
    let mut conn = stop.guard(Conn::open(&shared.source.server, Purpose::Read)).await?;
    conn.set_pace(Pace { owns_thread: true, limit: shared.source.limit.clone() });
    let worked = stop.guard(work(shared, &mut conn)).await;
    let worked = match worked {
        // The future was dropped in mid-row; the server does not know yet, and would go on filling the socket.
        Err(error) if conn.is_busy() && stop.is_cancelled() => match conn.canceller().cancel().await {
            Ok(()) => Err(error),
            Err(left) => Err(error.note(left.chain())),
        },
        other => other,
    };
    conn.close().await;
    worked
}

async fn work(shared: &Shared, conn: &mut Conn) -> Result<Copied> {
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT {}",
        Literal(&shared.source.snapshot)
    );
    let begun = conn.execute(begin.as_bytes()).await;
    begun.map_err(|failure| {
        failure.while_doing(Kind::Source, format!("cannot join the snapshot {}", shared.source.snapshot))
    })?;
    let mut copied = Copied::default();
    // A lock holds to the end of the transaction, so what was checked under it stays as it is.
    let mut secured = HashSet::new();
    while let Some(piece) = shared.queue(|queue| queue.next()) {
        let task = &*piece.task;
        if secured.insert(task.oid) {
            secure(conn, task).await?;
        }
        let part = copy(shared, conn, &piece).await?;
        copied.rows = copied.rows.saturating_add(part.rows);
        copied.bytes = copied.bytes.saturating_add(part.bytes);
        if let Some(rows) = shared.queue(|queue| queue.done(task.stream, part.rows)) {
            shared.feed.end(task.stream, Some(rows)).await?;
        }
    }
    Ok(copied)
}

async fn copy(shared: &Shared, conn: &mut Conn, piece: &Piece) -> Result<Copied> {
    let task = &*piece.task;
    let codec = conn.codec();
    let failed = |failure: Failure| failure.while_doing(Kind::Source, doing(&task.name));
    conn.copy_out(&codec.encode(&piece.select())?).await.map_err(failed)?;
    let mut assembler = Assembler::new(codec.encode(&task.prefix)?, first_buffer(shared, piece.bytes_estimate));
    let mut sent = Sent { copied: Copied::default(), bytes_expected: piece.bytes_estimate };
    loop {
        let step = conn.copy_read(&mut assembler).await.map_err(failed)?;
        send(shared, task, &mut assembler, &mut sent, step).await?;
        match step {
            CopyStep::Full if assembler.oversize_next() => {
                let _permit = shared.oversize.acquire().await.map_err(|_| shared.stop.error())?;
                assembler.allow_oversize();
                let step = conn.copy_read(&mut assembler).await.map_err(failed)?;
                send(shared, task, &mut assembler, &mut sent, step).await?;
                if let CopyStep::Done(rows) = step {
                    return finish(shared, task, &assembler, rows, sent);
                }
            }
            CopyStep::Full => {}
            CopyStep::Done(rows) => return finish(shared, task, &assembler, rows, sent),
        }
    }
}

/// For a table that may be tiny no more is taken than it needs.
fn first_buffer(shared: &Shared, bytes_estimate: u64) -> Vec<u8> {
    match usize::try_from(bytes_estimate.saturating_mul(2)) {
        Ok(bytes) if bytes < BLOCK_BYTES => Vec::with_capacity(bytes.max(SMALL_BYTES)),
        _ => shared.feed.buffer(),
    }
}

/// What came of one piece, and what is still expected of it.
struct Sent {
    copied: Copied,
    bytes_expected: u64,
}

async fn send(
    shared: &Shared,
    task: &CopyTask,
    assembler: &mut Assembler,
    sent: &mut Sent,
    step: CopyStep,
) -> Result<()> {
    let next = if step == CopyStep::Full { shared.feed.buffer() } else { Vec::new() };
    let taken = assembler.take(next).map_err(|failure| failure.while_doing(Kind::Source, doing(&task.name)))?;
    let Some((bytes, span)) = taken else { return Ok(()) };
    let (size, rows) = (bytes.len() as u64, span.count);
    let reading = shared.reading.load(Ordering::SeqCst);
    shared.feed.block_of_many(reading, task.stream, bytes, Some(span)).await?;
    sent.copied.rows = sent.copied.rows.saturating_add(rows);
    sent.copied.bytes = sent.copied.bytes.saturating_add(size);
    let came = size.min(sent.bytes_expected);
    sent.bytes_expected = sent.bytes_expected.saturating_sub(came);
    shared.queue(|queue| queue.came(came));
    Ok(())
}

fn finish(shared: &Shared, task: &CopyTask, assembler: &Assembler, server_rows: u64, sent: Sent) -> Result<Copied> {
    shared.queue(|queue| queue.came(sent.bytes_expected));
    let ours = assembler.rows_total();
    if ours == server_rows {
        return Ok(sent.copied);
    }
    let why = format!("the server counted {server_rows} rows, {ours} arrived");
    Err(Error::new(Kind::Source, format!("{}: {why}", doing(&task.name))))
}

/// Locks the table and makes sure that it is what the snapshot saw.
async fn secure(conn: &mut Conn, task: &CopyTask) -> Result<()> {
    let codec = conn.codec();
    let failed = |failure: Failure| failure.while_doing(Kind::Source, doing(&task.name));
    let quoted = task.name.to_string();
    let mut sql = format!("LOCK TABLE ONLY {quoted} IN ACCESS SHARE MODE NOWAIT; ");
    // Most functions see what stands now, the plain columns what the snapshot saw.
    sql.push_str(&format!(
        "SELECT c.relkind::pg_catalog.text, c.relfilenode::pg_catalog.text, \
         pg_catalog.pg_relation_filenode(c.oid)::pg_catalog.text, n.oid::pg_catalog.text, \
         CASE WHEN n.oid OPERATOR(pg_catalog.=) c.oid \
         THEN (pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0)).type END \
         FROM pg_catalog.pg_class AS c, (SELECT pg_catalog.to_regclass({})::pg_catalog.oid AS oid) AS n \
         WHERE c.oid OPERATOR(pg_catalog.=) {}",
        Literal(&quoted),
        task.oid
    ));
    let mut rows = conn.query(&codec.encode(&sql)?).await.map_err(failed)?;
    let difference = match rows.pop() {
        Some(row) => difference(task, &row),
        None => Some("the snapshot does not know it"),
    };
    match difference {
        None => Ok(()),
        Some(what) => Err(Error::new(Kind::Source, format!("{}: {what}", doing(&task.name))).hint(TORN)),
    }
}

/// What sets the table of the snapshot apart from the one that stands there now.
fn difference(task: &CopyTask, row: &Row) -> Option<&'static str> {
    let text = |at: usize| row.get(at).and_then(Option::as_deref).map(String::from_utf8_lossy);
    let number = |at: usize| text(at).and_then(|text| text.parse::<u32>().ok());
    let (kind, then, now, oid, kind_now) = (text(0), number(1), number(2), number(3), text(4));
    if oid != Some(task.oid) {
        return Some("it was dropped, renamed or replaced after the snapshot");
    }
    if kind.as_deref() != Some(task.relkind.to_string().as_str()) || kind_now.as_deref() != Some(word(task.relkind)) {
        return Some("it became another kind of object after the snapshot");
    }
    if then.filter(|file| *file != 0) != now || task.relfilenode.is_some_and(|file| then != Some(file)) {
        return Some("it was truncated or rewritten after the snapshot");
    }
    None
}

/// `pg_identify_object`'s word for a kind.
fn word(relkind: char) -> &'static str {
    match relkind {
        'r' | 'p' => "table",
        'm' => "materialized view",
        'S' => "sequence",
        'v' => "view",
        _ => "",
    }
}

fn doing(name: &QualifiedName) -> String {
    format!("cannot read rows of {}", name.plain())
}
