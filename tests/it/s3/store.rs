//! The promises of a store, kept by a bucket: parts, further files, keys with fewer rights, unfinished uploads.

use std::io::Write;
use std::time::Duration;

use miyabi_backup::error::Kind;
use miyabi_backup::store::s3::{Location, Login, Settings};
use miyabi_backup::store::{Bytes, Name, Store, contract};

use super::server::{self, open, place, settings};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Bytes that differ everywhere.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) + 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state >> 11).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn write(store: &dyn Store, path: &str, bytes: &[u8], expected: Option<u64>) -> u16 {
    let mut upload = store.begin_sized(&name(path), expected).unwrap();
    // In pieces that end nowhere near a part's end.
    for piece in bytes.chunks(300_007) {
        upload.write_all(piece).unwrap();
    }
    let published = upload.publish(&mut |stored| {
        assert_eq!(Bytes::len(stored), bytes.len() as u64);
        Ok(())
    });
    let published = published.unwrap();
    assert_eq!((published.size, published.read_back), (bytes.len() as u64, true));
    published.further
}

fn read(store: &dyn Store, path: &str) -> Vec<u8> {
    let stored = store.open(&name(path)).unwrap();
    let mut bytes = vec![0; stored.len() as usize];
    stored.read_at(0, &mut bytes).unwrap();
    bytes
}

fn listed(store: &dyn Store) -> Vec<String> {
    store.list("").unwrap().iter().map(|entry| entry.name.to_string()).collect()
}

/// Parts of 5 MiB, three of which fit into the memory.
fn small_parts() -> Settings {
    Settings { memory: 16 << 20, ..settings() }
}

#[test]
fn a_bucket_keeps_the_contract() {
    for (label, case) in contract::CASES {
        eprintln!("case {label}");
        case(server::store("contract").as_ref());
    }
}

#[test]
fn files_of_every_number_of_parts_come_back() {
    let store = open(&place("parts"), small_parts());
    let part = 5 << 20;
    for len in [0, 1, part - 1, part, part + 1, 2 * part, 4 * part + 12_345] {
        let bytes = noise(len, len as u64);
        assert_eq!(write(store.as_ref(), &format!("x{len}"), &bytes, None), 0);
        assert!(read(store.as_ref(), &format!("x{len}")) == bytes, "{len} bytes came back changed");
    }
}

#[test]
fn when_parts_run_out_the_file_goes_on_in_further_ones() {
    let place = place("further");
    let store = open(&place, Settings { parts_max: 2, ..small_parts() });
    // Two parts of 5 MiB, then two of 8 (all that half the memory allows), then the rest.
    let bytes = noise(30 << 20, 7);
    assert_eq!(write(store.as_ref(), "set.gz", &bytes, Some(1)), 2);
    assert_eq!(listed(store.as_ref()), ["set.gz", "set.gz.001", "set.gz.002"]);
    let joined = ["set.gz", "set.gz.001", "set.gz.002"].map(|path| read(store.as_ref(), path)).concat();
    assert!(joined == bytes, "the files in their order are not what was written");
    // With a better estimate there is one file.
    let store = open(&place, Settings { parts_max: 4, ..small_parts() });
    assert_eq!(write(store.as_ref(), "one.gz", &bytes[..20 << 20], Some(20 << 20)), 0);
}

#[test]
fn a_set_that_cannot_get_its_name_leaves_no_part_of_it() {
    let place = place("set");
    let store = open(&place, Settings { parts_max: 1, ..small_parts() });
    let mut upload = store.begin(&name("set.gz")).unwrap();
    upload.write_all(&noise(12 << 20, 1)).unwrap();
    // Somebody else is faster.
    open(&place, settings()).put_new(&name("set.gz"), b"theirs").unwrap();
    assert_eq!(upload.publish(&mut |_| Ok(())).unwrap_err().kind(), Kind::Refused);
    assert_eq!(listed(store.as_ref()), ["set.gz"]);
    assert_eq!(read(store.as_ref(), "set.gz"), b"theirs");
    let swept = open(&place, Settings { stale_after: Duration::ZERO, ..settings() }).sweep(&|_| true).unwrap();
    assert!(swept.is_empty(), "an upload was left: {swept:?}");
}

#[test]
fn large_files_are_copied_by_the_store_itself() {
    let store = open(&place("copy"), small_parts());
    let bytes = noise(11 << 20, 3);
    write(store.as_ref(), "daily/x", &bytes, None);
    store.link(&name("daily/x"), &name("weekly/x")).unwrap();
    store.delete(&name("daily/x")).unwrap();
    assert!(read(store.as_ref(), "weekly/x") == bytes);
}

#[test]
fn unfinished_uploads_are_found_by_age_and_name() {
    let place = place("sweep");
    let store = open(&place, small_parts());
    let begin = |path: &str| {
        let mut upload = store.begin(&name(path)).unwrap();
        upload.write_all(&noise(11 << 20, 5)).unwrap();
        upload
    };
    // A run that is killed does not come to drop anything.
    std::mem::forget(begin("daily/dead"));
    std::mem::forget(begin("daily/theirs"));
    let live = begin("daily/live");
    let at_once = || Settings { stale_after: Duration::ZERO, ..settings() };
    let is_ours = |path: &str| path != "daily/theirs";
    // The process that writes them knows them as live, and a younger upload may be another machine's.
    let here: &dyn Store = store.as_ref();
    assert!(here.sweep(&is_ours).unwrap().is_empty());
    assert!(open(&place, settings()).sweep(&is_ours).unwrap().is_empty());
    live.publish(&mut |_| Ok(())).unwrap();
    assert_eq!(open(&place, at_once()).sweep(&is_ours).unwrap(), ["daily/dead"]);
    assert!(open(&place, at_once()).sweep(&is_ours).unwrap().is_empty());
    assert_eq!(open(&place, at_once()).sweep(&|_| true).unwrap(), ["daily/theirs"]);
    assert_eq!(listed(here), ["daily/live"]);
}

#[test]
fn a_key_that_may_only_write_writes() {
    let place = place("write_only");
    let store = open(&place, Settings { login: server::keys("wo"), ..small_parts() });
    for (path, len) in [("small", 10), ("large", 11 << 20)] {
        let mut upload = store.begin(&name(path)).unwrap();
        upload.write_all(&noise(len, 9)).unwrap();
        let published = upload.publish(&mut |_| panic!("what may not be read was looked at")).unwrap();
        assert_eq!((published.size, published.read_back), (len as u64, false));
    }
    assert!(store.sweep(&|_| true).unwrap().is_empty());
    assert!(read(open(&place, settings()).as_ref(), "large") == noise(11 << 20, 9));
    let error = store.open(&name("small")).err().unwrap();
    assert!(error.chain().contains("access is denied"), "{}", error.chain());
    // What stands is not overwritten although it cannot be seen.
    let mut upload = store.begin(&name("small")).unwrap();
    upload.write_all(b"other").unwrap();
    assert_eq!(upload.publish(&mut |_| Ok(())).unwrap_err().kind(), Kind::Refused);
}

#[test]
fn what_is_wrong_is_told_apart() {
    let told = |location: &str, change: &dyn Fn(&mut Settings)| {
        let mut settings = settings();
        settings.patience.total = Duration::from_millis(20);
        change(&mut settings);
        let store = open(&Location::parse(location).unwrap(), settings);
        let error = store.put_new(&name("x"), b"1").unwrap_err();
        assert_eq!(error.kind(), Kind::Place, "{error:?}");
        (error.chain(), error.hint_text().unwrap_or_default().to_owned())
    };
    let (chain, hint) = told("s3://not-there/x", &|settings| settings.login = server::keys("root"));
    assert!(chain.contains("no such bucket") && hint.contains("make the bucket"), "{chain} / {hint}");
    let (chain, hint) = told("s3://other/x", &|_| {});
    assert!(chain.contains("access is denied") && hint.contains("policy"), "{chain} / {hint}");
    let (chain, hint) = told("s3://backups/x", &|settings| settings.login = server::keys("wrong"));
    assert!(chain.contains("does not accept") && hint.contains("access key"), "{chain} / {hint}");
    let (chain, hint) = told("s3://backups/x", &|settings| {
        settings.login = Login::Found { profile: Some("nope".into()) };
    });
    let expected = "cannot use s3://backups/x: there are no credentials in the profile `nope`";
    assert!(chain.contains(expected) && hint.contains("AWS_PROFILE"), "{chain} / {hint}");
    let (chain, hint) = told("s3://backups/x", &|settings| settings.endpoint = Some("http://127.0.0.1:1".into()));
    assert!(chain.contains("tried") && hint.contains("endpoint"), "{chain} / {hint}");
    assert_eq!(chain.matches("error").count(), 1, "one cause, told once: {chain}");
}
