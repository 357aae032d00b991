use jiff::Zoned;

use super::*;
use crate::archive::testkit::Sample;
use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::job::Scope;
use crate::manifest::{
    Details, FileResult, Format, Meta, Moment, RunFile, RunManifest, Source, sample_details, sample_meta,
};
use crate::policy::Retention;
use crate::progress::Progress;
use crate::state::Verified;
use crate::store::memory::MemoryStore;
use crate::store::s3::Settings;
use crate::store::{Name, Places};
use crate::units::StoredBytes;

const BYTES: &[u8] = b"an archive";

struct Place {
    tree: Tree,
    store: MemoryStore,
    state: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let store = MemoryStore::new();
        let tree = Tree { store: Arc::new(store.clone()), key: TreeKey::of_url("memory://tree") };
        Place { tree, store, state: tempfile::tempdir().unwrap() }
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        self.store.put_new(&Name::new(path).unwrap(), bytes).unwrap();
    }

    /// A backup of `label` as a run publishes it, without an offset: days are days of UTC.
    fn backup(&self, tier: &str, label: &str, at: &str) -> String {
        let stamp: String = at.chars().filter(char::is_ascii_digit).collect();
        let path = format!("postgres/{tier}/postgres-{label}-{}-{}.sql.gz", &stamp[..8], &stamp[8..14]);
        self.put(&path, BYTES);
        self.put(&format!("{path}.meta"), &meta(label, at).to_json());
        path
    }

    fn names(&self) -> Vec<String> {
        self.store.list("").unwrap().into_iter().map(|entry| entry.name.to_string()).collect()
    }

    fn job(&self) -> PruneJob {
        PruneJob {
            rules: Retention::default(),
            scope: Scope::All,
            adopt: false,
            dry_run: false,
            state_dir: self.state.path().to_owned(),
        }
    }

    fn run(&self, job: &PruneJob, now: &str) -> PruneOutcome {
        let now: Zoned = now.parse().unwrap();
        let context = Context {
            clock: Clock::fixed(now),
            cancel: Cancel::new(),
            progress: Progress::new(),
            host: "here".to_owned(),
            places: Places::new(Settings::usual(), &Cancel::new()),
            scratch: std::env::temp_dir(),
            keys: Default::default(),
            signed_by: None,
        };
        run(&self.tree, job, &context).unwrap()
    }
}

fn meta(label: &str, at: &str) -> Meta {
    let digit = |at: usize| char::from_digit(u32::try_from(at % 16).unwrap(), 16).unwrap();
    let seed: usize = at.bytes().map(usize::from).sum();
    let details = Details {
        archive_id: (0..32).map(|at| digit(at + seed)).collect(),
        sha256: (0..64).map(|at| digit(at * 3 + seed + label.len())).collect(),
        ..sample_details(label)
    };
    let size_bytes = StoredBytes(BYTES.len() as u64);
    Meta { size_bytes, details: Some(details), ..sample_meta(label, at.parse::<Moment>().unwrap()) }
}

const NOW: &str = "2026-03-20T03:00:00[UTC]";

#[test]
fn meta_and_archive_of_an_expired_backup_go_and_nothing_else() {
    let place = Place::new();
    let old = place.backup("daily", "shop", "2026-03-13T03:00:00Z");
    let young = place.backup("daily", "shop", "2026-03-14T03:00:00Z");
    let other = place.backup("daily", "other", "2026-01-01T03:00:00Z");
    let before = place.names();
    let plan = place.run(&PruneJob { dry_run: true, ..place.job() }, NOW);
    assert_eq!(place.names(), before, "a dry run removed something");
    assert_eq!(plan.removed.iter().map(|one| &one.path).collect::<Vec<_>>(), [&old]);
    assert_eq!(plan.removed[0].reason, "7 days old, kept for 7");

    let done = place.run(&place.job(), NOW);
    assert_eq!(done.removed.len(), 1);
    assert_eq!(done.freed_bytes.0, BYTES.len() as u64);
    let left = [other.clone(), format!("{other}.meta"), young.clone(), format!("{young}.meta")];
    assert_eq!(place.names(), left);
    let kept = done.kept.iter().find(|one| one.path == other).unwrap();
    assert_eq!(kept.reason, "the last good backup is never removed");
}

#[test]
fn what_others_made_or_renamed_stays() {
    let place = Place::new();
    place.backup("daily", "shop", "2026-03-20T02:00:00Z");
    let old = place.backup("daily", "shop", "2026-01-01T03:00:00Z");
    let renamed = "postgres/daily/keep-this.sql.gz";
    place.store.link(&Name::new(&*old).unwrap(), &Name::new(renamed).unwrap()).unwrap();
    place.put(&format!("{renamed}.meta"), &meta("shop", "2026-01-01T03:00:00Z").to_json());
    place.put("elsewhere/postgres-shop-20260101-030000.sql.gz", BYTES);
    place.put("elsewhere/postgres-shop-20260101-030000.sql.gz.meta", &meta("shop", "2026-01-01T03:00:00Z").to_json());
    let foreign = "postgres/daily/postgres-shop-20260102-030000.sql.gz";
    let script = b"--\n-- PostgreSQL database dump\n--\n";
    place.put(foreign, script);
    let old_meta = format!(
        r#"{{"timestamp":"2026-01-02T03:00:00+00:00","database":"shop","host":"db","port":"5432","backup_type":"daily","size_bytes":{},"format":"sql"}}"#,
        script.len()
    );
    place.put(&format!("{foreign}.meta"), old_meta.as_bytes());

    let done = place.run(&place.job(), NOW);
    assert_eq!(done.removed.iter().map(|one| &one.path).collect::<Vec<_>>(), [&old]);
    assert!(place.names().iter().any(|name| name == renamed) && place.names().iter().any(|name| name == foreign));

    let adopting = place.run(&PruneJob { adopt: true, ..place.job() }, NOW);
    assert_eq!(adopting.removed.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), [foreign]);
}

#[test]
fn a_failed_verification_of_the_newest_stops_the_rotation_of_its_series_alone() {
    let place = Place::new();
    let newest = place.backup("daily", "shop", "2026-03-20T02:00:00Z");
    let old = place.backup("daily", "shop", "2026-01-01T03:00:00Z");
    place.backup("daily", "other", "2026-03-20T02:00:00Z");
    let other = place.backup("daily", "other", "2026-01-01T03:00:00Z");
    let verified = |sound| Verified {
        at: "2026-03-20T02:30:00Z".parse().unwrap(),
        path: format!("memory://tree/{newest}"),
        sound,
        why: None,
    };
    Verdicts::record(place.state.path(), &[verified(false)]).unwrap();
    let done = place.run(&place.job(), NOW);
    assert_eq!(done.removed.iter().map(|one| &one.path).collect::<Vec<_>>(), [&other]);
    let kept = done.kept.iter().find(|one| one.path == old).unwrap();
    assert!(kept.reason.starts_with("the newest backup is bad"), "{}", kept.reason);
    Verdicts::record(place.state.path(), &[verified(true)]).unwrap();
    assert_eq!(place.run(&place.job(), NOW).removed.len(), 1);
}

#[test]
fn a_run_rotates_only_what_it_has_backed_up() {
    let place = Place::new();
    place.backup("daily", "shop", "2026-03-20T02:00:00Z");
    let old = place.backup("daily", "shop", "2026-01-01T03:00:00Z");
    place.backup("daily", "other", "2026-03-19T02:00:00Z");
    place.backup("daily", "other", "2026-01-01T03:00:00Z");
    let made = meta("shop", "2026-03-20T02:00:00Z").details.unwrap().sha256;
    let job = PruneJob { scope: Scope::SeriesOf([made].into()), ..place.job() };
    assert_eq!(place.run(&job, NOW).removed.iter().map(|one| &one.path).collect::<Vec<_>>(), [&old]);
}

#[test]
fn a_removal_that_was_cut_off_is_finished_by_the_next_run() {
    let place = Place::new();
    place.backup("daily", "shop", "2026-03-20T02:00:00Z");
    let old = place.backup("daily", "shop", "2026-01-01T03:00:00Z");
    place.store.delete(&Name::new(format!("{old}.meta")).unwrap()).unwrap();
    let archive = Sample::small().archive();
    place.store.delete(&Name::new(&*old).unwrap()).unwrap();
    place.put(&old, &archive);
    let unknown = "postgres/daily/postgres-lost-20260101-030000.sql.gz";
    place.store.link(&Name::new(&*old).unwrap(), &Name::new(unknown).unwrap()).unwrap();
    let done = place.run(&place.job(), NOW);
    assert!(done.removed.iter().any(|one| one.path == old), "{done:?}");
    assert!(place.names().iter().any(|name| name == unknown), "an archive that lost its .meta and has no successor");
}

#[test]
fn a_manifest_goes_with_the_last_archive_of_its_run() {
    let place = Place::new();
    let manifest = |at: &str, archive: &str| RunManifest {
        timestamp: at.parse().unwrap(),
        tool_version: "0".to_owned(),
        host: "here".to_owned(),
        files: vec![RunFile {
            name: "app".to_owned(),
            source: "/app.db".to_owned(),
            archive: Some(archive.to_owned()),
            size_bytes: None,
            sha256: None,
            integrity_check: None,
            result: FileResult::Ok,
        }],
    };
    let sqlite = |at: &str, stamp: &str| {
        let mut meta = meta("app", at);
        meta.format = Format::Sqlite;
        meta.details.as_mut().unwrap().source = Source::Sqlite { host: "here".into(), path: "/app.db".into() };
        let file = format!("sqlite-app-{stamp}.db.gz");
        place.put(&format!("sqlite/daily/{file}"), BYTES);
        place.put(&format!("sqlite/daily/{file}.meta"), &meta.to_json());
        place.put(&format!("sqlite/daily/manifest-{stamp}.json"), &manifest(at, &file).to_json());
    };
    sqlite("2026-01-01T03:00:00Z", "20260101-030000");
    let done = place.run(&place.job(), NOW);
    assert!(done.manifests.is_empty(), "the last good backup stays, and so does its run's manifest");
    sqlite("2026-03-20T02:00:00Z", "20260320-020000");
    assert_eq!(place.run(&place.job(), NOW).manifests, ["sqlite/daily/manifest-20260101-030000.json"]);
    assert_eq!(place.names().len(), 3);
}
