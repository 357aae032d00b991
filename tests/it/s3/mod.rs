//! Buckets of a real S3 server.

mod faults;
mod program;
mod proxy;
mod server;
mod store;
