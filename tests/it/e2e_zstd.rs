//! `--compress zstd`: everything that reads a `.gz` of ours reads a `.zst`, whatever the file is called.

use std::fs;

use crate::program::Sandbox;
use crate::restore_pipe::piped;
use crate::sample;
use crate::util::TestDatabase;

#[test]
fn a_tree_of_zstd_is_listed_verified_and_restored() {
    let major = 17;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "zstd_source");
    sample::fill(&source, 1_500);
    source.psql(
        "CREATE TABLE plain (a int, b text); INSERT INTO plain SELECT n, 'row ' || n FROM generate_series(1, 30000) n",
    );
    let backup = ["backup", "postgres", "--url", &source.url(), "--to", "backups", "--compress", "zstd"];
    sandbox.run(&backup).expect(0);
    let daily: Vec<_> = sandbox
        .files(".sql.zst")
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("/daily/postgres-"))
        .collect();
    assert_eq!(daily.len(), 1, "{daily:?}");
    let archive = &daily[0];
    let meta = fs::read_to_string(format!("{}.meta", archive.display())).unwrap();
    assert!(meta.contains("\"compression\": \"zstd:1\"") || meta.contains("\"compression\":\"zstd:1\""), "{meta}");
    assert!(sandbox.files(".gz").is_empty(), "something was written in gzip");

    sandbox.run(&["list", "--from", "backups"]).expect(0).says(".sql.zst");
    sandbox.run(&["verify", "--from", "backups"]).expect(0);
    let path = archive.to_str().unwrap();
    sandbox.run(&["inspect", path]).expect(0).says("customers");

    let latest = TestDatabase::planned(major, "zstd_latest");
    sandbox
        .run(&[
            "restore",
            "--from",
            "backups",
            "--file",
            "latest",
            "--name",
            &source.name,
            "--url",
            &latest.url(),
            "--confirm",
        ])
        .expect(0);
    sample::assert_same(&source, &latest);

    let from_pipe = TestDatabase::planned(major, "zstd_pipe");
    piped(&sandbox, &fs::read(archive).unwrap(), &from_pipe.url()).expect(0);
    sample::assert_same(&source, &from_pipe);

    let part = TestDatabase::new(major, "zstd_part");
    sandbox.run(&["restore", "--file", path, "--table", "public.plain", "--url", &part.url(), "--confirm"]).expect(0);
    assert_eq!(part.psql("SELECT count(*), sum(a), max(b) FROM plain"), "30000|450015000|row 9999");
}

/// The first bytes tell what it is, and a damaged one is treated as a damaged `.gz`.
#[test]
fn the_suffix_decides_nothing_and_damage_is_found() {
    let major = 15;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "zstd_damaged");
    sample::fill(&source, 800);
    sandbox
        .run(&["backup", "postgres", "--url", &source.url(), "--output", "a.sql.gz", "--compress", "zstd:3"])
        .expect(0);
    let whole = fs::read(sandbox.path("a.sql.gz")).unwrap();
    assert!(whole.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    sandbox.run(&["verify", "a.sql.gz"]).expect(0);

    let target = TestDatabase::new(major, "zstd_target");
    target.psql("CREATE TABLE old (a int); INSERT INTO old VALUES (42)");
    for at in [5, whole.len() / 2, whole.len() - 20] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(sandbox.path("bad.sql.zst"), &bytes).unwrap();
        sandbox.run(&["verify", "bad.sql.zst"]).expect(30);
        piped(&sandbox, &bytes, &target.url()).expect_failure();
        assert_eq!(target.psql("SELECT a FROM old"), "42", "flipped at {at}");
        sandbox.run(&["salvage", "bad.sql.zst", "--output", "kept.sql.zst", "--force"]).says("");
        assert!(fs::read(sandbox.path("kept.sql.zst")).unwrap().starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
        sandbox.run(&["verify", "kept.sql.zst"]).expect(0);
        fs::remove_file(sandbox.path("kept.sql.zst")).unwrap();
    }
}

#[test]
fn a_sqlite_file_comes_back_from_zstd() {
    let sandbox = Sandbox::new();
    let connection = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)").unwrap();
    connection
        .execute_batch("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) INSERT INTO t SELECT n, randomblob(60) FROM n")
        .unwrap();
    let sum = |path| {
        let connection = rusqlite::Connection::open(sandbox.path(path)).unwrap();
        connection
            .query_row("SELECT count(*) || '/' || sum(length(v)) || '/' || max(hex(v)) FROM t", [], |row| {
                row.get::<_, String>(0)
            })
            .unwrap()
    };
    drop(connection);
    sandbox.run(&["backup", "sqlite", "--file", "app.db", "--output", "app.db.zst", "--compress", "zstd:1"]).expect(0);
    sandbox.run(&["verify", "app.db.zst"]).expect(0);
    sandbox.run(&["restore", "--file", "app.db.zst", "--database", "copy.db", "--confirm"]).expect(0);
    assert_eq!(sum("copy.db"), sum("app.db"));
}
