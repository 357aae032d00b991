//! One binary for all integration tests: real servers, real files, real signals. Nothing here skips.

mod cmd;
mod util;

mod architecture;
mod archive_damage;
mod backup_filters;
mod bad_archives;
mod cli;
mod ddl_storm;
mod exactness;
mod format_golden;
mod fuzz_corpus;
mod hardening;
mod inspect;
mod own_server;
mod pg_capture;
mod pg_connect;
mod pg_copy;
mod pg_leaf;
mod pg_locks;
mod pg_queries;
mod salvage;
mod servers;
mod sqlite_live;
mod store_local;

mod e2e_foreign;
mod e2e_globals;
mod e2e_kill;
mod e2e_postgres;
mod e2e_sqlite;
mod e2e_stock_tools;
mod e2e_zstd;
mod program;
mod restore_fitting;
mod restore_globals;
mod restore_majors;
mod restore_parts;
mod restore_pipe;
mod restore_postgres;
mod restore_sqlite;
mod restore_statistics;
mod sample;
mod verify;
