//! The queue from producers to compressors, bounded in bytes.
//!
//! A block takes its share of the budget before it enters the queue and gives it back when its member is
//! written (when the [`Block`]'s permit is dropped). A block larger than the whole budget takes all of it, so it passes alone.
//! The end of a stream is a message: a producer that dies closes its channel without one, and the writer
//! refuses to finish an archive with a stream that has no end.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;

/// Blocks aim at this many raw bytes; one row larger than it is a block of its own.
pub const BLOCK_BYTES: usize = 1 << 20;

/// Raw bytes of all blocks between a producer and the writer.
pub const QUEUE_BYTES: usize = 24 << 20;

/// Where the rows stand in a block's bytes, and how many the producer counted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RowSpan {
    pub at: Range<usize>,
    pub count: u64,
}

/// A raw unit of work: whole statements or whole pages. One block becomes one member.
#[derive(Debug)]
pub struct Block {
    pub stream: StreamId,
    pub bytes: Vec<u8>,
    /// Present for table rows only.
    pub rows: Option<RowSpan>,
    /// The block's share of the byte budget; dropped when the member is written.
    pub permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub enum Feed {
    Block(Block),
    /// Nothing follows for this stream. `rows` is the server's own count where there is one.
    End {
        stream: StreamId,
        rows: Option<u64>,
    },
}

/// A bounded queue of `budget` raw bytes.
pub fn feed(budget: usize) -> (FeedSender, FeedReceiver) {
    let (sender, receiver) = mpsc::channel(1024);
    let budget = budget.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    (FeedSender { sender, budget: Arc::new(Semaphore::new(budget)), budget_bytes: budget }, FeedReceiver(receiver))
}

#[derive(Clone, Debug)]
pub struct FeedSender {
    sender: mpsc::Sender<Feed>,
    budget: Arc<Semaphore>,
    budget_bytes: usize,
}

impl FeedSender {
    /// Waits until the budget has room for the block, then queues it.
    pub async fn block(&self, stream: StreamId, bytes: Vec<u8>, rows: Option<RowSpan>) -> Result<()> {
        let share = bytes.len().clamp(1, self.budget_bytes) as u32;
        let permit = Arc::clone(&self.budget).acquire_many_owned(share).await.map_err(|_| closed())?;
        self.send(Feed::Block(Block { stream, bytes, rows, permit })).await
    }

    pub async fn end(&self, stream: StreamId, rows: Option<u64>) -> Result<()> {
        self.send(Feed::End { stream, rows }).await
    }

    async fn send(&self, message: Feed) -> Result<()> {
        self.sender.send(message).await.map_err(|_| closed())
    }
}

/// The far side of the queue; read by the compressor threads, which are not async.
#[derive(Debug)]
pub struct FeedReceiver(mpsc::Receiver<Feed>);

impl FeedReceiver {
    /// `None` when every producer is gone.
    pub fn blocking_recv(&mut self) -> Option<Feed> {
        self.0.blocking_recv()
    }

    pub async fn recv(&mut self) -> Option<Feed> {
        self.0.recv().await
    }
}

/// The writer is gone; its own error says why and is the one that is reported.
fn closed() -> Error {
    Error::new(Kind::Bug, "the writer of the archive stopped")
}
