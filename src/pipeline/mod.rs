//! Blocks in, members out: a bounded queue, a fixed pool of threads, one writer that owns the offset.
//!
//! ```text
//! pg::copy_out ┐        ┌ packer thread ┐
//! SQLite pages ┼ Block ►┤ (one a core)  ├► Packed ► calling thread ► archive::Writer
//! pg script    ┘        └               ┘
//! ```
//! Data flows one way; what comes back is the first error. Members are written in the order in which their
//! blocks entered the queue, whatever thread packed them. On the way back `unpack` fills the same kind of
//! queue with checked members, or `deal` gives a table's members to one taker.

use tokio::task::JoinError;

use crate::error::{Error, Kind, Result};

pub mod deal;
mod desk;
pub mod feed;
mod pack;
mod unpack;

#[cfg(test)]
mod tests;

pub use deal::{Deal, Dealt, Lot, Share, unpack_dealt};
pub use feed::{BLOCK_BYTES, Block, Feed, FeedReceiver, FeedSender, QUEUE_BYTES, RowSpan, Spare, feed};
pub use pack::pack_into;
pub use unpack::unpack_members;

/// What a task or thread of ours came to. A panic in it is a bug of ours: it is reported, not swallowed.
pub fn joined<T>(outcome: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    outcome.unwrap_or_else(|panic| Err(Error::new(Kind::Bug, "a worker of ours panicked").because(panic)))
}
