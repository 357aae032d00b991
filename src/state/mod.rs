//! What runs leave in the state folder: locks, history, what verification and drills said. Never in the tree of
//! backups, and the folder is the caller's choice.

pub mod drills;
pub mod history;
pub mod journal;
pub mod lock;
pub mod verdicts;

pub use history::{History, Recording};
pub use lock::{RunLock, TreeKey};
pub use verdicts::{Verdicts, Verified};
