//! Planner statistics come back with the rows where the target takes them, and are no obstacle where it does not.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::Sandbox;
use crate::sample;
use crate::util::{TestDatabase, psql_output, stock};

/// Nobody but us analyses: autovacuum would find other numbers at another time.
const ANALYSED: &str = "
DO $$ DECLARE t regclass; BEGIN
  FOR t IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace LOOP
    EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', t);
  END LOOP;
END $$;
CREATE INDEX lengths ON customers (length(name), (facts ->> 'n'));
CREATE TABLE spans (during int4range, tags text[]) WITH (autovacuum_enabled = false);
INSERT INTO spans SELECT int4range(n, n + n % 7), ARRAY['a', 'it''s $$' || n % 3] FROM generate_series(1, 500) n;
ANALYZE";

fn source(major: u32) -> TestDatabase {
    let source = TestDatabase::new(major, "statistics");
    sample::fill(&source, 300);
    source.psql(ANALYSED);
    source
}

fn backed_up(sandbox: &Sandbox, source: &TestDatabase, more: &[&str]) -> PathBuf {
    let archive = sandbox.path("statistics.sql.gz");
    let (url, output) = (source.url(), archive.to_str().unwrap().to_owned());
    let mut arguments = vec!["backup", "postgres", "--url", &url, "--output", &output, "--force"];
    arguments.extend(more);
    sandbox.run(&arguments).expect(0);
    archive
}

fn restored(sandbox: &Sandbox, archive: &Path, major: u32, more: &[&str], code: i32) -> TestDatabase {
    let target = TestDatabase::planned(major, "statistics_copy");
    let url = target.url();
    let mut arguments = vec!["restore", "--file", archive.to_str().unwrap(), "--url", &url, "--confirm"];
    arguments.extend(more);
    sandbox.run(&arguments).expect(code);
    target
}

fn unpacked(archive: &Path) -> String {
    let output = Command::new("gunzip").arg("-c").arg(archive).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// What stock pg_dump reads of them, without its random key.
fn stock_statistics(database: &TestDatabase) -> String {
    let output = stock(18, "pg_dump").args(["--statistics-only", "-d", &database.url()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.contains("restrict")).collect::<Vec<_>>().join("\n")
}

const COLUMNS: &str =
    "SELECT tablename, attname, null_frac, n_distinct, most_common_vals::text, histogram_bounds::text,
  most_common_elems::text FROM pg_stats WHERE schemaname = 'public' ORDER BY 1, 2, 3";

#[test]
fn a_copy_plans_as_its_source_does() {
    let sandbox = Sandbox::new();
    let source = source(18);
    let archive = backed_up(&sandbox, &source, &[]);
    let wanted = stock_statistics(&source);
    assert!(wanted.contains("histogram_bounds") && wanted.contains("range_length_histogram"), "{wanted}");
    let native = restored(&sandbox, &archive, 18, &[], 0);
    assert_eq!(stock_statistics(&native), wanted);

    let by_psql = TestDatabase::new(18, "statistics_psql");
    let script = unpacked(&archive);
    let loaded = psql_output(18, &by_psql.url(), &script);
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    assert_eq!(stock_statistics(&by_psql), wanted);
}

#[test]
fn statistics_of_an_older_server_reach_a_newer_one() {
    let sandbox = Sandbox::new();
    let source = source(15);
    let archive = backed_up(&sandbox, &source, &[]);
    let newer = restored(&sandbox, &archive, 18, &[], 0);
    assert_eq!(newer.psql(COLUMNS), source.psql(COLUMNS));
}

#[test]
fn values_that_are_no_text_are_found_again_by_analyze() {
    let sandbox = Sandbox::new();
    let source = source(14);
    source.psql(
        "CREATE TABLE bytes (c \"char\", n int) WITH (autovacuum_enabled = false);
         INSERT INTO bytes SELECT chr(200)::\"char\", n FROM generate_series(1, 200) n; ANALYZE bytes",
    );
    let archive = backed_up(&sandbox, &source, &[]);
    let newer = restored(&sandbox, &archive, 18, &[], 0);
    assert_eq!(newer.psql("SELECT attname FROM pg_stats WHERE tablename = 'bytes'"), "n");
}

#[test]
fn a_server_that_takes_none_is_restored_without_a_word() {
    let sandbox = Sandbox::new();
    let source = source(15);
    let archive = backed_up(&sandbox, &source, &[]);
    let same = restored(&sandbox, &archive, 15, &[], 0);
    assert_eq!(same.psql("SELECT count(*) FROM spans"), "500");
    let by_psql = TestDatabase::new(15, "statistics_psql");
    let script = unpacked(&archive);
    let loaded = psql_output(15, &by_psql.url(), &script);
    assert_eq!(String::from_utf8_lossy(&loaded.stderr), "");
}

#[test]
fn statistics_can_be_left_out_on_either_side() {
    let sandbox = Sandbox::new();
    let source = source(18);
    let none = "SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND tablename = 'customers'";
    let archive = backed_up(&sandbox, &source, &["--no-statistics"]);
    assert_eq!(restored(&sandbox, &archive, 18, &[], 0).psql(none), "0");
    let archive = backed_up(&sandbox, &source, &[]);
    assert_eq!(restored(&sandbox, &archive, 18, &["--no-statistics"], 0).psql(none), "0");
    let one_table = restored(&sandbox, &archive, 18, &["--table", "spans"], 0);
    assert_eq!(one_table.psql("SELECT count(*) FROM pg_stats WHERE tablename = 'spans'"), "2");
}
