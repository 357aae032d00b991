//! Backs up, verifies and restores PostgreSQL and SQLite natively, in-process, streaming.
//!
//! Modules stand on numbered floors and import from lower floors only; `tests/it/architecture.rs` enforces it.
//! Data flows one way: source → blocks → members → archive → store. `docs/ARCHITECTURE.md` is the map.

// floor 0: ground
pub mod cancel;
pub mod checksum;
pub mod clock;
pub mod error;
pub mod ident;
pub mod progress;
pub mod read_at;
pub mod text;
pub mod units;

// floor 1: pure — no tokio, no files, no clock, no environment
pub mod archive;
pub mod manifest;
pub mod policy;
pub mod script;
pub mod seal;

// floor 2: queues and threads, bytes, local files
pub mod pipeline;
pub mod state;
pub mod store;

// floor 3: know databases, or know listings; never each other
pub mod listing;
pub mod pg;
pub mod sqlite;

// floor 4: what is to be done
pub mod job;

// floor 5: the only floor where sources, archive and store meet
pub mod backup;
pub mod copy;
pub mod inspect;
pub mod prune;
pub mod restore;
pub mod salvage;
pub mod verify;

// floor 6: what keeps watch over them
pub mod drill;
pub mod ops;

// floor 7: arguments, environment, clock, stdout
pub mod cli;
