//! cli
mod args;
mod config;
mod resolve;
