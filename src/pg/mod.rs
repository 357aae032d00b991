//! PostgreSQL 13–18: reads a database under one exported snapshot, writes one again.

mod auth;
pub mod capture;
pub mod catalog;
pub mod connect;
pub mod copy_in;
pub mod copy_out;
pub mod database;
pub mod ddl;
pub mod encoding;
pub mod fault;
pub mod filter;
pub mod globals;
pub mod graph;
pub mod new_roles;
pub mod params;
pub mod pgpass;
pub mod piece;
pub mod properties;
pub mod role;
pub mod script;
pub mod selection;
pub mod server;
pub mod session;
pub mod settings;
pub mod statements;
pub mod stream;
mod tls;
pub mod translate;
pub mod unfit;
mod url;
pub mod version;
pub mod wire;

#[cfg(any(test, feature = "testkit"))]
pub use url::fuzz_url;
