//! `restore --file -`: what comes from a pipe is complete, or nothing has changed.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::program::{Outcome, Sandbox};
use crate::sample;
use crate::util::{TestDatabase, admin_url, psql, stock};

/// Restores `bytes` from standard input into `url`.
pub fn piped(sandbox: &Sandbox, bytes: &[u8], url: &str) -> Outcome {
    with_input(sandbox, bytes, &["restore", "--file", "-", "--url", url, "--confirm"])
}

pub fn with_input(sandbox: &Sandbox, bytes: &[u8], arguments: &[&str]) -> Outcome {
    let input = sandbox.path("input");
    fs::write(&input, bytes).unwrap();
    // a real pipe, not a file: nothing can be read twice, and its writer may end early
    let mut writer = std::process::Command::new("cat").arg(&input).stdout(Stdio::piped()).spawn().unwrap();
    let mut command = sandbox.command(arguments);
    command.stdin(writer.stdout.take().unwrap());
    let outcome = sandbox.finish(command);
    drop(writer.wait());
    outcome
}

fn databases(major: u32, beginning: &str) -> usize {
    let sql = format!("SELECT count(*) FROM pg_database WHERE starts_with(datname, '{beginning}')");
    psql(major, &admin_url(major), &sql).parse().unwrap()
}

#[test]
fn a_pipe_replaces_a_database_only_when_it_was_whole() {
    let major = 16;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "pipe_source");
    sample::fill(&source, 2_000);
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "shop.sql.gz"]).expect(0);
    let whole = fs::read(sandbox.path("shop.sql.gz")).unwrap();
    let target = TestDatabase::new(major, "pipe_target");
    target.psql("CREATE TABLE old (a int); INSERT INTO old VALUES (42)");

    for kept in [whole.len() - 1, whole.len() - 40, whole.len() * 3 / 4, whole.len() / 3, 300] {
        piped(&sandbox, &whole[..kept], &target.url()).expect(30);
        assert_eq!(target.psql("SELECT a FROM old"), "42", "cut at {kept}");
        assert_eq!(databases(major, &target.name), 1, "cut at {kept}");
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    piped(&sandbox, &flipped, &target.url()).expect(30).says("stands as it was");
    assert_eq!(target.psql("SELECT a FROM old"), "42");
    let mut longer = whole.clone();
    longer.extend_from_slice(b"and more");
    piped(&sandbox, &longer, &target.url()).expect(30);
    assert_eq!(databases(major, &target.name), 1);

    let unconfirmed = ["restore", "--file", "-", "--url", &target.url()];
    with_input(&sandbox, &whole, &unconfirmed).expect(4).says("--confirm");
    piped(&sandbox, &whole, &target.url()).expect(0).says("_before_restore_").says("rows in");
    sample::assert_same(&source, &target);
}

#[test]
fn what_is_no_backup_is_refused() {
    let sandbox = Sandbox::new();
    let target = TestDatabase::planned(15, "pipe_garbage");
    piped(&sandbox, b"", &target.url()).expect(5).blames("standard input is empty").hints();
    piped(&sandbox, &[0x7f, b'E', b'L', b'F', 0, 1, 2, 3].repeat(100), &target.url()).expect(31);
    piped(&sandbox, &[0x1f, 0x8b, 8, 0], &target.url()).expect_failure();
    piped(&sandbox, b"age-encryption.org/v1\n-> X25519 abc\n", &target.url())
        .expect(4)
        .says("no key was given")
        .hints();
    assert!(!target.exists());
}

#[test]
fn parts_need_a_file() {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(14, "pipe_part");
    source.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    for content in ["--schema-only", "--data-only"] {
        sandbox
            .run(&["backup", "postgres", "--url", &source.url(), "--output", "part.sql.gz", content, "--force"])
            .expect(0);
        let part = fs::read(sandbox.path("part.sql.gz")).unwrap();
        piped(&sandbox, &part, &source.url()).expect(2).says("file");
    }
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "t.sql.gz"]).expect(0);
    let whole = fs::read(sandbox.path("t.sql.gz")).unwrap();
    let arguments = ["restore", "--file", "-", "--url", &source.url(), "--confirm", "--table", "t"];
    with_input(&sandbox, &whole, &arguments).expect(2).says("--table");
    assert_eq!(source.psql("SELECT a FROM t"), "1");
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip =
        std::process::Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = gzip.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let packed = gzip.wait_with_output().unwrap().stdout;
    feeder.join().unwrap();
    packed
}

#[test]
fn foreign_scripts_come_through_a_pipe_plain_and_packed() {
    let major = 17;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "pipe_foreign");
    sample::fill(&source, 300);
    source.psql(r"CREATE TABLE sly (t text); INSERT INTO sly VALUES (E'\\.'), (E'\\connect postgres'), ('DROP TABLE customers;'), (E'\\.\n\\! id'), ('COPY x FROM stdin;')");
    let script = stock(major, "pg_dump").args(["-d", &source.url()]).output().unwrap().stdout;
    for bytes in [script.clone(), gzipped(&script)] {
        let target = TestDatabase::planned(major, "pipe_foreign_copy");
        piped(&sandbox, &bytes, &target.url()).expect(0);
        sample::assert_same(&source, &target);
        let cut = &bytes[..bytes.len() - 200];
        piped(&sandbox, cut, &target.url()).expect(30).says("stands as it was");
        sample::assert_same(&source, &target);
        assert_eq!(databases(major, &target.name), 1);
    }
}

#[test]
fn foreign_scripts_say_where_they_fail() {
    let sandbox = Sandbox::new();
    let target = TestDatabase::planned(13, "pipe_lines");
    let script = |body: &str| {
        format!(
            "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n{body}\n--\n-- PostgreSQL database dump complete\n--\n\n"
        )
    };
    // a newer pg_dump's setting on an older server
    piped(&sandbox, script("SET transaction_timeout = 0;\nCREATE TABLE public.t (a int);").as_bytes(), &target.url())
        .expect(0)
        .says("transaction_timeout");
    assert_eq!(target.psql("SELECT count(*) FROM t"), "0");
    let rows = script("CREATE TABLE public.u (a int);\nCOPY public.u (a) FROM stdin;\n1\n2\nthree\n\\.\n");
    piped(&sandbox, rows.as_bytes(), &target.url()).expect(1).says("COPY u, line 3").says("stands as it was");
    let roles = script("CREATE TABLE public.u (a int);\nALTER TABLE public.u OWNER TO nobody_of_that_name;");
    piped(&sandbox, roles.as_bytes(), &target.url()).expect(1).says("line 7").says("nobody_of_that_name").hints();
    for command in ["\\connect postgres", "\\! touch owned", "\\i /etc/passwd", "\\copy t from program 'id'"] {
        let told = piped(&sandbox, script(&format!("{command}\nDROP TABLE t;")).as_bytes(), &target.url());
        told.expect(4).says(command.split(' ').next().unwrap());
    }
    assert!(!sandbox.path("owned").exists());
    assert_eq!(target.psql("SELECT count(*) FROM t"), "0");
    assert_eq!(databases(13, &target.name), 1);
}
