//! Blocks in, members out: a bounded queue, a fixed pool of compressor threads, one writer that owns the offset.
//!
//! ```text
//! pg::copy_out ┐        ┌ compress thread ┐
//! sqlite::copy ┼ Block ►┤ (one a core)    ├► Packed ► writer thread ► archive ► store::Upload
//! pg script    ┘        └                 ┘
//! ```
//! Data flows one way; what comes back is the first error. Members are written in the order in which their
//! blocks entered the queue, whatever thread packed them.

pub mod feed;

pub use feed::{Block, Feed, FeedReceiver, FeedSender, RowSpan, feed};
