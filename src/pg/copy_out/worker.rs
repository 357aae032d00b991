//! One data connection, on a thread of its own: takes pieces until there are none.

use std::sync::atomic::Ordering;

use tokio::runtime::Builder;

use super::assemble::Assembler;
use super::queue::{Piece, Queue};
use super::secure::{self, Secured};
use super::{Copied, CopyTask, Shared};
use crate::error::{Context, Error, Kind, Result};
use crate::ident::QualifiedName;
use crate::pg::fault::Failure;
use crate::pg::settings::Purpose;
use crate::pg::wire::pace::Pace;
use crate::pg::wire::{Conn, CopyStep};
use crate::pipeline::BLOCK_BYTES;

const SMALL_BYTES: usize = 8 << 10;

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
    secure::join(conn, &shared.source.snapshot).await?;
    let mut copied = Copied::default();
    let mut secured = Secured::default();
    loop {
        let pieces = shared.queue(Queue::next_many);
        if pieces.is_empty() {
            return Ok(copied);
        }
        secured.take_in(conn, &shared.source.snapshot, pieces.iter().map(|piece| &*piece.task)).await?;
        for piece in &pieces {
            let part = copy(shared, conn, piece).await?;
            copied.rows = copied.rows.saturating_add(part.rows);
            copied.bytes = copied.bytes.saturating_add(part.bytes);
            let stream = piece.task.stream;
            if let Some(rows) = shared.queue(|queue| queue.done(stream, part.rows)) {
                shared.feed.end(stream, Some(rows)).await?;
            }
        }
    }
}

async fn copy(shared: &Shared, conn: &mut Conn, piece: &Piece) -> Result<Copied> {
    let task = &*piece.task;
    let codec = conn.codec();
    let failed = |failure: Failure| failure.while_doing(Kind::Source, doing(&task.rows.table));
    conn.copy_out(&codec.encode(&piece.select())?).await.map_err(failed)?;
    let mut assembler =
        Assembler::new(codec.encode(&task.rows.copy_from())?, first_buffer(shared, piece.bytes_estimate));
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
    let taken = assembler.take(next).map_err(|failure| failure.while_doing(Kind::Source, doing(&task.rows.table)))?;
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
    Err(Error::new(Kind::Source, format!("{}: {why}", doing(&task.rows.table))))
}

pub(super) fn doing(name: &QualifiedName) -> String {
    format!("cannot read rows of {}", name.plain())
}
