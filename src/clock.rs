//! Time is handed in. Only `cli` reads the system's clock; everything below asks the [`Clock`] it was given.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The current instant and the zone in which days, weeks, months and file names are reckoned.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    zone: TimeZone,
}

impl Clock {
    pub fn new(zone: TimeZone, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Clock { now: Arc::new(now), zone }
    }

    /// A clock that stands still, for tests and simulations.
    pub fn fixed(at: Zoned) -> Self {
        let (now, zone) = (at.timestamp(), at.time_zone().clone());
        Clock::new(zone, move || now)
    }

    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    pub fn zoned(&self) -> Zoned {
        self.now().to_zoned(self.zone.clone())
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}
