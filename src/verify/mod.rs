//! Verifies stored backups.

pub mod outcome;
