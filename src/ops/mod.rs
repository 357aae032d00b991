//! What keeps watch over backups for years: composed from the floors below, asked by `cli` alone.

pub mod status;
