//! PostgreSQL from end to end, on all six majors: what a run publishes, what comes back, what stays untouched.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::program::Sandbox;
use crate::sample;
use crate::util::{TestDatabase, admin_url, psql, psql_output, server_url, stock, unique};

/// One test a major for each function, so that a report names the major that fails.
macro_rules! on_every_major {
    ($($test:ident),* $(,)?) => {$(
        mod $test {
            #[test] fn on_13() { super::$test(13) }
            #[test] fn on_14() { super::$test(14) }
            #[test] fn on_15() { super::$test(15) }
            #[test] fn on_16() { super::$test(16) }
            #[test] fn on_17() { super::$test(17) }
            #[test] fn on_18() { super::$test(18) }
        }
    )*};
}

on_every_major!(
    comes_back_into_a_new_and_an_empty_database,
    replaces_a_filled_database_and_keeps_the_old_one,
    a_change_that_holds_a_table_is_waited_for_and_backed_up,
    a_table_truncated_after_the_coordinators_death_fails_the_run,
);

/// Names of all databases of a server that begin like this, sorted.
fn databases_like(major: u32, beginning: &str) -> Vec<String> {
    let sql = format!("SELECT datname FROM pg_database WHERE starts_with(datname, '{beginning}') ORDER BY 1");
    psql(major, &admin_url(major), &sql).lines().map(str::to_owned).collect()
}

/// Asks until the answer is yes; a test that waits for what never happens fails here.
fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited a minute in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn comes_back_into_a_new_and_an_empty_database(major: u32) {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "e2e_source");
    sample::fill(&source, 2000);
    let label = &source.name;

    sandbox.run(&["backup", "postgres", "--url", &source.url()]).expect(0);
    let archive = sandbox.daily(label);
    let meta = archive.with_file_name(format!("{}.meta", archive.file_name().unwrap().to_str().unwrap()));
    for file in [&archive, &meta] {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{} can be read by others", file.display());
    }
    assert_eq!(sandbox.staging_files(), Vec::<PathBuf>::new());
    sandbox.run(&["list"]).expect(0).says(label);
    let listed = sandbox.run(&["list", "--json"]).expect(0).json().to_string();
    assert!(listed.contains(archive.file_name().unwrap().to_str().unwrap()), "{listed}");
    sandbox.run(&["inspect", archive.to_str().unwrap()]).expect(0).says("customers");
    sandbox.run(&["verify"]).expect(0);

    let created = TestDatabase::planned(major, "e2e_created");
    let empty = TestDatabase::new(major, "e2e_empty");
    for target in [&created, &empty] {
        let archive = archive.to_str().unwrap();
        sandbox
            .run(&["restore", "--type", "postgres", "--file", archive, "--url", &target.url(), "--confirm"])
            .expect(0);
        sample::assert_same(&source, target);
        assert_eq!(
            databases_like(major, &target.name),
            std::slice::from_ref(&target.name),
            "nothing was there to be kept"
        );
    }
}

fn replaces_a_filled_database_and_keeps_the_old_one(major: u32) {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "e2e_source");
    sample::fill(&source, 200);
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "shop.sql.gz"]).expect(0);

    let target = TestDatabase::new(major, "e2e_filled");
    target.psql("CREATE TABLE precious (v text); INSERT INTO precious VALUES ('keep me')");
    let restore = ["restore", "--type", "postgres", "--file", "shop.sql.gz", "--url", &target.url()];
    // no terminal and no --confirm: a refusal that says what was at stake
    sandbox.run(&restore).expect(4).says(&target.name).says("--confirm");
    assert_eq!(target.psql("SELECT v FROM precious"), "keep me");

    sandbox.run(&[&restore[..], &["--confirm"]].concat()).expect(0).says("_before_restore_");
    sample::assert_same(&source, &target);
    let kept = databases_like(major, &format!("{}_before_restore_", target.name));
    assert_eq!(kept.len(), 1, "expected one old copy, found {kept:?}");
    let old = psql(major, &format!("{}/{}", server_url(major), kept[0]), "SELECT v FROM precious");
    assert_eq!(old, "keep me");
}

#[test]
fn a_failing_restore_changes_nothing() {
    let major = 17;
    let sandbox = Sandbox::new();
    let role = unique("e2e_role");
    let source = TestDatabase::new(major, "e2e_source");
    source.psql(&format!("CREATE ROLE {role}; CREATE TABLE owned (a int); ALTER TABLE owned OWNER TO {role}; INSERT INTO owned VALUES (1)"));
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "owned.sql.gz"]).expect(0);
    drop(source);
    psql(major, &admin_url(major), &format!("DROP ROLE {role}"));

    let target = TestDatabase::new(major, "e2e_filled");
    target.psql("CREATE TABLE precious (v text); INSERT INTO precious VALUES ('keep me')");
    let before = sample::fingerprint(&target);
    let restore = ["restore", "--type", "postgres", "--file", "owned.sql.gz", "--url", &target.url(), "--confirm"];
    sandbox.run(&restore).expect_failure().blames(&role);
    assert_eq!(sample::fingerprint(&target), before);
    let left = databases_like(major, &target.name);
    assert_eq!(left, std::slice::from_ref(&target.name), "a temporary or old copy was left behind");

    let planned = TestDatabase::planned(major, "e2e_never");
    let restore = ["restore", "--type", "postgres", "--file", "owned.sql.gz", "--url", &planned.url(), "--confirm"];
    sandbox.run(&restore).expect_failure();
    let made = databases_like(major, &planned.name);
    assert!(made.is_empty(), "a database was created for a restore that failed: {made:?}");
}

#[test]
fn one_failing_database_does_not_stop_the_others() {
    let sandbox = Sandbox::new();
    let first = TestDatabase::new(15, "e2e_first");
    let last = TestDatabase::new(18, "e2e_last");
    let missing = TestDatabase::planned(15, "e2e_missing");
    sample::fill(&first, 50);
    sample::fill(&last, 50);

    let (a, b, c) = (first.url(), missing.url(), last.url());
    let outcome = sandbox.run(&["backup", "postgres", "--url", &a, "--url", &b, "--url", &c]).expect(3);
    outcome.blames(&missing.name);
    let published: Vec<_> =
        sandbox.files(".sql.gz").into_iter().filter(|path| path.to_string_lossy().contains(&missing.name)).collect();
    assert!(published.is_empty(), "published although its backup failed: {published:?}");
    for database in [&first, &last] {
        sandbox.run(&["verify", sandbox.daily(&database.name).to_str().unwrap()]).expect(0);
    }
}

#[test]
fn nothing_to_back_up_is_not_a_success() {
    let sandbox = Sandbox::new();
    sandbox.run(&["backup"]).expect(5).blames("");
    sandbox.run(&["verify"]).expect(5).blames("");
    std::fs::create_dir_all(sandbox.path("backups/postgres/daily")).unwrap();
    sandbox.run(&["verify"]).expect(5);
}

#[test]
fn errors_name_the_server_the_database_and_the_table() {
    let major = 16;
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(major, "e2e_errors");
    let role = unique("e2e_reader");
    database.psql(&format!("CREATE TABLE secrets (a int); CREATE ROLE {role} LOGIN PASSWORD 'right' IN ROLE by_scram"));
    let address = server_url(major).replace("postgres://postgres@", "");
    let url = |password: &str, name: &str| format!("postgres://{role}:{password}@{address}/{name}");
    let backup = |url: &str| sandbox.run(&["backup", "postgres", "--url", url, "--output", "x.sql.gz"]);

    backup(&url("wr0ng-one", &database.name)).expect(10).blames(&role).hints().never_says("wr0ng-one");
    backup(&url("right", "e2e_no_such_database")).expect(10).blames("e2e_no_such_database").hints();
    backup(&url("right", &database.name)).expect(20).blames("secrets").hints().never_says("right@");

    // a port that was free a moment ago
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    backup(&format!("postgres://postgres@127.0.0.1:{port}/x")).expect(10).blames(&port.to_string()).hints();
    assert_eq!(sandbox.files(".gz"), Vec::<PathBuf>::new());
    drop(database);
    psql(major, &admin_url(major), &format!("DROP ROLE {role}"));
}

/// psql with an open transaction, until dropped.
struct OpenTransaction {
    child: Child,
}

impl OpenTransaction {
    fn with(database: &TestDatabase, sql: &str) -> Self {
        let mut command = stock(database.major, "psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &database.url()]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut open = OpenTransaction { child };
        open.send(&format!("BEGIN; {sql};"));
        let held = "SELECT count(*) > 0 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        wait_until("the change to be made", || database.psql(held) == "t");
        open
    }

    fn send(&mut self, sql: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{sql}").unwrap();
    }

    fn commit(mut self) {
        self.send("COMMIT;");
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Another session changes a table, holds it while the backup arrives, and commits. A snapshot from before the change
/// with locks from after it would read a truncated table as empty and an altered one by its old columns; what is backed
/// up must be one state, here the later one.
fn a_change_that_holds_a_table_is_waited_for_and_backed_up(major: u32) {
    let sandbox = Sandbox::new();
    for (file, change) in [
        ("truncated.sql.gz", "TRUNCATE orders_2025"),
        ("rewritten.sql.gz", "ALTER TABLE orders_2025 ALTER total TYPE numeric(12, 3)"),
        ("narrowed.sql.gz", "ALTER TABLE orders_2025 DROP COLUMN total, ADD COLUMN late text DEFAULT 'x'"),
        ("renamed.sql.gz", "ALTER TABLE orders_2025 RENAME TO orders_renamed"),
        ("dropped.sql.gz", "DROP TABLE orders_2025"),
        ("remade.sql.gz", "DROP TABLE orders_2025; CREATE TABLE orders_2025 AS SELECT 7 AS other"),
    ] {
        let database = TestDatabase::new(major, "e2e_changed");
        sample::fill(&database, 50);
        // a type cannot be changed below a view, nor a column dropped from a partition alone
        database.psql("DROP VIEW big_spenders; ALTER TABLE orders DETACH PARTITION orders_2025");
        let open = OpenTransaction::with(&database, change);
        let run = sandbox.start(&["backup", "postgres", "--url", &database.url(), "--output", file]);
        let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        wait_until("the backup to stand before the lock", || database.psql(waits) == "t");
        open.commit();
        run.wait().expect(0);
        database.psql("REFRESH MATERIALIZED VIEW per_day");
        let target = TestDatabase::planned(major, "e2e_changed_copy");
        sandbox.run(&["restore", "--file", file, "--url", &target.url(), "--confirm"]).expect(0);
        sample::assert_same(&database, &target);
    }
}

/// The coordinator's locks keep every table as the snapshot knows it; with the coordinator they go.
fn a_table_truncated_after_the_coordinators_death_fails_the_run(major: u32) {
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(major, "e2e_truncated");
    sample::fill_slowly_read(&database, "large", 40);
    database.psql("CREATE TABLE victim AS SELECT 1 AS a");
    let run = sandbox.start(&["backup", "postgres", "--url", &database.url(), "--jobs", "1", "--no-globals"]);
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    wait_until("the large table to be read", || {
        database.psql(&format!("SELECT count(*) {others} AND state = 'active' AND query LIKE 'COPY%large%'")) == "1"
    });
    run.signal("STOP");
    let held = database
        .psql("SET lock_timeout = '50ms'; SELECT 'reached'; BEGIN; LOCK TABLE victim IN ROW EXCLUSIVE MODE; ROLLBACK");
    assert_eq!(held, "reached", "writers must not be held up");
    let refused = psql_output(major, &database.url(), "SET lock_timeout = '50ms'; TRUNCATE victim");
    assert!(!refused.status.success(), "a table of the running backup could be truncated");
    database.psql(&format!("SELECT pg_terminate_backend(pid) {others} AND NOT query LIKE 'COPY%'; TRUNCATE victim"));
    run.signal("CONT");
    run.wait().expect(20).blames(&database.name);
    assert_eq!(sandbox.files(".gz"), Vec::<PathBuf>::new());
    assert_eq!(sandbox.staging_files(), Vec::<PathBuf>::new());
}

#[test]
fn the_coordinators_death_fails_the_run() {
    let major = 18;
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(major, "e2e_killed");
    sample::fill_slowly_read(&database, "large", 60);
    let run = sandbox.start(&["backup", "postgres", "--url", &database.url(), "--jobs", "1", "--no-globals"]);
    let others = format!(
        "FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
        database.name
    );
    wait_until("rows to be read", || {
        psql(major, &admin_url(major), &format!("SELECT count(*) {others} AND state = 'active' AND query LIKE 'COPY%'"))
            == "1"
    });
    run.signal("STOP");
    let killed = psql(
        major,
        &admin_url(major),
        &format!("SELECT count(pg_terminate_backend(pid)) {others} AND NOT query LIKE 'COPY%'"),
    );
    assert_eq!(killed, "1", "expected one coordinator beside the one reader");
    run.signal("CONT");
    run.wait().expect_failure().blames(&database.name);
    assert_eq!(sandbox.files(".gz"), Vec::<PathBuf>::new());
    assert_eq!(sandbox.staging_files(), Vec::<PathBuf>::new());
    assert_eq!(
        psql(major, &admin_url(major), &format!("SELECT count(*) {others}")),
        "0",
        "a reader was left on the server"
    );
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let major = 17;
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(major, "e2e_interrupted");
    sample::fill_slowly_read(&database, "large", 60);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let run = sandbox.start(&["backup", "postgres", "--url", &database.url(), "--to", "interrupted"]);
        let reading = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY%'";
        wait_until("rows to be read", || database.psql(reading) == "t");
        run.signal(signal);
        run.wait().expect(code);
        assert_eq!(sandbox.files(".gz"), Vec::<PathBuf>::new());
        assert_eq!(sandbox.staging_files(), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_table_alone_comes_back_beside_what_stands() {
    let major = 15;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "e2e_source");
    sample::fill(&source, 100);
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "shop.sql.gz"]).expect(0);

    let target = TestDatabase::new(major, "e2e_part");
    target.psql("CREATE TABLE other (a int); CREATE TYPE mood AS ENUM ('calm', 'tense'); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'");
    let restore =
        ["restore", "--file", "shop.sql.gz", "--url", &target.url(), "--table", "public.customers", "--confirm"];
    sandbox.run(&restore).expect(0);
    let digest = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM customers t";
    assert_eq!(target.psql(digest), source.psql(digest));
    assert_eq!(target.psql("SELECT to_regclass('orders') IS NULL, to_regclass('other') IS NOT NULL"), "t|t");
    assert_eq!(target.psql("SELECT count(*) FROM pg_index WHERE indrelid = 'customers'::regclass"), "2");
    // again: the table stands now
    sandbox.run(&restore).expect(4).blames("customers");
    assert_eq!(databases_like(major, &target.name), std::slice::from_ref(&target.name));
    assert_eq!(target.psql(digest), source.psql(digest));
}

#[test]
fn definitions_and_rows_can_travel_apart() {
    let major = 14;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "e2e_source");
    sample::fill(&source, 100);
    sandbox
        .run(&["backup", "postgres", "--url", &source.url(), "--output", "schema.sql.gz", "--schema-only"])
        .expect(0);
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "data.sql.gz", "--data-only"]).expect(0);

    let target = TestDatabase::planned(major, "e2e_apart");
    sandbox.run(&["restore", "--file", "schema.sql.gz", "--url", &target.url(), "--confirm"]).expect(0);
    assert_eq!(target.psql("SELECT count(*) FROM customers"), "0");
    sandbox.run(&["restore", "--file", "data.sql.gz", "--url", &target.url(), "--data-only", "--confirm"]).expect(0);
    target.psql("REFRESH MATERIALIZED VIEW per_day");
    sample::assert_same(&source, &target);
    sandbox.run(&["restore", "--file", "data.sql.gz", "--url", &target.url(), "--data-only", "--confirm"]).expect(4);
}

/// The server's roles can be saved, but nobody asked for them alone: a script must see why the database was not.
#[test]
fn globals_that_go_along_do_not_soften_the_failure_of_the_only_database() {
    let sandbox = Sandbox::new();
    let missing = TestDatabase::planned(16, "e2e_missing");
    sandbox.run(&["backup", "postgres", "--url", &missing.url()]).expect(10).blames("does not exist").hints();
    assert_eq!(sandbox.files(".sql.gz").iter().filter(|file| file.to_string_lossy().contains("globals-")).count(), 3);
}
