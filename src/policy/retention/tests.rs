use jiff::ToSpan;
use proptest::prelude::*;

use super::*;
use crate::policy::tiers::due;
use Tier::{Daily, Monthly, Weekly};

const RULES: Retention = Retention { daily: 7, weekly: 28, monthly: 180, keep_last: 1 };

fn at(text: &str) -> Zoned {
    text.parse().unwrap()
}

fn one(tier: Tier, when: &str, health: Health) -> Candidate<u8> {
    Candidate { series: 0, tier, at: when.parse().unwrap(), health }
}

fn removed(rules: &Retention, now: &str, all: &[Candidate<u8>]) -> Vec<bool> {
    decide(rules, &at(now), all).into_iter().map(Verdict::is_removal).collect()
}

#[test]
fn a_daily_lives_seven_calendar_days_of_the_zone() {
    let all = [
        one(Daily, "2026-03-09T03:00:00Z", Health::Good),
        one(Daily, "2026-03-03T00:30:00Z", Health::Good),
        one(Daily, "2026-03-02T23:30:00Z", Health::Good),
    ];
    assert_eq!(removed(&RULES, "2026-03-09T03:00:01[UTC]", &all), [false, false, true]);
    // 23:30 UTC is the next day in Berlin, and 00:30 the same day in New York only until midnight there.
    assert_eq!(removed(&RULES, "2026-03-09T04:00:01[Europe/Berlin]", &all), [false, false, false]);
    assert_eq!(removed(&RULES, "2026-03-09T23:59:00[America/New_York]", &all), [false, true, true]);
}

#[test]
fn each_tier_has_its_own_days() {
    let made = "2026-01-01T03:00:00Z";
    let all = [
        one(Daily, made, Health::Good),
        one(Weekly, made, Health::Good),
        one(Monthly, made, Health::Good),
        one(Daily, "2026-06-30T03:00:00Z", Health::Good),
    ];
    assert_eq!(removed(&RULES, "2026-01-08T03:00:00[UTC]", &all[..3]), [false; 3], "the only backup stays everywhere");
    let with = |now: &str, newer: &str| {
        let mut all = all.to_vec();
        all[3].at = newer.parse().unwrap();
        removed(&RULES, now, &all)[..3].to_vec()
    };
    assert_eq!(with("2026-01-07T23:00:00[UTC]", "2026-01-07T03:00:00Z"), [false, false, false]);
    assert_eq!(with("2026-01-08T03:00:00[UTC]", "2026-01-08T03:00:00Z"), [true, false, false]);
    assert_eq!(with("2026-01-29T03:00:00[UTC]", "2026-01-29T03:00:00Z"), [true, true, false]);
    assert_eq!(with("2026-06-29T03:00:00[UTC]", "2026-06-29T03:00:00Z"), [true, true, false]);
    assert_eq!(with("2026-06-30T03:00:00[UTC]", "2026-06-30T03:00:00Z"), [true, true, true]);
}

#[test]
fn nothing_goes_while_the_newest_is_bad() {
    let all = [
        one(Daily, "2026-03-30T03:00:00Z", Health::Bad),
        one(Daily, "2026-03-20T03:00:00Z", Health::Good),
        one(Daily, "2026-03-01T03:00:00Z", Health::Good),
    ];
    let verdicts = decide(&RULES, &at("2026-03-30T04:00:00[UTC]"), &all);
    assert_eq!(verdicts, [Verdict::Keep(Keep::NewestIsBad); 3]);
    // A newer good one, and the bad one is as mortal as all others.
    let mut all = all.to_vec();
    all.push(one(Daily, "2026-04-30T03:00:00Z", Health::Good));
    assert_eq!(removed(&RULES, "2026-04-30T04:00:00[UTC]", &all), [true, true, true, false]);
}

#[test]
fn a_dead_series_keeps_its_last_good_backup_for_ever() {
    let all = [
        one(Daily, "2020-01-03T03:00:00Z", Health::Good),
        one(Weekly, "2020-01-02T03:00:00Z", Health::Good),
        one(Monthly, "2020-01-01T03:00:00Z", Health::Good),
    ];
    let verdicts = decide(&RULES, &at("2026-01-01T03:00:00[UTC]"), &all);
    assert_eq!(verdicts[0], Verdict::Keep(Keep::LastGood));
    assert!(verdicts[1].is_removal() && verdicts[2].is_removal());
    let three = Retention { keep_last: 2, ..RULES };
    let verdicts = decide(&three, &at("2026-01-01T03:00:00[UTC]"), &all);
    assert_eq!(verdicts[1], Verdict::Keep(Keep::AmongLast { count: 2 }));
}

#[test]
fn a_remnant_goes_only_after_its_days_and_behind_a_good_backup() {
    let remnant = one(Daily, "2026-03-01T03:00:00Z", Health::Remnant);
    let now = "2026-03-20T03:00:00[UTC]";
    assert_eq!(decide(&RULES, &at(now), std::slice::from_ref(&remnant)), [Verdict::Keep(Keep::NoneIsGood)]);
    let older = one(Daily, "2026-02-01T03:00:00Z", Health::Good);
    let verdicts = decide(&RULES, &at(now), &[remnant.clone(), older]);
    assert_eq!(verdicts, [Verdict::Keep(Keep::NothingBetter), Verdict::Keep(Keep::LastGood)]);
    let newer = one(Daily, "2026-03-20T02:00:00Z", Health::Good);
    assert_eq!(removed(&RULES, now, &[remnant, newer]), [true, false]);
}

#[test]
fn a_clock_that_was_wrong_costs_nothing() {
    let all = [
        one(Daily, "2099-01-01T03:00:00Z", Health::Bad),
        one(Daily, "2099-01-02T03:00:00Z", Health::Good),
        one(Daily, "2026-03-01T03:00:00Z", Health::Good),
    ];
    let verdicts = decide(&RULES, &at("2026-03-20T03:00:00[UTC]"), &all);
    assert_eq!(verdicts[..2], [Verdict::Keep(Keep::FromTheFuture); 2]);
    assert_eq!(verdicts[2], Verdict::Keep(Keep::LastGood), "the one from the future is no reason to remove it");
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![6 => Just(Health::Good), 1 => Just(Health::Bad), 1 => Just(Health::Remnant)]
}

fn candidates() -> impl Strategy<Value = Vec<Candidate<u8>>> {
    let one = (0u8..3, 0usize..3, 0i64..(400 * 86_400), health()).prop_map(|(series, tier, second, health)| {
        Candidate { series, tier: Tier::ALL[tier], at: Timestamp::from_second(1_700_000_000 + second).unwrap(), health }
    });
    proptest::collection::vec(one, 0..40)
}

fn rules() -> impl Strategy<Value = Retention> {
    (1u32..20, 1u32..60, 1u32..300, 0u32..5).prop_map(|(daily, weekly, monthly, keep_last)| Retention {
        daily,
        weekly,
        monthly,
        keep_last,
    })
}

proptest! {
    #[test]
    fn the_last_good_one_and_a_series_in_doubt_are_safe(rules in rules(), all in candidates(), now in 0i64..(500 * 86_400), zone in 0usize..4) {
        let zone = ["UTC", "Asia/Tokyo", "America/St_Johns", "Pacific/Apia"][zone];
        let now = Timestamp::from_second(1_700_000_000 + now).unwrap().in_tz(zone).unwrap();
        let verdicts = decide(&rules, &now, &all);
        prop_assert_eq!(verdicts.len(), all.len());
        for series in 0..3u8 {
            let past: Vec<_> = all.iter().zip(&verdicts).filter(|(c, _)| c.series == series && c.at <= now.timestamp()).collect();
            let real = || past.iter().filter(|(c, _)| c.health != Health::Remnant);
            let newest = real().map(|(c, _)| c.at).max();
            if real().any(|(c, _)| Some(c.at) == newest && c.health == Health::Bad) {
                prop_assert!(past.iter().all(|(_, verdict)| !verdict.is_removal()), "the newest is bad");
            }
            let mut good: Vec<_> = past.iter().filter(|(c, _)| c.health == Health::Good).collect();
            good.sort_by_key(|(c, _)| std::cmp::Reverse(c.at));
            if let Some(last) = good.first() {
                prop_assert!(!last.1.is_removal(), "the last good backup was removed");
            } else {
                prop_assert!(past.iter().all(|(_, verdict)| !verdict.is_removal()), "none is good");
            }
            let mut instants: Vec<_> = good.iter().map(|(c, _)| c.at).collect();
            instants.dedup();
            for at in instants.iter().take(rules.keep_last as usize) {
                prop_assert!(good.iter().filter(|(c, _)| c.at == *at).all(|(_, verdict)| !verdict.is_removal()));
            }
        }
        for (candidate, verdict) in all.iter().zip(&verdicts) {
            let is_young = candidate.at > now.timestamp() || age_in_days(candidate.at, &now) < rules.days(candidate.tier);
            prop_assert!(!(is_young && verdict.is_removal()), "removed before its day: {:?}", candidate);
        }
    }

    /// What is left is judged the same: a second run removes nothing.
    #[test]
    fn a_second_run_finds_nothing(rules in rules(), all in candidates(), now in 0i64..(500 * 86_400)) {
        let now = Timestamp::from_second(1_700_000_000 + now).unwrap().in_tz("UTC").unwrap();
        let verdicts = decide(&rules, &now, &all);
        let left: Vec<_> = all.into_iter().zip(verdicts).filter(|(_, v)| !v.is_removal()).map(|(c, _)| c).collect();
        prop_assert!(decide(&rules, &now, &left).into_iter().all(|verdict| !verdict.is_removal()));
    }

    /// Series do not know each other.
    #[test]
    fn another_series_changes_nothing(rules in rules(), all in candidates(), now in 0i64..(500 * 86_400)) {
        let now = Timestamp::from_second(1_700_000_000 + now).unwrap().in_tz("UTC").unwrap();
        let together: Vec<_> = decide(&rules, &now, &all).into_iter().zip(&all).filter(|(_, c)| c.series == 0).map(|(v, _)| v).collect();
        let alone: Vec<_> = all.iter().filter(|c| c.series == 0).cloned().collect();
        prop_assert_eq!(together, decide(&rules, &now, &alone));
    }
}

/// A year of nights without a mishap: after each the tree holds seven dailies, four weeklies, six monthlies.
#[test]
fn a_quiet_year_holds_what_the_policy_says() {
    for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
        let mut tree: Vec<Candidate<u8>> = Vec::new();
        let mut now = at("2025-01-01T03:00:00[UTC]").date().at(3, 0, 0, 0).in_tz(zone).unwrap();
        for night in 0..365 {
            let existing: Vec<_> = tree.iter().map(|one| (one.tier, one.at)).collect();
            let made = due(&now, &existing).into_iter();
            tree.extend(made.map(|tier| Candidate { series: 0, tier, at: now.timestamp(), health: Health::Good }));
            let verdicts = decide(&RULES, &now, &tree);
            let mut verdicts = verdicts.into_iter();
            tree.retain(|_| !verdicts.next().unwrap().is_removal());
            let count = |tier| tree.iter().filter(|one| one.tier == tier).count();
            assert!(count(Daily) == 7.min(night + 1), "{zone}: {} dailies on {now}", count(Daily));
            if night > 200 {
                assert!((4..=5).contains(&count(Weekly)), "{zone}: {} weeklies on {now}", count(Weekly));
                assert!((5..=6).contains(&count(Monthly)), "{zone}: {} monthlies on {now}", count(Monthly));
            }
            now = now.checked_add(1.day()).unwrap();
        }
    }
}
