//! Whatever is wrong with a stored backup, `verify` says so; and it says nothing of a sound one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use miyabi_backup::archive::testkit::Sample;
use miyabi_backup::archive::{Archive, SourceKind, StreamKind};
use miyabi_backup::cancel::Cancel;
use miyabi_backup::checksum::{Sha256, hex};
use miyabi_backup::clock::Clock;
use miyabi_backup::error::Kind;
use miyabi_backup::job::{Context, VerifyJob};
use miyabi_backup::listing;
use miyabi_backup::manifest::{BackupType, Details, Format, Meta, Readback, Source, TableFacts, meta};
use miyabi_backup::progress::Progress;
use miyabi_backup::store::Places;
use miyabi_backup::store::s3::Settings;
use miyabi_backup::units::StoredBytes;
use miyabi_backup::verify;
use miyabi_backup::verify::outcome::{FileReport, Severity, Verdict, VerifyOutcome};

pub fn context() -> Context {
    Context {
        clock: Clock::fixed("2025-11-29T03:00:00+09:00[Asia/Tokyo]".parse().unwrap()),
        cancel: Cancel::new(),
        progress: Progress::new(),
        host: "web1".to_owned(),
        places: Places::new(Settings::usual(), &Cancel::new()),
        scratch: std::env::temp_dir(),
        keys: Default::default(),
        signed_by: None,
    }
}

pub fn run(paths: &[&Path]) -> VerifyOutcome {
    let paths = paths.iter().map(|path| path.to_path_buf()).collect();
    verify::run(&VerifyJob { paths, threads: 2, staging: None }, &context()).unwrap()
}

#[track_caller]
fn one(path: &Path) -> FileReport {
    let mut outcome = run(&[path]);
    assert_eq!(outcome.files.len(), 1, "{outcome:?}");
    outcome.files.remove(0)
}

fn damages(report: &FileReport) -> Vec<&str> {
    let damage = report.findings.iter().filter(|finding| finding.severity == Severity::Damage);
    damage.map(|finding| finding.what.as_str()).collect()
}

/// The `.meta` that a backup would write beside these bytes.
pub fn meta_of(archive: &[u8]) -> Meta {
    let opened = Archive::open(archive).unwrap();
    let rows = opened.streams().iter().filter(|stream| stream.spec.kind == StreamKind::Rows);
    let tables = rows.map(|stream| TableFacts {
        schema: stream.spec.schema.to_string(),
        name: stream.spec.name.to_string(),
        rows: stream.rows,
        raw_bytes: stream.raw,
        digest: stream.digest,
    });
    let is_sqlite = opened.header().kind == SourceKind::Sqlite;
    let source = match is_sqlite {
        true => Source::Sqlite { host: "web1".to_owned(), path: "/srv/shop.db".to_owned() },
        false => Source::Postgres { server: "db1".to_owned(), port: "5432".to_owned(), database: "shop".to_owned() },
    };
    Meta {
        timestamp: "2025-11-29T03:00:00+09:00".parse().unwrap(),
        database: "shop".to_owned(),
        host: "db1".to_owned(),
        port: "5432".to_owned(),
        backup_type: BackupType::Daily,
        size_bytes: StoredBytes(archive.len() as u64),
        size_human: "1 KiB".to_owned(),
        compression: "gzip:6".to_owned(),
        format: if is_sqlite { Format::Sqlite } else { Format::Sql },
        details: Some(Details {
            format_version: meta::FORMAT_VERSION,
            tool_version: "0.1.0".to_owned(),
            archive_id: opened.id().to_string(),
            sha256: hex(&Sha256::digest(archive)),
            raw_bytes: opened.streams().iter().map(|stream| stream.raw).sum(),
            label: "shop".to_owned(),
            source,
            server_version: "15.4".to_owned(),
            duration_seconds: 0.5,
            snapshot_lsn: None,
            readback: Readback::Checked,
            content: meta::Content::All,
            part: None,
            without: None,
            encryption: None,
            files: None,
            signature: None,
            sqlite: None,
            warnings: Vec::new(),
            tables: tables.collect(),
            large_objects: None,
        }),
    }
}

/// A tree with one backup.
pub struct Tree {
    pub root: tempfile::TempDir,
}

impl Tree {
    pub fn new() -> Self {
        Tree { root: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn backup(&self, name: &str, archive: &[u8], meta: &Meta) -> PathBuf {
        self.put(&format!("{name}.meta"), &meta.to_json());
        self.put(name, archive)
    }
}

const POSTGRES: &str = "postgres/daily/postgres-shop-20251129-030000.sql.gz";
const SQLITE: &str = "sqlite/daily/sqlite-shop-20251129-030000.db.gz";

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A database with some rows and an index, in pages of `page_size`.
pub fn database(page_size: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA page_size={page_size}; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX v ON t(v);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
             INSERT INTO t SELECT i, 'value ' || (i * 7919 % 1000) FROM n;"
        ))
        .unwrap();
    drop(connection);
    fs::read(path).unwrap()
}

/// An archive of ours that holds this database file.
pub fn archive_of(database: &[u8]) -> Vec<u8> {
    let mut sample = Sample::pages();
    let template = sample.blocks[0].clone();
    sample.blocks = database
        .chunks(8192)
        .map(|run| miyabi_backup::archive::testkit::SampleBlock { raw: run.to_vec(), ..template.clone() })
        .collect();
    sample.archive()
}

#[test]
fn sound_backups_of_both_kinds_pass() {
    let tree = Tree::new();
    let (postgres, sqlite) = (Sample::small().archive(), archive_of(&database(1024)));
    tree.backup(POSTGRES, &postgres, &meta_of(&postgres));
    tree.backup(SQLITE, &sqlite, &meta_of(&sqlite));
    let outcome = run(&[tree.path()]);
    assert_eq!(outcome.exit_code(), 0, "{outcome:?}");
    let find = |name: &str| outcome.files.iter().find(|file| file.path.ends_with(name)).unwrap();
    let (one, two) = (find(POSTGRES), find(SQLITE));
    assert_eq!((one.rows, one.tables, one.size.0), (7, 2, postgres.len() as u64));
    assert_eq!(two.raw.0, database(1024).len() as u64);
    assert!(one.findings.is_empty() && two.findings.is_empty(), "{outcome:?}");
    assert!(!one.foreign && !two.foreign);
    let left: Vec<_> =
        fs::read_dir(tree.path().join("sqlite/daily")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "something unpacked is left: {left:?}");
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let tree = Tree::new();
    let good = Sample::small().archive();
    let path = tree.backup(POSTGRES, &good, &meta_of(&good));
    assert_eq!(one(tree.path()).verdict, Verdict::Sound);
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        let report = one(tree.path());
        assert_eq!(report.verdict, Verdict::Damaged, "flip at {at}: {report:?}");
        // The hash alone would tell that something is wrong; the archive itself has to tell where.
        assert!(report.findings.len() > 1, "flip at {at}: {report:?}");
    }
    for len in (0..good.len()).step_by(7) {
        fs::write(&path, &good[..len]).unwrap();
        assert_eq!(one(tree.path()).verdict, Verdict::Damaged, "cut at {len}");
    }
    // Without a .meta nothing is there to compare with, and still every flip is found.
    fs::remove_file(tree.path().join(format!("{POSTGRES}.meta"))).unwrap();
    for at in (0..good.len()).step_by(5) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        assert_ne!(one(&path).verdict, Verdict::Sound, "flip at {at}");
    }
}

#[test]
fn each_difference_from_the_meta_has_its_finding() {
    type Change = (&'static str, fn(&mut Meta));
    fn details(meta: &mut Meta) -> &mut Details {
        meta.details.as_mut().unwrap()
    }
    let changes: [Change; 11] = [
        ("bytes: ", |meta| meta.size_bytes.0 += 1),
        ("format: sql, expected sqlite", |meta| meta.format = Format::Sqlite),
        ("SHA-256: ", |meta| details(meta).sha256 = "ab".repeat(32)),
        ("archive id: ", |meta| details(meta).archive_id = "ab".repeat(16)),
        ("raw bytes: ", |meta| details(meta).raw_bytes.0 += 1),
        ("rows: 4, expected 5", |meta| details(meta).tables[0].rows += 1),
        ("raw bytes: ", |meta| details(meta).tables[0].raw_bytes.0 += 1),
        ("digest of rows: ", |meta| details(meta).tables[1].digest.0 ^= 1),
        ("its .meta does not name this table", |meta| drop(details(meta).tables.pop())),
        ("its .meta names this table", |meta| {
            let extra = TableFacts { name: "gone".to_owned(), ..details(meta).tables[0].clone() };
            details(meta).tables.push(extra);
        }),
        ("its .meta names this table", |meta| {
            for table in &mut details(meta).tables {
                table.schema = "other".to_owned();
            }
        }),
    ];
    let good = Sample::small().archive();
    for (says, change) in changes {
        let tree = Tree::new();
        let mut meta = meta_of(&good);
        change(&mut meta);
        tree.backup(POSTGRES, &good, &meta);
        let report = one(tree.path());
        assert_eq!(report.verdict, Verdict::Damaged, "{says}");
        assert!(damages(&report).iter().any(|what| what.starts_with(says)), "{says}: {report:?}");
    }
}

#[test]
fn a_meta_alone_or_none_or_a_broken_one() {
    let good = Sample::small().archive();
    let tree = Tree::new();
    let path = tree.backup(POSTGRES, &good, &meta_of(&good));
    let meta = tree.path().join(format!("{POSTGRES}.meta"));

    fs::write(&meta, b"{\"timestamp\":").unwrap();
    let report = one(tree.path());
    assert_eq!(report.verdict, Verdict::Damaged);
    assert!(damages(&report)[0].contains("meta is not valid"), "{report:?}");

    let newer =
        String::from_utf8(meta_of(&good).to_json()).unwrap().replace("\"format_version\": 1", "\"format_version\": 9");
    fs::write(&meta, newer).unwrap();
    assert_eq!(one(tree.path()).verdict, Verdict::NotOurs);

    fs::remove_file(&meta).unwrap();
    let report = one(tree.path());
    assert_eq!((report.verdict, damages(&report).len()), (Verdict::Unfinished, 0));
    assert!(report.findings[0].what.starts_with("not published: it has no .meta"));
    let named = one(&path);
    assert_eq!((named.verdict, named.findings.len()), (Verdict::Sound, 1), "{named:?}");

    fs::write(&meta, meta_of(&good).to_json()).unwrap();
    fs::remove_file(&path).unwrap();
    let report = one(tree.path());
    assert_eq!(damages(&report), ["its archive is gone: only the .meta is left"]);
}

#[test]
fn a_database_that_sqlite_finds_damaged_is_found_in_a_sound_archive() {
    let mut bytes = database(1024);
    // The leaf that the rows are in: its cell pointers.
    let at = bytes.windows(9).position(|window| window == b"value 919").unwrap() / 1024 * 1024;
    bytes[at + 10..at + 40].fill(0xff);
    let tree = Tree::new();
    let archive = archive_of(&bytes);
    tree.backup(SQLITE, &archive, &meta_of(&archive));
    tree.put("old/sqlite-old-20250101-000000.db.gz", &gzip(&bytes));
    let plain = tree.put("plain", &bytes);
    let outcome = run(&[tree.path(), &plain]);
    assert_eq!(outcome.files.len(), 3);
    for report in &outcome.files {
        assert_eq!(report.verdict, Verdict::Damaged, "{report:?}");
        assert!(damages(report)[0].contains("integrity_check"), "{report:?}");
    }
}

fn script() -> String {
    let rows: String = (0..500).map(|n| format!("{n}\trow {n}\n")).collect();
    format!(
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict k3y\n\nSET client_encoding = 'UTF8';\n\
         CREATE TABLE public.t (id integer, v text);\nCOPY public.t (id, v) FROM stdin;\n{rows}\\.\n\n\
         CREATE INDEX t_v ON public.t USING btree (v);\n\n--\n-- PostgreSQL database dump complete\n--\n\n\
         \\unrestrict k3y\n\n"
    )
}

fn old_meta(size: usize, format: &str) -> String {
    format!(
        r#"{{"timestamp":"2024-11-29T03:00:00+00:00","database":"shop","host":"h","port":"1","backup_type":"daily",
            "size_bytes":{size},"size_human":"9","compression":"gzip -9","format":"{format}"}}"#
    )
}

#[test]
fn files_of_the_old_system_are_sound_and_foreign() {
    let tree = Tree::new();
    let (dump, file) = (gzip(script().as_bytes()), gzip(&database(4096)));
    tree.put(POSTGRES, &dump);
    tree.put(&format!("{POSTGRES}.meta"), old_meta(dump.len(), "sql").as_bytes());
    tree.put(SQLITE, &file);
    tree.put("elsewhere/dump.sql.gz", &dump);
    let plain = tree.put("dump.sql", script().as_bytes());
    let plain_database = tree.put("plain.db", &database(4096));
    let outcome = run(&[tree.path(), &plain, &plain_database]);
    assert_eq!((outcome.exit_code(), outcome.files.len()), (0, 5), "{outcome:?}");
    assert!(outcome.files.iter().all(|file| file.foreign));
    for report in &outcome.files {
        let is_sql = report.path.to_string_lossy().contains(".sql");
        let expected = if is_sql { (500, 1, script().len()) } else { (0, 0, database(4096).len()) };
        assert_eq!((report.rows, report.tables, report.raw.0 as usize), expected, "{report:?}");
    }
}

#[test]
fn damage_to_files_of_the_old_system_is_found() {
    let whole = script();
    let dump = gzip(whole.as_bytes());
    let file = gzip(&database(4096));
    let between = whole.find("CREATE INDEX").unwrap();
    let mut flipped = dump.clone();
    flipped[dump.len() / 2] ^= 4;
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("a.sql.gz", dump[..dump.len() / 2].to_vec(), "gzip stream is damaged"),
        ("b.sql.gz", flipped, "gzip stream is damaged"),
        ("c.sql.gz", [dump.as_slice(), b"tail"].concat(), "gzip stream is damaged"),
        // gzip is sound: only pg_dump's own end tells.
        ("d.sql.gz", gzip(&whole.as_bytes()[..between]), "the script ends early"),
        ("e.sql.gz", gzip(&whole.as_bytes()[..between - 200]), "ends inside a statement or COPY rows"),
        ("f.sql.gz", gzip(b""), "it holds nothing"),
        ("g.db.gz", file[..file.len() - 9].to_vec(), "gzip stream is damaged"),
        ("h.db.gz", gzip(&database(4096)[..8192]), "integrity_check"),
    ];
    for (name, bytes, says) in cases {
        let tree = Tree::new();
        tree.put(name, &bytes);
        let report = one(tree.path());
        assert_eq!(report.verdict, Verdict::Damaged, "{name}: {report:?}");
        assert!(damages(&report).iter().any(|what| what.contains(says)), "{name}: {report:?}");
        assert!(report.foreign, "{name}");
    }
    for (size, format, says) in [(dump.len() + 1, "sql", "bytes: "), (dump.len(), "sqlite", "format: sql, ")] {
        let tree = Tree::new();
        tree.put(POSTGRES, &dump);
        tree.put(&format!("{POSTGRES}.meta"), old_meta(size, format).as_bytes());
        let report = one(tree.path());
        assert!(damages(&report)[0].starts_with(says), "{report:?}");
    }
}

#[test]
fn another_file_in_an_archives_place_is_damage() {
    let tree = Tree::new();
    let good = Sample::small().archive();
    let dump = gzip(script().as_bytes());
    let meta = Meta { size_bytes: StoredBytes(dump.len() as u64), ..meta_of(&good) };
    tree.backup(POSTGRES, &dump, &meta);
    let report = one(tree.path());
    assert_eq!(report.verdict, Verdict::Damaged);
    assert!(damages(&report).iter().any(|what| what.contains("another tool's file")), "{report:?}");
}

#[test]
fn what_cannot_be_judged_is_not_called_sound() {
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("a.sql.zst", b"\x28\xb5\x2f\xfd\0rest of it".to_vec(), "a zstd file"),
        ("c.sql.gz", gzip(b"PRAGMA foreign_keys=OFF;\nCREATE TABLE t(x);\n"), "not a script that pg_dump wrote"),
        ("d.sql.gz", gzip(b"PGDMP\x01\x10\0 and so on"), "pg_dump -Fc"),
        ("e.sql.gz", b"PK\x03\x04 zipped".to_vec(), "a file of unknown kind"),
        ("f.sql.gz", gzip(script().replace("SET client", "\\! id\nSET client").as_bytes()), "the psql command \\! id"),
    ];
    for (name, bytes, says) in cases {
        let tree = Tree::new();
        let path = tree.put(name, &bytes);
        let report = one(&path);
        assert_eq!(report.verdict, Verdict::NotOurs, "{name}: {report:?}");
        assert!(report.findings[0].what.contains(says), "{name}: {report:?}");
        assert_eq!(run(&[&path]).exit_code(), 31);
    }
    let tree = Tree::new();
    let path = tree.put("b.sql.gz.age", b"age-encryption.org/v1\n...");
    assert_eq!(one(&path).verdict, Verdict::Sealed);
    assert_eq!(run(&[&path]).exit_code(), 3);
}

#[test]
fn a_database_in_use_is_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1);").unwrap();
    // The first bytes are in the file only after a checkpoint.
    connection.execute_batch("PRAGMA wal_checkpoint; INSERT INTO t VALUES (2);").unwrap();
    let report = one(&path);
    assert_eq!(report.verdict, Verdict::NotOurs);
    assert!(report.findings[0].what.contains("live.db-wal"), "{report:?}");
}

#[test]
fn an_empty_place_is_never_sound() {
    let tree = Tree::new();
    let outcome = run(&[tree.path()]);
    assert_eq!((outcome.exit_code(), outcome.files.len(), outcome.nothing.len()), (5, 0, 1));
    let missing = tree.path().join("nowhere.sql.gz");
    assert!(run(&[&missing]).nothing[0].why.contains("does not exist"));
    assert_eq!(run(&[&missing]).exit_code(), 5);

    let good = Sample::small().archive();
    let path = tree.backup("full/a.sql.gz", &good, &meta_of(&good));
    fs::create_dir(tree.path().join("empty")).unwrap();
    assert_eq!(run(&[&path]).exit_code(), 0);
    assert_eq!(run(&[&path, &tree.path().join("empty")]).exit_code(), 5);
    assert_eq!(run(&[&path, &missing]).exit_code(), 5);
}

#[test]
fn what_cannot_be_read_is_said() {
    let tree = Tree::new();
    let good = Sample::small().archive();
    tree.backup(POSTGRES, &good, &meta_of(&good));
    let looped = tree.path().join("loop.sql.gz");
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    let report = one(&looped);
    assert_eq!(report.verdict, Verdict::Unreadable);
    assert_eq!(run(&[&looped]).exit_code(), 21);

    // In the tree the link hides what it leads to: the sound backup beside it does not make up for that.
    let outcome = run(&[tree.path()]);
    assert_eq!((outcome.exit_code(), outcome.files.len()), (21, 2), "{outcome:?}");
    fs::remove_file(&looped).unwrap();
    fs::create_dir(tree.path().join("folder.sql.gz")).unwrap();
    assert_eq!(run(&[tree.path()]).exit_code(), 0);
    assert_eq!(run(&[&tree.path().join("folder.sql.gz")]).exit_code(), 5);

    tree.put("sqlite/daily/manifest-20251129-030000.json", b"{}");
    let outcome = run(&[tree.path()]);
    assert_eq!((outcome.exit_code(), outcome.files.len()), (30, 2), "{outcome:?}");
}

#[test]
fn every_file_is_checked_although_the_first_is_damaged() {
    let tree = Tree::new();
    let good = Sample::small().archive();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    for day in 1..=9 {
        let bytes = if day % 3 == 0 { &bad } else { &good };
        let timestamp = format!("2025-11-0{day}T03:00:00+09:00").parse().unwrap();
        let name = POSTGRES.replace("20251129", &format!("2025110{day}"));
        tree.backup(&name, bytes, &Meta { timestamp, ..meta_of(&good) });
    }
    let outcome = run(&[tree.path()]);
    let verdicts: Vec<_> = outcome.files.iter().map(|file| file.verdict == Verdict::Sound).collect();
    // Newest first, as they are listed.
    assert_eq!(verdicts, [false, true, true, false, true, true, false, true, true]);
}

#[test]
fn staging_goes_where_it_is_told_and_leaves_nothing() {
    let (tree, staging) = (Tree::new(), tempfile::tempdir().unwrap());
    let archive = archive_of(&database(1024));
    let path = tree.backup(SQLITE, &archive, &meta_of(&archive));
    let job = |staging: PathBuf| VerifyJob { paths: vec![path.clone()], threads: 1, staging: Some(staging) };
    assert_eq!(verify::run(&job(staging.path().to_owned()), &context()).unwrap().exit_code(), 0);
    assert_eq!(fs::read_dir(staging.path()).unwrap().count(), 0);

    let no_folder = tree.put("a-file", b"");
    let outcome = verify::run(&job(no_folder), &context()).unwrap();
    assert_eq!(outcome.files[0].verdict, Verdict::Unreadable, "{outcome:?}");
    assert!(outcome.files[0].findings[0].what.contains("--staging"), "{outcome:?}");
}

#[test]
fn a_stopped_run_reports_the_signal_and_nothing_else() {
    let tree = Tree::new();
    let good = Sample::small().archive();
    tree.backup(POSTGRES, &good, &meta_of(&good));
    let context = context();
    context.cancel.cancel_by_signal(15);
    let job = VerifyJob { paths: vec![tree.path().to_owned()], threads: 2, staging: None };
    assert_eq!(verify::run(&job, &context).unwrap_err().kind(), Kind::Signal(15));
}

#[test]
fn the_newest_sound_backup_is_judged_in_full() {
    let tree = Tree::new();
    let good = Sample::small().archive();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    tree.backup(&POSTGRES.replace("29-03", "29-05"), &bad, &meta_of(&good));
    tree.backup(&POSTGRES.replace("29-03", "29-04"), &good, &Meta { port: "1".to_owned(), ..meta_of(&good) });
    let (store, listing) = listing::at_path(tree.path(), &context().places, context().clock.zone()).unwrap();
    let judged: Vec<_> = listing.rows.iter().map(|row| verify::judge(store.as_ref(), row, &context())).collect();
    let damage = judged.iter().filter_map(|judged| judged.as_ref().err()).collect::<Vec<_>>();
    assert_eq!((judged.len(), damage.len(), damage[0].kind()), (2, 1, Kind::Damaged));
    assert!(damage[0].to_string().ends_with("more findings"), "{damage:?}");
}
