//! Blocks in, members out: a bounded queue, a fixed pool of threads, one writer that owns the offset.
//!
//! ```text
//! pg::copy_out ┐        ┌ packer thread ┐
//! SQLite pages ┼ Block ►┤ (one a core)  ├► Packed ► calling thread ► archive::Writer
//! pg script    ┘        └               ┘
//! ```
//! Data flows one way; what comes back is the first error. Members are written in the order in which their
//! blocks entered the queue, whatever thread packed them. On the way back `unpack` fills the same kind of
//! queue with checked members.

pub mod feed;
mod pack;
mod unpack;

#[cfg(test)]
mod tests;

pub use feed::{BLOCK_BYTES, Block, Feed, FeedReceiver, FeedSender, QUEUE_BYTES, RowSpan, feed};
pub use pack::pack_into;
pub use unpack::unpack_members;
