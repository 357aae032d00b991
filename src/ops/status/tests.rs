use jiff::{Timestamp, ToSpan};

use super::*;
use crate::checksum::RowDigest;
use crate::manifest::{Details, Meta, TableFacts, sample_details, sample_meta};
use crate::policy::Tier;
use crate::state::drills::Drill;
use crate::state::history::{Item, Missed, RunState, Start};
use crate::state::{TreeKey, Verified};
use crate::store::Space;
use crate::units::{RawBytes, StoredBytes};

const NOW: &str = "2026-03-20T05:00:00[UTC]";

fn now() -> Zoned {
    NOW.parse().unwrap()
}

fn job() -> StatusJob {
    StatusJob {
        expected: vec![(ArchiveKind::Postgres, "shop".to_owned())],
        rules: Retention::default(),
        min_free: 10 << 30,
        schedule: Some(Time::constant(3, 0, 0, 0)),
        state_dir: PathBuf::new(),
    }
}

fn row(tier: Tier, at: Timestamp, size: u64, rows: &[(&str, u64)]) -> Listed {
    let table = |(name, rows): &(&str, u64)| TableFacts {
        schema: "public".into(),
        name: (*name).to_owned(),
        rows: *rows,
        raw_bytes: RawBytes(0),
        digest: RowDigest::default(),
    };
    let meta = Meta {
        size_bytes: StoredBytes(size),
        details: Some(Details {
            archive_id: format!("{:032x}", at.as_second()),
            raw_bytes: RawBytes(size * 4),
            duration_seconds: 2.0,
            tables: rows.iter().map(table).collect(),
            ..sample_details("shop")
        }),
        ..sample_meta("shop", Moment::from(at))
    };
    Listed {
        path: format!("postgres/{tier}/postgres-shop-{}.sql.gz", at.strftime("%Y%m%d-%H%M%S")),
        kind: Some(ArchiveKind::Postgres),
        label: "shop".into(),
        tier: Some(tier),
        timestamp: Moment::from(at),
        size,
        state: State::Complete,
        note: None,
        encrypted: false,
        parts: Vec::new(),
        meta: Some(meta),
    }
}

/// A night of each of the last `sizes.len()` days, the last one two hours ago, and the two longer tiers of the first.
fn nights(sizes: &[u64]) -> Facts {
    let mut facts = Facts {
        place: "/tree".into(),
        key: TreeKey::of_url("/tree"),
        listing: Default::default(),
        space: Ok(Some(Space { free: 100 << 30, total: 200 << 30 })),
        noncurrent: Ok(None),
        past: Past::default(),
    };
    for (ago, size) in sizes.iter().rev().enumerate() {
        let at = now().checked_sub((ago as i64).days()).unwrap().checked_sub(2.hours()).unwrap().timestamp();
        facts.listing.rows.push(row(Tier::Daily, at, *size, &[("users", 5)]));
    }
    let first = facts.listing.rows.last().map(|row| (row.timestamp.instant(), row.size));
    for tier in [Tier::Weekly, Tier::Monthly] {
        facts.listing.rows.extend(first.map(|(at, size)| row(tier, at, size, &[])));
    }
    facts.listing.rows.sort_by_key(|row| std::cmp::Reverse(row.timestamp));
    facts
}

fn codes(status: &Status) -> Vec<(Code, Level)> {
    let databases = status.databases.iter().flat_map(|one| &one.findings);
    databases.chain(&status.place.findings).map(|finding| (finding.code, finding.level)).collect()
}

#[test]
fn good_nights_are_healthy_and_know_the_next() {
    let status = assess(&nights(&[100, 101, 102, 103]), &job(), &now());
    assert_eq!((codes(&status), status.state), (Vec::new(), Level::Ok));
    let shop = &status.databases[0];
    assert_eq!(shop.last.as_ref().unwrap().age_seconds, 2 * 3600);
    assert_eq!(shop.tiers.iter().map(|tier| tier.count).collect::<Vec<_>>(), [4, 1, 1]);
    assert_eq!(status.schedule.next_run.unwrap().to_string(), "2026-03-21T03:00:00+00:00");
    assert_eq!(status.place.used_bytes, 406, "a backup in three tiers is stored once");
}

#[test]
fn never_is_its_own_state_and_late_is_told_by_tier() {
    let status = assess(&nights(&[]), &job(), &now());
    assert_eq!((codes(&status), status.state), (vec![(Code::Never, Level::Critical)], Level::Critical));

    let later = |hours: i64| codes(&assess(&nights(&[1, 1]), &job(), &now().checked_add(hours.hours()).unwrap()));
    assert_eq!(later(24), []);
    assert_eq!(later(25), [(Code::Stale, Level::Warning)]);
    assert_eq!(later(47), [(Code::Stale, Level::Critical)]);
    assert_eq!(later(24 * 8), [(Code::Stale, Level::Critical), (Code::Stale, Level::Warning)]);

    let mut facts = nights(&[1, 1]);
    facts.listing.rows.iter_mut().for_each(|row| row.timestamp = Moment::from(now().timestamp() + 400.hours()));
    assert_eq!(codes(&assess(&facts, &job(), &now()))[0].0, Code::Never, "a backup of tomorrow is none of today");
}

#[test]
fn what_nobody_configured_is_shown_and_raises_no_alarm() {
    let facts = nights(&[1, 1]);
    let job = StatusJob { expected: vec![(ArchiveKind::Sqlite, "app".to_owned())], ..job() };
    let status = assess(&facts, &job, &now().checked_add((24 * 30).hours()).unwrap());
    assert_eq!((status.databases[0].name.as_str(), status.databases[0].state), ("app", Level::Critical));
    assert_eq!((status.databases[1].configured, status.databases[1].state), (false, Level::Ok));
    let bare = StatusJob { expected: Vec::new(), ..job };
    assert!(assess(&facts, &bare, &now()).databases[0].configured, "without a configuration all is expected");
}

#[test]
fn sizes_and_rows_that_fall_are_remarkable() {
    let status = assess(&nights(&[100, 100, 100, 100, 40]), &job(), &now());
    assert_eq!(codes(&status), [(Code::Size, Level::Warning)]);
    assert!(status.databases[0].findings[0].message.contains("60 % less"), "{:?}", status.databases[0].findings);

    let mut facts = nights(&[100, 100]);
    let details = |row: &mut Listed, rows: &[(&str, u64)]| {
        let at = row.timestamp.instant();
        *row = super::tests::row(Tier::Daily, at, 100, rows);
    };
    let dailies: Vec<usize> =
        (0..facts.listing.rows.len()).filter(|at| facts.listing.rows[*at].tier == Some(Tier::Daily)).collect();
    details(&mut facts.listing.rows[dailies[0]], &[("users", 0), ("orders", 7), ("new", 0)]);
    details(&mut facts.listing.rows[dailies[1]], &[("users", 1200), ("orders", 9)]);
    let status = assess(&facts, &job(), &now());
    assert_eq!(codes(&status), [(Code::RowsGone, Level::Warning)]);
    assert!(status.databases[0].findings[0].message.ends_with("public.users (1,200 rows before)"));
}

#[test]
fn damage_of_the_newest_is_critical_and_of_an_older_one_a_warning() {
    let verdict = |facts: &Facts, at: usize, sound| Verified {
        at: now().timestamp(),
        path: format!("/tree/{}", facts.listing.rows[at].path),
        sound,
        why: Some("a byte is wrong".into()),
    };
    let mut facts = nights(&[1, 1, 1]);
    facts.past.verdicts = [verdict(&facts, 0, false), verdict(&facts, 1, true)].into_iter().collect();
    assert_eq!(codes(&assess(&facts, &job(), &now())), [(Code::Damaged, Level::Critical)]);
    facts.past.verdicts = [verdict(&facts, 0, true), verdict(&facts, 1, false)].into_iter().collect();
    assert_eq!(codes(&assess(&facts, &job(), &now())), [(Code::Damaged, Level::Warning)]);
    facts.past.verdicts = [verdict(&facts, 0, true), verdict(&facts, 1, true)].into_iter().collect();
    let status = assess(&facts, &job(), &now());
    assert_eq!(codes(&status), []);
    assert!(status.databases[0].last_verify.as_ref().unwrap().sound);
}

fn run(at: &str, state: RunState, items: Vec<Item>) -> Run {
    Run {
        start: Start {
            run: at.into(),
            at: at.parse().unwrap(),
            command: "backup".into(),
            pid: 1,
            version: String::new(),
        },
        state,
        ended_at: None,
        exit_code: None,
        error: None,
        items,
    }
}

#[test]
fn a_later_attempt_that_failed_or_vanished_is_told() {
    let item = |name: &str, ok| Item {
        name: name.into(),
        kind: Some("postgres".into()),
        ok,
        error: Some("no route".into()),
        ..Item::default()
    };
    let told = |run: Run| {
        let mut facts = nights(&[1, 1]);
        facts.past.history.push(run);
        codes(&assess(&facts, &job(), &now()))
    };
    let later = "2026-03-20T04:00:00Z";
    assert_eq!(told(run(later, RunState::Failed, vec![item("shop", false)])), [(Code::Failed, Level::Warning)]);
    assert_eq!(told(run(later, RunState::Partial, vec![item("other", false)])), []);
    assert_eq!(told(run(later, RunState::Failed, Vec::new())), [(Code::Failed, Level::Warning)]);
    assert_eq!(told(run(later, RunState::Vanished, Vec::new())), [(Code::Vanished, Level::Warning)]);
    assert_eq!(told(run("2026-03-20T02:00:00Z", RunState::Vanished, Vec::new())), [], "a good backup came after it");
}

#[test]
fn drills_and_space_are_judged() {
    let mut facts = nights(&[1 << 30, 2 << 30, 3 << 30]);
    facts.space = Ok(Some(Space { free: 9 << 30, total: 200 << 30 }));
    facts.past.drills.push(Drill {
        at: now().timestamp(),
        kind: "postgres".into(),
        name: "shop".into(),
        archive: String::new(),
        ok: false,
        incomplete: false,
        restore_seconds: None,
        rto_seconds: 900.0,
        age_seconds: 0.0,
        tables: 0,
        rows: 0,
        findings: vec!["public.users differs".into()],
        left_out: Vec::new(),
    });
    let mut incomplete = facts.past.drills[0].clone();
    let status = assess(&facts, &job(), &now());
    let expected = [(Code::Drill, Level::Critical), (Code::Space, Level::Warning), (Code::Space, Level::Warning)];
    assert_eq!(codes(&status), expected);
    // Seven dailies, five weeklies, two monthlies, each 3 GiB and half a month's growth of 1 GiB a night.
    let expected = 18 * (7 + 4 + 2) * (1u64 << 30);
    assert_eq!(status.place.used_in_30_days_bytes, expected, "{:?}", status.place);
    incomplete.incomplete = true;
    facts.past.drills.push(incomplete);
    assert_eq!(codes(&assess(&facts, &job(), &now()))[0], (Code::Drill, Level::Warning));
}

#[test]
fn each_place_is_judged_by_its_own_copies() {
    let (disk, mut bucket) = (nights(&[1, 1, 1]), nights(&[1, 1, 1]));
    bucket.place = "s3://vault/miyabi".into();
    let further = |facts: Result<Facts>, past: &Past| {
        let mut status = assess(&disk, &job(), &now());
        status.add(beside("s3://vault/miyabi", facts, past, &job(), &now()));
        let told: Vec<_> =
            status.findings().iter().map(|one| (one.subject.clone(), one.finding.code, one.finding.level)).collect();
        (told, status.state)
    };
    let (told, state) = further(Ok(bucket), &Past::default());
    assert_eq!((told, state), (Vec::new(), Level::Ok));

    // The disk is fine, and the bucket has not got the last two nights.
    let mut behind = nights(&[1, 1, 1]);
    behind.place = "s3://vault/miyabi".into();
    let yesterday = now().checked_sub(36.hours()).unwrap().timestamp();
    behind.listing.rows.retain(|row| row.tier != Some(Tier::Daily) || row.timestamp.instant() < yesterday);
    let (told, state) = further(Ok(behind), &Past::default());
    let subject = "shop (postgres) in s3://vault/miyabi".to_owned();
    assert_eq!((told, state), (vec![(subject, Code::Stale, Level::Critical)], Level::Critical));

    // It cannot be looked at, and runs say that nothing gets there: for an hour, for days.
    let missed = |at: &str| {
        let missed = vec![Missed { place: "s3://vault/miyabi".into(), error: "access is denied".into() }];
        run(at, RunState::Partial, vec![Item { name: "shop".into(), ok: true, missed, ..Item::default() }])
    };
    let place = "s3://vault/miyabi".to_owned();
    let unreadable =
        |history: Vec<Run>| further(Err(Error::new(Kind::Place, "no answer")), &Past { history, ..Past::default() }).0;
    let lost = (place.clone(), Code::Place, Level::Critical);
    assert_eq!(unreadable(Vec::new()), std::slice::from_ref(&lost));
    let once = vec![missed("2026-03-20T03:00:00Z")];
    assert_eq!(unreadable(once.clone()), [lost.clone(), (place.clone(), Code::Failed, Level::Warning)]);
    let twice = vec![missed("2026-03-18T03:00:00Z"), missed("2026-03-19T03:00:00Z"), once[0].clone()];
    assert_eq!(unreadable(twice.clone()), [lost.clone(), (place, Code::Failed, Level::Critical)]);
    let mut over = twice;
    over.push(run(
        "2026-03-20T04:00:00Z",
        RunState::Ok,
        vec![Item { name: "shop".into(), ok: true, ..Item::default() }],
    ));
    assert_eq!(unreadable(over), [lost]);
}
