//! One set-wise query a kind: what a backup asks the server does not grow with the number of objects.
//!
//! What may grow, and why: one COPY a table, and before it one statement that locks and checks the table (each of the
//! data connections must see that it is still what the snapshot saw); LOCK statements of 100 kB of names; values of
//! sequences, 500 to a statement and four statements around it where the server has no function for them; bytes of
//! large objects, 32 of them or 256 KiB to a query.

use std::collections::BTreeMap;

use crate::own_server::{OwnServer, Recipe};
use crate::program::Sandbox;
use crate::util::psql;

/// `$n$` objects of each kind, with all that hangs on them.
const OBJECTS: &str = r#"
CREATE ROLE reader_$n$;
SELECT format('CREATE SCHEMA s%1$s; COMMENT ON SCHEMA s%1$s IS ''c''; GRANT USAGE ON SCHEMA s%1$s TO reader_$n$; SET search_path = s%1$s;
  CREATE TYPE kind AS ENUM (''a'', ''b''); CREATE DOMAIN dom AS int DEFAULT 1 CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b kind);
  CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE AS ''SELECT 1''; GRANT EXECUTE ON FUNCTION f TO reader_$n$;
  CREATE PROCEDURE p() LANGUAGE sql AS ''SELECT 1''; CREATE AGGREGATE g(int) (SFUNC = int4pl, STYPE = int);
  CREATE TABLE t (id serial PRIMARY KEY, i int GENERATED ALWAYS AS IDENTITY, k kind DEFAULT ''a'', d dom, v text DEFAULT ''x'' CHECK (v <> ''''), UNIQUE (v));
  CREATE INDEX x ON t (lower(v), f(id)); COMMENT ON TABLE t IS ''c''; COMMENT ON COLUMN t.v IS ''c''; GRANT SELECT ON t TO reader_$n$; GRANT UPDATE (v) ON t TO reader_$n$;
  CREATE STATISTICS st ON v, k FROM t; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY pol ON t USING (v <> ''z'');
  CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NEW; END''; CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf();
  CREATE RULE ru AS ON DELETE TO t DO ALSO NOTHING; CREATE VIEW vi AS SELECT * FROM t;
  CREATE SEQUENCE se; CREATE TABLE ref (a int REFERENCES t);
  INSERT INTO t (v) VALUES (''one'')', g) FROM generate_series(1, $n$) g \gexec
SELECT count(lo_from_bytea(0, 'x')) FROM generate_series(1, $n$) g;
"#;

/// The statements of one backup, each by how it begins, with how often it was sent.
fn asked(server: &OwnServer, database: &str, url: &str) -> BTreeMap<String, usize> {
    let log = server.socket_folder().join("log");
    let before = std::fs::read_to_string(&log).unwrap().len();
    let sandbox = Sandbox::new();
    sandbox.run(&["backup", "postgres", "--url", url, "--output", "a.sql.gz", "--jobs", "2"]).expect(0);
    let text = std::fs::read_to_string(&log).unwrap();
    let mut found = BTreeMap::new();
    // Lines of a statement after its first begin with a tab.
    for line in text[before..].replace("\n\t", " ").lines().filter(|line| line.starts_with(&format!("{database}="))) {
        let Some((_, rest)) = line.split_once("LOG:  ") else { continue };
        let Some((_, sql)) =
            rest.split_once(": ").filter(|(how, _)| how.starts_with("statement") || how.starts_with("execute"))
        else {
            continue;
        };
        *found.entry(kind(&sql.replace(database, "NAME"))).or_insert(0) += 1;
    }
    found
}

/// Statements that name one object are told by their kind; of all others the whole text counts.
fn kind(sql: &str) -> String {
    let grows = [
        ("COPY ", "COPY"),
        ("LOCK TABLE ONLY ", "LOCK"),
        ("PREPARE miyabi_values", "sequence values"),
        ("EXECUTE miyabi_values", "sequence values"),
        ("DEALLOCATE miyabi_values", "sequence values"),
        ("SELECT s.name FROM (VALUES", "sequence values"),
        ("FETCH FORWARD ", "planner statistics"),
    ];
    if let Some((_, kind)) = grows.iter().find(|(start, _)| sql.starts_with(start)) {
        let checks = *kind == "LOCK" && sql.contains("NOWAIT");
        return if checks { "check before COPY".to_owned() } else { (*kind).to_owned() };
    }
    if sql.contains("pg_get_sequence_data") {
        return "sequence values".to_owned();
    }
    if sql.contains("lo_get(") {
        return "bytes of large objects".to_owned();
    }
    if sql.starts_with("SET TRANSACTION SNAPSHOT") || sql.contains("SET TRANSACTION SNAPSHOT") {
        return "join the snapshot".to_owned();
    }
    // Numbers in a query of ours are OIDs of the catalogs.
    sql.chars().take(400).collect()
}

#[test]
fn queries_do_not_grow_with_the_number_of_objects_on_13() {
    queries_do_not_grow(13);
}

#[test]
fn queries_do_not_grow_with_the_number_of_objects_on_18() {
    queries_do_not_grow(18);
}

fn queries_do_not_grow(major: u32) {
    let hba = "local all all trust\nhost all all all trust\n";
    let settings = ["log_statement=all", "log_line_prefix=%d=", "max_locks_per_transaction=1024", "autovacuum=off"];
    let server = OwnServer::start(major, &Recipe { hba, settings: &settings, files: &[] });
    let mut counts = Vec::new();
    for objects in [5_usize, 500] {
        let database = format!("with_{objects}");
        server.psql(&format!("CREATE DATABASE {database}"));
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", server.port);
        psql(major, &url, &format!("SET log_statement = none; {}", OBJECTS.replace("$n$", &objects.to_string())));
        counts.push(asked(&server, &database, &url));
    }
    let (few, many) = (counts.remove(0), counts.remove(0));
    let bounds = |objects: usize| {
        BTreeMap::from([
            ("COPY", 2 * objects),
            ("check before COPY", 2 * objects),
            ("LOCK", 1 + objects / 1000),
            // Three sequences an object.
            ("sequence values", if major >= 18 { 1 + 3 * objects / 500 } else { 4 * (1 + 3 * objects / 500) }),
            // 200 columns or relations at a time, so that memory does not grow with them.
            ("planner statistics", 2 + objects / 50),
            // Beginning with few, since those behind a long one are read twice.
            ("bytes of large objects", 2 + objects / 32),
        ])
    };
    for (objects, found) in [(5, &few), (500, &many)] {
        for (kind, most) in bounds(objects) {
            let count = found.get(kind).copied().unwrap_or(0);
            assert!(
                (1..=most).contains(&count),
                "{count} × {kind} for {objects} objects on {major}, at most {most} are due"
            );
        }
    }
    let fixed = |found: &BTreeMap<String, usize>| {
        let grows = bounds(0);
        found
            .iter()
            .filter(|(kind, _)| !grows.contains_key(kind.as_str()))
            .map(|(kind, count)| (kind.clone(), *count))
            .collect::<BTreeMap<_, _>>()
    };
    let (fixed_few, fixed_many) = (fixed(&few), fixed(&many));
    let total = |found: &BTreeMap<String, usize>| found.values().sum::<usize>();
    println!(
        "PostgreSQL {major}: {} catalog statements for 10 tables and as many of each kind, {} for 1000",
        total(&fixed_few),
        total(&fixed_many)
    );
    let grown: Vec<_> = fixed_many.iter().filter(|(sql, count)| fixed_few.get(*sql) != Some(count)).collect();
    assert!(grown.is_empty() && total(&fixed_few) == total(&fixed_many), "these grew on {major}: {grown:#?}");
    assert!(total(&fixed_few) < 120, "{}", total(&fixed_few));
}
