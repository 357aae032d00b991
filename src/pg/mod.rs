//! PostgreSQL 13–18: reads a database under one exported snapshot, writes one again.

mod auth;
pub mod connect;
pub mod copy_in;
pub mod copy_out;
pub mod fault;
pub mod params;
pub mod pgpass;
pub mod server;
pub mod settings;
pub mod stream;
mod tls;
mod url;
pub mod wire;
