//! What runs leave in the state folder: locks and what verification said. Never in the tree of backups, and the
//! folder is the caller's choice.

pub mod journal;
pub mod lock;
pub mod verdicts;

pub use lock::{RunLock, TreeKey};
pub use verdicts::{Verdicts, Verified};
