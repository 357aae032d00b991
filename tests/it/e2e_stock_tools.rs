//! The files without our program: every stock reader of gzip gives the same bytes, and they restore.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::Sandbox;
use crate::sample;
use crate::util::{MAJORS, TestDatabase, stock};

/// What a program prints for a file; it must succeed without a word of complaint.
fn output_of(program: &str, arguments: &[&str], file: &Path) -> Vec<u8> {
    let output =
        Command::new(program).args(arguments).arg(file).output().unwrap_or_else(|fault| panic!("{program}: {fault}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{program} on {}: {complaint}", file.display());
    output.stdout
}

const PYTHON: &str = "import gzip, shutil, sys; shutil.copyfileobj(gzip.open(sys.argv[1]), sys.stdout.buffer)";
const NODE: &str = "const fs = require('fs'); fs.createReadStream(process.argv[1]).pipe(require('zlib').createGunzip()).pipe(process.stdout)";

/// By all readers; the bytes that they agree on.
fn unpacked(archive: &Path) -> Vec<u8> {
    output_of("gunzip", &["-t"], archive);
    let expected = output_of("gunzip", &["-c"], archive);
    assert!(!expected.is_empty());
    let others = [
        ("zcat", output_of("zcat", &[], archive)),
        ("python3", output_of("python3", &["-c", PYTHON], archive)),
        ("node", output_of("node", &["-e", NODE], archive)),
    ];
    for (reader, found) in others {
        assert!(found == expected, "{reader} reads {} bytes, gunzip {}", found.len(), expected.len());
    }
    expected
}

/// The bytes of a `.zst`, by the program that everybody has for it.
fn unpacked_zstd(archive: &Path) -> Vec<u8> {
    output_of("zstd", &["-tq"], archive);
    output_of("zstd", &["-dc"], archive)
}

/// `gunzip -c archive | psql -d target`, with what a person would type.
fn restore_by_psql(program: [&str; 2], archive: &Path, target: &TestDatabase) {
    let [unpacker, argument] = program;
    let mut gunzip = Command::new(unpacker).arg(argument).arg(archive).stdout(Stdio::piped()).spawn().unwrap();
    let mut psql = stock(target.major, "psql");
    let output = psql.args(["-X", "-q", "-d", &target.url()]).stdin(gunzip.stdout.take().unwrap()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "psql {}: {complaints}", target.major);
    assert!(gunzip.wait().unwrap().success());
}

#[test]
fn a_dump_is_a_script_for_psql_of_every_major() {
    for major in MAJORS {
        let sandbox = Sandbox::new();
        let source = TestDatabase::new(major, "stock_source");
        sample::fill(&source, 1500);
        for compress in ["gzip:5", "none", "zstd:1"] {
            let is_zstd = compress.starts_with("zstd");
            let file = format!("{}.sql.{}", compress.replace(':', "-"), if is_zstd { "zst" } else { "gz" });
            let arguments = ["backup", "postgres", "--url", &source.url(), "--output", &file, "--compress", compress];
            sandbox.run(&arguments).expect(0);
            let path = sandbox.path(&file);
            let script = if is_zstd { unpacked_zstd(&path) } else { unpacked(&path) };
            let text = String::from_utf8(script).expect("a UTF-8 database makes a UTF-8 script");
            assert!(text.contains("COPY ") && text.contains("Customer 1499") && text.ends_with('\n'));
            let target = TestDatabase::new(major, "stock_copy");
            restore_by_psql(if is_zstd { ["zstd", "-dc"] } else { ["gunzip", "-c"] }, &path, &target);
            sample::assert_same(&source, &target);
        }
    }
}

/// The script stops at the first error, and never runs rows as statements (CVE-2026-6464).
#[test]
fn the_script_stops_at_the_first_error() {
    let major = 14;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "stock_source");
    source.psql("CREATE TABLE a (v text); INSERT INTO a VALUES (';DROP TABLE victim;--')");
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "a.sql.gz"]).expect(0);
    let target = TestDatabase::new(major, "stock_taken");
    target.psql("CREATE TABLE victim (v text); CREATE TABLE a (v text)");
    let script = output_of("gunzip", &["-c"], &sandbox.path("a.sql.gz"));
    let output = crate::util::psql_output(major, &target.url(), std::str::from_utf8(&script).unwrap());
    assert_eq!(output.status.code(), Some(3), "psql went on: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(target.psql("SELECT count(*) FROM victim, a"), "0");
}

#[test]
fn a_packed_sqlite_file_is_the_file() {
    let sandbox = Sandbox::new();
    let source = sandbox.path("app.db");
    let connection = rusqlite::Connection::open(&source).unwrap();
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)").unwrap();
    connection.execute_batch("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) INSERT INTO t SELECT n, randomblob(100) FROM n").unwrap();
    drop(connection);
    sandbox.run(&["backup", "sqlite", "--file", "app.db", "--output", "app.db.gz"]).expect(0);

    let copy = sandbox.path("copy.db");
    std::fs::write(&copy, unpacked(&sandbox.path("app.db.gz"))).unwrap();
    assert_eq!(
        output_of("sqlite3", &["-readonly", "-cmd", ".dump"], &copy),
        output_of("sqlite3", &["-readonly", "-cmd", ".dump"], &source)
    );
    let check = Command::new("sqlite3").arg(&copy).arg("PRAGMA integrity_check").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&check.stdout).trim(), "ok");
}
