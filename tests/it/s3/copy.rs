//! `copy` between folders and buckets.

use std::fs;
use std::process::Command;

use super::server::{open, place, settings, url};
use crate::program::{Outcome, Sandbox};

struct Shop {
    sandbox: Sandbox,
    place: String,
}

impl Shop {
    /// With one backup in three tiers, and a run manifest in each, in the folder `here`.
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let database = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
        database.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (7)").unwrap();
        sandbox.run(&["backup", "sqlite", "--file", "app.db", "--to", "here"]).expect(0);
        Shop { sandbox, place: place("copy_of").to_string() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(arguments);
        command.env("AWS_ENDPOINT_URL", url());
        command.env("AWS_ACCESS_KEY_ID", "testkey").env("AWS_SECRET_ACCESS_KEY", "testsecret");
        command
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.sandbox.finish(self.command(arguments))
    }

    fn objects(&self) -> usize {
        let location = miyabi_backup::store::s3::Location::parse(&self.place).unwrap();
        open(&location, settings()).list("").unwrap().len()
    }
}

#[test]
fn a_tree_goes_to_a_bucket_and_back() {
    let shop = Shop::new();
    shop.run(&["copy", "here", &shop.place]).expect(0).says("3 copied");
    assert_eq!(shop.objects(), 9);
    shop.run(&["copy", "here", &shop.place]).expect(0).says("0 copied").says("3 there already");
    shop.run(&["verify", &shop.place]).expect(0);
    shop.run(&["copy", &shop.place, "there"]).expect(0).says("3 copied");
    shop.run(&["verify", "there"]).expect(0);
    let files = |root: &str| {
        let mut files: Vec<_> = shop.sandbox.files("").into_iter().collect();
        files.retain(|path| path.starts_with(shop.sandbox.path(root)));
        files.into_iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(files("there").len(), 9);
    assert!(files("there") == files("here"), "what came back is not what was sent");
}

#[test]
fn one_backup_finds_its_place_in_the_tree() {
    let shop = Shop::new();
    let archive = shop.sandbox.daily("app");
    shop.run(&["copy", archive.to_str().unwrap(), &shop.place]).expect(0).says("sqlite/daily/");
    assert_eq!(shop.objects(), 2);
    shop.run(&["copy", "here", &shop.place, "--name", "another"]).expect(5);
}

#[test]
fn a_damaged_backup_is_not_passed_on() {
    let shop = Shop::new();
    let archive = fs::canonicalize(shop.sandbox.path("here/sqlite/daily")).unwrap();
    let archive = fs::read_dir(archive).unwrap().map(|entry| entry.unwrap().path());
    let archive = archive.into_iter().find(|path| path.to_string_lossy().ends_with(".db.gz")).unwrap();
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // All tiers are links to the same bytes.
    fs::write(&archive, bytes).unwrap();
    shop.run(&["copy", "here", &shop.place]).expect(30).says("its digest differs");
    shop.run(&["copy", "here", "there"]).expect(30).says("its digest differs");
    let left = miyabi_backup::store::s3::Location::parse(&shop.place).unwrap();
    let left = open(&left, settings()).list("").unwrap();
    assert!(left.iter().all(|entry| entry.name.as_str().contains("manifest-")), "{left:?}");
}

#[test]
fn what_stands_is_left_alone() {
    let shop = Shop::new();
    shop.run(&["copy", "here", &shop.place]).expect(0);
    shop.sandbox.run(&["backup", "sqlite", "--file", "app.db", "--to", "other"]).expect(0);
    // The same names with other bytes.
    let rename = |folder: &str| {
        let folder = shop.sandbox.path(folder);
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let names: Vec<_> = rename("here/sqlite/daily").iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    for path in rename("other/sqlite/daily") {
        let ending = |name: &std::ffi::OsStr| name.to_string_lossy().split_once('.').map(|(_, end)| end.to_owned());
        let same = names.iter().find(|name| ending(name) == ending(path.file_name().unwrap()));
        fs::rename(&path, path.with_file_name(same.unwrap())).unwrap();
    }
    shop.run(&["copy", "other/sqlite/daily", &shop.place]).expect(4).says("another file stands");
}
