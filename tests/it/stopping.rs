//! SIGTERM ends every kind of work within a second and leaves nothing half: neither file, nor database, nor a run without an end in the
//! history. (Of buckets and restores see `s3::program` and `restore_postgres`.)

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::drill::Drillmaster;
use crate::program::{Running, Sandbox};
use crate::sample;
use crate::util::{TestDatabase, admin_url, psql};

const MAJOR: u32 = 17;

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited a minute in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Stops three runs in their work. One of them must have ended within a second: the machine may be busy with other tests.
fn ends_soon(sandbox: &Sandbox, start: impl Fn() -> Running, working: impl Fn(&Running), nothing_is_left: impl Fn()) {
    let mut times = Vec::new();
    for _ in 0..3 {
        let run = start();
        working(&run);
        let began = Instant::now();
        run.signal("TERM");
        run.wait().expect(143);
        times.push(began.elapsed());
        nothing_is_left();
        sandbox.run(&["logs", "-n", "1"]).expect(0).says("stopped");
    }
    assert!(times.iter().min().is_some_and(|best| *best < Duration::from_secs(1)), "it takes {times:?} to stop");
}

#[test]
fn a_backup() {
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(MAJOR, "stop_backup");
    sample::fill_slowly_read(&database, "large", 60);
    let reading = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY%'";
    ends_soon(
        &sandbox,
        || sandbox.start(&["backup", "postgres", "--url", &database.url()]),
        |_| wait_until("rows to be read", || database.psql(reading) == "t"),
        || {
            let left = [sandbox.files(".gz"), sandbox.files(".meta")].concat();
            assert_eq!(left, Vec::<PathBuf>::new());
            let tree = sandbox.path("backups");
            assert!(sandbox.staging_files().iter().all(|path| !path.starts_with(&tree)), "a staging file is left");
        },
    );
}

/// Their bytes come from the coordinator, and the packers wait for it, not it for them.
#[test]
fn a_backup_of_large_objects() {
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(MAJOR, "stop_objects");
    database.psql(
        "CREATE TABLE noise AS SELECT string_agg(md5(random()::text), '')::bytea AS b FROM generate_series(1, 60000);
         SELECT count(lo_from_bytea(0, b)) FROM noise, generate_series(1, 100)",
    );
    let reading = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%lo_get%' AND pid <> pg_backend_pid()";
    ends_soon(
        &sandbox,
        || sandbox.start(&["backup", "postgres", "--url", &database.url()]),
        |_| wait_until("large objects to be read", || database.psql(reading) == "t"),
        || assert_eq!([sandbox.files(".gz"), sandbox.files(".meta")].concat(), Vec::<PathBuf>::new()),
    );
}

#[test]
fn a_verification() {
    let sandbox = Sandbox::new();
    let database = Connection::open(sandbox.path("app.db")).unwrap();
    database.execute_batch("CREATE TABLE t (v BLOB); WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 64) INSERT INTO t SELECT randomblob(1000000) FROM n").unwrap();
    drop(database);
    sandbox.run(&["backup", "sqlite", "--file", "app.db", "--compress", "none"]).expect(0);
    let all = || (sandbox.files(".gz"), sandbox.files(".meta"));
    let before = all();
    let reads = |run: &Running| {
        let opened = fs::read_dir(format!("/proc/{}/fd", run.pid())).into_iter().flatten().flatten();
        opened
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|path| path.to_string_lossy().contains(".db.gz"))
    };
    ends_soon(
        &sandbox,
        || sandbox.start(&["verify", "--threads", "1"]),
        |run| wait_until("an archive to be read", || reads(run)),
        || assert_eq!(all(), before),
    );
    // What was not looked at to its end has no verdict.
    let status = sandbox.run(&["status", "--json"]).json();
    assert!(status["databases"][0]["last_verify"].is_null(), "{status}");
}

#[test]
fn a_drill() {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(MAJOR, "stop_drill");
    source.psql("CREATE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'; CREATE TABLE slow (a int CHECK (slow(a)));
                 INSERT INTO slow SELECT generate_series(1, 2000); CREATE OR REPLACE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(0.1); RETURN true; END'");
    let admin = |sql: &str| psql(MAJOR, &admin_url(MAJOR), sql);
    let master = Drillmaster::new(MAJOR);
    let (role, url) = (&master.name, master.url());
    let toml = format!("globals = false\n[[postgres]]\nname = \"shop\"\nurl = \"{}\"\n", source.url());
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    sandbox.run(&["backup"]).expect(0);
    let loads = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = '{role}' AND state = 'active' AND query LIKE 'COPY%'"
    );
    let owned = format!("SELECT count(*) FROM pg_database WHERE datdba = '{role}'::regrole");
    ends_soon(
        &sandbox,
        || sandbox.start(&["drill", "--url", &url]),
        |_| wait_until("rows to be loaded", || admin(&loads) == "t"),
        || assert_eq!(admin(&owned), "0", "a scratch database is left"),
    );
    // One at a time, and a killed one does not lock anybody out.
    let first = sandbox.start(&["drill", "--url", &url]);
    wait_until("rows to be loaded", || admin(&loads) == "t");
    sandbox.run(&["drill", "--url", &url]).expect(4).blames(&format!("is in use by process {}", first.pid())).hints();
    first.kill();
    // The server may still be at the killed one's rows, which are not those of the next.
    admin(&format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'"));
    wait_until("the killed one's sessions to end", || admin(&loads) == "f");
    let next = sandbox.start(&["drill", "--url", &url]);
    wait_until("rows to be loaded", || admin(&loads) == "t");
    next.signal("TERM");
    next.wait().expect(143);
    let status = sandbox.run(&["status", "--json"]).json();
    assert!(status["databases"][0]["last_drill"].is_null(), "a drill that was stopped has failed: {status}");
}

/// A run that was killed holds no lock; one that works does, and the second says who has it.
#[test]
fn one_run_at_a_time() {
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(MAJOR, "stop_lock");
    sample::fill_slowly_read(&database, "large", 60);
    let backup = ["backup", "postgres", "--url", &database.url()];
    let reading = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY%'";
    let first = sandbox.start(&backup);
    wait_until("rows to be read", || database.psql(reading) == "t");
    first.signal("STOP");
    sandbox.run(&backup).expect(4).says(&first.pid().to_string()).hints();
    first.kill();
    sandbox.run(&backup).expect(0);
    sandbox.run(&["logs"]).expect(0).says("vanished").says("ok");
    assert_eq!(sandbox.staging_files().into_iter().filter(|path| path.starts_with(sandbox.path("backups"))).count(), 0);
}
