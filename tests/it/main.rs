//! One binary for all integration tests: real servers, real files, real signals. Nothing here skips.

mod cmd;
mod util;

mod architecture;
mod own_server;
mod archive_damage;
mod bad_archives;
mod cli;
mod format_golden;
mod pg_capture;
mod pg_leaf;
mod pg_connect;
mod pg_copy;
mod servers;
mod sqlite_live;
mod store_local;
mod verify;
