//! Rows of many tables into the feed, by several data connections that share one exported snapshot.
//!
//! Each table is locked without waiting and looked at again before it is read: a lock protects from now on, and a
//! TRUNCATE that came between the snapshot and the lock would let the table read as empty, without an error. Any
//! difference between the snapshot and now ends the run and names the table. Nothing is read that was not checked.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::ident::{QualifiedName, StreamId};
use crate::pipeline::FeedSender;

use super::connect::Server;

mod assemble;
#[cfg(any(test, feature = "testkit"))]
mod fuzz;
mod worker;

#[cfg(any(test, feature = "testkit"))]
pub use fuzz::fuzz_copy_framing;

/// One COPY: a whole table, or one range of it. Several tasks may belong to one stream.
#[derive(Clone, Debug)]
pub struct CopyTask {
    pub stream: StreamId,
    pub name: QualifiedName,
    pub oid: u32,
    /// `pg_class.relkind` in the snapshot.
    pub relkind: char,
    /// `pg_class.relfilenode` in the snapshot; `None` for what has no file.
    pub relfilenode: Option<u32>,
    /// `COPY … TO STDOUT`.
    pub select: String,
    /// `COPY … FROM stdin;` and a newline: what each block begins with.
    pub prefix: String,
    pub bytes_estimate: u64,
    /// Foreign tables cannot be locked.
    pub lock: bool,
}

/// Where the rows come from, and how.
#[derive(Clone, Debug)]
pub struct Source {
    /// The one server that holds the snapshot: [`Reached::server`](super::connect::Reached).
    pub server: Server,
    /// What `pg_export_snapshot()` returned.
    pub snapshot: String,
    pub connections: NonZeroUsize,
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
    let workers = source.connections.get().min(tasks.len());
    let shared = Arc::new(Shared {
        source: source.clone(),
        queue: Mutex::new(Queue::new(tasks)),
        feed: feed.clone(),
        stop: cancel.child(),
        oversize: Semaphore::new(1),
    });
    let mut running = JoinSet::new();
    for _ in 0..workers {
        running.spawn(worker::run(Arc::clone(&shared)));
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
}

impl Shared {
    fn queue<T>(&self, with: impl FnOnce(&mut Queue) -> T) -> T {
        with(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The tasks not begun yet, and what is missing of each stream.
struct Queue {
    tasks: VecDeque<CopyTask>,
    open: BTreeMap<StreamId, OpenStream>,
}

#[derive(Default)]
struct OpenStream {
    tasks_left: usize,
    rows: u64,
}

impl Queue {
    fn new(mut tasks: Vec<CopyTask>) -> Self {
        // A stable order: equal tables are read in the order of the script.
        tasks.sort_by_key(|task| std::cmp::Reverse(task.bytes_estimate));
        let mut open: BTreeMap<StreamId, OpenStream> = BTreeMap::new();
        for task in &tasks {
            let stream = open.entry(task.stream).or_default();
            stream.tasks_left = stream.tasks_left.saturating_add(1);
        }
        Queue { tasks: tasks.into(), open }
    }

    fn next(&mut self) -> Option<CopyTask> {
        self.tasks.pop_front()
    }

    /// One task is done; the rows of its stream when it was the last one.
    fn done(&mut self, stream: StreamId, rows: u64) -> Option<u64> {
        let open = self.open.get_mut(&stream)?;
        open.rows = open.rows.saturating_add(rows);
        open.tasks_left = open.tasks_left.saturating_sub(1);
        if open.tasks_left > 0 {
            return None;
        }
        self.open.remove(&stream).map(|closed| closed.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(stream: u32, bytes_estimate: u64) -> CopyTask {
        CopyTask {
            stream: StreamId(stream),
            name: QualifiedName::new("s", format!("t{stream}")),
            oid: 1,
            relkind: 'r',
            relfilenode: None,
            select: String::new(),
            prefix: String::new(),
            bytes_estimate,
            lock: true,
        }
    }

    #[test]
    fn the_largest_table_is_read_first() {
        let mut queue = Queue::new(vec![task(1, 5), task(2, 50), task(3, 5)]);
        let order: Vec<u32> = std::iter::from_fn(|| queue.next()).map(|task| task.stream.0).collect();
        assert_eq!(order, [2, 1, 3]);
    }

    #[test]
    fn a_stream_ends_once_with_the_rows_of_all_its_tasks() {
        let mut queue = Queue::new(vec![task(1, 5), task(2, 5), task(1, 5)]);
        assert_eq!(queue.done(StreamId(1), 10), None);
        assert_eq!(queue.done(StreamId(2), 0), Some(0));
        assert_eq!(queue.done(StreamId(1), 7), Some(17));
        assert_eq!(queue.done(StreamId(1), 7), None);
    }
}
