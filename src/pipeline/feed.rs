//! The queue from producers to compressors, bounded in bytes.
//!
//! A block takes its share of the budget before it enters the queue and gives it back when its member is
//! written (when the [`Block`]'s permit is dropped). A block larger than the whole budget takes all of it, so it passes alone.
//! The end of a stream is a message: a producer that dies closes its channel without one, and the writer
//! refuses to finish an archive with a stream that has no end.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;

use super::desk::{Desk, Gone};

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
    let budget_bytes = budget.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let (spare, desk) = (Spare::of_blocks(), Arc::<Desk>::default());
    let receiver = FeedReceiver { receiver, spare: spare.clone(), desk: Arc::downgrade(&desk) };
    let budget = Arc::new(Semaphore::new(budget_bytes));
    (FeedSender { sender, budget, budget_bytes, spare, desk }, receiver)
}

#[derive(Clone, Debug)]
pub struct FeedSender {
    sender: mpsc::Sender<Feed>,
    budget: Arc<Semaphore>,
    budget_bytes: usize,
    spare: Spare,
    desk: Arc<Desk>,
}

impl FeedSender {
    /// An empty buffer for the next block; one that a packed block left behind where there is one.
    pub fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.spare.take();
        buffer.clear();
        buffer
    }

    /// As `buffer`, with what it held before: for who writes over it, so that it is not zeroed for that.
    pub fn used_buffer(&self) -> Vec<u8> {
        self.spare.take()
    }

    /// Waits until the budget has room for the block, then queues it.
    pub async fn block(&self, stream: StreamId, bytes: Vec<u8>, rows: Option<RowSpan>) -> Result<()> {
        let block = self.admit(stream, bytes, rows).await?;
        self.send(Feed::Block(block)).await
    }

    /// As `block`, for one of `producers` that each have a thread of their own, which may be busy for long: if they are as
    /// many as the packers, the producer packs the block itself, while it is near its processor.
    pub async fn block_of_many(
        &self,
        producers: usize,
        stream: StreamId,
        bytes: Vec<u8>,
        rows: Option<RowSpan>,
    ) -> Result<()> {
        let block = self.admit(stream, bytes, rows).await?;
        match self.desk.take(producers) {
            Some(seat) => seat.pack(block, &self.spare).map_err(|Gone| closed()),
            None => self.send(Feed::Block(block)).await,
        }
    }

    async fn admit(&self, stream: StreamId, bytes: Vec<u8>, rows: Option<RowSpan>) -> Result<Block> {
        let share = bytes.len().clamp(1, self.budget_bytes) as u32;
        let bytes = self.spare.fitted(bytes);
        let permit = Arc::clone(&self.budget).acquire_many_owned(share).await.map_err(|_| closed())?;
        Ok(Block { stream, bytes, rows, permit })
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
pub struct FeedReceiver {
    receiver: mpsc::Receiver<Feed>,
    spare: Spare,
    desk: Weak<Desk>,
}

impl FeedReceiver {
    /// `None` when every producer is gone.
    pub fn blocking_recv(&mut self) -> Option<Feed> {
        self.receiver.blocking_recv()
    }

    pub async fn recv(&mut self) -> Option<Feed> {
        self.receiver.recv().await
    }

    /// Where producers pack themselves; `None` when all are gone.
    pub(super) fn desk(&self) -> Option<Arc<Desk>> {
        self.desk.upgrade()
    }

    /// Where buffers of finished blocks go.
    pub fn spare(&self) -> Spare {
        self.spare.clone()
    }
}

/// Buffers that go round, so that a block costs no allocation: raw ones between producers and packers, packed ones between
/// packers and the writer.
#[derive(Clone, Debug)]
pub struct Spare {
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Capacity of a new one.
    fresh: usize,
}

impl Spare {
    /// More than this many wait for nobody.
    const KEPT: usize = 16;

    pub(super) fn of_blocks() -> Self {
        Spare { kept: Arc::default(), fresh: BLOCK_BYTES + BLOCK_BYTES / 16 }
    }

    /// A new one takes the size that its first contents need.
    pub fn of_members() -> Self {
        Spare { kept: Arc::default(), fresh: 0 }
    }

    /// With whatever it held before.
    pub fn take(&self) -> Vec<u8> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Vec::with_capacity(self.fresh))
    }

    /// The bytes in a buffer that is not much larger than they are. Queues are bounded by what blocks hold: thousands of
    /// small tables, each in a buffer of a whole block, would take many times what they are counted for.
    pub(super) fn fitted(&self, bytes: Vec<u8>) -> Vec<u8> {
        if bytes.len() > bytes.capacity() / 4 {
            return bytes;
        }
        let fitted = bytes.as_slice().to_vec();
        self.give(bytes);
        fitted
    }

    /// Keeps the buffer for the next block. One that grew for a huge row is freed, and so is one that would have to grow.
    pub fn give(&self, buffer: Vec<u8>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = self.fresh.min(BLOCK_BYTES)..=2 * BLOCK_BYTES;
        if kept.len() < Self::KEPT && fits.contains(&buffer.capacity()) {
            kept.push(buffer);
        }
    }
}

/// The writer is gone; its own error says why and is the one that is reported.
fn closed() -> Error {
    Error::new(Kind::Stopped, "the other end of the queue stopped")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn the_queue_is_bounded_in_bytes_and_a_huge_block_passes_alone() {
        let (sender, mut receiver) = feed(100);
        sender.block(StreamId(0), vec![0; 60], None).await.unwrap();
        let second = sender.clone();
        let waiting = tokio::spawn(async move { second.block(StreamId(0), vec![0; 1000], None).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished(), "a block larger than the budget must wait until it is alone");
        let first = receiver.recv().await.unwrap();
        drop(first);
        waiting.await.unwrap().unwrap();
        assert!(matches!(receiver.recv().await, Some(Feed::Block(block)) if block.bytes.len() == 1000));
    }

    #[tokio::test]
    async fn a_small_block_leaves_its_large_buffer_to_the_next_one() {
        let (sender, mut receiver) = feed(QUEUE_BYTES);
        let mut bytes = sender.buffer();
        let large = bytes.as_ptr();
        bytes.extend_from_slice(b"COPY");
        sender.block(StreamId(0), bytes, None).await.unwrap();
        let Some(Feed::Block(block)) = receiver.recv().await else { panic!("a block was sent") };
        assert_eq!((block.bytes.as_slice(), block.bytes.capacity() < 100), (&b"COPY"[..], true));
        let next = sender.buffer();
        assert_eq!(next.as_ptr(), large);
    }

    #[tokio::test]
    async fn a_producer_learns_that_the_writer_is_gone() {
        let (sender, receiver) = feed(100);
        drop(receiver);
        assert!(sender.end(StreamId(0), None).await.is_err());
    }
}
