//! Which tiers a successful run fills: always *daily*; *weekly* and *monthly* once a week and once a month.
//!
//! The week begins on Monday 00:00 and the month on the 1st at 00:00 in the zone of `now`. The first run on or
//! after that moment fills the tier, whatever day it is: a missed Monday must not lose the week. Everything is
//! compared as instants, so a changed zone or a repeated hour neither skips a period nor fills one twice.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use super::naming::Tier;

/// The tiers that a backup made at `now` belongs to. `existing` holds the backups of the same series only.
pub fn due(now: &Zoned, existing: &[(Tier, Timestamp)]) -> Vec<Tier> {
    Tier::ALL
        .into_iter()
        .filter(|&tier| match period(tier, now) {
            Some(period) => !existing.iter().any(|(other, at)| *other == tier && period.contains(*at)),
            None => true,
        })
        .collect()
}

/// From the first instant of a week or month up to the first instant of the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Period {
    pub from: Timestamp,
    /// Not part of the period. The far end of time if the calendar ends before the period does.
    pub until: Timestamp,
}

impl Period {
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// The period of `now` in which the tier is filled once; `None` for the tier of every run.
pub fn period(tier: Tier, now: &Zoned) -> Option<Period> {
    let today = now.date();
    let (first, next) = match tier {
        Tier::Daily => return None,
        Tier::Weekly => {
            let since_monday = i64::from(today.weekday().to_monday_zero_offset());
            (today.checked_sub(since_monday.days()), today.checked_add((7 - since_monday).days()))
        }
        Tier::Monthly => (Ok(today.first_of_month()), today.first_of_month().checked_add(1.month())),
    };
    let from = first.ok().and_then(|date| midnight(date, now.time_zone())).unwrap_or(Timestamp::MIN);
    let until = next.ok().and_then(|date| midnight(date, now.time_zone())).unwrap_or(Timestamp::MAX);
    Some(Period { from, until })
}

/// The first instant of a day: 01:00 where clocks skip midnight.
fn midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    let start = date.to_zoned(zone.clone()).ok()?;
    start.start_of_day().ok().map(|start| start.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Tier::{Daily, Monthly, Weekly};
    use proptest::prelude::*;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_run_fills_every_tier() {
        assert_eq!(due(&at("2025-11-26T03:00:00[UTC]"), &[]), [Daily, Weekly, Monthly]);
    }

    #[test]
    fn a_missed_monday_does_not_lose_the_week() {
        let existing = [(Weekly, instant("2025-11-17T03:00:00Z")), (Monthly, instant("2025-11-01T03:00:00Z"))];
        assert_eq!(due(&at("2025-11-23T23:59:59[UTC]"), &existing), [Daily]);
        assert_eq!(due(&at("2025-11-24T00:00:00[UTC]"), &existing), [Daily, Weekly]);
        assert_eq!(due(&at("2025-11-26T03:00:00[UTC]"), &existing), [Daily, Weekly]);
        assert_eq!(due(&at("2025-12-01T00:00:00[UTC]"), &existing), [Daily, Weekly, Monthly]);
    }

    #[test]
    fn a_daily_alone_fills_no_week() {
        let existing = [(Daily, instant("2025-11-24T03:00:00Z"))];
        assert_eq!(due(&at("2025-11-24T04:00:00[UTC]"), &existing), [Daily, Weekly, Monthly]);
    }

    #[test]
    fn the_zone_says_when_monday_is() {
        // Sunday 16:00 UTC is Monday 01:00 in Tokyo.
        let existing = [(Weekly, instant("2025-11-17T03:00:00Z")), (Monthly, instant("2025-11-01T03:00:00Z"))];
        let now = at("2025-11-23T16:00:00[UTC]");
        assert_eq!(due(&now, &existing), [Daily]);
        assert_eq!(due(&now.in_tz("Asia/Tokyo").unwrap(), &existing), [Daily, Weekly]);
    }

    #[test]
    fn a_day_without_midnight_begins_at_one() {
        // Sao Paulo's clocks went from 23:59:59 on Saturday to 01:00 on Sunday.
        let gap = at("2017-10-15T12:00:00[America/Sao_Paulo]");
        assert_eq!(midnight(gap.date(), gap.time_zone()), Some(instant("2017-10-15T01:00:00-02:00")));
    }

    #[test]
    fn a_backup_from_another_year_ahead_fills_nothing_now() {
        let existing = [(Weekly, instant("2031-01-01T00:00:00Z")), (Monthly, instant("2031-01-01T00:00:00Z"))];
        assert_eq!(due(&at("2025-11-26T03:00:00[UTC]"), &existing), [Daily, Weekly, Monthly]);
    }

    proptest! {
        #[test]
        fn once_each_and_never_lost(start in 0i64..4_000_000_000, steps in proptest::collection::vec(1i64..200_000, 1..120), zone in 0usize..5) {
            let zone = ["UTC", "Asia/Tokyo", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"][zone];
            let mut second = start;
            let mut made: Vec<(Tier, Timestamp)> = Vec::new();
            for step in steps {
                second += step;
                let now = Timestamp::from_second(second).unwrap().in_tz(zone).unwrap();
                let due = due(&now, &made);
                prop_assert_eq!(due[0], Daily);
                made.extend(due.iter().map(|tier| (*tier, now.timestamp())));
                for tier in [Weekly, Monthly] {
                    let period = period(tier, &now).unwrap();
                    prop_assert!(period.contains(now.timestamp()));
                    // Whoever ran in this period has exactly one of its tier.
                    prop_assert_eq!(made.iter().filter(|(t, at)| *t == tier && period.contains(*at)).count(), 1);
                }
            }
        }

        #[test]
        fn periods_touch_without_gap_or_overlap(second in 0i64..4_000_000_000, zone in 0usize..3) {
            let zone = ["UTC", "Europe/Berlin", "America/Sao_Paulo"][zone];
            let now = Timestamp::from_second(second).unwrap().in_tz(zone).unwrap();
            for tier in [Weekly, Monthly] {
                let here = period(tier, &now).unwrap();
                let next = period(tier, &here.until.in_tz(zone).unwrap()).unwrap();
                prop_assert_eq!(here.until, next.from);
            }
        }
    }
}
