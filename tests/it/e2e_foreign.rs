//! Backups of the scripts that came before (`pg_dump | gzip -9`, `sqlite3 .backup | gzip -9`): listed, verified, restored.

use std::fs;
use std::process::Command;

use crate::program::Sandbox;
use crate::sample;
use crate::util::{TestDatabase, stock};

/// The old system's tree, as its scripts wrote it: archive, and `.meta` with nine fields.
fn old_backup(sandbox: &Sandbox, source: &TestDatabase) -> String {
    let folder = "backups/postgres/daily";
    fs::create_dir_all(sandbox.path(folder)).unwrap();
    let name = format!("{folder}/postgres-{}-20251129-030000.sql.gz", source.name);
    let script = stock(source.major, "pg_dump").args(["-d", &source.url()]).output().unwrap();
    assert!(script.status.success());
    gzip(sandbox, &script.stdout, &name);
    let size = fs::metadata(sandbox.path(&name)).unwrap().len();
    let meta = serde_json::json!({
        "timestamp": "2025-11-29T03:00:00+00:00", "database": source.name, "host": "localhost", "port": "5433", "backup_type": "daily",
        "size_bytes": size, "size_human": "12M", "compression": "gzip -9", "format": "sql"
    });
    fs::write(sandbox.path(format!("{name}.meta")), meta.to_string()).unwrap();
    name
}

fn gzip(sandbox: &Sandbox, content: &[u8], name: &str) {
    let plain = sandbox.path(name.strip_suffix(".gz").unwrap());
    fs::write(&plain, content).unwrap();
    assert!(Command::new("gzip").arg("-9").arg(&plain).status().unwrap().success());
}

#[test]
fn dumps_of_pg_dump_14_to_18_come_back() {
    for major in 14..=18 {
        let sandbox = Sandbox::new();
        let source = TestDatabase::new(major, "foreign_source");
        sample::fill(&source, 500);
        let file = old_backup(&sandbox, &source);
        sandbox.run(&["list"]).expect(0).says(&source.name).says("foreign");
        sandbox.run(&["verify"]).expect(0).says("foreign");

        let target = TestDatabase::planned(major, "foreign_copy");
        let restore = ["restore", "--type", "postgres", "--file", &file, "--url", &target.url(), "--confirm"];
        sandbox.run(&restore).expect(0);
        sample::assert_same(&source, &target);
        // and over one with content: the old one is kept as with archives of ours
        target.psql("DROP TABLE orders CASCADE");
        sandbox.run(&restore).expect(0).says("_before_restore_");
        sample::assert_same(&source, &target);
    }
}

#[test]
fn a_cut_or_altered_foreign_dump_is_found() {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(17, "foreign_source");
    sample::fill(&source, 500);
    let file = old_backup(&sandbox, &source);
    let whole = fs::read(sandbox.path(&file)).unwrap();
    let target = TestDatabase::planned(17, "foreign_copy");

    fs::write(sandbox.path("cut.sql.gz"), &whole[..whole.len() / 2]).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    fs::write(sandbox.path("altered.sql.gz"), altered).unwrap();
    for damaged in ["cut.sql.gz", "altered.sql.gz"] {
        sandbox.run(&["verify", damaged]).expect(30).says(damaged);
        sandbox
            .run(&["restore", "--type", "postgres", "--file", damaged, "--url", &target.url(), "--confirm"])
            .expect_failure();
        assert!(!target.exists(), "{damaged} was restored");
    }
    // a whole gzip file of half a dump: pg_dump's last line is missing
    let script = Command::new("gunzip").arg("-c").arg(sandbox.path(&file)).output().unwrap().stdout;
    gzip(&sandbox, &script[..script.len() / 2], "half.sql.gz");
    sandbox.run(&["verify", "half.sql.gz"]).expect(30).says("half.sql.gz");
}

/// A dump is text from elsewhere: what would make psql run a command is refused, whatever the file claims to be.
#[test]
fn backslash_commands_in_foreign_dumps_are_refused() {
    let sandbox = Sandbox::new();
    let owned = sandbox.path("owned");
    let script = format!(
        "CREATE TABLE t (a int);\n\\! touch {}\n--\n-- PostgreSQL database dump complete\n--\n",
        owned.display()
    );
    gzip(&sandbox, script.as_bytes(), "evil.sql.gz");
    let target = TestDatabase::planned(16, "foreign_evil");
    let restore = ["restore", "--type", "postgres", "--file", "evil.sql.gz", "--url", &target.url(), "--confirm"];
    sandbox.run(&restore).expect_failure().blames("");
    assert!(!owned.exists() && !target.exists());
}

#[test]
fn a_gzipped_sqlite_file_comes_back() {
    let sandbox = Sandbox::new();
    let folder = "backups/sqlite/daily";
    fs::create_dir_all(sandbox.path(folder)).unwrap();
    let plain = sandbox.path("made.db");
    let connection = rusqlite::Connection::open(&plain).unwrap();
    connection.execute_batch("CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('old'), ('system')").unwrap();
    drop(connection);
    let name = format!("{folder}/sqlite-miyabi-20251129-030000.db.gz");
    gzip(&sandbox, &fs::read(&plain).unwrap(), &name);

    sandbox.run(&["list"]).expect(0).says("miyabi").says("foreign");
    sandbox.run(&["verify"]).expect(0).says("foreign");
    sandbox.run(&["restore", "--type", "sqlite", "--file", &name, "--database", "back.db", "--confirm"]).expect(0);
    let connection = rusqlite::Connection::open(sandbox.path("back.db")).unwrap();
    let words: String = connection.query_row("SELECT group_concat(v) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(words, "old,system");
}
