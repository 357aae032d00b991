//! Every kind of file that may lie in a tree gets the state it deserves, and `latest` explains itself.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

use flate2::Compression as Level;
use flate2::write::GzEncoder;

use super::select::{before, latest};
use super::*;
use crate::archive::testkit::Sample;
use crate::cancel::Cancel;
use crate::checksum::RowDigest;
use crate::error::{Error, Kind};
use crate::manifest::{BackupType, Details, Meta, TableFacts, sample_details, sample_meta};
use crate::policy::ArchiveKind;
use crate::store::memory::MemoryStore;
use crate::store::s3::Settings;
use crate::store::{LocalStore, Name, Places};
use crate::units::{RawBytes, StoredBytes};

fn places() -> Places {
    Places::new(Settings::usual(), &Cancel::new())
}

fn put(store: &dyn Store, path: &str, bytes: &[u8]) {
    store.put_new(&Name::new(path).unwrap(), bytes).unwrap();
}

fn meta_of(label: &str, timestamp: &str, kind: BackupType, size: usize) -> Meta {
    let details = Details { source: source(label), ..sample_details(label) };
    let size_bytes = StoredBytes(size as u64);
    let meta = sample_meta(label, timestamp.parse().unwrap());
    Meta { host: "db1".to_owned(), backup_type: kind, size_bytes, details: Some(details), ..meta }
}

fn source(label: &str) -> Source {
    Source::Postgres { server: "db1".to_owned(), port: "5432".to_owned(), database: label.to_owned() }
}

fn old_meta(size: usize) -> String {
    format!(
        r#"{{"timestamp":"2024-11-29T03:00:00+00:00","database":"shop","host":"h","port":"1","backup_type":"daily",
            "size_bytes":{size},"size_human":"9","compression":"gzip -9","format":"sql"}}"#
    )
}

fn backup(store: &dyn Store, path: &str, label: &str, timestamp: &str, bytes: &[u8]) {
    put(store, path, bytes);
    let meta = meta_of(label, timestamp, BackupType::Daily, bytes.len());
    put(store, &format!("{path}.meta"), &meta.to_json());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn list(store: &dyn Store) -> Listing {
    Listing::of(store, &TimeZone::get("Asia/Tokyo").unwrap()).unwrap()
}

fn states(listing: &Listing) -> Vec<(&str, State)> {
    listing.rows.iter().map(|row| (row.path.as_str(), row.state)).collect()
}

#[test]
fn each_file_gets_its_state() {
    let store = MemoryStore::new();
    let day = "postgres/daily/postgres-shop";
    backup(&store, &format!("{day}-20251129-030000.sql.gz"), "shop", "2025-11-29T03:00:00+09:00", b"sound");
    put(&store, &format!("{day}-20251128-030000.sql.gz"), &Sample::small().archive());
    put(&store, &format!("{day}-20251127-030000.sql.gz"), &gzip(b"SELECT 1;\n"));
    put(&store, &format!("{day}-20251126-030000.sql.gz"), b"");
    put(&store, &format!("{day}-20251125-030000.sql.gz"), b"cut");
    put(&store, &format!("{day}-20251125-030000.sql.gz.meta"), b"{\"timestamp\": \"2025-");
    put(
        &store,
        &format!("{day}-20251124-030000.sql.gz.meta"),
        &meta_of("shop", "2025-11-24T03:00:00+09:00", BackupType::Daily, 1).to_json(),
    );
    put(&store, &format!("{day}-20251123-030000.sql.gz"), b"shorter");
    put(
        &store,
        &format!("{day}-20251123-030000.sql.gz.meta"),
        &meta_of("shop", "2025-11-23T03:00:00+09:00", BackupType::Daily, 99).to_json(),
    );
    put(&store, &format!("{day}-20241129-030000.sql.gz"), b"nine byte");
    put(&store, &format!("{day}-20241129-030000.sql.gz.meta"), old_meta(9).as_bytes());
    put(&store, "sqlite/daily/manifest-20251129-030000.json", b"{}");
    put(&store, "README.txt", b"hello");

    let listing = list(&store);
    let expected = [
        ("20251129", State::Complete),
        ("20251128", State::NoMeta),
        ("20251127", State::Foreign),
        ("20251126", State::Damaged),
        ("20251125", State::Damaged),
        ("20251124", State::NoArchive),
        ("20251123", State::Damaged),
        ("20241129", State::Foreign),
    ];
    let expected: Vec<(String, State)> =
        expected.iter().map(|(date, state)| (format!("{day}-{date}-030000.sql.gz"), *state)).collect();
    let found: Vec<(String, State)> =
        states(&listing).into_iter().map(|(path, state)| (path.to_owned(), state)).collect();
    assert_eq!(found, expected);
    let notes: Vec<&str> = listing.rows.iter().filter_map(|row| row.note.as_deref()).collect();
    assert_eq!(notes[0], "a plain gzip file");
    assert_eq!(notes[1], "is empty");
    assert!(notes[2].contains("meta is not valid"), "{notes:?}");
    assert_eq!(notes[3], "has 7 bytes, its meta says 99");
    assert_eq!(listing.manifests, ["sqlite/daily/manifest-20251129-030000.json"]);
    assert_eq!(listing.rows[1].timestamp.to_string(), "2025-11-28T03:00:00+09:00");
    assert!(listing.rows.iter().all(|row| row.label == "shop" && row.tier == Some(Tier::Daily)));
    assert!(listing.rows.iter().all(|row| row.kind == Some(ArchiveKind::Postgres)));
}

#[test]
fn instants_order_not_names() {
    let store = MemoryStore::new();
    // The clock went back at 03:00: the second 02:30 is an hour later than the first and sorts before by name.
    backup(&store, "postgres/daily/postgres-shop-20251026-023001.sql.gz", "shop", "2025-10-26T02:30:00+02:00", b"1");
    backup(&store, "postgres/daily/postgres-shop-20251026-023000.sql.gz", "shop", "2025-10-26T02:30:00+01:00", b"2");
    let listing = list(&store);
    assert!(listing.rows[0].path.ends_with("023000.sql.gz"));
    let chosen = latest(&listing, &Wanted::default(), &mut |_| Ok(())).unwrap().chosen.path.clone();
    assert!(chosen.ends_with("023000.sql.gz"));
}

#[test]
fn a_renamed_backup_is_still_one() {
    let store = MemoryStore::new();
    backup(&store, "before the move.sql.gz", "shop", "2025-10-26T02:30:00+02:00", b"1");
    let listing = list(&store);
    assert_eq!(states(&listing), [("before the move.sql.gz", State::Complete)]);
    assert_eq!((listing.rows[0].label.as_str(), listing.rows[0].tier), ("shop", None));
}

#[test]
fn parts_are_one_backup() {
    let store = MemoryStore::new();
    let path = "postgres/daily/postgres-shop-20251129-030000.sql.gz";
    put(&store, &format!("{path}.001"), b"12345");
    put(&store, &format!("{path}.002"), b"67");
    let meta = meta_of("shop", "2025-11-29T03:00:00+00:00", BackupType::Daily, 7);
    put(&store, &format!("{path}.meta"), &meta.to_json());
    let listing = list(&store);
    assert_eq!(states(&listing), [(path, State::Complete)]);
    assert_eq!(listing.rows[0].files(), [format!("{path}.001"), format!("{path}.002")]);
    store.delete(&Name::new(format!("{path}.001")).unwrap()).unwrap();
    let listing = list(&store);
    assert_eq!(listing.rows[0].note.as_deref(), Some("part 001 is missing"));
}

#[test]
fn taken_names_include_orphans_and_ignore_case() {
    let store = MemoryStore::new();
    put(&store, "postgres/weekly/postgres-Shop-20251129-030000.sql.zst.age", b"orphan");
    put(&store, "postgres/daily/postgres-web-20251129-030000.sql.gz.meta", b"orphan");
    put(&store, "sqlite/daily/manifest-20251129-030000.json", b"{}");
    let listing = list(&store);
    for stem in ["postgres-shop-20251129-030000", "postgres-web-20251129-030000", "manifest-20251129-030000"] {
        assert!(listing.is_taken(stem), "{stem}");
    }
    assert!(!listing.is_taken("postgres-shop-20251129-030001"));
}

#[test]
fn tiers_are_counted_by_source_and_only_if_complete() {
    let store = MemoryStore::new();
    backup(&store, "postgres/weekly/postgres-a-20251129-030000.sql.gz", "a", "2025-11-29T03:00:00Z", b"1");
    backup(&store, "postgres/weekly/postgres-b-20251129-030000.sql.gz", "b", "2025-11-29T03:00:00Z", b"1");
    put(&store, "postgres/monthly/postgres-a-20251129-030000.sql.gz", &Sample::small().archive());
    let expected = [(Tier::Weekly, "2025-11-29T03:00:00Z".parse().unwrap())];
    assert_eq!(list(&store).tiers_of(&source("a"), None), expected);
}

#[test]
fn latest_says_why_it_passed_over_the_newer_ones() {
    let store = MemoryStore::new();
    let path = |day: u32| format!("postgres/daily/postgres-shop-202511{day}-030000.sql.gz");
    put(&store, &path(29), &Sample::small().archive());
    for day in [26, 27, 28] {
        backup(&store, &path(day), "shop", &format!("2025-11-{day}T03:00:00+09:00"), b"1");
    }
    let listing = list(&store);
    let mut asked = Vec::new();
    let mut judge = |row: &Listed| {
        asked.push(row.path.clone());
        if row.path == path(28) { Err(Error::new(Kind::Damaged, "member 3 is damaged")) } else { Ok(()) }
    };
    let choice = latest(&listing, &Wanted::default(), &mut judge).unwrap();
    assert_eq!(choice.chosen.path, path(27));
    let why: Vec<(String, &str)> =
        choice.passed_over.iter().map(|passed| (passed.path.clone(), passed.why.as_str())).collect();
    assert_eq!(why[0].0, path(29));
    assert!(why[0].1.contains(".meta"));
    assert_eq!(why[1], (path(28), "member 3 is damaged"));
    assert_eq!(asked, [path(28), path(27)], "older ones need no look");

    let time = "2025-11-27T03:00:00+09:00".parse::<Timestamp>().unwrap();
    let choice = before(&listing, &Wanted::default(), time, &mut |_| Ok(())).unwrap();
    assert_eq!(choice.chosen.path, path(26));
    assert!(choice.passed_over.is_empty(), "{:?}", choice.passed_over);
}

#[test]
fn nothing_sound_is_an_error_that_lists_the_reasons() {
    let store = MemoryStore::new();
    let wanted = Wanted { name: Some("shop"), ..Wanted::default() };
    let error = latest(&list(&store), &wanted, &mut |_| Ok(())).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Nothing, "no sound backup of shop was found"));
    backup(&store, "x.sql.gz", "shop", "2025-11-26T03:00:00Z", b"1");
    let listing = list(&store);
    let error = latest(&listing, &wanted, &mut |_| Err(Error::new(Kind::Damaged, "no footer"))).unwrap_err();
    assert_eq!(error.notes(), ["x.sql.gz was passed over: no footer"]);
    let stop = latest(&listing, &wanted, &mut |_| Err(Error::new(Kind::Signal(15), "stopped"))).unwrap_err();
    assert_eq!(stop.kind(), Kind::Signal(15));
}

#[test]
fn several_databases_need_a_name() {
    let store = MemoryStore::new();
    backup(&store, "a.sql.gz", "shop", "2025-11-26T03:00:00Z", b"1");
    backup(&store, "b.sql.gz", "web", "2025-11-27T03:00:00Z", b"1");
    put(&store, "c.db.gz", &gzip(b"SQLite format 3\0"));
    let listing = list(&store);
    let error = latest(&listing, &Wanted::default(), &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().ends_with("shop (postgres), web (postgres), c (sqlite)"), "{error}");
    let by = |name, kind| Wanted { name, kind, before: None };
    let of = |wanted: Wanted<'_>| latest(&listing, &wanted, &mut |_| Ok(())).unwrap().chosen.path.clone();
    assert_eq!(of(by(Some("shop"), None)), "a.sql.gz");
    assert_eq!(of(by(None, Some(ArchiveKind::Sqlite))), "c.db.gz");
}

#[test]
fn a_path_may_be_a_folder_a_file_a_meta_or_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path());
    backup(&store, "one", "shop", "2025-11-26T03:00:00Z", b"12");
    backup(&store, "sub/two.sql.gz", "web", "2025-11-27T03:00:00Z", b"1");
    put(&store, "one.more", b"not this");
    std::os::unix::fs::symlink("sub/two.sql.gz", folder.path().join("link")).unwrap();
    let list = |path: &str| at_path(&folder.path().join(path), &places(), &TimeZone::UTC).map(|(_, listing)| listing);

    assert_eq!(states(&list("one").unwrap()), [("one", State::Complete)]);
    assert_eq!(states(&list("one.meta").unwrap()), [("one", State::Complete)]);
    assert_eq!(states(&list("link").unwrap()), [("two.sql.gz", State::Complete)]);
    let all = list("").unwrap();
    assert_eq!(states(&all), [("sub/two.sql.gz", State::Complete), ("one", State::Complete)]);
    assert_eq!(
        all.skipped,
        [Skipped { path: "link".to_owned(), why: "a symbolic link, which is not followed".to_owned() }]
    );
    assert_eq!(list("absent").unwrap_err().kind(), Kind::Nothing);
    fs::remove_file(folder.path().join("one")).unwrap();
    assert_eq!(list("one.meta").unwrap_err().kind(), Kind::Nothing);
}

#[test]
fn rows_become_json() {
    let store = MemoryStore::new();
    backup(&store, "postgres/daily/postgres-shop-20251129-030000.sql.gz", "shop", "2025-11-29T03:00:00+09:00", b"1");
    let json = serde_json::to_value(list(&store)).unwrap();
    let row = &json["rows"][0];
    assert_eq!((&row["state"], &row["tier"], &row["kind"]), (&"complete".into(), &"daily".into(), &"postgres".into()));
    assert_eq!(row["timestamp"], "2025-11-29T03:00:00+09:00");
    assert_eq!(row["meta"]["details"], serde_json::Value::Null, "details are flattened");
    assert_eq!(row["meta"]["label"], "shop");
}

#[test]
fn five_thousand_databases_are_listed_within_two_seconds() {
    const DATABASES: usize = 5000;
    let folder = tempfile::tempdir().unwrap();
    let daily = folder.path().join("postgres/daily");
    fs::create_dir_all(&daily).unwrap();
    for number in 0..DATABASES {
        let name = format!("postgres-db{number}-20251129-030000.sql.gz");
        fs::write(daily.join(&name), b"1").unwrap();
        let mut meta = meta_of(&format!("db{number}"), "2025-11-29T03:00:00Z", BackupType::Daily, 1);
        meta.details.as_mut().unwrap().tables = (0..5).map(|number| table_facts(&format!("table_{number}"))).collect();
        fs::write(daily.join(format!("{name}.meta")), meta.to_json()).unwrap();
    }
    let store = LocalStore::new(folder.path());
    let before = processor_seconds();
    let listing = list(&store);
    let took = processor_seconds() - before;
    let labels: BTreeSet<&str> = listing.rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!((listing.rows.len(), labels.len()), (DATABASES, DATABASES));
    assert!(listing.rows.iter().all(|row| row.state == State::Complete));
    assert!(took < 2.0, "{took} s");
}

/// Of this thread: other tests share the machine.
fn processor_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn table_facts(name: &str) -> TableFacts {
    TableFacts {
        schema: "public".to_owned(),
        name: name.to_owned(),
        rows: 1,
        raw_bytes: RawBytes(1),
        digest: RowDigest(1),
    }
}
