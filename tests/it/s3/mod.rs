//! Buckets of a real S3 server.

mod copy;
mod faults;
mod lock;
mod program;
mod proxy;
pub mod server;
mod store;
mod tls;
