//! A small application database that is filled for a test, and what two databases must share to be the same.

use crate::util::{TestDatabase, stock};

/// Tables of all shapes that a backup treats differently, in `public`. Any major.
const SCHEMA: &str = r#"
CREATE TYPE mood AS ENUM ('calm', 'tense');
CREATE TABLE customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, mood mood DEFAULT 'calm',
  folded text GENERATED ALWAYS AS (lower(name)) STORED, photo bytea, facts jsonb);
CREATE TABLE orders (
  id bigserial, customer bigint NOT NULL REFERENCES customers, placed date NOT NULL, total numeric(10, 2) CHECK (total >= 0),
  PRIMARY KEY (id, placed)) PARTITION BY RANGE (placed);
CREATE TABLE orders_2025 PARTITION OF orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE orders_later PARTITION OF orders DEFAULT;
CREATE INDEX orders_customer ON orders (customer, placed DESC);
CREATE TABLE "odd ""name""" ("select" text, " " text);
CREATE VIEW big_spenders AS SELECT c.id, c.name, sum(o.total) AS total FROM customers c JOIN orders o ON o.customer = c.id GROUP BY c.id;
CREATE MATERIALIZED VIEW per_day AS SELECT placed, count(*) AS n FROM orders GROUP BY placed WITH NO DATA;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.facts := coalesce(NEW.facts, '{}'); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION note();
COMMENT ON TABLE orders IS 'what''s bought';
"#;

const ROWS: &str = r#"
INSERT INTO customers (name, mood, photo, facts)
SELECT 'Customer ' || n, (ARRAY['calm', 'tense', NULL])[1 + n % 3]::mood, CASE WHEN n % 10 = 0 THEN decode(repeat(md5(n::text), 60), 'hex') END,
       jsonb_build_object('n', n, 'tags', jsonb_build_array('a', E'b\n\\.', NULL)) FROM generate_series(1, $n$) n;
INSERT INTO orders (customer, placed, total)
SELECT 1 + n % $n$, date '2025-06-01' + n % 400, n % 5000 / 7.0 FROM generate_series(1, 5 * $n$) n;
INSERT INTO "odd ""name""" VALUES (E'\\.', NULL), ('', E'tab\there'), ('\N', E'line\r\nbreak'), ('雪', ' ');
REFRESH MATERIALIZED VIEW per_day;
"#;

/// Fills an empty database with this many customers and five times as many orders.
pub fn fill(database: &TestDatabase, customers: u32) {
    database.psql(SCHEMA);
    database.psql(&ROWS.replace("$n$", &customers.to_string()));
}

/// A table of narrow rows that takes the program a moment to read: about this many megabytes.
pub fn fill_slowly_read(database: &TestDatabase, table: &str, megabytes: u32) {
    let rows = megabytes * 5_000;
    database.psql(&format!(
        "CREATE TABLE {table} (id int PRIMARY KEY, v text); ALTER TABLE {table} ALTER v SET STORAGE EXTERNAL; \
         INSERT INTO {table} SELECT n, repeat(md5(n::text), 6) FROM generate_series(1, {rows}) n"
    ));
}

/// All of a database that a restore must bring back: the definitions as stock pg_dump tells them, and per table,
/// materialized view and sequence a digest of what is in it.
pub fn fingerprint(database: &TestDatabase) -> String {
    const CONTENTS: &str = r"
        SELECT format('SELECT %L, count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM ONLY %s t', c.oid::regclass, c.oid::regclass)
          FROM pg_class c WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND c.relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_|^information_schema$')
         ORDER BY c.oid::regclass::text \gexec
        SELECT format('SELECT %L, last_value, is_called FROM %s', c.oid::regclass, c.oid::regclass) FROM pg_class c WHERE c.relkind = 'S' ORDER BY c.oid::regclass::text \gexec
        ";
    let output = stock(database.major, "pg_dump").args(["--schema-only", "-d", &database.url()]).output().unwrap();
    assert!(
        output.status.success(),
        "pg_dump of {} failed: {}",
        database.name,
        String::from_utf8_lossy(&output.stderr)
    );
    let script = String::from_utf8_lossy(&output.stdout);
    let told = |line: &&str| !line.is_empty() && !line.starts_with("--") && !line.starts_with('\\');
    let mut text: String = script.lines().filter(told).map(|line| format!("{line}\n")).collect();
    text.push_str(&database.psql(CONTENTS));
    text
}

/// Both databases are the same, and not both empty.
#[track_caller]
pub fn assert_same(source: &TestDatabase, copy: &TestDatabase) {
    let (expected, found) = (fingerprint(source), fingerprint(copy));
    assert!(expected.contains("CREATE TABLE"), "the source has no table");
    if expected != found {
        let missing: Vec<_> = expected.lines().filter(|line| !found.contains(*line)).collect();
        let surplus: Vec<_> = found.lines().filter(|line| !expected.contains(*line)).collect();
        panic!(
            "{} is not the same as {}\n--- missing\n{missing:#?}\n--- surplus\n{surplus:#?}",
            copy.name, source.name
        );
    }
}
