//! Restores by many connections: what is built side by side is what the source had, without a deadlock, and a failure
//! of any connection is the run's.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use crate::program::{Outcome, Sandbox};
use crate::restore_pipe::piped;
use crate::sample;
use crate::util::{TestDatabase, admin_url, psql};

/// Everything that is made after rows and fights for locks. `$N` tables refer to each other in a ring and to a hub.
fn schema(major: u32) -> String {
    let mut sql = String::from(
        r#"
CREATE EXTENSION btree_gist;
CREATE TABLE hub (id int, code text, CONSTRAINT hub_pkey PRIMARY KEY (id) WITH (fillfactor = 70));
INSERT INTO hub SELECT n, 'c' || n FROM generate_series(1, 2000) n;
ALTER TABLE hub ADD CONSTRAINT hub_code UNIQUE (code) INCLUDE (id);
COMMENT ON CONSTRAINT hub_pkey ON hub IS 'the hub''s key';
COMMENT ON INDEX hub_pkey IS 'and its index';
"#,
    );
    for n in 0..8 {
        let _ = writeln!(
            sql,
            r#"
CREATE TABLE ring{n} (id int NOT NULL, hub int, other int, self int, span int4range, v text,
  CONSTRAINT "ring{n} key" PRIMARY KEY (id), CONSTRAINT ring{n}_v UNIQUE (v) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO ring{n} SELECT n, 1 + n % 2000, 1 + n * 7 % 1500, nullif(n - 1, 0), int4range(n * 10, n * 10 + 5), 'v' || n FROM generate_series(1, 1500) n;
CREATE INDEX ring{n}_low ON ring{n} (lower(v)) WHERE id > 10;
CREATE INDEX ring{n}_hub ON ring{n} (hub, other);
CREATE UNIQUE INDEX ring{n}_ident ON ring{n} (id, hub);
ALTER TABLE ring{n} ALTER hub SET NOT NULL;
ALTER TABLE ring{n} REPLICA IDENTITY USING INDEX ring{n}_ident;
ALTER TABLE ring{n} CLUSTER ON ring{n}_hub;
ALTER INDEX ring{n}_low ALTER COLUMN 1 SET STATISTICS 17;
ALTER TABLE ring{n} ADD CONSTRAINT ring{n}_span EXCLUDE USING gist (span WITH &&);
COMMENT ON CONSTRAINT ring{n}_v ON ring{n} IS 'deferred';
COMMENT ON INDEX ring{n}_low IS 'of a part';
CREATE STATISTICS ring{n}_both ON hub, other FROM ring{n};
CREATE TRIGGER ring{n}_trigger BEFORE UPDATE ON ring{n} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE ring{n} ENABLE ROW LEVEL SECURITY;
CREATE POLICY ring{n}_policy ON ring{n} USING (hub IN (SELECT id FROM hub));
CREATE MATERIALIZED VIEW ring{n}_sums AS SELECT hub, count(*) AS n FROM ring{n} GROUP BY hub;
CREATE UNIQUE INDEX ring{n}_sums_hub ON ring{n}_sums (hub);
GRANT SELECT ON ring{n} TO PUBLIC;"#
        );
    }
    for n in 0..8 {
        let next = (n + 1) % 8;
        let _ = writeln!(
            sql,
            "CREATE RULE ring{n}_rule AS ON DELETE TO ring{n} DO ALSO SELECT count(*) FROM ring{next};
ALTER TABLE ring{n} ADD CONSTRAINT ring{n}_hub_fk FOREIGN KEY (hub) REFERENCES hub ON DELETE CASCADE;
ALTER TABLE ring{n} ADD CONSTRAINT ring{n}_next FOREIGN KEY (other) REFERENCES ring{next} DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ring{n} ADD CONSTRAINT ring{n}_self FOREIGN KEY (self) REFERENCES ring{n};
ALTER TABLE ring{n} ADD CONSTRAINT ring{n}_loose FOREIGN KEY (other) REFERENCES hub NOT VALID;
COMMENT ON CONSTRAINT ring{n}_next ON ring{n} IS 'goes round';"
        );
    }
    sql.push_str(
        r#"
CREATE TABLE parts (id int, day date NOT NULL, hub int REFERENCES hub, CONSTRAINT parts_pkey PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2025-07-01') TO ('2026-01-01') PARTITION BY LIST (id);
CREATE TABLE parts_2a PARTITION OF parts_2 DEFAULT;
INSERT INTO parts SELECT n, date '2025-01-01' + n % 300, 1 + n % 2000 FROM generate_series(1, 4000) n;
CREATE INDEX parts_hub ON parts (hub);
CREATE INDEX parts_1_only ON parts_1 (day, hub);
CREATE TABLE of_parts (id int, day date, FOREIGN KEY (id, day) REFERENCES parts);
INSERT INTO of_parts SELECT id, day FROM parts;
CREATE TABLE above (id int PRIMARY KEY, v int);
CREATE TABLE below (CONSTRAINT below_pkey PRIMARY KEY (id)) INHERITS (above);
INSERT INTO below SELECT n, n FROM generate_series(1, 100) n;
CREATE VIEW by_key AS SELECT h.id, h.code, count(*) FROM hub h JOIN ring0 r ON r.hub = h.id GROUP BY h.id;
CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION noted();
"#,
    );
    if major >= 15 {
        sql.push_str("ALTER TABLE ring0 ADD CONSTRAINT ring0_nulls UNIQUE NULLS NOT DISTINCT (self, id) INCLUDE (v) WITH (fillfactor = 60);");
    }
    if major >= 18 {
        sql.push_str(
            "CREATE TABLE rooms (room int, during daterange, CONSTRAINT rooms_pkey PRIMARY KEY (room, during WITHOUT OVERLAPS));
             CREATE TABLE stays (room int, during daterange, CONSTRAINT stays_fk FOREIGN KEY (room, PERIOD during) REFERENCES rooms (room, PERIOD during));
             ALTER TABLE hub ADD COLUMN late int; ALTER TABLE hub ADD CONSTRAINT late_set NOT NULL late NOT VALID;
             ALTER TABLE ring0 ADD CONSTRAINT ring0_lax FOREIGN KEY (other) REFERENCES hub NOT ENFORCED;",
        );
    }
    sql
}

/// What pg_dump does not tell of constraints and indexes.
const CATALOG: &str = "
SELECT conrelid::regclass, conname, contype, condeferrable, condeferred, convalidated, conislocal, coninhcount, connoinherit,
       conindid::regclass, conkey, confkey FROM pg_constraint
 WHERE conparentid = 0 AND contype <> 'n' AND connamespace = 'public'::regnamespace ORDER BY 1, 2;
SELECT count(*), convalidated, condeferrable FROM pg_constraint WHERE conparentid <> 0 GROUP BY 2, 3 ORDER BY 2, 3;
SELECT i.indexrelid::regclass, indrelid::regclass, indisunique, indisprimary, indisexclusion, indimmediate, indisclustered,
       indisvalid, indisready, indisreplident, indkey, indoption, c.reloptions
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1;
SELECT tgrelid::regclass, CASE WHEN tgisinternal THEN '-' ELSE tgname END, tgconstrindid::regclass, tgdeferrable, tginitdeferred FROM pg_trigger
 WHERE tgname !~ '^RI_' ORDER BY 1, 2, 3";

#[track_caller]
fn assert_same(source: &TestDatabase, copy: &TestDatabase) {
    sample::assert_same(source, copy);
    let (expected, found) = (source.psql(CATALOG), copy.psql(CATALOG));
    let missing: Vec<_> = expected.lines().filter(|line| !found.lines().any(|one| one == *line)).collect();
    assert_eq!((missing, expected.lines().count()), (Vec::new(), found.lines().count()));
}

fn many_times(major: u32, times: u32) {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "parallel_source");
    source.psql(&schema(major));
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "x.sql.gz"]).expect(0);
    for time in 0..times {
        let target = TestDatabase::planned(major, "parallel_target");
        let url = target.url();
        if time == 0 {
            piped(&sandbox, &fs::read(sandbox.path("x.sql.gz")).unwrap(), &url).expect(0);
        } else {
            let jobs = if time == 1 { "1" } else { "8" };
            sandbox.run(&["restore", "--file", "x.sql.gz", "--url", &url, "--confirm", "--jobs", jobs]).expect(0);
        }
        assert_same(&source, &target);
    }
}

#[test]
fn what_is_built_side_by_side_is_what_13_had() {
    many_times(13, 6);
}

#[test]
fn what_is_built_side_by_side_is_what_15_had() {
    many_times(15, 6);
}

#[test]
fn what_is_built_side_by_side_is_what_18_had() {
    many_times(18, 12);
}

/// More definitions than the steps at hand may have, and than are held of a pipe.
#[test]
fn long_definitions_pass_in_pieces() {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(17, "parallel_long");
    source.psql(
        "CREATE TABLE t (a int PRIMARY KEY, b int REFERENCES t); INSERT INTO t SELECT n, n FROM generate_series(1, 100) n;
         DO $$ BEGIN FOR n IN 1..40 LOOP
           EXECUTE format('CREATE INDEX t_%s ON t (a, b)', n); EXECUTE format('COMMENT ON INDEX t_%s IS %L', n, repeat('x', 900000));
         END LOOP; END $$; CREATE TABLE u (a int REFERENCES t); GRANT SELECT ON u TO PUBLIC",
    );
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "x.sql.gz"]).expect(0);
    let target = TestDatabase::planned(17, "parallel_long_target");
    restore(&sandbox, "x.sql.gz", &target.url()).expect(0);
    sample::assert_same(&source, &target);
    let target = TestDatabase::planned(17, "parallel_long_target");
    piped(&sandbox, &fs::read(sandbox.path("x.sql.gz")).unwrap(), &target.url()).expect(0);
    sample::assert_same(&source, &target);
}

fn restore(sandbox: &Sandbox, file: &str, url: &str) -> Outcome {
    sandbox.run(&["restore", "--file", file, "--url", url, "--confirm", "--jobs", "4"])
}

#[test]
fn a_foreign_key_that_does_not_hold_is_named() {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(16, "parallel_broken");
    source.psql(&schema(16));
    source.psql("SET session_replication_role = replica; DELETE FROM ring3 WHERE id = 1498");
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "x.sql.gz"]).expect(0);
    let target = TestDatabase::planned(16, "parallel_refused");
    let told = restore(&sandbox, "x.sql.gz", &target.url()).expect_failure();
    told.blames("FK CONSTRAINT public.ring").says("violates foreign key constraint");
    assert!(!target.exists(), "what was made stays");
    let target = TestDatabase::planned(16, "parallel_refused");
    let told = piped(&sandbox, &fs::read(sandbox.path("x.sql.gz")).unwrap(), &target.url()).expect_failure();
    told.blames("FK CONSTRAINT public.ring").says("violates foreign key constraint");
    assert!(!target.exists(), "what was made stays");
}

/// Waits for a session of the database that runs a statement like this one, and ends it.
fn end_session(database: &TestDatabase, like: &str) -> bool {
    let started = Instant::now();
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
         WHERE datname = '{}' AND state = 'active' AND query LIKE '{like}' LIMIT 1) AS one",
        database.name
    );
    while started.elapsed() < Duration::from_secs(60) {
        if psql(database.major, &admin_url(database.major), &sql) != "0" {
            return true;
        }
    }
    false
}

#[test]
fn a_session_that_dies_on_the_target_fails_the_run() {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(15, "parallel_dies");
    source.psql(
        "CREATE FUNCTION slow(a int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN a; END $$;
         CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t SELECT n, repeat('x', 500) FROM generate_series(1, 20000) n;
         CREATE TABLE u (a int PRIMARY KEY); INSERT INTO u SELECT n FROM generate_series(1, 300) n;
         CREATE INDEX t_slow ON t (slow(a)) WHERE a < 500; CREATE INDEX u_slow ON u (slow(a));",
    );
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "x.sql.gz"]).expect(0);
    for like in ["COPY %", "CREATE INDEX %slow%", "CREATE INDEX %u_slow%"] {
        let target = TestDatabase::planned(15, "parallel_dying");
        let run = sandbox.start(&["restore", "--file", "x.sql.gz", "--url", &target.url(), "--confirm", "--jobs", "2"]);
        assert!(end_session(&target, like), "no session ran {like}");
        run.wait().expect_failure().says("terminating connection");
        assert!(!target.exists(), "what was made stays: {like}");
    }
}

#[test]
fn indexes_are_built_while_other_tables_are_loaded() {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(17, "parallel_early");
    source.psql(
        "CREATE FUNCTION busy(a text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN length(a); END $$;
         CREATE TABLE large (a int, b text); INSERT INTO large SELECT n, repeat('x', 900) FROM generate_series(1, 1500) n;
         CREATE TABLE small (a int, b text CHECK (busy(b) > 0)); INSERT INTO small SELECT n, repeat('y', 40) FROM generate_series(1, 2000) n;
         CREATE INDEX large_b ON large (busy(b));",
    );
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "x.sql.gz"]).expect(0);
    let target = TestDatabase::planned(17, "parallel_early_target");
    let run = sandbox.start(&["restore", "--file", "x.sql.gz", "--url", &target.url(), "--confirm", "--jobs", "2"]);
    let sql = format!(
        "SELECT count(*) FILTER (WHERE query LIKE 'CREATE INDEX%') * count(*) FILTER (WHERE query LIKE 'COPY%') \
         FROM pg_stat_activity WHERE datname = '{}' AND state = 'active'",
        target.name
    );
    let (started, mut met) = (Instant::now(), false);
    while !met && started.elapsed() < Duration::from_secs(60) {
        met = psql(17, &admin_url(17), &sql) != "0";
    }
    run.wait().expect(0);
    assert!(met, "no index was built while rows were loaded");
    sample::assert_same(&source, &target);
}

#[test]
fn a_stopped_run_ends_every_build_on_the_server() {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(16, "parallel_stop");
    // only in the target it takes a minute to look at a row
    source.psql(
        "CREATE FUNCTION slow(a int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
           IF current_database() LIKE '%stopped%' THEN PERFORM pg_sleep(60); END IF; RETURN a; END $$;
         CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE TABLE u (a int); INSERT INTO u VALUES (1);
         CREATE INDEX t_1 ON t (slow(a)); CREATE INDEX t_2 ON t (slow(a), a); CREATE INDEX u_1 ON u (slow(a))",
    );
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "x.sql.gz"]).expect(0);
    let target = TestDatabase::planned(16, "parallel_stopped");
    let run = sandbox.start(&["restore", "--file", "x.sql.gz", "--url", &target.url(), "--confirm", "--jobs", "3"]);
    let building = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state = 'active' AND query LIKE 'CREATE INDEX%'",
        target.name
    );
    let started = Instant::now();
    while psql(16, &admin_url(16), &building) != "3" {
        assert!(started.elapsed() < Duration::from_secs(60), "two indexes of one table and one of another at once");
    }
    run.signal("INT");
    let asked = Instant::now();
    run.wait().expect(130);
    assert!(asked.elapsed() < Duration::from_secs(30), "it waited for the builds");
    assert!(!target.exists(), "what was made stays");
}
