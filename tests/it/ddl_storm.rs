//! Backups while other sessions change the schema without rest: one state or a clear error, never a mixture.
//!
//! Every transaction of a writer moves all of its objects from one generation to the next, so whatever is restored
//! must show one generation throughout. Half of the objects cannot be locked, and the server deparses them as they are
//! at that moment whatever the snapshot shows: views, functions, types, domains, labels, sequences, schemas.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use crate::program::Sandbox;
use crate::sample;
use crate::util::{TestDatabase, admin_url, psql, psql_output, unique};

const BACKUPS: u64 = 15;

const START: &str = "
CREATE SCHEMA storm;
CREATE TABLE storm.free (n int);
INSERT INTO storm.free VALUES (0);
CREATE SCHEMA moved_0;
CREATE VIEW moved_0.source AS SELECT 1 AS one;
CREATE VIEW storm.of_moved AS SELECT one FROM moved_0.source;
CREATE VIEW storm.replaced AS SELECT 0 AS gen;
CREATE VIEW storm.base_0 AS SELECT 0 AS gen, 'x'::text AS other;
CREATE VIEW storm.above AS SELECT gen, other FROM storm.base_0;
CREATE FUNCTION storm.body() RETURNS int LANGUAGE sql AS 'SELECT 0';
CREATE FUNCTION storm.named_0() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 7';
CREATE VIEW storm.of_function AS SELECT storm.named_0() AS seven;
CREATE FUNCTION storm.with_default(a int DEFAULT storm.named_0()) RETURNS int LANGUAGE sql AS 'SELECT a';
CREATE TYPE storm.kind AS ENUM ('k0', 'other');
CREATE TABLE storm.labelled (k storm.kind DEFAULT 'k0', CHECK (k <> 'other'));
INSERT INTO storm.labelled SELECT 'k0' FROM generate_series(1, 2000);
CREATE DOMAIN storm.limited AS int CONSTRAINT gen CHECK (VALUE <> 0);
CREATE TYPE storm.pair_0 AS (a int, b text);
CREATE FUNCTION storm.of_pair(storm.pair_0) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SEQUENCE storm.counter_0;
CREATE TABLE storm.counted (id int DEFAULT nextval('storm.counter_0'), v storm.limited);
CREATE TABLE storm.locked (k int PRIMARY KEY, c_0 int CONSTRAINT ck_0 CHECK (c_0 = 0));
INSERT INTO storm.locked SELECT g, 0 FROM generate_series(1, 3000) g;
CREATE INDEX ix_0 ON storm.locked (c_0);
COMMENT ON TABLE storm.locked IS '0';
CREATE TABLE storm.parted (k int, gen int) PARTITION BY LIST (gen);
CREATE TABLE storm.part_0 PARTITION OF storm.parted FOR VALUES IN (0);
INSERT INTO storm.parted VALUES (1, 0), (2, 0);
CREATE TABLE storm.left_side (v text); CREATE TABLE storm.right_side (v text);
INSERT INTO storm.left_side SELECT 'l' FROM generate_series(1, 500); INSERT INTO storm.right_side SELECT 'r' FROM generate_series(1, 500);
COMMENT ON TABLE storm.left_side IS 'l'; COMMENT ON TABLE storm.right_side IS 'r';
CREATE TABLE storm.refilled (v int); INSERT INTO storm.refilled SELECT generate_series(1, 100);
CREATE TABLE storm.hung (k int, v int) PARTITION BY RANGE (k);
CREATE TABLE storm.hung_1 PARTITION OF storm.hung FOR VALUES FROM (0) TO (10);
CREATE TABLE storm.hung_2 PARTITION OF storm.hung FOR VALUES FROM (10) TO (20);
INSERT INTO storm.hung SELECT g, 1 FROM generate_series(0, 19) g;
";

/// What cannot be locked, from generation `n` to `m`.
fn unlockable(n: u64, m: u64) -> String {
    format!(
        "BEGIN; UPDATE storm.free SET n = {m}; ALTER SCHEMA moved_{n} RENAME TO moved_{m};
         CREATE OR REPLACE VIEW storm.replaced AS SELECT {m} AS gen; COMMENT ON VIEW storm.replaced IS '{m}';
         ALTER VIEW storm.base_{n} RENAME TO base_{m};
         CREATE OR REPLACE FUNCTION storm.body() RETURNS int LANGUAGE sql AS 'SELECT {m}';
         ALTER FUNCTION storm.named_{n}() RENAME TO named_{m};
         ALTER TYPE storm.kind RENAME VALUE 'k{n}' TO 'k{m}';
         ALTER DOMAIN storm.limited DROP CONSTRAINT gen; ALTER DOMAIN storm.limited ADD CONSTRAINT gen CHECK (VALUE <> {m});
         ALTER TYPE storm.pair_{n} RENAME TO pair_{m};
         ALTER SEQUENCE storm.counter_{n} RENAME TO counter_{m}; COMMIT"
    )
}

/// What is locked while it is backed up, from generation `n` to `m`.
fn lockable(n: u64, m: u64) -> String {
    format!(
        "BEGIN; TRUNCATE storm.locked; ALTER TABLE storm.locked DROP COLUMN c_{n}, ADD COLUMN c_{m} int DEFAULT {m} CONSTRAINT ck_{m} CHECK (c_{m} = {m});
         INSERT INTO storm.locked SELECT g, {m} FROM generate_series(1, 3000) g;
         CREATE INDEX ix_{m} ON storm.locked (c_{m}); COMMENT ON TABLE storm.locked IS '{m}';
         DROP TABLE storm.part_{n}; CREATE TABLE storm.part_{m} (k int, gen int);
         INSERT INTO storm.part_{m} VALUES (1, {m}), (2, {m});
         ALTER TABLE storm.parted ATTACH PARTITION storm.part_{m} FOR VALUES IN ({m}); COMMIT"
    )
}

const SWAP: &str = "BEGIN; ALTER TABLE storm.left_side RENAME TO between; ALTER TABLE storm.right_side RENAME TO left_side; \
                    ALTER TABLE storm.between RENAME TO right_side; COMMIT";
const REFILL: &str =
    "BEGIN; TRUNCATE storm.refilled; INSERT INTO storm.refilled SELECT generate_series(1, 100); COMMIT";

/// Everything that tells a generation, in a restored database: `what|generation`.
const GENERATIONS: &str = r"
SELECT 'stamp', n::text FROM storm.free
UNION ALL SELECT 'schema', substr(nspname, 7) FROM pg_namespace WHERE nspname LIKE 'moved\_%'
UNION ALL SELECT 'view', gen::text FROM storm.replaced
UNION ALL SELECT 'comment', obj_description('storm.replaced'::regclass)
UNION ALL SELECT 'renamed view', substr(relname, 6) FROM pg_class WHERE relname LIKE 'base\_%'
UNION ALL SELECT 'view above', substring(pg_get_viewdef('storm.above'::regclass) FROM 'base_(\d+)')
UNION ALL SELECT 'body', storm.body()::text
UNION ALL SELECT 'function', substr(proname, 7) FROM pg_proc WHERE proname LIKE 'named\_%'
UNION ALL SELECT 'default', substring(pg_get_function_arguments('storm.with_default'::regproc) FROM 'named_(\d+)')
UNION ALL SELECT 'label', substr(enumlabel, 2) FROM pg_enum WHERE enumlabel LIKE 'k%'
UNION ALL SELECT 'value', substr(k::text, 2) FROM storm.labelled GROUP BY k
UNION ALL SELECT 'domain', substring(pg_get_constraintdef(oid) FROM '(\d+)') FROM pg_constraint WHERE conname = 'gen'
UNION ALL SELECT 'type', substr(typname, 6) FROM pg_type WHERE typname LIKE 'pair\_%' AND typtype = 'c'
UNION ALL SELECT 'sequence', substr(relname, 9) FROM pg_class WHERE relname LIKE 'counter\_%'";

const LOCKED_GENERATIONS: &str = r"
SELECT 'comment', obj_description('storm.locked'::regclass)
UNION ALL SELECT 'column', substr(attname, 3) FROM pg_attribute WHERE attrelid = 'storm.locked'::regclass AND attname LIKE 'c\_%'
UNION ALL SELECT 'index', substr(relname, 4) FROM pg_class WHERE relname LIKE 'ix\_%'
UNION ALL SELECT 'constraint', substr(conname, 4) FROM pg_constraint WHERE conname LIKE 'ck\_%'
UNION ALL SELECT 'row', value FROM storm.locked l, jsonb_each_text(to_jsonb(l) - 'k') GROUP BY 2
UNION ALL SELECT 'partition', substr(relname, 6) FROM pg_class WHERE relname LIKE 'part\_%'
UNION ALL SELECT 'attached', substr(inhrelid::regclass::text, 12) FROM pg_inherits WHERE inhparent = 'storm.parted'::regclass
UNION ALL SELECT 'partition row', gen::text FROM storm.parted GROUP BY 2";

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the server runs");
    tokio::spawn(connection);
    // A writer that waits for the backup's locks would be no storm.
    client.batch_execute("SET lock_timeout = '30ms'; SET client_min_messages = error").await.unwrap();
    client
}

/// The storm: sessions that change things until it is over.
struct Storm {
    over: Arc<AtomicBool>,
    /// Milliseconds that a writer rests between two transactions.
    rest: Arc<AtomicU64>,
    writers: Vec<tokio::task::JoinHandle<u64>>,
}

impl Storm {
    async fn start(url: &str) -> Self {
        let (over, rest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut storm = Storm { over, rest, writers: Vec::new() };
        storm.generations(url, unlockable).await;
        storm.generations(url, lockable).await;
        storm.generations(url, |_, _| SWAP.to_owned()).await;
        storm.generations(url, |_, _| REFILL.to_owned()).await;
        storm
            .generations(url, |_, m| match m % 2 {
                0 => "ALTER TABLE storm.hung ATTACH PARTITION storm.hung_2 FOR VALUES FROM (10) TO (20)".to_owned(),
                _ => "ALTER TABLE storm.hung DETACH PARTITION storm.hung_2".to_owned(),
            })
            .await;
        storm.generations(url, |_, m| format!("CREATE TABLE storm.made_{m} AS SELECT 1 AS a; CREATE INDEX ON storm.made_{m} (a); ALTER TABLE storm.made_{m} ADD b int; DROP TABLE storm.made_{m}")).await;
        storm
    }

    /// Goes to the next generation as often as the server lets it.
    async fn generations(&mut self, url: &str, step: impl Fn(u64, u64) -> String + Send + 'static) {
        let client = connect(url).await;
        let (over, rest) = (Arc::clone(&self.over), Arc::clone(&self.rest));
        self.writers.push(tokio::spawn(async move {
            let mut done = 0;
            while !over.load(Ordering::Relaxed) {
                match client.batch_execute(&step(done, done + 1)).await {
                    Ok(()) => done += 1,
                    Err(_) => drop(client.batch_execute("ROLLBACK").await),
                }
                tokio::time::sleep(Duration::from_millis(1 + rest.load(Ordering::Relaxed))).await;
            }
            done
        }));
    }

    async fn end(self) -> Vec<u64> {
        self.over.store(true, Ordering::Relaxed);
        let mut done = Vec::new();
        for writer in self.writers {
            done.push(writer.await.expect("a writer ends"));
        }
        done
    }
}

fn assert_one_generation(copy: &TestDatabase, sql: &str) {
    let told = copy.psql(sql);
    let generations: BTreeSet<_> =
        told.lines().map(|line| line.split_once('|').map(|(_, generation)| generation)).collect();
    assert_eq!(generations.len(), 1, "a mixture of states was backed up:\n{told}");
}

fn assert_one_state(copy: &TestDatabase) {
    assert_one_generation(copy, GENERATIONS);
    assert_one_generation(copy, LOCKED_GENERATIONS);
    let sides = "SELECT obj_description('storm.left_side'::regclass), (SELECT string_agg(DISTINCT v, ',') || count(*) FROM storm.left_side),
                        obj_description('storm.right_side'::regclass), (SELECT string_agg(DISTINCT v, ',') || count(*) FROM storm.right_side)";
    let sides = copy.psql(sides);
    assert!(sides == "l|l500|r|r500" || sides == "r|r500|l|l500", "{sides}");
    assert_eq!(copy.psql("SELECT count(*), sum(v) FROM storm.refilled"), "100|5050");
    assert_eq!(copy.psql("SELECT count(*) FROM (SELECT k FROM storm.hung_1 UNION SELECT k FROM storm.hung_2) a"), "20");
    let hung = copy.psql("SELECT count(*) FROM storm.hung");
    let attached = copy.psql("SELECT count(*) FROM pg_inherits WHERE inhparent = 'storm.hung'::regclass");
    assert_eq!(hung.parse::<u32>().unwrap(), 10 * attached.parse::<u32>().unwrap());
}

/// One backup in the storm: whether it was published, and then it was one state.
fn back_up(sandbox: &Sandbox, source: &TestDatabase, number: u64) -> bool {
    let file = format!("{number}.sql.gz");
    let outcome =
        sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", &file, "--lock-timeout", "2s"]);
    let stderr = outcome.stderr();
    if sandbox.files(&file).is_empty() {
        let error = stderr.lines().find(|line| line.starts_with("error:")).unwrap_or_default();
        let named = ["storm.", "moved_", "hung", "locked"].iter().any(|name| error.contains(name));
        outcome.expect(20);
        assert!(named, "the error names no object: {stderr}");
        return false;
    }
    let outcome = outcome.expect(0);
    drop(outcome);
    let copy = TestDatabase::planned(source.major, "storm_copy");
    sandbox.run(&["restore", "--file", &file, "--url", &copy.url(), "--confirm"]).expect(0);
    assert_one_state(&copy);
    true
}

async fn storm(major: u32) {
    let source = Arc::new(TestDatabase::new(major, "hard_storm"));
    source.psql(START);
    let storm = Storm::start(&source.url()).await;
    let mut published = 0;
    for number in 0..BACKUPS {
        // From no rest at all to a migration that pauses now and then.
        storm.rest.store([0, 100, 700, 2000, 4000][usize::try_from(number % 5).unwrap()], Ordering::Relaxed);
        let source = Arc::clone(&source);
        let done = tokio::task::spawn_blocking(move || back_up(&Sandbox::new(), &source, number)).await.unwrap();
        published += u32::from(done);
    }
    let done = storm.end().await;
    println!("PostgreSQL {major}: {published} of {BACKUPS} backups published, transactions of the writers: {done:?}");
    assert!(published >= 3, "only {published} of {BACKUPS} backups got through on {major}");
    assert!(done.iter().all(|transactions| *transactions > 10), "a writer was held up all the time: {done:?}");
    // Where nothing changes any more, nothing is in the way.
    let source = Arc::clone(&source);
    assert!(tokio::task::spawn_blocking(move || back_up(&Sandbox::new(), &source, 99)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_in_a_storm_is_one_state_on_13() {
    storm(13).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_in_a_storm_is_one_state_on_15() {
    storm(15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_in_a_storm_is_one_state_on_18() {
    storm(18).await;
}

/// One object of each kind that has no lock, and something that is deparsed with its name or text in it.
const UNLOCKED: &str = r#"
CREATE SCHEMA s; CREATE SCHEMA moved;
CREATE ROLE "STEM_before"; GRANT SELECT ON pg_catalog.pg_class TO "STEM_before"; CREATE SCHEMA owned AUTHORIZATION "STEM_before";
CREATE VIEW moved.source AS SELECT 1 AS one; CREATE VIEW s.a_moved AS SELECT one FROM moved.source;
CREATE VIEW s.base AS SELECT 1 AS one, 2 AS two; CREATE VIEW s.above AS SELECT one, two FROM s.base;
CREATE VIEW s.replaced AS SELECT 1 AS gen; COMMENT ON VIEW s.replaced IS 'first';
CREATE MATERIALIZED VIEW s.mat AS SELECT 1 AS one; CREATE VIEW s.of_mat AS SELECT one FROM s.mat;
CREATE FUNCTION s.f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; COMMENT ON FUNCTION s.f() IS 'first';
CREATE FUNCTION s.g(a int DEFAULT s.f()) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE s.label AS ENUM ('x', 'y'); CREATE TABLE s.labelled (l s.label DEFAULT 'x');
CREATE DOMAIN s.dom AS int CONSTRAINT c CHECK (VALUE > 0); COMMENT ON DOMAIN s.dom IS 'first';
CREATE TYPE s.pair AS (a int, b text); CREATE FUNCTION s.of_pair(s.pair) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SEQUENCE s.seq; CREATE TABLE s.counted (id int DEFAULT nextval('s.seq'), v text);
CREATE INDEX counted_v ON s.counted (v); COMMENT ON INDEX s.counted_v IS 'first';
CREATE COLLATION s.coll (LC_COLLATE = 'C', LC_CTYPE = 'C'); CREATE TABLE s.collated (t text CHECK (t COLLATE s.coll > 'a'));
CREATE OPERATOR s.### (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl); CREATE VIEW s.of_operator AS SELECT 1 OPERATOR(s.###) 2 AS three;
CREATE STATISTICS s.stat ON id, v FROM s.counted; COMMENT ON STATISTICS s.stat IS 'first';
CREATE TEXT SEARCH CONFIGURATION s.conf (COPY = simple); CREATE VIEW s.of_conf AS SELECT to_tsvector('s.conf', 'x') AS v;
CREATE FUNCTION s.trig() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON s.counted FOR EACH ROW EXECUTE FUNCTION s.trig();
"#;

/// Changes of them, each one transaction.
const CHANGES: [&str; 20] = [
    "ALTER SCHEMA moved RENAME TO moved_on",
    "ALTER VIEW s.base RENAME TO base_2",
    "ALTER VIEW s.base RENAME COLUMN two TO three",
    "CREATE OR REPLACE VIEW s.replaced AS SELECT 2 AS gen; COMMENT ON VIEW s.replaced IS 'second'",
    "CREATE OR REPLACE VIEW s.base AS SELECT 1 AS one, 2 AS two, 3 AS more; CREATE OR REPLACE VIEW s.above AS SELECT one, two, more FROM s.base",
    "ALTER MATERIALIZED VIEW s.mat RENAME TO mat_2",
    "ALTER MATERIALIZED VIEW s.mat RENAME COLUMN one TO eins",
    "ALTER FUNCTION s.f() RENAME TO f_2",
    "CREATE OR REPLACE FUNCTION s.f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2'; COMMENT ON FUNCTION s.f() IS 'second'",
    "ALTER TYPE s.label RENAME VALUE 'x' TO 'x_2'",
    "ALTER TYPE s.label RENAME TO label_2",
    "ALTER DOMAIN s.dom DROP CONSTRAINT c; ALTER DOMAIN s.dom ADD CONSTRAINT c CHECK (VALUE > 2); COMMENT ON DOMAIN s.dom IS 'second'",
    "ALTER TYPE s.pair RENAME TO pair_2",
    "ALTER SEQUENCE s.seq RENAME TO seq_2",
    "ALTER INDEX s.counted_v RENAME TO counted_v_2; COMMENT ON INDEX s.counted_v_2 IS 'second'",
    "ALTER COLLATION s.coll RENAME TO coll_2",
    "DROP VIEW s.of_operator; DROP OPERATOR s.### (int, int)",
    "ALTER STATISTICS s.stat RENAME TO stat_2; COMMENT ON STATISTICS s.stat_2 IS 'second'",
    "ALTER TEXT SEARCH CONFIGURATION s.conf RENAME TO conf_2",
    "ALTER ROLE \"STEM_before\" RENAME TO \"STEM_after\"",
];

/// A lock on one catalog stops the capture between its first query and its last; meanwhile somebody changes the schema.
async fn changed_between_two_queries(major: u32, changes: impl Iterator<Item = &'static str>) {
    let mut wrong = Vec::new();
    for change in changes {
        let source = Arc::new(TestDatabase::new(major, "hard_between"));
        let role = |sql: &str| sql.replace("STEM", &source.name);
        source.psql(&role(UNLOCKED));
        let holder = connect(&source.url()).await;
        holder.batch_execute("BEGIN; LOCK TABLE pg_catalog.pg_policy IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let sandbox = Sandbox::new();
        let run = sandbox.start(&["backup", "postgres", "--url", &source.url(), "--output", "a.sql.gz"]);
        let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'pg_policy'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let watcher = Arc::clone(&source);
        let waiting = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            while watcher.psql(waits) != "t" {
                assert!(began.elapsed() < Duration::from_secs(60), "the capture never came to the policies");
            }
        });
        waiting.await.unwrap();
        let changer = connect(&source.url()).await;
        changer.batch_execute(&format!("BEGIN; {}; COMMIT", role(change))).await.unwrap();
        holder.batch_execute("COMMIT").await.unwrap();
        let (database, copy) = (Arc::clone(&source), TestDatabase::planned(major, "hard_between_copy"));
        let checked = tokio::task::spawn_blocking(move || {
            let outcome = run.wait();
            if sandbox.files("a.sql.gz").is_empty() {
                return Some(format!("no backup: {}", outcome.stderr()));
            }
            let restored = sandbox.run(&["restore", "--file", "a.sql.gz", "--url", &copy.url(), "--confirm"]);
            if !restored.stderr().contains("error:") && sample::fingerprint(&database) == sample::fingerprint(&copy) {
                return None;
            }
            Some(format!("a mixture: {}", restored.stderr()))
        });
        let checked = checked.await;
        drop(changer);
        source.psql(&role("DROP SCHEMA owned"));
        for role in [role("STEM_before"), role("STEM_after")] {
            let _ = psql_output(major, &source.url(), &format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""));
        }
        wrong.extend(checked.unwrap().map(|what| format!("{change}: {what}")));
    }
    assert!(wrong.is_empty(), "on {major} {} changes went wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_between_two_catalog_queries_leaves_no_mixture_on_13() {
    changed_between_two_queries(13, CHANGES.into_iter().step_by(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_between_two_catalog_queries_leaves_no_mixture_on_18() {
    changed_between_two_queries(18, CHANGES.into_iter().skip(1).step_by(2)).await;
}

/// Rows print an enum's labels as they are when they are read, maybe hours after the schema was.
#[test]
fn a_label_renamed_while_rows_are_read_fails_the_run_and_is_named() {
    let major = 17;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "hard_label");
    sample::fill_slowly_read(&source, "large", 40);
    source.psql(
        "CREATE TYPE mood AS ENUM ('calm', 'tense'); CREATE TABLE felt (m mood); INSERT INTO felt VALUES ('calm')",
    );
    let run = sandbox.start(&["backup", "postgres", "--url", &source.url(), "--jobs", "1", "--output", "a.sql.gz"]);
    let reading = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY%large%'";
    let began = Instant::now();
    while source.psql(reading) != "1" {
        assert!(began.elapsed() < Duration::from_secs(60), "the large table was never read");
    }
    source.psql("ALTER TYPE mood RENAME VALUE 'calm' TO 'serene'");
    run.wait().expect(20).blames("public.mood changed while rows were read").hints();
    assert!(sandbox.files(".gz").is_empty());
}

/// Nightly jobs grant, refresh, analyze and use temporary tables: none of it changes what is backed up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyday_work_stops_no_backup() {
    for major in [13, 18] {
        let source = TestDatabase::new(major, "hard_everyday");
        let role = unique("hard_everyday");
        source.psql(START);
        source.psql(&format!("CREATE ROLE {role}; CREATE MATERIALIZED VIEW storm.summary AS SELECT count(*) FROM storm.locked; CREATE VIEW storm.plain AS SELECT * FROM storm.summary"));
        let mut storm = Storm { over: Arc::default(), rest: Arc::default(), writers: Vec::new() };
        let role_of_step = role.clone();
        storm
            .generations(&source.url(), move |_, m| {
                let verb = if m % 2 == 0 { format!("REVOKE ALL ON storm.plain FROM {role_of_step}") } else { format!("GRANT SELECT ON storm.plain TO {role_of_step}") };
                format!("{verb}; REFRESH MATERIALIZED VIEW storm.summary; ANALYZE storm.free; CREATE TEMP TABLE made (a int); DROP TABLE made; CREATE ROLE {role_of_step}_{m}; DROP ROLE {role_of_step}_{m}")
            })
            .await;
        storm.rest.store(1000, Ordering::Relaxed);
        let (mut published, began) = (0, Instant::now());
        // However fast the machine is, the everyday work gets its turns.
        while published < 5 || began.elapsed() < Duration::from_secs(5) {
            let url = source.url();
            let run = move || {
                let sandbox = Sandbox::new();
                sandbox.run(&["backup", "postgres", "--url", &url, "--output", "a.sql.gz"]).expect(0);
            };
            tokio::task::spawn_blocking(run).await.unwrap();
            published += 1;
        }
        let done = storm.end().await;
        assert!(done[0] > 1, "{published} backups, transactions of the writer: {done:?}");
        drop(source);
        psql(major, &admin_url(major), &format!("DROP ROLE {role}"));
    }
}
