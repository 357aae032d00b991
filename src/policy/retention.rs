//! Which backups may go, and why each of the others stays.
//!
//! A series is everything that was made of one source; the caller says what makes two backups one series. In each
//! tier a backup is kept for so many calendar days in the zone of `now`, the day it was made included. Four things
//! stand above the days: the last good backup of a series is never removed; nothing of a series is removed while its
//! newest backup is known to be bad; the newest `keep_last` good ones stay; and what is dated in the future neither
//! counts nor goes.

use std::collections::BTreeMap;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;

use super::naming::Tier;

/// Calendar days for which a backup is kept in each tier, and how many are kept whatever their age.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Retention {
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    /// The newest good backups of a series that stay in each of their tiers.
    pub keep_last: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { daily: 7, weekly: 28, monthly: 180, keep_last: 1 }
    }
}

impl Retention {
    pub const fn days(&self, tier: Tier) -> u32 {
        match tier {
            Tier::Daily => self.daily,
            Tier::Weekly => self.weekly,
            Tier::Monthly => self.monthly,
        }
    }
}

/// What is known of one name in one tier.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate<S> {
    pub series: S,
    pub tier: Tier,
    pub at: Timestamp,
    pub health: Health,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// Complete, and nothing is known against it.
    Good,
    /// Damaged, or it failed its last verification.
    Bad,
    /// What is left of one: an archive without `.meta`, or a `.meta` without archive. Never counts as a backup.
    Remnant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Keep(Keep),
    Remove(Remove),
}

impl Verdict {
    pub const fn is_removal(self) -> bool {
        matches!(self, Verdict::Remove(_))
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keep {
    /// Days since it was made, of as many as it is kept.
    Recent {
        age: u32,
        days: u32,
    },
    LastGood,
    AmongLast {
        count: u32,
    },
    /// The newest backup of the series is bad: all older ones may be needed.
    NewestIsBad,
    NoneIsGood,
    FromTheFuture,
    /// A remnant without a later good backup.
    NothingBetter,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remove {
    /// Days since it was made, more than it is kept.
    Expired {
        age: u32,
        days: u32,
    },
    Remnant {
        age: u32,
        days: u32,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Verdict::Keep(Keep::Recent { age, days }) => write!(f, "day {} of {days}", age.saturating_add(1)),
            Verdict::Keep(Keep::LastGood) => f.write_str("the last good backup is never removed"),
            Verdict::Keep(Keep::AmongLast { count }) => write!(f, "among the newest {count}, which are kept"),
            Verdict::Keep(Keep::NewestIsBad) => {
                f.write_str("the newest backup is bad: nothing of its series is removed")
            }
            Verdict::Keep(Keep::NoneIsGood) => f.write_str("no backup of its series is good"),
            Verdict::Keep(Keep::FromTheFuture) => f.write_str("dated in the future"),
            Verdict::Keep(Keep::NothingBetter) => f.write_str("unfinished, and no later good backup stands"),
            Verdict::Remove(Remove::Expired { age, days }) => write!(f, "{age} days old, kept for {days}"),
            Verdict::Remove(Remove::Remnant { age, days }) => {
                write!(f, "left unfinished, {age} days old, kept for {days}")
            }
        }
    }
}

/// One verdict for each candidate, in their order.
pub fn decide<S: Ord>(rules: &Retention, now: &Zoned, all: &[Candidate<S>]) -> Vec<Verdict> {
    let mut series: BTreeMap<&S, Standing> = BTreeMap::new();
    for one in all {
        series.entry(&one.series).or_default().add(one, now.timestamp());
    }
    for standing in series.values_mut() {
        standing.good.sort_unstable();
        standing.good.dedup();
    }
    let nothing = Standing::default();
    all.iter().map(|one| judge(rules, now, one, series.get(&one.series).unwrap_or(&nothing))).collect()
}

/// What a series has, without what is dated in the future.
#[derive(Default)]
struct Standing {
    /// Instants of good backups, oldest first.
    good: Vec<Timestamp>,
    newest: Option<Timestamp>,
    newest_bad: Option<Timestamp>,
}

impl Standing {
    fn add<S>(&mut self, one: &Candidate<S>, now: Timestamp) {
        if one.at > now || one.health == Health::Remnant {
            return;
        }
        self.newest = self.newest.max(Some(one.at));
        match one.health {
            Health::Good => self.good.push(one.at),
            Health::Bad => self.newest_bad = self.newest_bad.max(Some(one.at)),
            Health::Remnant => {}
        }
    }

    /// One bad copy of the newest is enough: its tiers may share their bytes.
    fn newest_is_bad(&self) -> bool {
        self.newest_bad.is_some() && self.newest_bad == self.newest
    }
}

fn judge<S>(rules: &Retention, now: &Zoned, one: &Candidate<S>, standing: &Standing) -> Verdict {
    if one.at > now.timestamp() {
        return Verdict::Keep(Keep::FromTheFuture);
    }
    if standing.newest_is_bad() {
        return Verdict::Keep(Keep::NewestIsBad);
    }
    let (age, days) = (age_in_days(one.at, now), rules.days(one.tier));
    if age < days {
        return Verdict::Keep(Keep::Recent { age, days });
    }
    let Some(last) = standing.good.last() else { return Verdict::Keep(Keep::NoneIsGood) };
    match one.health {
        Health::Remnant if one.at < *last => Verdict::Remove(Remove::Remnant { age, days }),
        Health::Remnant => Verdict::Keep(Keep::NothingBetter),
        Health::Good if one.at == *last => Verdict::Keep(Keep::LastGood),
        Health::Good if standing.good.iter().rev().take(count(rules.keep_last)).any(|at| *at == one.at) => {
            Verdict::Keep(Keep::AmongLast { count: rules.keep_last })
        }
        Health::Good | Health::Bad => Verdict::Remove(Remove::Expired { age, days }),
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Midnights of the zone between the two; 0 on the day itself.
pub fn age_in_days(at: Timestamp, now: &Zoned) -> u32 {
    let made = on_day(at, now.time_zone());
    let hours = now.date().duration_since(made).as_hours();
    u32::try_from(hours.div_euclid(24)).unwrap_or(0)
}

fn on_day(at: Timestamp, zone: &TimeZone) -> jiff::civil::Date {
    at.to_zoned(zone.clone()).date()
}

#[cfg(test)]
mod tests;
