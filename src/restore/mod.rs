//! Restores archives into databases and files.

pub mod outcome;
