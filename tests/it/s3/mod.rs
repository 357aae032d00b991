//! Buckets of a real S3 server.

mod server;
mod store;
