//! SQLite with real other processes: writers that never pause, idle ones that stay attached, holders, a killed
//! restore, a full disk. The other process is Python's `sqlite3`, with a library of its own.

mod other;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use miyabi_backup::cancel::Cancel;
use miyabi_backup::error::{Kind, Result};
use miyabi_backup::progress::Progress;
use miyabi_backup::sqlite::{Copied, How, JournalMode, RestoreInto, RestoreOutcome, SqliteSource, copy, restore};
use rusqlite::Connection;
use tempfile::TempDir;

use other::{Job, Other};

const MODES: [JournalMode; 2] = [JournalMode::Wal, JournalMode::Delete];
const ROWS: i64 = 20_000;

/// A database of about 24 MB; `mark` is in its `user_version`. Tables `a` and `b` sum up to 200,000.
fn database(path: &Path, mode: JournalMode, rows: i64, mark: i64) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode={mode}; PRAGMA synchronous=OFF; PRAGMA user_version={mark}; BEGIN;
             CREATE TABLE a(id INTEGER PRIMARY KEY, v); CREATE TABLE b(id INTEGER PRIMARY KEY, v);
             CREATE TABLE log(n); CREATE TABLE ballast(id INTEGER PRIMARY KEY, x);
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last})
             INSERT INTO ballast SELECT i, randomblob(1000) FROM n;
             INSERT INTO a SELECT id, 1000 FROM ballast LIMIT 100;
             INSERT INTO b SELECT id, 1000 FROM ballast LIMIT 100; COMMIT;",
            last = rows - 1
        ))
        .unwrap();
    connection.close().unwrap();
}

fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn is_sound(path: &Path) -> bool {
    let connection = Connection::open(path).unwrap();
    connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap() == "ok"
}

fn back_up(path: &Path, staging: &Path, yield_limit: Duration) -> Result<Copied> {
    let source = SqliteSource { path: path.to_owned(), yield_limit, busy_limit: Duration::from_secs(10) };
    copy::run(&source, staging, &Progress::new(), &Cancel::new())?.check(&Cancel::new())
}

fn restore_into(staged: &Path, target: &Path, busy_limit: Duration) -> Result<RestoreOutcome> {
    let plan = RestoreInto {
        staged: staged.to_owned(),
        target: target.to_owned(),
        stamp: "20260102-030405".into(),
        busy_limit,
    };
    restore::into_file(&plan, &Progress::new(), &Cancel::new())
}

fn safety_copy(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap().to_str().unwrap();
    target.with_file_name(format!("{name}.before-restore-20260102-030405"))
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(TempDir::new().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A copy to restore from: `rows` rows, marked 2.
    fn staged(&self, mode: JournalMode, rows: i64) -> PathBuf {
        let (db, staged) = (self.file("archived.db"), self.file("staged"));
        database(&db, mode, rows, 2);
        back_up(&db, &staged, Duration::ZERO).unwrap();
        staged
    }
}

#[test]
fn a_wal_database_is_copied_under_a_writer_that_is_never_made_to_wait() {
    let folder = Folder::new();
    let (db, copy) = (folder.file("live.db"), folder.file("copy"));
    database(&db, JournalMode::Wal, ROWS, 1);
    // Without a busy timeout, a single lock held against the writer would be an error in its count.
    let mut writer = Other::start(&db, 0.0, "transfer");
    writer.expect("ready");
    for round in 0..3 {
        let staging = folder.file(&format!("copy{round}"));
        let copied = back_up(&db, &staging, Duration::from_secs(3)).unwrap();
        assert_eq!((copied.restarts, copied.writer_wait), (0, Duration::ZERO));
        assert!(copied.wal_bytes_after > 0, "the writer's commits are in the WAL");
        assert!(copied.bytes > 20_000_000);
        fs::rename(staging, &copy).unwrap();
    }
    let told = writer.stop();
    assert_eq!(told["refused"], 0, "the writer was blocked: {told}");
    assert!(told["commits"].as_i64().unwrap() > 20, "{told}");
    assert!(is_sound(&copy) && is_sound(&db));
    assert_eq!(number(&copy, "SELECT (SELECT sum(v) FROM a) + (SELECT sum(v) FROM b)"), 200_000);
}

#[test]
fn a_rollback_database_is_copied_under_a_writer_that_waits_no_longer_than_we_say() {
    // In steps, which may be lucky, and pinned at once.
    for yield_limit in [Duration::from_secs(3), Duration::ZERO] {
        let folder = Folder::new();
        let (db, copy) = (folder.file("live.db"), folder.file("copy"));
        database(&db, JournalMode::Delete, ROWS, 1);
        let mut writer = Other::start(&db, 60.0, "transfer");
        writer.expect("ready");
        let copied = back_up(&db, &copy, yield_limit).unwrap();
        let told = writer.stop();
        assert_eq!(told["refused"], 0, "{told}");
        assert!(copied.writer_wait > Duration::ZERO);
        // The writer polls with pauses of up to 100 ms, and the machine is shared.
        let longest = Duration::from_secs_f64(told["longest"].as_f64().unwrap());
        let bound = copied.writer_wait + Duration::from_millis(1500);
        assert!(longest < bound, "the writer waited {longest:?}, we held {:?}", copied.writer_wait);
        assert_eq!(copied.facts.journal_mode, JournalMode::Delete);
        assert!(is_sound(&copy) && is_sound(&db));
        assert_eq!(number(&copy, "SELECT (SELECT sum(v) FROM a) + (SELECT sum(v) FROM b)"), 200_000);
    }
}

#[test]
fn an_attached_idle_process_reads_what_was_restored_and_writes_into_the_live_file() {
    for (live, archived) in [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(a, b)| (MODES[a], MODES[b])) {
        let folder = Folder::new();
        let (db, staged) = (folder.file("live.db"), folder.staged(archived, 3000));
        database(&db, live, 500, 1);
        let inode = fs::metadata(&db).unwrap().ino();
        let mut idle = Other::start(&db, 5.0, "idle");
        assert_eq!(idle.expect("rows"), 500);

        let outcome = restore_into(&staged, &db, Duration::from_secs(5)).unwrap();
        let case = format!("{archived} over {live}");
        assert_eq!(outcome.how, How::InPlace, "{case}");
        // Leaving WAL needs the file alone.
        let expected = if live == JournalMode::Wal { JournalMode::Wal } else { archived };
        assert_eq!(outcome.journal_mode, expected, "{case}");

        idle.go_on();
        assert_eq!(idle.expect("rows"), 3000, "{case}: the idle process still sees the old rows");
        idle.stop_silent();
        assert_eq!(fs::metadata(&db).unwrap().ino(), inode, "{case}");
        assert_eq!(number(&db, "SELECT count(*) FROM log WHERE n = 4711"), 1, "{case}: its write is lost");
        assert_eq!(number(&db, "PRAGMA user_version"), 2, "{case}");
        assert_eq!(number(&safety_copy(&db), "SELECT count(*) FROM ballast"), 500, "{case}");
        assert!(is_sound(&db) && is_sound(&safety_copy(&db)), "{case}");
    }
}

#[test]
fn no_commit_falls_between_the_safety_copy_and_the_restore() {
    for mode in MODES {
        let folder = Folder::new();
        let (db, staged) = (folder.file("live.db"), folder.staged(mode, 3000));
        database(&db, mode, 500, 1);
        let mut writer = Other::start(&db, 60.0, "count_up");
        writer.expect("ready");
        restore_into(&staged, &db, Duration::from_secs(20)).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let commits = writer.stop()["commits"].as_i64().unwrap();
        let kept = number(&safety_copy(&db), "SELECT max(n) FROM log");
        assert_eq!(number(&safety_copy(&db), "SELECT count(*) FROM log"), kept, "{mode}");
        assert_eq!(number(&db, "SELECT min(n) FROM log"), kept + 1, "{mode}: commits are in neither file");
        assert_eq!(number(&db, "SELECT count(*) FROM log"), commits - kept, "{mode}");
    }
}

#[test]
fn a_holder_with_an_open_transaction_is_named_and_nothing_is_changed() {
    let cases = [
        (JournalMode::Wal, "hold_write", "writing"),
        (JournalMode::Delete, "hold_write", "writing"),
        (JournalMode::Delete, "hold_read", "reading"),
    ];
    for (mode, role, says) in cases {
        let folder = Folder::new();
        let (db, staged) = (folder.file("live.db"), folder.staged(mode, 300));
        database(&db, mode, 500, 1);
        let mut holder = Other::start(&db, 5.0, role);
        holder.expect("ready");
        let since = Instant::now();
        let error = restore_into(&staged, &db, Duration::from_millis(400)).unwrap_err();
        assert!(since.elapsed() >= Duration::from_millis(400), "it did not wait");
        assert_eq!(error.kind(), Kind::Refused, "{error:?}");
        let named = format!("(pid {}, {says})", holder.pid());
        assert!(error.chain().contains(&named), "expected {named} in {error:?}");
        assert!(!safety_copy(&db).exists(), "{error:?}");
        drop(holder);
        assert_eq!(number(&db, "SELECT count(*) FROM ballast"), 500);
        assert_eq!(number(&db, "PRAGMA user_version"), 1);
    }
}

#[test]
fn a_reader_of_a_wal_file_does_not_hold_a_restore_up() {
    let folder = Folder::new();
    let (db, staged) = (folder.file("live.db"), folder.staged(JournalMode::Wal, 300));
    database(&db, JournalMode::Wal, 500, 1);
    let mut reader = Other::start(&db, 5.0, "hold_read");
    reader.expect("ready");
    let outcome = restore_into(&staged, &db, Duration::from_millis(400)).unwrap();
    assert_eq!(outcome.journal_mode, JournalMode::Wal);
    assert_eq!(number(&db, "SELECT count(*) FROM ballast"), 300);
    drop(reader);
    assert_eq!(number(&db, "SELECT count(*) FROM ballast"), 300);
}

#[test]
fn a_holder_that_keeps_a_backup_waiting_is_named() {
    let folder = Folder::new();
    let (db, copy) = (folder.file("live.db"), folder.file("copy"));
    database(&db, JournalMode::Delete, 500, 1);
    let mut holder = Other::start(&db, 5.0, "hold_all");
    holder.expect("ready");
    let source = SqliteSource { path: db, yield_limit: Duration::ZERO, busy_limit: Duration::from_millis(300) };
    let error = copy::run(&source, &copy, &Progress::new(), &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::Source);
    let named = format!("(pid {}, writing)", holder.pid());
    assert!(error.chain().contains("database is locked") && error.chain().contains(&named), "{error:?}");
    assert!(!copy.exists());
}

#[test]
fn a_wal_file_of_another_page_size_is_not_restored_under_an_attached_process() {
    let folder = Folder::new();
    let (db, other, staged) = (folder.file("live.db"), folder.file("other.db"), folder.file("staged"));
    database(&db, JournalMode::Wal, 500, 1);
    let small = Connection::open(&other).unwrap();
    small.execute_batch("PRAGMA page_size=1024; CREATE TABLE ballast(id); PRAGMA user_version=2").unwrap();
    small.close().unwrap();
    back_up(&other, &staged, Duration::ZERO).unwrap();
    let mut idle = Other::start(&db, 5.0, "idle");
    idle.expect("rows");
    let error = restore_into(&staged, &db, Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error:?}");
    assert!(error.chain().contains(&format!("pid {}", idle.pid())), "{error:?}");
    assert!(error.hint_text().unwrap().contains("page size"), "{error:?}");
    idle.stop_silent();
    assert_eq!((number(&db, "PRAGMA user_version"), number(&db, "PRAGMA page_size")), (1, 4096));
    restore_into(&staged, &db, Duration::from_millis(300)).unwrap();
    assert_eq!((number(&db, "PRAGMA user_version"), number(&db, "PRAGMA page_size")), (2, 1024));
}

#[test]
fn an_unreadable_file_that_a_process_has_open_is_not_replaced() {
    let folder = Folder::new();
    let (db, staged) = (folder.file("live.db"), folder.staged(JournalMode::Delete, 300));
    database(&db, JournalMode::Delete, 500, 1);
    let mut idle = Other::start(&db, 5.0, "idle");
    idle.expect("rows");
    fs::write(&db, [7u8; 9000]).unwrap();
    let error = restore_into(&staged, &db, Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error:?}");
    assert!(error.chain().contains(&format!("(pid {}, open)", idle.pid())), "{error:?}");
    assert_eq!(fs::read(&db).unwrap(), [7u8; 9000]);
    idle.stop_silent();
    assert_eq!(restore_into(&staged, &db, Duration::from_millis(300)).unwrap().how, How::Replaced);
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_content_or_the_new() {
    for mode in MODES {
        let folder = Folder::new();
        let (template, staged) = (folder.file("template.db"), folder.staged(mode, 15_000));
        database(&template, mode, 12_000, 1);
        let job = |target: &Path| Job::Restore { staged: staged.clone(), target: target.to_owned() };
        let measured = folder.file("measured.db");
        fs::copy(&template, &measured).unwrap();
        let since = Instant::now();
        assert_eq!(job(&measured).run(), "ok");
        let whole = since.elapsed();

        const MOMENTS: u32 = 12;
        let mut killed = 0;
        for moment in 1..=MOMENTS {
            let db = folder.file(&format!("live{moment}.db"));
            fs::copy(&template, &db).unwrap();
            killed += u32::from(job(&db).kill_after(whole * moment / MOMENTS));
            let mark = number(&db, "PRAGMA user_version");
            let rows = if mark == 1 { 12_000 } else { 15_000 };
            assert_eq!(number(&db, "SELECT count(*) FROM ballast"), rows, "{mode}, moment {moment}: a mix");
            assert!(is_sound(&db), "{mode}, moment {moment}");
            let kept = safety_copy(&db);
            if kept.exists() {
                assert!(is_sound(&kept), "{mode}, moment {moment}: the safety copy is not whole");
                assert_eq!(number(&kept, "SELECT count(*) FROM ballast"), 12_000);
            }
        }
        assert!(killed > MOMENTS / 3, "only {killed} of {MOMENTS} were killed while they ran");
    }
}

#[test]
fn a_full_disk_leaves_the_target_as_it_was_and_no_copy_behind() {
    for mode in MODES {
        let folder = Folder::new();
        let (db, staged) = (folder.file("live.db"), folder.staged(mode, 9000));
        database(&db, mode, 900, 1);
        // Room for the safety copy of 1 MB, not for the 9 MB to be restored.
        let limit = 3_000_000;
        let told = Job::Restore { staged, target: db.clone() }.run_with_file_size_limit(limit);
        assert!(told.starts_with("target: cannot restore into"), "{mode}: {told}");
        assert_eq!(number(&db, "PRAGMA user_version"), 1, "{mode}");
        assert_eq!(number(&db, "SELECT count(*) FROM ballast"), 900, "{mode}");
        assert!(is_sound(&db), "{mode}");
        assert!(!safety_copy(&db).exists(), "{mode}: {told}");

        let staging = folder.file("copy");
        let job = Job::Copy { path: folder.file("archived.db"), staging: staging.clone() };
        let told = job.run_with_file_size_limit(limit);
        assert!(told.starts_with("place: cannot write"), "{mode}: {told}");
        assert!(!staging.exists(), "{mode}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_no_obstacle() {
    let (sources, staging) = (Folder::new(), Folder::new());
    fs::set_permissions(staging.0.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let (resting, live) = (sources.file("resting.db"), sources.file("live.db"));
    for db in [&resting, &live] {
        database(db, JournalMode::Wal, 500, 1);
    }
    let mut writer = Other::start(&live, 5.0, "transfer");
    writer.expect("ready");
    fs::set_permissions(sources.0.path(), fs::Permissions::from_mode(0o555)).unwrap();
    for (at, db) in [&resting, &live].into_iter().enumerate() {
        let copy = staging.file(&format!("copy{at}"));
        let told = Job::Copy { path: db.clone(), staging: copy.clone() }.run_without_rights(staging.0.path());
        assert_eq!(told, "ok", "{}", db.display());
        assert_eq!(number(&copy, "SELECT (SELECT sum(v) FROM a) + (SELECT sum(v) FROM b)"), 200_000);
    }
    assert!(!sources.file("resting.db-shm").exists());

    fs::set_permissions(&resting, fs::Permissions::from_mode(0o000)).unwrap();
    let told = Job::Copy { path: resting, staging: staging.file("none") }.run_without_rights(staging.0.path());
    assert!(told.starts_with("source: cannot open") && told.contains("Permission denied"), "{told}");
    writer.stop();
    fs::set_permissions(sources.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
}
