//! What is to be told: a change of state once, what lasts again after a while, and that it is over.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Something that is wrong now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Condition {
    /// `shop (postgres)`, or the place.
    pub subject: String,
    /// What it is about: `stale`, `space`. With the subject it tells conditions apart.
    pub code: String,
    /// Higher is worse.
    pub level: u8,
    pub message: String,
}

impl Condition {
    fn key(&self) -> String {
        format!("{}: {}", self.subject, self.code)
    }
}

/// What was told of one condition.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub subject: String,
    pub code: String,
    pub level: u8,
    pub message: String,
    pub since: Timestamp,
    pub told: Timestamp,
}

pub type Memory = BTreeMap<String, Told>;

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Raised,
    Worse,
    Eased,
    Reminder,
    Recovered,
}

impl Change {
    pub const fn name(self) -> &'static str {
        match self {
            Change::Raised => "raised",
            Change::Worse => "worse",
            Change::Eased => "eased",
            Change::Reminder => "reminder",
            Change::Recovered => "recovered",
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Notice {
    pub change: Change,
    #[serde(flatten)]
    pub about: Told,
}

/// The notices that are due, and what is to be remembered once they are told. `remind` of zero never reminds.
pub fn decide(
    before: &Memory,
    now: Timestamp,
    remind: SignedDuration,
    conditions: &[Condition],
) -> (Memory, Vec<Notice>) {
    let mut memory = Memory::new();
    let mut notices = Vec::new();
    for (key, condition) in worst_of_each(conditions) {
        let known = before.get(&key);
        let change = known.map_or(Some(Change::Raised), |known| change(known, condition, now, remind));
        let about = Told {
            subject: condition.subject.clone(),
            code: condition.code.clone(),
            level: condition.level,
            message: condition.message.clone(),
            since: known.map_or(now, |known| known.since),
            told: if change.is_some() { now } else { known.map_or(now, |known| known.told) },
        };
        notices.extend(change.map(|change| Notice { change, about: about.clone() }));
        memory.insert(key, about);
    }
    let over = before.iter().filter(|(key, _)| !memory.contains_key(*key));
    notices.extend(over.map(|(_, known)| Notice { change: Change::Recovered, about: known.clone() }));
    (memory, notices)
}

fn change(known: &Told, condition: &Condition, now: Timestamp, remind: SignedDuration) -> Option<Change> {
    match condition.level.cmp(&known.level) {
        std::cmp::Ordering::Greater => Some(Change::Worse),
        std::cmp::Ordering::Less => Some(Change::Eased),
        std::cmp::Ordering::Equal if !remind.is_zero() && now.duration_since(known.told) >= remind => {
            Some(Change::Reminder)
        }
        std::cmp::Ordering::Equal => None,
    }
}

/// Two findings of one kind about one subject are one condition.
fn worst_of_each(conditions: &[Condition]) -> BTreeMap<String, &Condition> {
    let mut worst: BTreeMap<String, &Condition> = BTreeMap::new();
    for condition in conditions {
        let slot = worst.entry(condition.key()).or_insert(condition);
        if condition.level > slot.level {
            *slot = condition;
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn stale(level: u8) -> Condition {
        Condition { subject: "shop".into(), code: "stale".into(), level, message: format!("level {level}") }
    }

    fn told(hours: &[(i64, Option<u8>)]) -> Vec<(i64, Change)> {
        let mut memory = Memory::new();
        let mut all = Vec::new();
        for (hour, level) in hours {
            let now = Timestamp::from_second(hour * 3600).unwrap();
            let conditions: Vec<Condition> = level.map(stale).into_iter().collect();
            let (next, notices) = decide(&memory, now, DAY, &conditions);
            all.extend(notices.into_iter().map(|notice| (*hour, notice.change)));
            memory = next;
        }
        all
    }

    #[test]
    fn a_change_is_told_once_and_what_lasts_is_repeated() {
        use Change::{Eased, Raised, Recovered, Reminder, Worse};
        assert_eq!(told(&[(0, None), (1, Some(1)), (2, Some(1)), (3, None), (4, None)]), [(1, Raised), (3, Recovered)]);
        let long =
            [(0, Some(1)), (20, Some(2)), (43, Some(2)), (44, Some(2)), (67, Some(2)), (68, Some(1)), (70, Some(1))];
        assert_eq!(told(&long), [(0, Raised), (20, Worse), (44, Reminder), (68, Eased)]);
    }

    #[test]
    fn two_findings_of_one_kind_are_one_condition() {
        let (memory, notices) = decide(&Memory::new(), Timestamp::UNIX_EPOCH, DAY, &[stale(1), stale(2), stale(1)]);
        assert_eq!((memory.len(), notices.len(), notices[0].about.level), (1, 1, 2));
    }

    proptest! {
        /// Whoever reads only the notices knows the state at every moment.
        #[test]
        fn notices_tell_the_whole_story(levels in proptest::collection::vec(proptest::option::of(1u8..3), 1..60)) {
            let mut memory = Memory::new();
            let mut believed: Option<u8> = None;
            for (hour, level) in levels.into_iter().enumerate() {
                let now = Timestamp::from_second(hour as i64 * 3600).unwrap();
                let conditions: Vec<Condition> = level.map(stale).into_iter().collect();
                let (next, notices) = decide(&memory, now, DAY, &conditions);
                prop_assert!(notices.len() <= 1);
                for notice in notices {
                    let changed = believed != level;
                    prop_assert!(changed || notice.change == Change::Reminder, "told twice");
                    believed = (notice.change != Change::Recovered).then_some(notice.about.level);
                }
                prop_assert_eq!(believed, level);
                memory = next;
            }
        }
    }
}
