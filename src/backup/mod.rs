//! Makes backups: one archive a source, published only when it is whole.

pub mod outcome;
