//! Timers that start the runs: units of systemd, or lines of a crontab.
//!
//! [`plan`] decides what is run and when; [`systemd`] and [`cron`] turn it into text without touching anything;
//! [`trial`] starts copies of the units that do nothing; [`install`] writes it. Watching is a timer of its own: it speaks up even if the one that backs up has died.

pub mod cron;
pub mod install;
pub mod plan;
pub mod systemd;
pub mod trial;

pub use install::{Installed, Method};
pub use plan::{Job, Plan};
