//! What runs leave in the state folder: locks, history, what verification and drills said, what was told. Never in the tree of
//! backups, and the folder is the caller's choice.

pub mod alerts;
pub mod drills;
pub mod history;
pub mod journal;
pub mod lock;
pub mod tiers;
pub mod verdicts;

pub use history::{History, Recording};
pub use lock::{RunLock, TreeKey};
pub use verdicts::{Verdicts, Verified};
