//! The status as a page for people who would rather look than read: one file, no script, nothing from any network.

mod chart;
mod page;
pub mod serve;

pub use page::page;
