//! Rows of many tables into the feed, by several data connections that share one exported snapshot.
//!
//! Each table is locked without waiting and looked at again before it is read: a lock protects from now on, and a
//! TRUNCATE that came between the snapshot and the lock would let the table read as empty, without an error. Any
//! difference between the snapshot and now ends the run and names the table. Nothing is read that was not checked, by
//! the connection that reads it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;
use crate::pipeline::FeedSender;

use super::connect::Server;
use super::wire::pace::Limit;

mod assemble;
#[cfg(any(test, feature = "testkit"))]
mod fuzz;
mod queue;
mod range;
mod rows;
mod secure;
mod worker;

#[cfg(any(test, feature = "testkit"))]
pub use fuzz::fuzz_copy_framing;
pub use queue::RANGE_BYTES_MIN;
pub use rows::Rows;

use queue::Queue;

/// The rows of one table, or some of them. Several tasks may belong to one stream.
#[derive(Clone, Debug)]
pub struct CopyTask {
    pub stream: StreamId,
    pub rows: Rows,
    pub oid: u32,
    /// `pg_class.relkind` in the snapshot.
    pub relkind: char,
    /// `pg_class.relfilenode` in the snapshot; `None` for what has no file.
    pub relfilenode: Option<u32>,
    /// On the server's disk, TOAST included.
    pub bytes_estimate: u64,
}

/// Where the rows come from, and how.
#[derive(Clone, Debug)]
pub struct Source {
    /// The one server that holds the snapshot: [`Reached::server`](super::connect::Reached).
    pub server: Server,
    /// What `pg_export_snapshot()` returned.
    pub snapshot: String,
    pub connections: NonZeroUsize,
    /// For all of them together.
    pub limit: Option<Arc<Limit>>,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Copied {
    pub rows: u64,
    /// Raw bytes of all blocks.
    pub bytes: u64,
}

/// Copies every task's rows into `feed`, largest first, and ends each stream with the server's count.
pub async fn run(source: &Source, tasks: Vec<CopyTask>, feed: &FeedSender, cancel: &Cancel) -> Result<Copied> {
    let queue = Queue::new(tasks, source.connections);
    let workers = queue.connections();
    let shared = Arc::new(Shared {
        source: source.clone(),
        queue: Mutex::new(queue),
        feed: feed.clone(),
        stop: cancel.child(),
        oversize: Semaphore::new(1),
        reading: AtomicUsize::new(workers),
    });
    // Threads are not stopped by dropping what waits for them.
    let _stopping = shared.stop.clone().drop_guard();
    let mut running = JoinSet::new();
    for _ in 0..workers {
        let shared = Arc::clone(&shared);
        running.spawn_blocking(move || {
            let copied = worker::run(&shared);
            shared.reading.fetch_sub(1, Ordering::SeqCst);
            copied
        });
    }
    let mut first_error = None;
    let mut copied = Copied::default();
    while let Some(ended) = running.join_next().await {
        let ended = ended.unwrap_or_else(|panic| Err(Error::new(Kind::Bug, "a COPY worker failed").because(panic)));
        match ended {
            Ok(part) => {
                copied.rows = copied.rows.saturating_add(part.rows);
                copied.bytes = copied.bytes.saturating_add(part.bytes);
            }
            Err(error) => {
                shared.stop.cancel();
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        None => Ok(copied),
        // Whoever cancelled from outside knows why; a worker that was stopped in mid-row does not.
        Some(_) if cancel.is_cancelled() => Err(cancel.error()),
        Some(error) => Err(error),
    }
}

struct Shared {
    source: Source,
    queue: Mutex<Queue>,
    feed: FeedSender,
    stop: Cancel,
    /// One row larger than a block is held at a time, whatever the number of connections.
    oversize: Semaphore,
    /// Connections that are not done.
    reading: AtomicUsize,
}

impl Shared {
    fn queue<T>(&self, with: impl FnOnce(&mut Queue) -> T) -> T {
        with(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
