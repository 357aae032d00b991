//! PostgreSQL 13–18: reads a database under one exported snapshot, writes one again.

pub mod catalog;
pub mod database;
pub mod ddl;
pub mod encoding;
pub mod graph;
pub mod session;
pub mod version;
