//! An instant with the offset at which it was written down: RFC 3339, as `.meta` has it.
//!
//! Ordered by instant alone. The offset is kept so that a file read and written again says the same.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Clone, Copy, Debug)]
pub struct Moment {
    instant: Timestamp,
    offset: Offset,
}

impl Moment {
    pub fn instant(self) -> Timestamp {
        self.instant
    }

    pub fn offset(self) -> Offset {
        self.offset
    }

    /// The same instant as people wrote it down then.
    pub fn zoned(self) -> Zoned {
        self.instant.to_zoned(TimeZone::fixed(self.offset))
    }
}

impl From<&Zoned> for Moment {
    /// Offsets with seconds (before 1972, or invented) are rounded: RFC 3339 has only minutes.
    fn from(at: &Zoned) -> Self {
        Moment { instant: at.timestamp(), offset: whole_minutes(at.offset()) }
    }
}

impl From<Timestamp> for Moment {
    fn from(instant: Timestamp) -> Self {
        Moment { instant, offset: Offset::UTC }
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.instant == other.instant
    }
}
impl Eq for Moment {}
impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Moment {
    fn cmp(&self, other: &Self) -> Ordering {
        self.instant.cmp(&other.instant)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.instant.display_with_offset(self.offset))
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a time as in 2025-11-29T03:00:00+09:00");
        let pieces = Pieces::parse(text).map_err(|_| wrong())?;
        let offset = pieces.to_numeric_offset().ok_or_else(wrong)?;
        let time = pieces.time().ok_or_else(wrong)?;
        let instant = offset.to_timestamp(pieces.date().to_datetime(time)).map_err(|_| wrong())?;
        Ok(Moment { instant, offset: whole_minutes(offset) })
    }
}

/// What can be written down again without moving the instant.
fn whole_minutes(offset: Offset) -> Offset {
    let minutes = offset.seconds().div_euclid(60);
    Offset::from_seconds(minutes.saturating_mul(60)).unwrap_or(Offset::UTC)
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_survives_and_the_instant_orders() {
        let tokyo: Moment = "2025-11-29T03:00:00+09:00".parse().unwrap();
        assert_eq!(tokyo.to_string(), "2025-11-29T03:00:00+09:00");
        let utc: Moment = "2025-11-28T18:00:00+00:00".parse().unwrap();
        assert_eq!(utc.to_string(), "2025-11-28T18:00:00+00:00");
        assert_eq!(tokyo, utc);
        let zoned: Zoned = "2025-10-26T02:30:00.5+01:00[Europe/Berlin]".parse().unwrap();
        assert_eq!(Moment::from(&zoned).to_string(), "2025-10-26T02:30:00.5+01:00");
    }

    #[test]
    fn an_offset_with_seconds_does_not_move_the_instant() {
        let odd: Moment = "1960-01-01T00:00:00+09:18:59".parse().unwrap();
        assert_eq!(odd.to_string(), "1959-12-31T23:59:01+09:18");
        assert_eq!(odd.to_string().parse::<Moment>().unwrap(), odd);
    }

    #[test]
    fn a_time_without_an_offset_is_refused() {
        for text in ["2025-11-29T03:00:00", "2025-11-29", "", "yesterday", "9999-12-31T23:59:59-25:00"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        assert!("2025-11-29T03:00:00Z".parse::<Moment>().is_ok());
        assert!("2025-11-29T03:00:00+0900".parse::<Moment>().is_ok());
    }
}
