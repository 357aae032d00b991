//! Rows back into tables: members are read, checked and inflated by threads and loaded by N connections.
//!
//! A member is one whole COPY statement, so any connection can load any member in any order. The first error
//! stops all of them and is the one that is returned.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::archive::{Archive, MemberEntry, ReadAt};
use crate::cancel::Cancel;
use crate::error::{Kind, Result, first_cause};
use crate::pg::connect::Server;
use crate::pg::copy_in;
use crate::pg::encoding::Codec;
use crate::pg::settings::{FLUSH, Purpose, for_loading};
use crate::pg::wire::Conn;
use crate::pipeline::{Block, Deal, Feed, FeedReceiver, feed, joined, unpack_dealt, unpack_members};
use crate::progress::Progress;

use super::workers::Source;

/// Raw bytes that wait between the inflating threads and the connections.
pub const QUEUE_BYTES: usize = 16 << 20;

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
        let settings = conn.execute(for_loading(self.jobs).as_bytes()).await;
        settings.map_err(|failure| failure.while_doing(Kind::Target, "cannot set up the session"))?;
        if let Some(encoding) = &self.encoding {
            let spoken = conn.speak(Codec::of_archive(encoding)?).await;
            spoken.map_err(|failure| failure.while_doing(Kind::Target, format!("cannot send text in {encoding}")))?;
        }
        Ok(conn)
    }
}

/// Makes durable what was committed without waiting for the disk: the commit of something that is written to the log
/// waits until the log is on disk up to there, whoever wrote it. A role that may not is told of.
pub async fn flush(conn: &mut Conn) -> Result<Option<String>> {
    const INSUFFICIENT_PRIVILEGE: &str = "42501";
    match conn.execute(FLUSH.as_bytes()).await {
        Ok(()) => Ok(None),
        Err(failure) if failure.code() == Some(INSUFFICIENT_PRIVILEGE) => Ok(Some(
            "the role may not call pg_logical_emit_message: the server writes the last rows to disk within a second, \
             and a crash before that would lose them"
                .to_owned(),
        )),
        Err(failure) => Err(failure.while_doing(Kind::Target, "cannot have the server write the rows to disk")),
    }
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

/// The same for several connections. Where reads must keep to an order, members go to whoever is free; else a table goes
/// to one connection, and frozen where that may be.
pub fn unpack_for_many<R: ReadAt + 'static>(
    archive: Arc<Archive<R>>,
    members: Vec<MemberEntry>,
    loading: &Loading,
    freezable: HashSet<Vec<u8>>,
) -> (Source, JoinHandle<Result<()>>) {
    if archive.source().wants_order() {
        let (receiver, unpacker) = unpack(archive, members, loading);
        return (Source::queue(receiver), unpacker);
    }
    let deal = Arc::new(Deal::new(members, loading.jobs, QUEUE_BYTES));
    let (dealt, cancel, threads) = (Arc::clone(&deal), loading.cancel.clone(), loading.threads);
    let unpacker = tokio::task::spawn_blocking(move || unpack_dealt(&archive, &dealt, threads, &cancel));
    (Source::Deal { deal, freezable: Arc::new(freezable) }, unpacker)
}

pub async fn both(unpacker: JoinHandle<Result<()>>, loaded: Result<u64>) -> Result<u64> {
    let unpacked = joined(unpacker.await);
    first_cause([unpacked.map(|()| 0), loaded]).map(|rows| rows.into_iter().sum())
}

pub async fn load_block(conn: &mut Conn, block: &Block, loading: &Loading) -> Result<u64> {
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
