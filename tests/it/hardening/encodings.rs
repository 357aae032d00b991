//! Bytes that are no text, in names and values, and encodings that only clients have.

use super::{assert_told_the_same, back_up, restore, restore_by_psql};
use crate::program::Sandbox;
use crate::util::{TestDatabase, admin_url, psql};

fn database(major: u32, encoding: &str) -> TestDatabase {
    let database = TestDatabase::planned(major, "hard_bytes");
    let create = format!(
        "CREATE DATABASE \"{}\" TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'",
        database.name
    );
    psql(major, &admin_url(major), &create);
    database
}

/// Every kind of place that holds such a text, `BYTES` written by code: this file is UTF-8.
const PLACES: &str = r"
SET client_encoding = 'ENCODING'; SET check_function_bodies = off;
DO $do$ DECLARE b text := convert_from('\xBYTES', 'ENCODING');
BEGIN
  EXECUTE format('CREATE SCHEMA %I', 's' || b);
  EXECUTE format('SET search_path = %I', 's' || b);
  EXECUTE format('CREATE TABLE %I (%I serial, %I text DEFAULT %L CHECK (%3$I <> %4$L || 1))', 't' || b, 'id' || b, 'c' || b, b);
  EXECUTE format('INSERT INTO %I (%I) VALUES (DEFAULT), (%L)', 't' || b, 'c' || b, b || E'\\\n' || b);
  EXECUTE format('COMMENT ON TABLE %I IS %L', 't' || b, b);
  EXECUTE format('CREATE SEQUENCE %I', 'q' || b);
  EXECUTE format('SELECT setval(%L, 42)', format('%I', 'q' || b));
  EXECUTE format('CREATE VIEW %I AS SELECT %I AS %I, %L::text AS t FROM %I', 'v' || b, 'c' || b, 'vc' || b, b, 't' || b);
  EXECUTE format('CREATE FUNCTION %I() RETURNS text LANGUAGE sql AS %L', 'f' || b, 'SELECT ' || quote_literal(b));
  EXECUTE format('CREATE TYPE %I AS ENUM (%L)', 'e' || b, b);
  EXECUTE format('CREATE INDEX %I ON %I (%I)', 'i' || b, 't' || b, 'c' || b);
  EXECUTE format('CREATE TABLE %I (a int) PARTITION BY LIST (a)', 'p' || b);
  EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (1)', 'pp' || b, 'p' || b);
  PERFORM lo_from_bytea(77, '\x00ff'); EXECUTE format('COMMENT ON LARGE OBJECT 77 IS %L', b);
END $do$;";

/// Truncated and stray bytes, letters without a place in Unicode, and bytes that stand for nothing.
const TEXTS: [(&str, &str); 9] = [
    ("SQL_ASCII", "c3"),
    ("SQL_ASCII", "e99b"),
    ("SQL_ASCII", "f09f98ff80"),
    ("LATIN1", "e9ff80a0"),
    ("WIN1252", "818d9d80"),
    ("KOI8R", "d0cff0ef"),
    ("EUC_JP", "8fa2b7"),
    ("EUC_JP", "ada1a1c1a2e2adf08eb1"),
    ("EUC_KR", "b0a1c8fe"),
];

#[test]
fn bytes_of_every_encoding_come_back() {
    for (at, (encoding, bytes)) in TEXTS.into_iter().enumerate() {
        let major = [13, 18, 15, 14, 17, 16][at % 6];
        let sandbox = Sandbox::new();
        let (source, script) = (database(major, encoding), database(major, encoding));
        source.psql(&PLACES.replace("ENCODING", encoding).replace("BYTES", bytes));
        let archive = back_up(&sandbox, &source);
        let native = TestDatabase::planned(major, "hard_native");
        restore(&sandbox, &archive, &native);
        assert_told_the_same(&source, &native, &format!("native {encoding} {bytes}"));
        restore_by_psql(&sandbox, &archive, &script);
        assert_told_the_same(&source, &script, &format!("psql {encoding} {bytes}"));
    }
}

/// The script asks for a role by its bytes, the index names it as text.
#[test]
fn roles_of_a_database_in_another_encoding_are_named_as_text() {
    let major = 16;
    let sandbox = Sandbox::new();
    let source = database(major, "KOI8R");
    let role = crate::util::unique("hard_роль");
    source.psql(&format!("SET client_encoding = 'UTF8'; CREATE ROLE \"{role}\"; CREATE TABLE t (a int); ALTER TABLE t OWNER TO \"{role}\""));
    let archive = back_up(&sandbox, &source);
    let script = database(major, "KOI8R");
    restore_by_psql(&sandbox, &archive, &script);
    assert_told_the_same(&source, &script, "psql");
    let inspected = sandbox.run(&["inspect", archive.to_str().unwrap(), "--json"]).expect(0).stdout();
    drop(script);
    source.psql(&format!("SET client_encoding = 'UTF8'; DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""));
    assert!(inspected.contains(&role), "{inspected}");
}

/// Names of databases and roles are in no encoding that anybody knows.
#[test]
fn a_database_without_an_encoding_may_have_any_name() {
    let major = 17;
    let sandbox = Sandbox::new();
    let source = TestDatabase::planned(major, "hard_näme");
    psql(
        major,
        &admin_url(major),
        &format!(
            "CREATE DATABASE \"{}\" TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
            source.name
        ),
    );
    source.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
    let archive = back_up(&sandbox, &source);
    let native = TestDatabase::planned(major, "hard_native");
    restore(&sandbox, &archive, &native);
    assert_eq!(native.psql("SELECT a FROM t"), "7");
}

/// What has an encoding can be restored into a database of another one.
#[test]
fn an_archive_of_another_encoding_is_converted() {
    let major = 16;
    let sandbox = Sandbox::new();
    let source = database(major, "LATIN1");
    source.psql("SET client_encoding = 'UTF8'; CREATE TABLE \"café\" (a text); INSERT INTO \"café\" VALUES ('naïve')");
    let archive = back_up(&sandbox, &source);
    let (native, script) = (TestDatabase::new(major, "hard_native"), TestDatabase::new(major, "hard_psql"));
    restore_by_psql(&sandbox, &archive, &script);
    assert_eq!(script.psql("SELECT a FROM \"café\""), "naïve");
    restore(&sandbox, &archive, &native);
    assert_eq!(native.psql("SELECT a FROM \"café\""), "naïve");
    native.psql("DROP TABLE \"café\"; CREATE TABLE other (a int)");
    sandbox
        .run(&["restore", "--file", "a.sql.gz", "--url", &native.url(), "--table", "public.café", "--confirm"])
        .expect(0);
    assert_eq!(native.psql("SELECT a FROM \"café\""), "naïve");
}

/// In SJIS a letter's last byte may be a backslash: nobody quotes safely in it.
#[test]
fn an_encoding_of_clients_alone_is_never_used() {
    let major = 15;
    let source = TestDatabase::new(major, "hard_sjis");
    source.psql("CREATE TABLE t (a text DEFAULT '表\\'); INSERT INTO t VALUES ('ソ''\\')");
    for encoding in ["SJIS", "GBK", "BIG5", "GB18030"] {
        source.psql(&format!("ALTER DATABASE \"{}\" SET client_encoding = '{encoding}'", source.name));
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(&["backup", "postgres", "--url", &source.url(), "--output", "a.sql.gz"]);
        command.env("PGCLIENTENCODING", encoding);
        let outcome = sandbox.finish(command);
        if sandbox.files("a.sql.gz").is_empty() {
            drop(outcome.expect_failure().blames(encoding));
            sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "a.sql.gz"]).expect(0);
        }
        source.psql(&format!("ALTER DATABASE \"{}\" RESET ALL", source.name));
        let copy = TestDatabase::new(major, "hard_sjis_copy");
        restore_by_psql(&sandbox, &sandbox.path("a.sql.gz"), &copy);
        assert_told_the_same(&source, &copy, encoding);
    }
}
