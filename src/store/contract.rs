//! What every store promises, as one suite that runs over each of them. Each case wants a store with nothing in it.

use std::io::Write;

use crate::error::{Error, Kind};

use super::{Name, Store};

pub type Case = fn(&dyn Store);

pub const CASES: [(&str, Case); 10] = [
    ("published_bytes_are_read_back", published_bytes_are_read_back),
    ("an_empty_file_is_a_file", an_empty_file_is_a_file),
    ("nothing_is_listed_before_it_is_published", nothing_is_listed_before_it_is_published),
    ("aborted_dropped_and_refused_uploads_leave_nothing", aborted_dropped_and_refused_uploads_leave_nothing),
    ("a_name_that_stands_is_never_overwritten", a_name_that_stands_is_never_overwritten),
    ("one_name_has_one_writer", one_name_has_one_writer),
    ("a_link_lives_without_its_original", a_link_lives_without_its_original),
    ("deleting_twice_is_deleting", deleting_twice_is_deleting),
    ("folders_are_listed_by_whole_names", folders_are_listed_by_whole_names),
    ("the_root_is_listed_without_its_folders", the_root_is_listed_without_its_folders),
];

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn read(store: &dyn Store, path: &str) -> Vec<u8> {
    let bytes = store.open(&name(path)).unwrap();
    let mut all = vec![0; bytes.len() as usize];
    bytes.read_at(0, &mut all).unwrap();
    all
}

fn names(store: &dyn Store, folder: &str) -> Vec<String> {
    store.list(folder).unwrap().iter().map(|entry| entry.name.to_string()).collect()
}

fn published_bytes_are_read_back(store: &dyn Store) {
    let mut upload = store.begin(&name("a/b/one")).unwrap();
    upload.write_all(b"hello ").unwrap();
    upload.write_all(b"world").unwrap();
    let mut seen = Vec::new();
    let published = upload
        .publish(&mut |stored| {
            seen = vec![0; stored.len() as usize];
            stored.read_at(0, &mut seen).unwrap();
            Ok(())
        })
        .unwrap();
    assert_eq!((published.size, published.read_back), (11, true));
    assert_eq!(seen, b"hello world");
    assert_eq!(read(store, "a/b/one"), b"hello world");
    let bytes = store.open(&name("a/b/one")).unwrap();
    let mut middle = [0; 3];
    bytes.read_at(6, &mut middle).unwrap();
    assert_eq!(&middle, b"wor");
    assert!(bytes.read_at(9, &mut middle).is_err(), "reading past the end must fail");
    assert!(bytes.read_at(u64::MAX, &mut middle).is_err());
}

fn an_empty_file_is_a_file(store: &dyn Store) {
    store.put_new(&name("empty"), b"").unwrap();
    assert!(store.open(&name("empty")).unwrap().is_empty());
}

fn nothing_is_listed_before_it_is_published(store: &dyn Store) {
    let mut upload = store.begin(&name("a/one")).unwrap();
    upload.write_all(b"half").unwrap();
    assert!(names(store, "").is_empty());
    assert_eq!(store.open(&name("a/one")).err().unwrap().kind(), Kind::Nothing);
    upload.publish(&mut |_| Ok(())).unwrap();
    assert_eq!(names(store, ""), ["a/one"]);
}

fn aborted_dropped_and_refused_uploads_leave_nothing(store: &dyn Store) {
    let path = name("a/one");
    store.begin(&path).unwrap().abort().unwrap();
    let mut upload = store.begin(&path).unwrap();
    upload.write_all(b"half").unwrap();
    drop(upload);
    let mut upload = store.begin(&path).unwrap();
    upload.write_all(b"wrong").unwrap();
    let error = upload.publish(&mut |_| Err(Error::new(Kind::Damaged, "no footer"))).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.chain().contains("one") && error.chain().ends_with("no footer"), "{}", error.chain());
    assert!(names(store, "").is_empty());
    store.put_new(&path, b"whole").unwrap();
    assert_eq!(read(store, "a/one"), b"whole");
}

fn a_name_that_stands_is_never_overwritten(store: &dyn Store) {
    let (one, two) = (name("one"), name("two"));
    let late = store.begin(&two).unwrap();
    store.put_new(&one, b"first").unwrap();
    assert_eq!(store.put_new(&one, b"second").unwrap_err().kind(), Kind::Refused);
    assert_eq!(store.begin(&one).err().unwrap().kind(), Kind::Refused);
    store.link(&one, &two).unwrap();
    assert_eq!(late.publish(&mut |_| Ok(())).unwrap_err().kind(), Kind::Refused);
    assert_eq!(store.link(&one, &two).unwrap_err().kind(), Kind::Refused);
    assert_eq!(store.link(&two, &one).unwrap_err().kind(), Kind::Refused);
    assert_eq!((read(store, "one"), read(store, "two")), (b"first".to_vec(), b"first".to_vec()));
}

fn one_name_has_one_writer(store: &dyn Store) {
    let upload = store.begin(&name("one")).unwrap();
    let error = store.begin(&name("one")).err().unwrap();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.chain().contains("another process"), "{}", error.chain());
    assert!(store.sweep(&|_| true).unwrap().is_empty(), "a live upload was swept");
    upload.publish(&mut |_| Ok(())).unwrap();
    assert_eq!(names(store, ""), ["one"]);
}

fn a_link_lives_without_its_original(store: &dyn Store) {
    store.put_new(&name("daily/x"), b"bytes").unwrap();
    store.link(&name("daily/x"), &name("weekly/x")).unwrap();
    store.delete(&name("daily/x")).unwrap();
    assert_eq!(names(store, ""), ["weekly/x"]);
    assert_eq!(read(store, "weekly/x"), b"bytes");
    assert_eq!(store.link(&name("daily/x"), &name("monthly/x")).unwrap_err().kind(), Kind::Nothing);
}

fn deleting_twice_is_deleting(store: &dyn Store) {
    store.delete(&name("never/there")).unwrap();
    store.put_new(&name("a/x"), b"1").unwrap();
    store.delete(&name("a/x")).unwrap();
    store.delete(&name("a/x")).unwrap();
    assert!(names(store, "").is_empty());
}

fn folders_are_listed_by_whole_names(store: &dyn Store) {
    for path in ["b/2", "b/1", "bb/3", "a/x/4", "5"] {
        store.put_new(&name(path), path.as_bytes()).unwrap();
    }
    assert_eq!(names(store, ""), ["5", "a/x/4", "b/1", "b/2", "bb/3"]);
    assert_eq!(names(store, "b"), ["b/1", "b/2"]);
    assert_eq!(names(store, "a"), ["a/x/4"]);
    assert!(names(store, "nowhere").is_empty());
    assert_eq!(store.list("a").unwrap()[0].size, 5);
}

fn the_root_is_listed_without_its_folders(store: &dyn Store) {
    for path in ["shop.gz", "shop.gz.001", "shopping", "a/shop.gz"] {
        store.put_new(&name(path), path.as_bytes()).unwrap();
    }
    let mut found: Vec<String> = store.list_here("shop.gz").unwrap().iter().map(|one| one.name.to_string()).collect();
    found.sort();
    assert_eq!(found, ["shop.gz", "shop.gz.001"]);
}

#[cfg(test)]
mod tests {
    use super::super::LocalStore;
    use super::super::memory::MemoryStore;
    use super::*;

    #[test]
    fn memory_keeps_the_contract() {
        CASES.iter().for_each(|(_, case)| case(&MemoryStore::new()));
    }

    #[test]
    fn a_folder_keeps_the_contract() {
        for (_, case) in CASES {
            let folder = tempfile::tempdir().unwrap();
            case(&LocalStore::new(folder.path().join("not/there/yet")));
        }
    }
}
