//! Failing on purpose: a fuse that every system call of a local store passes.
//!
//! Tests loop `n` from 0 until nothing fails any more, and look at the tree after each round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use super::sys::FuseState;

pub use super::sys::Fuse;

impl Fuse {
    /// Call number `n` (from 0) fails, the others do not: an error that the code must clean up after.
    pub fn fail_once(n: u64) -> Self {
        Fuse::with(FuseState { fails_at: n, ..healthy() })
    }

    /// From call number `n` on everything fails: what is left is what a process killed there would leave.
    pub fn crash(n: u64) -> Self {
        Fuse::with(FuseState { fails_at: n, stays_blown: true, ..healthy() })
    }

    /// Call number `n` finds the disk full.
    pub fn full(n: u64) -> Self {
        Fuse::with(FuseState { fails_at: n, errno: Errno::NOSPC, ..healthy() })
    }

    /// Nothing fails, and there are no hard links.
    pub fn without_links() -> Self {
        Fuse::with(FuseState { refuses_links: true, ..healthy() })
    }

    /// Whether the fuse was reached at all.
    pub fn has_blown(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.calls.load(Ordering::SeqCst) > state.fails_at)
    }

    fn with(state: FuseState) -> Self {
        Fuse(Some(Arc::new(state)))
    }
}

fn healthy() -> FuseState {
    FuseState {
        calls: AtomicU64::new(0),
        fails_at: u64::MAX,
        stays_blown: false,
        errno: Errno::IO,
        refuses_links: false,
    }
}
