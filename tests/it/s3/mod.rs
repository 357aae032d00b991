//! Buckets of a real S3 server.

mod copy;
mod faults;
mod lock;
mod no_files;
mod places;
mod program;
mod proxy;
mod recovery;
pub mod server;
mod store;
mod swapped;
mod tls;
