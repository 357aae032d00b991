//! One binary for all integration tests: real servers, real files, real signals. Nothing here skips.

mod util;

mod architecture;
mod archive_damage;
mod bad_archives;
mod format_golden;
mod pg_capture;
mod servers;
mod sqlite_live;
mod store_local;
mod verify;
