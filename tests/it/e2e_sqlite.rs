//! SQLite from end to end: live files in both journal modes, with other processes on them, there and back.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use crate::program::Sandbox;

const JOURNAL_MODES: [&str; 2] = ["wal", "delete"];

/// Accounts whose sum never changes: a copy that mixes two states shows it.
fn bank(path: &Path, journal_mode: &str, accounts: u32) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    connection.pragma_update(None, "journal_mode", journal_mode).unwrap();
    connection
        .execute_batch(&format!(
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note BLOB);
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {accounts})
             INSERT INTO accounts SELECT n, 100, zeroblob(200) FROM n;
             CREATE INDEX by_balance ON accounts (balance);"
        ))
        .unwrap();
    connection
}

fn transfer(connection: &Connection, accounts: u32, turn: u64) -> rusqlite::Result<()> {
    let (from, to) = (1 + turn * 7919 % u64::from(accounts), 1 + turn * 104_729 % u64::from(accounts));
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; UPDATE accounts SET balance = balance - 1 WHERE id = {from}; UPDATE accounts SET balance = balance + 1 WHERE id = {to}; COMMIT"
    ))
}

#[track_caller]
fn assert_balanced(path: &Path, accounts: u32) {
    let connection = Connection::open(path).unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{}", path.display());
    let found: (u32, i64) = connection
        .query_row("SELECT count(*), sum(balance) FROM accounts", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(found, (accounts, i64::from(accounts) * 100), "{} is not one state", path.display());
}

#[test]
fn several_files_and_a_pattern_make_one_run() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("data")).unwrap();
    drop(bank(&sandbox.path("data/one.db"), "wal", 100));
    drop(bank(&sandbox.path("data/two.db"), "delete", 200));
    drop(bank(&sandbox.path("main.db"), "wal", 300));
    sandbox.run(&["backup", "sqlite", "--file", "data/*.db", "--file", "main.db"]).expect(0);
    sandbox.run(&["verify"]).expect(0);
    sandbox.run(&["list", "--type", "sqlite"]).expect(0).says("one").says("two").says("main");

    let manifests: Vec<_> =
        sandbox.files(".json").into_iter().filter(|path| path.to_string_lossy().contains("/daily/manifest-")).collect();
    assert_eq!(manifests.len(), 1, "{manifests:?}");
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(&manifests[0]).unwrap()).unwrap();
    assert_eq!(manifest["files"].as_array().map(Vec::len), Some(3), "{manifest}");

    for (label, accounts) in [("one", 100), ("two", 200), ("main", 300)] {
        let target = format!("{label}-back.db");
        let archive = sandbox.daily(label);
        sandbox
            .run(&[
                "restore",
                "--type",
                "sqlite",
                "--file",
                archive.to_str().unwrap(),
                "--database",
                &target,
                "--confirm",
            ])
            .expect(0);
        assert_balanced(&sandbox.path(&target), accounts);
    }
}

#[test]
fn a_pattern_without_a_file_and_a_broken_file_fail() {
    let sandbox = Sandbox::new();
    sandbox.run(&["backup", "sqlite", "--file", "nowhere/*.db"]).expect(5).blames("nowhere/*.db");
    drop(bank(&sandbox.path("good.db"), "wal", 50));
    fs::write(sandbox.path("broken.db"), b"SQLite format 3\0 and then nothing that makes sense").unwrap();
    sandbox.run(&["backup", "sqlite", "--file", "good.db", "--file", "broken.db"]).expect(3).blames("broken.db");
    sandbox.run(&["verify"]).expect(0);
    sandbox.daily("good");
    assert!(!sandbox.files(".gz").iter().any(|path| path.to_string_lossy().contains("broken")));
    assert!(fs::read(sandbox.path("broken.db")).unwrap().ends_with(b"makes sense"), "the source was changed");
}

#[test]
fn a_damaged_file_is_never_published_though_it_was_packed_meanwhile() {
    let sandbox = Sandbox::new();
    drop(bank(&sandbox.path("bad.db"), "delete", 20_000));
    // An entry too few in the index: every page is a sound one, only integrity_check can tell.
    let connection = Connection::open(sandbox.path("bad.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = sql || ' WHERE id > 1' WHERE name = 'by_balance';",
        )
        .unwrap();
    drop(connection);
    let connection = Connection::open(sandbox.path("bad.db")).unwrap();
    connection
        .execute_batch(
            "UPDATE accounts SET balance = 7 WHERE id = 1; PRAGMA writable_schema=ON;
             UPDATE sqlite_schema SET sql = replace(sql, ' WHERE id > 1', '') WHERE name = 'by_balance';",
        )
        .unwrap();
    drop(connection);
    sandbox.run(&["backup", "sqlite", "--file", "bad.db"]).expect(20).blames("integrity_check").hints();
    assert_eq!(sandbox.staging_files(), Vec::<std::path::PathBuf>::new());
    assert!(sandbox.files(".gz").is_empty() && sandbox.files(".meta").is_empty());
}

#[test]
fn a_file_that_is_written_to_all_the_time_comes_out_as_one_state() {
    const ACCOUNTS: u32 = 40_000;
    for mode in JOURNAL_MODES {
        let sandbox = Sandbox::new();
        let path = sandbox.path("bank.db");
        let connection = bank(&path, mode, ACCOUNTS);
        let (stop, turns) = (AtomicBool::new(false), AtomicU64::new(0));
        let (stop, turns) = (&stop, &turns);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    transfer(&connection, ACCOUNTS, turns.fetch_add(1, Ordering::Relaxed))
                        .expect("the writer is only made to wait");
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            while turns.load(Ordering::Relaxed) < 5 {
                std::thread::yield_now();
            }
            let before = turns.load(Ordering::Relaxed);
            let outcome = sandbox.run(&[
                "backup",
                "sqlite",
                "--file",
                "bank.db",
                "--sqlite-yield",
                "1s",
                "--output",
                "bank.db.gz",
            ]);
            let during = turns.load(Ordering::Relaxed) - before;
            stop.store(true, Ordering::Relaxed);
            outcome.expect(0);
            assert!(during > 0, "nothing was written meanwhile ({mode}): this proves nothing");
        });
        sandbox.run(&["verify", "bank.db.gz"]).expect(0);
        sandbox.run(&["restore", "--file", "bank.db.gz", "--database", "back.db", "--confirm"]).expect(0);
        assert_balanced(&sandbox.path("back.db"), ACCOUNTS);
        assert_balanced(&path, ACCOUNTS);
    }
}

#[test]
fn a_restore_keeps_the_old_content_and_reaches_processes_that_have_the_file_open() {
    use std::os::unix::fs::MetadataExt;
    for mode in JOURNAL_MODES {
        let sandbox = Sandbox::new();
        let path = sandbox.path("bank.db");
        let idle = bank(&path, mode, 1000);
        sandbox.run(&["backup", "sqlite", "--file", "bank.db", "--output", "bank.db.gz"]).expect(0);
        idle.execute_batch("DELETE FROM accounts WHERE id > 10; CREATE TABLE later (a)").unwrap();
        let inode = fs::metadata(&path).unwrap().ino();

        let restore = ["restore", "--type", "sqlite", "--file", "bank.db.gz", "--database", "bank.db"];
        sandbox.run(&restore).expect(4).says("--confirm");
        let rows = |connection: &Connection| {
            connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get::<_, u32>(0))
        };
        assert_eq!(rows(&idle), Ok(10));

        sandbox.run(&[&restore[..], &["--confirm"]].concat()).expect(0).says("before-restore");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "the idle process would write into a file that is gone");
        assert_eq!(rows(&idle), Ok(1000), "the idle process does not see the restored rows ({mode})");
        idle.execute_batch("UPDATE accounts SET balance = balance").unwrap();
        assert_balanced(&path, 1000);

        let kept: Vec<_> = sandbox
            .files("")
            .into_iter()
            .filter(|path| path.to_string_lossy().contains("bank.db.before-restore-"))
            .collect();
        let kept: Vec<_> = kept
            .iter()
            .filter(|path| !path.to_string_lossy().ends_with("-wal") && !path.to_string_lossy().ends_with("-shm"))
            .collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(rows(&Connection::open(kept[0]).unwrap()), Ok(10));
    }
}

#[test]
fn a_held_target_is_refused_and_left_alone() {
    for mode in JOURNAL_MODES {
        let sandbox = Sandbox::new();
        let writer = bank(&sandbox.path("bank.db"), mode, 100);
        sandbox.run(&["backup", "sqlite", "--file", "bank.db", "--output", "bank.db.gz"]).expect(0);
        writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM accounts WHERE id = 1").unwrap();
        let arguments =
            ["restore", "--file", "bank.db.gz", "--database", "bank.db", "--confirm", "--sqlite-busy", "1s"];
        sandbox.run(&arguments).expect(4).blames("bank.db").hints();
        writer.execute_batch("COMMIT").unwrap();
        let left: u32 = writer.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 99, "the writer's transaction was lost ({mode})");
    }
}

#[test]
fn a_damaged_archive_is_not_restored() {
    let sandbox = Sandbox::new();
    drop(bank(&sandbox.path("bank.db"), "wal", 5000));
    sandbox.run(&["backup", "sqlite", "--file", "bank.db", "--output", "bank.db.gz"]).expect(0);
    let mut bytes = fs::read(sandbox.path("bank.db.gz")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(sandbox.path("bank.db.gz"), bytes).unwrap();
    sandbox.run(&["verify", "bank.db.gz"]).expect(30).says("bank.db.gz");
    sandbox
        .run(&["restore", "--file", "bank.db.gz", "--database", "new.db", "--confirm"])
        .expect(30)
        .blames("bank.db.gz");
    assert!(!sandbox.path("new.db").exists());
    assert_balanced(&sandbox.path("bank.db"), 5000);
}
