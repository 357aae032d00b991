//! A year and a half of nights in a few seconds: missed ones, failed ones, damage, a changed zone, clocks that are put
//! forward and back. Rotation, status and alerts are the real ones; only the clock is handed in.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::job::{Context, PruneJob, Scope};
use crate::listing::Listing;
use crate::manifest::{Details, Meta, Moment, sample_details, sample_meta};
use crate::ops::status::{Status, StatusJob};
use crate::policy::alerts::{Change, Condition, Memory, decide};
use crate::policy::retention::age_in_days;
use crate::policy::tiers::due;
use crate::policy::{ArchiveKind, ArchiveName, Compression, Label, Retention, Tier};
use crate::progress::Progress;
use crate::prune::{self, Tree};
use crate::state::history::Item;
use crate::state::{Recording, TreeKey, Verdicts, Verified};
use crate::store::memory::MemoryStore;
use crate::store::s3::Settings;
use crate::store::{Name, Places, Store};
use crate::units::{RawBytes, StoredBytes};

use super::status;

const BYTES: &[u8] = b"not looked into by anything here";
const NIGHTS: usize = 550;

/// None is kept for being among the last, so that the last good one stands by its own rule.
const RULES: Retention = Retention { daily: 7, weekly: 28, monthly: 180, keep_last: 0 };

/// What happened in a night, by a fixed but irregular rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Night {
    Good,
    /// The machine was off.
    Missed,
    Failed,
    /// It succeeded, and a later verification finds it damaged.
    Spoilt,
}

fn night(number: usize) -> Night {
    match number.wrapping_mul(2_654_435_761) % 97 {
        0..=4 => Night::Missed,
        5..=8 => Night::Failed,
        9..=11 => Night::Spoilt,
        // A fortnight in which nothing works.
        _ if (300..314).contains(&number) => Night::Failed,
        _ => Night::Good,
    }
}

struct World {
    tree: Tree,
    store: MemoryStore,
    state: tempfile::TempDir,
    zone: TimeZone,
    /// By its own reckoning: what stands, and whether it is good.
    model: BTreeMap<(Tier, Timestamp), bool>,
    memory: Memory,
    told: BTreeMap<String, u8>,
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new();
        World {
            tree: Tree { store: Arc::new(store.clone()), key: TreeKey::of_url("memory://year") },
            store,
            state: tempfile::tempdir().unwrap(),
            zone: TimeZone::get("Europe/Berlin").unwrap(),
            model: BTreeMap::new(),
            memory: Memory::new(),
            told: BTreeMap::new(),
        }
    }

    fn context(&self, now: &Zoned) -> Context {
        Context {
            clock: Clock::fixed(now.clone()),
            cancel: Cancel::new(),
            progress: Progress::new(),
            host: "year".to_owned(),
            places: Places::new(Settings::usual(), &Cancel::new()),
            keys: Default::default(),
            signed_by: None,
            scratch: std::env::temp_dir(),
        }
    }

    fn back_up(&mut self, now: &Zoned, succeeds: bool) {
        let recording = Recording::begin(self.state.path(), "backup", "test", now.timestamp()).unwrap();
        let item = Item {
            name: "shop".into(),
            kind: Some("postgres".into()),
            ok: succeeds,
            error: (!succeeds).then(|| "no route to host".into()),
            ..Item::default()
        };
        if succeeds {
            self.publish(now);
        }
        let code = if succeeds { 0 } else { 10 };
        recording.end(code, None, vec![item], now.timestamp()).unwrap();
    }

    fn publish(&mut self, now: &Zoned) {
        let listing = Listing::of(&self.store, &self.zone).unwrap();
        let meta = meta(now);
        let name =
            ArchiveName::new(ArchiveKind::Postgres, Label::encode("shop").unwrap(), now, Compression::Gzip, None);
        let name = name.first_free(|stem| listing.is_taken(stem)).unwrap();
        for tier in due(now, &listing.tiers_of(&meta.source(), None)) {
            let path = name.path(tier);
            self.store.put_new(&Name::new(path.as_str()).unwrap(), BYTES).unwrap();
            self.store.put_new(&Name::new(format!("{path}.meta")).unwrap(), &meta.to_json()).unwrap();
            self.model.insert((tier, now.timestamp()), true);
        }
        let sha256 = meta.details.unwrap().sha256;
        self.rotate(now, Scope::SeriesOf([sha256].into()));
    }

    fn rotate(&mut self, now: &Zoned, scope: Scope) {
        let job =
            PruneJob { rules: RULES, scope, adopt: false, dry_run: false, state_dir: self.state.path().to_owned() };
        prune::run(&self.tree, &job, &self.context(now)).unwrap();
        // The model's own words for the same rules.
        let newest = self.model.keys().map(|(_, at)| *at).max();
        let newest_is_bad = self.model.iter().any(|((_, at), good)| Some(*at) == newest && !good);
        let last_good = self.model.iter().filter(|(_, good)| **good).map(|((_, at), _)| *at).max();
        if newest_is_bad || last_good.is_none() {
            return;
        }
        let rules = RULES;
        self.model.retain(|(tier, at), _| Some(*at) == last_good || age_in_days(*at, now) < rules.days(*tier));
    }

    /// The newest backup is looked at and found damaged, wherever it stands.
    fn spoil_newest(&mut self, now: &Zoned) {
        let Some(newest) = self.model.keys().map(|(_, at)| *at).max() else { return };
        let listing = Listing::of(&self.store, &self.zone).unwrap();
        let rows = listing.rows.iter().filter(|row| row.timestamp.instant() == newest);
        let verified: Vec<Verified> = rows
            .map(|row| Verified {
                at: now.timestamp(),
                path: format!("{}/{}", self.tree.key.as_str(), row.path),
                sound: false,
                why: Some("a byte is wrong".to_owned()),
            })
            .collect();
        Verdicts::record(self.state.path(), &verified).unwrap();
        self.model.iter_mut().filter(|((_, at), _)| *at == newest).for_each(|(_, good)| *good = false);
    }

    fn check_tree(&self, now: &Zoned) {
        let listing = Listing::of(&self.store, &self.zone).unwrap();
        let mut stands: Vec<(Tier, Timestamp)> =
            listing.rows.iter().map(|row| (row.tier.unwrap(), row.timestamp.instant())).collect();
        stands.sort_unstable();
        let expected: Vec<(Tier, Timestamp)> = self.model.keys().copied().collect();
        assert_eq!(stands, expected, "the tree is not what the policy says on {now}");
        let had_a_good_one = self.model.values().any(|good| *good);
        assert!(had_a_good_one || self.model.len() < 4, "no good backup is left on {now}");
    }

    /// Returns what is told now; whoever hears only that knows the whole state.
    fn watch(&mut self, now: &Zoned) -> Vec<(Change, String)> {
        let status = self.status(now);
        let conditions = conditions(&status);
        let (memory, notices) = decide(&self.memory, now.timestamp(), SignedDuration::from_hours(24), &conditions);
        let mut heard = Vec::new();
        for notice in notices {
            let key = format!("{}: {}", notice.about.subject, notice.about.code);
            let before = self.told.get(&key).copied();
            match notice.change {
                Change::Recovered => assert!(self.told.remove(&key).is_some(), "{key} recovered and was never told"),
                Change::Raised => {
                    assert_eq!(before, None, "{key} was told twice on {now}");
                    self.told.insert(key.clone(), notice.about.level);
                }
                Change::Reminder => assert_eq!(before, Some(notice.about.level), "{key} reminds of something else"),
                Change::Worse | Change::Eased => {
                    assert!(before.is_some_and(|level| level != notice.about.level), "{key} changed to the same");
                    self.told.insert(key.clone(), notice.about.level);
                }
            }
            heard.push((notice.change, notice.about.code));
        }
        self.memory = memory;
        let mut wrong: BTreeMap<String, u8> = BTreeMap::new();
        for one in &conditions {
            let level = wrong.entry(format!("{}: {}", one.subject, one.code)).or_default();
            *level = one.level.max(*level);
        }
        assert_eq!(self.told, wrong, "what was told is not what is wrong on {now}");
        heard
    }

    /// What people must have heard half a day after such a night, and what they must not, whatever status makes of it.
    fn check_told(&self, what: Night, now: &Zoned) {
        let told = |code: &str| self.told.keys().any(|key| key.ends_with(&format!(": {code}")));
        let has_none = !self.model.values().any(|good| *good);
        match what {
            Night::Good => {
                let false_alarms: Vec<&str> =
                    ["stale", "never", "failed"].into_iter().filter(|code| told(code)).collect();
                assert!(false_alarms.is_empty(), "{false_alarms:?} on {now}, after a good night");
            }
            // More than 34 hours after the last good one, and that is not put off by a change of clocks.
            Night::Missed => {
                assert!(told(if has_none { "never" } else { "stale" }), "silence about {now}: {:?}", self.told)
            }
            Night::Failed => assert!(told("failed"), "nobody heard of the failure on {now}: {:?}", self.told),
            Night::Spoilt => assert!(told("damaged"), "nobody heard of the damage on {now}: {:?}", self.told),
        }
    }

    fn status(&self, now: &Zoned) -> Status {
        let job = StatusJob {
            expected: vec![(ArchiveKind::Postgres, "shop".to_owned())],
            rules: RULES,
            min_free: 0,
            schedule: None,
            state_dir: self.state.path().to_owned(),
        };
        status::of_trees(vec![(String::new(), Ok(self.tree.clone()))], &job, &self.context(now)).unwrap()
    }
}

fn conditions(status: &Status) -> Vec<Condition> {
    let findings =
        status.databases.iter().flat_map(|one| one.findings.iter().map(|finding| (one.name.clone(), finding)));
    findings
        .map(|(subject, finding)| Condition {
            subject,
            code: finding.code.name().to_owned(),
            level: finding.level as u8,
            message: finding.message.clone(),
        })
        .collect()
}

fn meta(now: &Zoned) -> Meta {
    let second = now.timestamp().as_second();
    let details = Details {
        archive_id: format!("{second:032x}"),
        sha256: format!("{second:064x}"),
        raw_bytes: RawBytes(100),
        ..sample_details("shop")
    };
    let size_bytes = StoredBytes(BYTES.len() as u64);
    Meta { size_bytes, details: Some(details), ..sample_meta("shop", Moment::from(now)) }
}

#[test]
fn a_year_and_a_half_of_nights() {
    let mut world = World::new();
    let mut date = "2025-01-01".parse::<jiff::civil::Date>().unwrap();
    let mut heard: BTreeMap<String, u32> = BTreeMap::new();
    for number in 0..NIGHTS {
        if number == 200 {
            world.zone = TimeZone::get("Asia/Tokyo").unwrap();
        }
        // Half past two: the hour that clocks skip in March and repeat in October.
        let now = date.at(2, 30, 0, 0).to_zoned(world.zone.clone()).unwrap();
        let what = night(number);
        match what {
            Night::Good | Night::Spoilt => world.back_up(&now, true),
            Night::Failed => world.back_up(&now, false),
            Night::Missed => {}
        }
        world.check_tree(&now);
        let morning = now.checked_add(1.hour()).unwrap();
        if what == Night::Spoilt {
            world.spoil_newest(&morning);
        }
        if number % 10 == 9 {
            world.rotate(&morning, Scope::All);
        }
        world.check_tree(&morning);
        for hours in [2, 12] {
            for (change, code) in world.watch(&now.checked_add(hours.hours()).unwrap()) {
                if change == Change::Raised {
                    *heard.entry(code).or_default() += 1;
                }
            }
        }
        world.check_told(what, &now);
        date = date.tomorrow().unwrap();
    }
    let nights = |wanted: Night| (0..NIGHTS).filter(|number| night(*number) == wanted).count();
    assert!(nights(Night::Missed) > 10 && nights(Night::Spoilt) > 5, "the year is too quiet to prove anything");
    assert!(heard.contains_key("stale") && heard.contains_key("failed") && heard.contains_key("damaged"), "{heard:?}");
}
