//! Rows back into tables: members are read, checked and inflated by threads and loaded by N connections.
//!
//! A member is one whole COPY statement, so any connection can load any member in any order. The first error
//! stops all of them and is the one that is returned.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};

use crate::archive::{Archive, MemberEntry, ReadAt};
use crate::cancel::Cancel;
use crate::error::{Kind, Result, first_cause};
use crate::pg::connect::Server;
use crate::pg::copy_in;
use crate::pg::encoding::Codec;
use crate::pg::settings::Purpose;
use crate::pg::wire::Conn;
use crate::pipeline::{Block, Feed, FeedReceiver, FeedSender, feed, joined, unpack_members};
use crate::progress::Progress;

/// Raw bytes that wait between the inflating threads and the connections.
const QUEUE_BYTES: usize = 16 << 20;

/// How many connections load, how many threads inflate, and who may stop them.
#[derive(Clone)]
pub struct Loading {
    pub server: Server,
    pub jobs: usize,
    pub threads: usize,
    pub cancel: Cancel,
    pub progress: Progress,
    /// How long a lock on a table that others use is waited for.
    pub lock_timeout: Duration,
    /// The encoding of the archive's script and rows; None is UTF8.
    pub encoding: Option<String>,
}

impl Loading {
    /// A data connection that takes the archive's bytes as they are.
    pub async fn connect(&self) -> Result<Conn> {
        let mut conn = Conn::open(&self.server, Purpose::Write).await?;
        if let Some(encoding) = &self.encoding {
            let spoken = conn.speak(Codec::of_archive(encoding)?).await;
            spoken.map_err(|failure| failure.while_doing(Kind::Target, format!("cannot send text in {encoding}")))?;
        }
        Ok(conn)
    }
}

/// Loads the given members of an archive file, in about the given order. Returns the rows loaded.
pub async fn load<R: ReadAt + 'static>(
    archive: Arc<Archive<R>>,
    members: Vec<MemberEntry>,
    loading: &Loading,
) -> Result<u64> {
    if members.is_empty() {
        return Ok(0);
    }
    let (receiver, unpacker) = unpack(archive, members, loading);
    let loaded = load_queue(receiver, loading).await;
    both(unpacker, loaded).await
}

/// Loads the given members through one connection, inside of whatever transaction it is in.
pub async fn load_through<R: ReadAt + 'static>(
    conn: &mut Conn,
    archive: Arc<Archive<R>>,
    members: Vec<MemberEntry>,
    loading: &Loading,
) -> Result<u64> {
    let (mut receiver, unpacker) = unpack(archive, members, loading);
    let filling = async {
        let mut rows = 0;
        while let Some(message) = receiver.recv().await {
            if let Feed::Block(block) = message {
                rows += load_block(conn, &block, loading).await?;
            }
        }
        Ok(rows)
    };
    let loaded = loading.cancel.guard(filling).await;
    if loaded.is_err() {
        loading.cancel.cancel();
    }
    drop(receiver);
    both(unpacker, loaded).await
}

/// The threads that read, check and inflate members, and the queue that they fill.
fn unpack<R: ReadAt + 'static>(
    archive: Arc<Archive<R>>,
    members: Vec<MemberEntry>,
    loading: &Loading,
) -> (FeedReceiver, JoinHandle<Result<()>>) {
    let (sender, receiver) = feed(QUEUE_BYTES);
    let (cancel, threads, runtime) = (loading.cancel.clone(), loading.threads, Handle::current());
    let unpacker =
        tokio::task::spawn_blocking(move || unpack_members(&archive, &members, threads, &sender, &runtime, &cancel));
    (receiver, unpacker)
}

async fn both(unpacker: JoinHandle<Result<()>>, loaded: Result<u64>) -> Result<u64> {
    let unpacked = joined(unpacker.await);
    first_cause([unpacked.map(|()| 0), loaded]).map(|rows| rows.into_iter().sum())
}

/// A queue for members that come from somewhere else, such as a pipe, and the task that loads them.
pub fn load_from_queue(loading: &Loading) -> (FeedSender, JoinHandle<Result<u64>>) {
    let (sender, receiver) = feed(QUEUE_BYTES);
    let loading = loading.clone();
    (sender, tokio::spawn(async move { load_queue(receiver, &loading).await }))
}

/// N connections empty the queue; ends when every sender is gone.
async fn load_queue(receiver: FeedReceiver, loading: &Loading) -> Result<u64> {
    let receiver = Arc::new(Mutex::new(receiver));
    let mut workers = JoinSet::new();
    for _ in 0..loading.jobs.max(1) {
        let (receiver, loading) = (Arc::clone(&receiver), loading.clone());
        workers.spawn(async move {
            let outcome = loading.cancel.guard(load_some(&receiver, &loading)).await;
            if outcome.is_err() {
                loading.cancel.cancel();
            }
            outcome
        });
    }
    drop(receiver);
    let mut outcomes = Vec::new();
    while let Some(outcome) = workers.join_next().await {
        outcomes.push(joined(outcome));
    }
    first_cause(outcomes).map(|rows| rows.into_iter().sum())
}

/// One connection: connects at the first member, so that few members need few connections.
async fn load_some(receiver: &Mutex<FeedReceiver>, loading: &Loading) -> Result<u64> {
    let mut worker = None;
    let mut rows = 0;
    loop {
        let Some(message) = receiver.lock().await.recv().await else { break };
        let Feed::Block(block) = message else { continue };
        let conn = match &mut worker {
            Some(conn) => conn,
            None => worker.insert(loading.connect().await?),
        };
        rows += load_block(conn, &block, loading).await?;
    }
    if let Some(conn) = worker {
        conn.close().await;
    }
    Ok(rows)
}

async fn load_block(conn: &mut Conn, block: &Block, loading: &Loading) -> Result<u64> {
    let count = block.rows.as_ref().map_or(0, |span| span.count);
    copy_in::load(conn, &block.bytes, count, &loading.cancel).await?;
    loading.progress.add_raw(block.bytes.len() as u64, count);
    Ok(count)
}

/// The table of a member's COPY statement, as it is written there.
pub fn copied_table(member: &[u8]) -> &[u8] {
    let rest = member.strip_prefix(b"COPY ").unwrap_or_default();
    let mut quoted = false;
    let end = rest.iter().position(|byte| {
        quoted ^= *byte == b'"';
        *byte == b' ' && !quoted
    });
    rest.get(..end.unwrap_or(0)).unwrap_or_default()
}
