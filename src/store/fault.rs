//! Failing on purpose: a fuse that every system call of a local store passes.
//!
//! Tests loop `n` from 0 until nothing fails any more, and look at the tree after each round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sys::FuseState;

pub use super::sys::Fuse;

impl Fuse {
    /// Call number `n` (from 0) fails, the others do not: an error that the code must clean up after.
    pub fn fail_once(n: u64) -> Self {
        Fuse::with(n, false)
    }

    /// From call number `n` on everything fails: what is left is what a process killed there would leave.
    pub fn crash(n: u64) -> Self {
        Fuse::with(n, true)
    }

    /// Whether the fuse was reached at all.
    pub fn has_blown(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.calls.load(Ordering::SeqCst) > state.fails_at)
    }

    fn with(fails_at: u64, stays_blown: bool) -> Self {
        Fuse(Some(Arc::new(FuseState { calls: AtomicU64::new(0), fails_at, stays_blown })))
    }
}
