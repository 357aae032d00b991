//! When a backup is due, and when it is overdue.

use jiff::civil::Time;
use jiff::{SignedDuration, ToSpan, Zoned};

use super::naming::Tier;

/// The most that may be lost by each tier: a day, a week, a month.
pub const fn recovery_point(tier: Tier) -> SignedDuration {
    match tier {
        Tier::Daily => SignedDuration::from_hours(24),
        Tier::Weekly => SignedDuration::from_hours(7 * 24),
        Tier::Monthly => SignedDuration::from_hours(31 * 24),
    }
}

/// With room for a run that takes its time: a twelfth more, which is two hours for a daily.
pub fn is_overdue(tier: Tier, age: SignedDuration) -> bool {
    let limit = recovery_point(tier);
    age > limit.saturating_add(limit / 12)
}

/// The next instant at which clocks show this time of day; the first of two where an hour repeats, the first after the
/// gap where it is skipped.
pub fn next_run(at: Time, now: &Zoned) -> Option<Zoned> {
    let on = |days: i64| {
        let date = now.date().checked_add(days.days()).ok()?;
        date.to_datetime(at).to_zoned(now.time_zone().clone()).ok()
    };
    [0, 1].into_iter().filter_map(on).find(|next| next > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hours_late_is_not_yet_overdue() {
        assert!(!is_overdue(Tier::Daily, SignedDuration::from_hours(26)));
        assert!(is_overdue(Tier::Daily, SignedDuration::from_secs(26 * 3600 + 1)));
        assert!(!is_overdue(Tier::Weekly, SignedDuration::from_hours(7 * 24 + 13)));
        assert!(is_overdue(Tier::Monthly, SignedDuration::from_hours(34 * 24)));
    }

    #[test]
    fn the_next_run_is_today_or_tomorrow_by_the_wall_clock() {
        let next = |now: &str| next_run(Time::constant(2, 30, 0, 0), &now.parse().unwrap()).unwrap().to_string();
        assert_eq!(next("2026-03-01T02:29:59+01:00[Europe/Berlin]"), "2026-03-01T02:30:00+01:00[Europe/Berlin]");
        assert_eq!(next("2026-03-01T02:30:00+01:00[Europe/Berlin]"), "2026-03-02T02:30:00+01:00[Europe/Berlin]");
        assert_eq!(next("2026-03-29T00:00:00+01:00[Europe/Berlin]"), "2026-03-29T03:30:00+02:00[Europe/Berlin]");
        assert_eq!(next("2026-10-25T00:00:00+02:00[Europe/Berlin]"), "2026-10-25T02:30:00+02:00[Europe/Berlin]");
    }
}
