//! Tables that one connection loads come frozen: nobody has to write their pages a second time.

use crate::program::Sandbox;
use crate::util::TestDatabase;

const SCHEMA: &str = r#"
CREATE EXTENSION pg_visibility;
CREATE TABLE plain (id int PRIMARY KEY, body text);
INSERT INTO plain SELECT n, repeat(md5(n::text), 3) FROM generate_series(1, 20000) n;
CREATE TABLE "Odd ""name""" (id int, body text);
INSERT INTO "Odd ""name""" SELECT n, repeat(md5(n::text), 3) FROM generate_series(1, 15000) n;
CREATE TABLE toasted (id int, body text);
ALTER TABLE toasted ALTER body SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT n, repeat(md5(n::text), 200) FROM generate_series(1, 300) n;
CREATE TABLE parent (id int, body text);
INSERT INTO parent SELECT n, repeat(md5(n::text), 3) FROM generate_series(1, 15000) n;
CREATE TABLE child (more int) INHERITS (parent);
INSERT INTO child SELECT n, repeat(md5(n::text), 3), n FROM generate_series(1, 15000) n;
CREATE UNLOGGED TABLE fleeting (id int, body text);
INSERT INTO fleeting SELECT n, repeat(md5(n::text), 3) FROM generate_series(1, 15000) n;
CREATE TYPE mood AS ENUM ('glad', 'sad', 'so so');
CREATE TABLE part (id int, how mood, body text) PARTITION BY HASH (how);
CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE part_1 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO part SELECT n, (enum_range(NULL::mood))[1 + n % 3], repeat(md5(n::text), 3) FROM generate_series(1, 40000) n;
CREATE TABLE few (id int);
INSERT INTO few SELECT n FROM generate_series(1, 500) n;
"#;

/// Rows on pages that are not frozen. A page that is empty was made in advance.
fn unfrozen_rows(target: &TestDatabase, table: &str) -> String {
    let pages = format!("SELECT blkno FROM pg_visibility_map('{table}') WHERE NOT all_frozen");
    target.psql(&format!(
        "SELECT count(*) FROM ONLY {table} WHERE split_part(btrim(ctid::text, '('), ',', 1)::bigint IN ({pages})"
    ))
}

fn loaded_by(major: u32, jobs: &str) -> TestDatabase {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "frozen_source");
    source.psql(SCHEMA);
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "x.sql.gz"]).expect(0);
    let target = TestDatabase::planned(major, "frozen_target");
    sandbox.run(&["restore", "--file", "x.sql.gz", "--url", &target.url(), "--confirm", "--jobs", jobs]).expect(0);
    // The enum's hash puts rows into the other partition: its labels have other numbers here.
    for table in ["plain", "\"Odd \"\"name\"\"\"", "toasted", "parent", "child", "fleeting", "part", "few"] {
        let sum = format!("SELECT count(*), sum(hashtext(t::text)::numeric) FROM {table} t");
        assert_eq!(source.psql(&sum), target.psql(&sum), "{table}");
    }
    target
}

#[test]
fn tables_that_one_connection_loads_are_frozen() {
    for (major, jobs) in [(14, "1"), (18, "3")] {
        let target = loaded_by(major, jobs);
        for table in ["plain", r#""Odd ""name""""#, "toasted", "parent", "child", "fleeting"] {
            assert_eq!(unfrozen_rows(&target, table), "0", "PostgreSQL {major}: {table}");
        }
        // Otherwise the test would see nothing.
        assert_eq!(unfrozen_rows(&target, "few"), "500");
        assert_eq!(target.psql("SELECT count(*) FROM part").trim(), "40000");
    }
}
