//! Files as they are found: empty, foreign, damaged, left by a crash, of every page size. Live processes are in
//! `tests/it/sqlite_live.rs`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::cancel::Cancel;
use crate::progress::Progress;

fn source(path: &Path) -> SqliteSource {
    SqliteSource {
        path: path.to_owned(),
        yield_limit: Duration::from_millis(200),
        busy_limit: Duration::from_millis(300),
    }
}

fn back_up(path: &Path, staging: &Path) -> Result<Copied> {
    copy::run(&source(path), staging, &Progress::new(), &Cancel::new())?.check(&Cancel::new())
}

fn into(staged: &Path, target: &Path) -> RestoreInto {
    RestoreInto {
        staged: staged.to_owned(),
        target: target.to_owned(),
        stamp: "20260102-030405".into(),
        busy_limit: Duration::from_millis(300),
    }
}

fn restore(staged: &Path, target: &Path) -> Result<RestoreOutcome> {
    restore::into_file(&into(staged, target), &Progress::new(), &Cancel::new())
}

fn make(path: &Path, sql: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

/// `rows` rows in table `t`, all with the given text.
fn filled(path: &Path, pragmas: &str, rows: u32, text: &str) {
    let sql = format!(
        "{pragmas}; CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO t SELECT i, '{text}' FROM n;"
    );
    make(path, &sql).close().unwrap();
}

fn text_of(path: &Path) -> (i64, String) {
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT count(*), max(x) FROM t", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

fn beside(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(TempDir::new().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn the_bundled_library_is_a_fixed_one() {
    assert_eq!(require_fixed_library().unwrap(), rusqlite::version());
    for (number, fixed) in [(3_051_002, false), (3_051_003, true), (3_052_000, false), (3_053_000, true)] {
        assert_eq!(is_fixed(number), fixed, "{number}");
    }
}

#[test]
fn a_copy_keeps_every_page_size_and_journal_mode() {
    for page_size in [512, 1024, 4096, 65536] {
        for mode in [JournalMode::Wal, JournalMode::Delete] {
            let folder = Folder::new();
            let (db, copy) = (folder.file("a.db"), folder.file("copy"));
            let pragmas = format!("PRAGMA page_size={page_size}; PRAGMA journal_mode={mode}; PRAGMA user_version=7");
            filled(&db, &pragmas, 3000, "row");
            let copied = back_up(&db, &copy).unwrap();
            assert_eq!(copied.facts.page_size, page_size);
            assert_eq!(copied.facts.journal_mode, mode);
            assert_eq!(copied.facts.user_version, 7);
            assert_eq!(copied.facts.bytes(), copied.bytes);
            assert_eq!(copied.facts.tables, [Table { name: "t".into(), kind: TableKind::Table, rows: Some(3000) }]);
            assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
            assert_eq!(beside(&db), ["a.db", "copy"], "side files were left");
            assert_eq!(text_of(&copy), (3000, "row".into()));
        }
    }
}

#[test]
fn an_empty_file_is_an_empty_database() {
    let folder = Folder::new();
    let (db, copy) = (folder.file("a.db"), folder.file("copy"));
    fs::write(&db, b"").unwrap();
    let copied = back_up(&db, &copy).unwrap();
    assert!(copied.facts.tables.is_empty());
    assert_eq!(fs::metadata(&db).unwrap().len(), 0, "the source was written to");
    assert_eq!(restore(&copy, &db).unwrap().how, How::InPlace);
}

#[test]
fn what_is_no_database_is_named_and_leaves_nothing() {
    let folder = Folder::new();
    let copy = folder.file("copy");
    let garbage = folder.file("garbage.db");
    let noise: Vec<u8> = (0..8192u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(&garbage, noise).unwrap();
    let error = back_up(&garbage, &copy).unwrap_err();
    assert_eq!(error.kind(), Kind::Source);
    assert!(error.chain().contains("garbage.db"), "{error:?}");
    assert!(error.chain().contains("file is not a database"), "{error:?}");
    assert!(error.hint_text().unwrap().contains("encrypted"));

    let missing = back_up(&folder.file("missing.db"), &copy).unwrap_err();
    assert!(missing.chain().contains("No such file"), "{missing:?}");
    let directory = back_up(folder.0.path(), &copy).unwrap_err();
    assert!(directory.chain().contains("not a regular file"), "{directory:?}");
    assert_eq!(beside(&copy), ["garbage.db"]);
}

#[test]
fn an_existing_staging_file_is_never_overwritten() {
    let folder = Folder::new();
    let (db, copy) = (folder.file("a.db"), folder.file("copy"));
    filled(&db, "", 1, "row");
    fs::write(&copy, b"mine").unwrap();
    assert_eq!(back_up(&db, &copy).unwrap_err().kind(), Kind::Place);
    assert_eq!(fs::read(&copy).unwrap(), b"mine");
}

#[test]
fn a_damaged_source_fails_the_run_and_hands_nothing_on() {
    let folder = Folder::new();
    let (db, copy) = (folder.file("a.db"), folder.file("copy"));
    filled(&db, "", 5000, "some text to fill pages with");
    let mut bytes = fs::read(&db).unwrap();
    let middle = bytes.len() / 4096 / 2 * 4096;
    bytes[middle..middle + 2048].fill(0xa5);
    fs::write(&db, bytes).unwrap();
    let error = back_up(&db, &copy).unwrap_err();
    assert!(error.chain().contains("a.db") && error.chain().contains("integrity_check"), "{error:?}");
    assert!(!copy.exists());

    fs::write(&db, &fs::read(&db).unwrap()[..middle]).unwrap();
    let error = back_up(&db, &copy).unwrap_err();
    assert!(error.chain().contains("malformed"), "{error:?}");
    assert!(!copy.exists());
}

#[test]
fn odd_names_and_symbolic_links_are_only_names() {
    let folder = Folder::new();
    let odd: [&[u8]; 6] =
        [b"file:a?mode=memory", b":memory:", b"100% #1 'q' \"d\".db", b"\xff\xfe.db", "データ.db".as_bytes(), b"-rf"];
    for name in odd {
        let db = folder.0.path().join(OsStr::from_bytes(name));
        let (copy, link) = (folder.file("copy"), folder.file("link"));
        let quiet = Connection::open(&db).unwrap();
        quiet.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES ('odd')").unwrap();
        quiet.close().unwrap();
        symlink(&db, &link).unwrap();
        back_up(&link, &copy).unwrap();
        assert_eq!(text_of(&copy), (1, "odd".into()), "{db:?}");
        let outcome = restore(&copy, &link).unwrap();
        assert_eq!(outcome.target, db.canonicalize().unwrap());
        assert!(link.is_symlink());
        for file in [&copy, &link, &outcome.safety_copy.unwrap()] {
            fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn a_crashed_writers_wal_and_journal_are_part_of_the_copy() {
    for mode in ["wal", "delete"] {
        let (folder, crashed) = (Folder::new(), Folder::new());
        let (db, copy) = (folder.file("a.db"), folder.file("copy"));
        filled(&db, &format!("PRAGMA journal_mode={mode}"), 2000, "before");
        let writer = Connection::open(&db).unwrap();
        // Spilling makes the uncommitted pages reach the file, so that the journal is hot.
        writer.execute_batch("PRAGMA cache_size=5; PRAGMA cache_spill=5; BEGIN; UPDATE t SET x = 'after!'").unwrap();
        if mode == "wal" {
            writer.execute_batch("COMMIT").unwrap();
        }
        for name in beside(&db).iter().filter(|name| !name.ends_with("-shm")) {
            fs::copy(folder.file(name), crashed.file(name)).unwrap();
        }
        drop(writer);
        let db = crashed.file("a.db");
        assert_eq!(beside(&db).len(), 2, "{mode}: no journal was left: {:?}", beside(&db));
        back_up(&db, &copy).unwrap();
        let expected = if mode == "wal" { "after!" } else { "before" };
        assert_eq!(text_of(&copy), (2000, expected.into()), "{mode}");
    }
}

#[test]
fn special_tables_and_large_blobs_survive() {
    let folder = Folder::new();
    let (db, copy) = (folder.file("a.db"), folder.file("copy"));
    make(
        &db,
        "PRAGMA foreign_keys=OFF; PRAGMA auto_vacuum=incremental; PRAGMA encoding='UTF-16le'; PRAGMA application_id=1296650562;
         CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO w VALUES ('a', 1), ('b', 2);
         CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES ('the quick brown fox');
         CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 0.5, 2.5);
         CREATE TABLE b(x BLOB); INSERT INTO b VALUES (randomblob(20000000));
         CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE child(p REFERENCES parent);
         INSERT INTO child VALUES (1), (2), (3);
         CREATE VIEW v AS SELECT * FROM w; CREATE TRIGGER g AFTER INSERT ON w BEGIN DELETE FROM b; END;",
    )
    .close()
    .unwrap();
    let copied = back_up(&db, &copy).unwrap();
    assert_eq!(copied.facts.encoding, "UTF-16le");
    assert_eq!(copied.facts.auto_vacuum, "incremental");
    assert_eq!(copied.facts.application_id, 1_296_650_562);
    assert_eq!(copied.integrity, Integrity { foreign_key_violations: 3, unchecked: vec![] });
    let kind = |name: &str| copied.facts.tables.iter().find(|table| table.name == name).map(|table| table.kind);
    assert_eq!(
        [kind("f"), kind("f_data"), kind("w")],
        [Some(TableKind::Virtual), Some(TableKind::Shadow), Some(TableKind::Table)]
    );
    let out = Connection::open(&copy).unwrap();
    let found: i64 = out.query_row("SELECT count(*) FROM f WHERE f MATCH 'quick'", [], |row| row.get(0)).unwrap();
    let blob: i64 = out.query_row("SELECT length(x) FROM b", [], |row| row.get(0)).unwrap();
    assert_eq!((found, blob), (1, 20_000_000));
}

#[test]
fn what_only_the_application_can_check_is_reported_not_refused() {
    let folder = Folder::new();
    let (db, copy) = (folder.file("a.db"), folder.file("copy"));
    let application = make(&db, "CREATE TABLE plain(x); CREATE TABLE names(n TEXT);");
    application
        .execute_batch(
            "INSERT INTO names VALUES ('b'), ('a'); CREATE INDEX i ON names(n);
             PRAGMA writable_schema=ON;
             UPDATE sqlite_schema SET sql='CREATE INDEX i ON names(n COLLATE german)' WHERE name='i';",
        )
        .unwrap();
    application.close().unwrap();
    let copied = back_up(&db, &copy).unwrap();
    assert_eq!(copied.integrity.unchecked, ["names"]);
}

#[test]
fn a_held_source_is_waited_for_and_then_reported() {
    let folder = Folder::new();
    let (db, copy) = (folder.file("a.db"), folder.file("copy"));
    filled(&db, "", 10, "row");
    let writer = Connection::open(&db).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = back_up(&db, &copy).unwrap_err();
    assert_eq!(error.kind(), Kind::Source);
    assert!(error.chain().contains("database is locked"), "{error:?}");
    writer.execute_batch("COMMIT").unwrap();
    back_up(&db, &copy).unwrap();
}

#[test]
fn a_cancelled_copy_stops_and_is_removed() {
    let folder = Folder::new();
    let (db, copy) = (folder.file("a.db"), folder.file("copy"));
    filled(&db, "PRAGMA journal_mode=wal", 10, "row");
    let cancel = Cancel::new();
    cancel.cancel_by_signal(15);
    let error = copy::run(&source(&db), &copy, &Progress::new(), &cancel).unwrap_err();
    assert_eq!(error.kind(), Kind::Signal(15));
    assert_eq!(beside(&db), ["a.db"]);
}

#[test]
fn a_long_integrity_check_can_be_cancelled() {
    let folder = Folder::new();
    let db = folder.file("a.db");
    filled(&db, "", 60_000, "row");
    let cancel = Cancel::new();
    let check = || integrity::check(&db, Kind::Damaged, "cannot test", &cancel);
    assert_eq!(check().unwrap(), Integrity::default());
    cancel.cancel_by_signal(2);
    assert_eq!(check().unwrap_err().kind(), Kind::Signal(2));
}

#[test]
fn a_cancelled_restore_changes_nothing() {
    let folder = Folder::new();
    let (db, old, copy) = (folder.file("new.db"), folder.file("old.db"), folder.file("copy"));
    filled(&db, "", 50, "new");
    filled(&old, "", 50, "old");
    back_up(&db, &copy).unwrap();
    let cancel = Cancel::new();
    cancel.cancel_by_signal(15);
    let error = restore::into_file(&into(&copy, &old), &Progress::new(), &cancel).unwrap_err();
    assert_eq!(error.kind(), Kind::Signal(15));
    assert_eq!(text_of(&old), (50, "old".into()));
    assert_eq!(beside(&old), ["copy", "new.db", "old.db"]);
}

#[test]
fn restore_writes_into_the_file_whatever_the_page_sizes_and_modes() {
    let modes = ["wal", "delete"];
    for (from, to) in [(512, 65536), (65536, 512), (4096, 4096), (1024, 4096)] {
        for (from_mode, to_mode) in modes.iter().flat_map(|a| modes.iter().map(move |b| (a, b))) {
            let folder = Folder::new();
            let (db, old, copy) = (folder.file("new.db"), folder.file("old.db"), folder.file("copy"));
            filled(&db, &format!("PRAGMA page_size={from}; PRAGMA journal_mode={from_mode}"), 4000, "new");
            filled(&old, &format!("PRAGMA page_size={to}; PRAGMA journal_mode={to_mode}"), 9000, "old");
            fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
            back_up(&db, &copy).unwrap();
            let inode = fs::metadata(&old).unwrap().ino();
            let outcome = restore(&copy, &old).unwrap();
            let case = format!("{from} {from_mode} over {to} {to_mode}");
            assert_eq!(outcome.how, How::InPlace, "{case}");
            assert_eq!(outcome.journal_mode.to_string(), *from_mode, "{case}");
            let after = fs::metadata(&old).unwrap();
            assert_eq!((after.ino(), after.mode() & 0o777, after.len()), (inode, 0o640, outcome.bytes), "{case}");
            let safety_copy = outcome.safety_copy.unwrap();
            assert_eq!(safety_copy.file_name().unwrap(), "old.db.before-restore-20260102-030405");
            assert_eq!(fs::metadata(&safety_copy).unwrap().mode() & 0o777, 0o640);
            assert_eq!(beside(&old), ["copy", "new.db", "old.db", "old.db.before-restore-20260102-030405"], "{case}");
            let facts = inspect::run(&old, Duration::ZERO, &Cancel::new()).unwrap();
            assert_eq!((facts.page_size, facts.journal_mode.to_string()), (from, (*from_mode).to_owned()), "{case}");
            assert_eq!(text_of(&old), (4000, "new".into()), "{case}");
            assert_eq!(text_of(&safety_copy), (9000, "old".into()), "{case}");
        }
    }
}

#[test]
fn restore_creates_a_missing_target_without_replaying_a_stale_journal() {
    let folder = Folder::new();
    let (db, gone, copy) = (folder.file("new.db"), folder.file("gone.db"), folder.file("copy"));
    filled(&db, "PRAGMA journal_mode=wal", 500, "new");
    back_up(&db, &copy).unwrap();
    filled(&gone, "PRAGMA journal_mode=wal", 500, "old");
    let writer = make(&gone, "UPDATE t SET x = 'stale'");
    fs::copy(folder.file("gone.db-wal"), folder.file("kept")).unwrap();
    drop(writer);
    fs::remove_file(&gone).unwrap();
    fs::rename(folder.file("kept"), folder.file("gone.db-wal")).unwrap();
    let outcome = restore(&copy, &gone).unwrap();
    assert_eq!((outcome.how, outcome.safety_copy), (How::Created, None));
    assert_eq!(fs::metadata(&gone).unwrap().mode() & 0o777, 0o600);
    assert!(folder.file("gone.db.before-restore-20260102-030405-wal").exists());
    assert_eq!(text_of(&gone), (500, "new".into()));

    let error = restore(&copy, &folder.file("no/such/folder.db")).unwrap_err();
    assert!(error.chain().contains("No such file"), "{error:?}");
}

#[test]
fn restore_replaces_a_target_that_is_no_database_and_keeps_it() {
    let folder = Folder::new();
    let (db, bad, copy) = (folder.file("new.db"), folder.file("bad.db"), folder.file("copy"));
    filled(&db, "", 500, "new");
    back_up(&db, &copy).unwrap();
    fs::write(&bad, vec![7u8; 10_000]).unwrap();
    fs::write(folder.file("bad.db-wal"), b"evidence").unwrap();
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o604)).unwrap();
    let outcome = restore(&copy, &bad).unwrap();
    assert_eq!(outcome.how, How::Replaced);
    let safety_copy = outcome.safety_copy.unwrap();
    assert_eq!(fs::read(&safety_copy).unwrap(), vec![7u8; 10_000]);
    assert_eq!(fs::read(open::side_file(&safety_copy, "-wal")).unwrap(), b"evidence");
    assert_eq!(fs::metadata(&bad).unwrap().mode() & 0o777, 0o604);
    assert_eq!(text_of(&bad), (500, "new".into()));
}

#[test]
fn restore_takes_a_crashed_targets_wal_into_the_safety_copy() {
    let (folder, crashed) = (Folder::new(), Folder::new());
    let (db, copy) = (folder.file("a.db"), folder.file("copy"));
    filled(&db, "PRAGMA journal_mode=wal", 2000, "before");
    back_up(&db, &copy).unwrap();
    let writer = make(&db, "UPDATE t SET x = 'committed'");
    for name in ["a.db", "a.db-wal"] {
        fs::copy(folder.file(name), crashed.file(name)).unwrap();
    }
    drop(writer);
    let outcome = restore(&copy, &crashed.file("a.db")).unwrap();
    assert_eq!(outcome.how, How::InPlace);
    assert_eq!(text_of(&outcome.safety_copy.unwrap()), (2000, "committed".into()));
    assert_eq!(text_of(&outcome.target), (2000, "before".into()));
}

#[test]
fn restore_heals_a_damaged_target_in_place() {
    let folder = Folder::new();
    let (db, bad, copy) = (folder.file("new.db"), folder.file("bad.db"), folder.file("copy"));
    filled(&db, "", 500, "new");
    filled(&bad, "", 9000, "some text to fill pages with");
    back_up(&db, &copy).unwrap();
    let mut bytes = fs::read(&bad).unwrap();
    let (middle, end) = (bytes.len() / 8192 * 4096, bytes.len());
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(&bad, &bytes).unwrap();
    let outcome = restore(&copy, &bad).unwrap();
    assert_eq!(outcome.how, How::InPlace);
    assert_eq!(text_of(&bad), (500, "new".into()));
    let kept = fs::read(outcome.safety_copy.unwrap()).unwrap();
    assert_eq!(kept[4096..end], bytes[4096..end], "page by page, for whoever wants to salvage it");
}

#[test]
fn restore_sweeps_what_a_killed_one_left_and_spares_a_living_one() {
    let folder = Folder::new();
    let (db, old, copy) = (folder.file("new.db"), folder.file("old.db"), folder.file("copy"));
    filled(&db, "", 50, "new");
    filled(&old, "", 50, "old");
    back_up(&db, &copy).unwrap();
    let living = fs::File::create(folder.file("old.db.before-restore-1.unfinished")).unwrap();
    living.lock().unwrap();
    fs::write(folder.file("old.db.before-restore-2.unfinished"), b"half").unwrap();
    fs::write(folder.file("old.db.restoring-3.unfinished"), b"half").unwrap();
    fs::write(folder.file("old.db.before-restore-4"), b"kept").unwrap();
    restore(&copy, &old).unwrap();
    let expected = [
        "copy",
        "new.db",
        "old.db",
        "old.db.before-restore-1.unfinished",
        "old.db.before-restore-20260102-030405",
        "old.db.before-restore-4",
    ];
    assert_eq!(beside(&old), expected);
}

#[test]
fn inspect_changes_nothing_and_names_the_tables() {
    let folder = Folder::new();
    let db = folder.file("a.db");
    filled(&db, "PRAGMA journal_mode=wal; PRAGMA user_version=3", 50, "x");
    let before = fs::read(&db).unwrap();
    let facts = inspect::run(&db, Duration::ZERO, &Cancel::new()).unwrap();
    assert_eq!((facts.user_version, facts.journal_mode, facts.encoding.as_str()), (3, JournalMode::Wal, "UTF-8"));
    assert_eq!(facts.tables, [Table { name: "t".into(), kind: TableKind::Table, rows: None }]);
    assert_eq!(fs::read(&db).unwrap(), before);
    assert_eq!(beside(&db), ["a.db"]);
}

#[test]
fn restore_refuses_a_damaged_staged_file_and_a_taken_safety_name() {
    let folder = Folder::new();
    let (db, old, copy) = (folder.file("new.db"), folder.file("old.db"), folder.file("copy"));
    filled(&db, "", 5000, "new");
    filled(&old, "", 10, "old");
    back_up(&db, &copy).unwrap();
    let whole = fs::read(&copy).unwrap();
    for bad in [&whole[..0], &whole[..whole.len() / 2], &[9u8; 5000][..]] {
        fs::write(&copy, bad).unwrap();
        assert_eq!(restore(&copy, &old).unwrap_err().kind(), Kind::Damaged);
    }
    fs::write(&copy, &whole).unwrap();
    let taken = folder.file("old.db.before-restore-20260102-030405");
    fs::write(&taken, b"earlier").unwrap();
    assert_eq!(restore(&copy, &old).unwrap_err().kind(), Kind::Refused);
    assert_eq!(fs::read(&taken).unwrap(), b"earlier");
    assert_eq!(text_of(&old), (10, "old".into()));
}
