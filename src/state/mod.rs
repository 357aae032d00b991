//! What a run leaves in the state folder: locks. Never in the tree of backups, and the folder is the caller's choice.

pub mod lock;

pub use lock::{RunLock, TreeKey};
