//! What keeps watch over backups for years: composed from the floors below, asked by `cli` alone.

pub mod alert;
pub mod dashboard;
pub mod doctor;
pub mod metrics;
pub mod schedule;
pub mod status;
#[cfg(test)]
mod year;
