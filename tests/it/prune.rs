//! Rotation as its user meets it: after a backup, by hand, and for what restores have kept.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::program::Sandbox;
use crate::sample::fill;
use crate::util::TestDatabase;

fn database(sandbox: &Sandbox, file: &str) -> PathBuf {
    let path = sandbox.path(file);
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    path
}

/// Makes the only daily backup of `label` one of 1 January 2026, as if the run had been then.
pub fn age(sandbox: &Sandbox, label: &str) -> PathBuf {
    let archive = sandbox.daily(label);
    let name = archive.file_name().unwrap().to_str().unwrap();
    let stamp = name.rsplit_once(".db.gz").unwrap().0;
    let old_name = format!("{}20260101-030000.db.gz", &stamp[..stamp.len() - 15]);
    let old = archive.with_file_name(&old_name);
    fs::rename(&archive, &old).unwrap();
    let meta = meta_of(&archive);
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&meta).unwrap()).unwrap();
    json["timestamp"] = "2026-01-01T03:00:00+00:00".into();
    fs::remove_file(&meta).unwrap();
    fs::write(meta_of(&old), serde_json::to_vec(&json).unwrap()).unwrap();
    old
}

fn meta_of(archive: &Path) -> PathBuf {
    PathBuf::from(format!("{}.meta", archive.display()))
}

#[test]
fn a_backup_rotates_its_own_series_and_tells() {
    let sandbox = Sandbox::new();
    database(&sandbox, "app.db");
    database(&sandbox, "other.db");
    sandbox.run(&["backup", "sqlite", "--file", "app.db", "--file", "other.db"]).expect(0);
    let (old, other) = (age(&sandbox, "app"), age(&sandbox, "other"));
    sandbox.run(&["backup", "sqlite", "--file", "app.db", "--no-prune"]).expect(0);
    assert!(old.exists(), "--no-prune removed something");
    let done = sandbox.run(&["backup", "sqlite", "--file", "app.db", "--json"]).expect(0).json();
    assert_eq!(done["pruned"][0]["removed"].as_array().map(Vec::len), Some(1), "{done}");
    assert!(!old.exists() && !meta_of(&old).exists(), "the expired backup still stands");
    assert!(other.exists() && meta_of(&other).exists(), "a backup of another file is gone");
    sandbox.run(&["verify"]).expect(0);
}

#[test]
fn nothing_goes_while_the_newest_backup_is_known_to_be_damaged() {
    let sandbox = Sandbox::new();
    database(&sandbox, "app.db");
    sandbox.run(&["backup", "sqlite", "--file", "app.db"]).expect(0);
    let old = age(&sandbox, "app");
    sandbox.run(&["backup", "sqlite", "--file", "app.db", "--no-prune"]).expect(0);
    sandbox.run(&["prune", "--dry-run"]).expect(0).says("kept for 7").says("1 backups would be removed");

    let is_new = |path: &PathBuf| path.to_string_lossy().contains("daily") && *path != old;
    let newest = sandbox.files(".gz").into_iter().find(is_new).unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    sandbox.run(&["verify"]).expect(30);
    sandbox.run(&["prune"]).expect(0).says("0 backups removed");
    assert!(old.exists(), "the only sound backup was removed");
    sandbox.run(&["prune", "--dry-run"]).expect(0).says("the newest backup is bad");
}

#[test]
fn a_run_that_holds_the_tree_is_not_disturbed() {
    let sandbox = Sandbox::new();
    sandbox.run(&["prune"]).expect(5).blames("no tree");
    database(&sandbox, "app.db");
    sandbox.run(&["backup", "sqlite", "--file", "app.db"]).expect(0);
    let key = miyabi_backup::state::TreeKey::of_folder(&sandbox.path("backups")).unwrap();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let _held = miyabi_backup::state::RunLock::acquire(&sandbox.path("state"), &key, now).unwrap();
    sandbox.run(&["prune"]).expect(4).blames("in use by process");
    sandbox.run(&["prune", "--dry-run"]).expect(0);
}

#[test]
fn what_restores_have_kept_goes_only_when_it_is_asked_for() {
    let sandbox = Sandbox::new();
    let database_file = database(&sandbox, "app.db");
    let shop = TestDatabase::new(17, "kept");
    fill(&shop, 10);
    let toml = format!("[[postgres]]\nurl = \"{}\"\n[[sqlite]]\npath = \"{}\"\n", shop.url(), database_file.display());
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    sandbox.run(&["backup", "--no-globals"]).expect(0);
    sandbox.run(&["prune", "--before-restore", "--confirm"]).expect(5).blames("no restore has kept anything");
    sandbox.run(&["restore", "--type", "postgres", "--file", "latest", "--confirm"]).expect(0);
    let target = database_file.to_str().unwrap();
    sandbox.run(&["restore", "--type", "sqlite", "--file", "latest", "--database", target, "--confirm"]).expect(0);
    let bystander = format!("{}_before_restore_mine", shop.name);
    crate::util::psql(17, &crate::util::admin_url(17), &format!("CREATE DATABASE \"{bystander}\" TEMPLATE template0"));

    let copies = || {
        let sql =
            format!("SELECT count(*) FROM pg_database WHERE starts_with(datname, '{}_before_restore_')", shop.name);
        let databases = crate::util::psql(17, &crate::util::admin_url(17), &sql);
        (databases, fs::read_dir(sandbox.path(".")).unwrap().flatten().filter(is_safety_copy).count())
    };
    assert_eq!(copies(), ("2".to_owned(), 1));
    sandbox.run(&["prune"]).expect(0);
    sandbox.run(&["prune", "--before-restore"]).expect(4).blames("without a confirmation");
    sandbox.run(&["prune", "--before-restore", "--dry-run"]).expect(0).says("_before_restore_2").never_says("mine");
    assert_eq!(copies(), ("2".to_owned(), 1));
    sandbox.run(&["prune", "--before-restore", "--confirm"]).expect(0).says("removed 2 old copies");
    assert_eq!(copies(), ("1".to_owned(), 0), "only what restores have kept may go");
    assert!(shop.exists() && database_file.exists());
}

/// A pattern that matches nothing any more names nobody: what it once found keeps its backups and what restores have kept.
#[test]
fn what_a_missing_source_has_left_stays() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("gone")).unwrap();
    fs::create_dir(sandbox.path("here")).unwrap();
    database(&sandbox, "gone/one.db");
    database(&sandbox, "here/two.db");
    let toml = "[[sqlite]]\npath = \"gone/*.db\"\n[[sqlite]]\npath = \"here/*.db\"\n";
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    sandbox.run(&["backup"]).expect(0);
    for (name, target) in [("one", "gone/one.db"), ("two", "here/two.db")] {
        let archive = sandbox.daily(name);
        let restore = ["restore", "--file", archive.to_str().unwrap(), "--database", target, "--confirm"];
        sandbox.run(&restore).expect(0);
    }
    fs::remove_file(sandbox.path("gone/one.db")).unwrap();
    let kept = |folder: &str| fs::read_dir(sandbox.path(folder)).unwrap().flatten().filter(is_safety_copy).count();
    assert_eq!((kept("gone"), kept("here")), (1, 1));
    let backups = sandbox.files(".meta");
    sandbox.run(&["prune"]).expect(0).says("0 backups removed");
    sandbox
        .run(&["prune", "--before-restore", "--confirm"])
        .expect(0)
        .says("gone/*.db of sqlite.path")
        .says("matches no file: what restores have kept of it stays");
    assert_eq!((kept("gone"), kept("here")), (1, 0));
    assert_eq!(sandbox.files(".meta"), backups);
}

fn is_safety_copy(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().contains(".before-restore-")
}
