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

mod e2e_foreign;
mod e2e_kill;
mod e2e_postgres;
mod e2e_sqlite;
mod e2e_stock_tools;
mod program;
mod sample;
