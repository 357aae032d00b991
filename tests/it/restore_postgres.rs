//! Whole restores: what moves along in a swap, what refuses one, and what a failure leaves: nothing.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::own_server::{OwnServer, Recipe};
use crate::program::{Outcome, Sandbox};
use crate::restore_parts::Role;
use crate::sample;
use crate::util::{TestDatabase, admin_url, psql, server_url};

fn backup(sandbox: &Sandbox, source: &TestDatabase, file: &str) {
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", file]).expect(0);
}

fn restore(sandbox: &Sandbox, file: &str, url: &str) -> Outcome {
    sandbox.run(&["restore", "--file", file, "--url", url, "--confirm"])
}

fn databases(major: u32, beginning: &str) -> Vec<String> {
    let sql = format!("SELECT datname FROM pg_database WHERE starts_with(datname, '{beginning}') ORDER BY 1");
    psql(major, &admin_url(major), &sql).lines().map(str::to_owned).collect()
}

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited for {what} in vain");
        sleep(Duration::from_millis(20));
    }
}

const PROPERTIES: &str = "
SELECT pg_get_userbyid(datdba), (SELECT array_agg(a.one::text ORDER BY a.one::text) FROM unnest(datacl) AS a (one)), datconnlimit, shobj_description(oid, 'pg_database'), datallowconn,
       (SELECT string_agg(coalesce(r.rolname, '-') || ':' || s.setconfig::text, ';' ORDER BY r.rolname)
          FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = d.oid)
  FROM pg_database d WHERE datname = ";

#[test]
fn a_swap_keeps_what_the_database_itself_had() {
    let major = 16;
    let (sandbox, role) = (Sandbox::new(), Role::new(16, "swap_owner"));
    let source = TestDatabase::new(major, "swap_source");
    source.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    backup(&sandbox, &source, "shop.sql.gz");
    let target = TestDatabase::new(major, "swap_target");
    target.psql("CREATE TABLE old (a int); INSERT INTO old VALUES (42)");
    let admin = |sql: &str| psql(major, &admin_url(major), sql);
    let (name, owner) = (&target.name, &role.name);
    admin(&format!(
        "ALTER DATABASE {name} OWNER TO {owner}; ALTER DATABASE {name} CONNECTION LIMIT 17; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC; \
         COMMENT ON DATABASE {name} IS 'the shop''s'; ALTER DATABASE {name} SET work_mem = '8MB'; ALTER DATABASE {name} SET search_path = a, \"B c\"; \
         ALTER ROLE {owner} IN DATABASE {name} SET statement_timeout = '5s'"
    ));
    let before = admin(&format!("{PROPERTIES} '{name}'"));
    let mut session = crate::util::stock(major, "psql");
    session.args(["-XAtq", "-d", &target.url(), "-c", "SET application_name = 'the till'; SELECT pg_sleep(60)"]);
    let mut session = session.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    wait_until("a session", || {
        admin(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'the till'"
        )) == "1"
    });

    let told = restore(&sandbox, "shop.sql.gz", &target.url()).expect(0);
    let kept = databases(major, &format!("{name}_before_restore_"));
    assert_eq!(kept.len(), 1, "{kept:?}{told}");
    assert!(!session.wait().unwrap().success(), "the session was not ended");
    assert_eq!(admin(&format!("{PROPERTIES} '{name}'")), before);
    assert_eq!(target.psql("SELECT a FROM public.t"), "1");
    assert_eq!(psql(major, &format!("{}/{}", server_url(major), kept[0]), "SELECT a FROM public.old"), "42");
    drop(target);
}

#[test]
fn the_preview_names_sessions_before_anything_is_done() {
    let major = 15;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "preview_source");
    source.psql("CREATE TABLE t (a int)");
    backup(&sandbox, &source, "shop.sql.gz");
    let mut held = crate::util::stock(major, "psql");
    held.args(["-XAtq", "-d", &source.url(), "-c", "SET application_name = 'the till'; SELECT pg_sleep(60)"]);
    let mut held = held.stdout(std::process::Stdio::null()).spawn().unwrap();
    wait_until("a session", || {
        source.psql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'the till'") == "1"
    });
    let told = sandbox.run(&["restore", "--file", "shop.sql.gz", "--url", &source.url()]).expect(4);
    let told = told.says("the till").says(&source.name).says("--confirm");
    assert!(told.stderr().contains("last written 20"), "the age of what would be replaced is not shown{told}");
    assert_eq!(told.stderr().matches("disconnects").count(), 1, "our own session is none that is lost{told}");
    held.kill().unwrap();
    held.wait().unwrap();
    assert_eq!(databases(major, &source.name), std::slice::from_ref(&source.name));
}

#[test]
fn long_names_are_swapped_whole() {
    let major = 17;
    let sandbox = Sandbox::new();
    let mut source = TestDatabase::planned(major, "long");
    source.name = format!("{}_{}", source.name, "x".repeat(63))[..63].to_owned();
    psql(major, &admin_url(major), &format!("CREATE DATABASE {}", source.name));
    source.psql("CREATE TABLE t (a int)");
    backup(&sandbox, &source, "long.sql.gz");
    let told =
        sandbox.run(&["restore", "--file", "long.sql.gz", "--url", &source.url(), "--confirm", "--json"]).expect(0);
    let kept = told.json()["kept"].as_str().expect("a kept database").to_owned();
    assert!(kept.len() <= 63 && kept.contains("_before_restore_2"), "{kept}");
    let kept = TestDatabase { major, name: kept };
    assert_eq!(kept.psql("SELECT count(*) FROM t"), "0");
    assert_eq!(source.psql("SELECT count(*) FROM t"), "0");
}

#[test]
fn missing_roles_are_listed_at_once_and_before_anything_is_made() {
    let major = 14;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "roles_source");
    let (one, two) = (Role::new(major, "roles_a"), Role::new(major, "roles_b"));
    source.psql(&format!(
        "CREATE TABLE t (a int); CREATE TABLE u (a int); ALTER TABLE t OWNER TO {}; GRANT SELECT ON u TO {}",
        one.name, two.name
    ));
    backup(&sandbox, &source, "roles.sql.gz");
    let names = [one.name.clone(), two.name.clone()];
    source.psql("DROP TABLE t, u");
    drop((one, two));
    let target = TestDatabase::planned(major, "roles_target");
    let told = restore(&sandbox, "roles.sql.gz", &target.url()).expect(4).blames(&names[0]).blames(&names[1]);
    told.says("properties.roles");
    let shown = sandbox.run(&["inspect", "roles.sql.gz", "--json"]).expect(0).json();
    assert!(shown["properties"]["roles"].to_string().contains(&names[0]), "{}", shown["properties"]);
    assert!(!target.exists());
    // from a pipe the script itself asks, and the database is taken away again
    let piped = crate::restore_pipe::piped(&sandbox, &fs::read(sandbox.path("roles.sql.gz")).unwrap(), &target.url());
    piped.expect(1).says(&names[0]).says(&names[1]);
    assert!(!target.exists());
}

#[test]
fn a_row_that_a_check_refuses_is_named_and_nothing_remains() {
    let major = 18;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "check_source");
    // true when it was written, false when it is restored
    source.psql("CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE TABLE checked (a int CHECK (fine(a)));
                 INSERT INTO checked SELECT generate_series(1, 20); CREATE OR REPLACE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> 13'");
    backup(&sandbox, &source, "check.sql.gz");
    let target = TestDatabase::new(major, "check_target");
    target.psql("CREATE TABLE old (a int); INSERT INTO old VALUES (42)");
    let told = restore(&sandbox, "check.sql.gz", &target.url()).expect(1).blames("public.checked");
    told.says("line 13").says("stands as it was");
    assert_eq!(target.psql("SELECT a FROM old"), "42");
    let missing = TestDatabase::planned(major, "check_missing");
    restore(&sandbox, "check.sql.gz", &missing.url()).expect(1).says("was dropped again");
    assert!(!missing.exists());
    let empty = TestDatabase::new(major, "check_empty");
    restore(&sandbox, "check.sql.gz", &empty.url()).expect(1).says("partly filled");
    assert_eq!(databases(major, &target.name), std::slice::from_ref(&target.name));
}

/// A table whose rows take long to come in.
fn slow_source(major: u32) -> TestDatabase {
    let source = TestDatabase::new(major, "slow_source");
    source.psql("CREATE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'; CREATE TABLE slow (a int CHECK (slow(a)));
                 INSERT INTO slow SELECT generate_series(1, 2000); CREATE OR REPLACE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(0.1); RETURN true; END'");
    source
}

#[test]
fn a_stopped_or_killed_restore_leaves_the_old_database() {
    let major = 16;
    let sandbox = Sandbox::new();
    let source = slow_source(major);
    backup(&sandbox, &source, "slow.sql.gz");
    let target = TestDatabase::new(major, "slow_target");
    target.psql("CREATE TABLE old (a int); INSERT INTO old VALUES (42)");
    let loading = format!("FROM pg_stat_activity WHERE starts_with(datname, '{}') AND query LIKE 'COPY%'", target.name);
    let admin = |sql: &str| psql(major, &admin_url(major), sql);
    let mut fastest = Duration::MAX;
    for (signal, code) in [("INT", 130), ("TERM", 143), ("", 1)] {
        let run = sandbox.start(&["restore", "--file", "slow.sql.gz", "--url", &target.url(), "--confirm"]);
        wait_until("rows", || admin(&format!("SELECT count(*) > 0 {loading}")) == "t");
        match signal {
            "" => _ = admin(&format!("SELECT pg_terminate_backend(pid) {loading}")),
            signal => {
                let sent = std::process::Command::new("kill").args(["-s", signal, &run.pid().to_string()]).status();
                assert!(sent.unwrap().success());
            }
        }
        let stopped = Instant::now();
        run.wait().expect(code).says("stands as it was");
        fastest = fastest.min(stopped.elapsed());
        assert_eq!(target.psql("SELECT a FROM old"), "42");
        assert_eq!(databases(major, &target.name), std::slice::from_ref(&target.name), "after {signal}");
    }
    assert!(fastest < Duration::from_secs(1), "it takes {fastest:?} to stop");
    // a part of the archive, within the database: the server undoes it
    let definition = source.psql("SELECT pg_get_functiondef('slow'::regproc)");
    target.psql(&definition);
    let run =
        sandbox.start(&["restore", "--file", "slow.sql.gz", "--url", &target.url(), "--confirm", "--table", "slow"]);
    wait_until("rows", || admin(&format!("SELECT count(*) > 0 {loading}")) == "t");
    assert!(std::process::Command::new("kill").args(["-s", "INT", &run.pid().to_string()]).status().unwrap().success());
    run.wait().expect(130).says("nothing was changed");
    assert_eq!(target.psql("SELECT a, to_regclass('slow') FROM old"), "42|");
}

#[test]
fn what_a_swap_would_lose_refuses_it_before_the_services_stop() {
    let major = 17;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "lose_source");
    source.psql("CREATE TABLE t (a int)");
    backup(&sandbox, &source, "t.sql.gz");
    fs::write(sandbox.path("miyabi-backup.toml"), "[restore]\nbefore_restore = \"touch stopped\"\n").unwrap();
    let target = TestDatabase::new(major, "lose_target");
    target.psql("CREATE TABLE old (a int); CREATE SUBSCRIPTION lose_subscription CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)");
    restore(&sandbox, "t.sql.gz", &target.url()).expect(4).blames("1 subscriptions").hints();
    target.psql("ALTER SUBSCRIPTION lose_subscription SET (slot_name = NONE); DROP SUBSCRIPTION lose_subscription");
    psql(major, &admin_url(major), &format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", target.name));
    restore(&sandbox, "t.sql.gz", &target.url()).expect(4).blames("does not accept connections").hints();
    psql(major, &admin_url(major), &format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", target.name));
    restore(&sandbox, "t.sql.gz", &format!("{}/template0", server_url(major))).expect(4).blames("template0");
    assert!(!sandbox.path("stopped").exists(), "the services were stopped for a restore that could not be");
    assert_eq!(databases(major, &target.name), std::slice::from_ref(&target.name));
}

#[test]
fn a_template_stays_one() {
    let major = 18;
    let sandbox = Sandbox::new();
    let target = TestDatabase::new(major, "template");
    target.psql("CREATE TABLE t (a int)");
    let admin = |sql: String| psql(major, &admin_url(major), &sql);
    admin(format!("ALTER DATABASE {} IS_TEMPLATE true", target.name));
    backup(&sandbox, &target, "t.sql.gz");
    restore(&sandbox, "t.sql.gz", &target.url()).expect(0);
    let copies = admin(format!(
        "SELECT count(*) FROM pg_database WHERE starts_with(datname, '{}') AND datistemplate",
        target.name
    ));
    admin(format!(
        "SELECT format('ALTER DATABASE %I IS_TEMPLATE false', datname) FROM pg_database WHERE starts_with(datname, '{}') \\gexec",
        target.name
    ));
    assert_eq!(copies, "2");
}

#[test]
fn what_fails_last_is_listed_and_the_rest_stands() {
    let major = 15;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "left_source");
    source.psql("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);
                 CREATE FUNCTION frail(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
                 CREATE MATERIALIZED VIEW broken AS SELECT frail(a) FROM t; CREATE MATERIALIZED VIEW sound AS SELECT count(*) AS n FROM t;
                 CREATE OR REPLACE FUNCTION frail(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE ''out of order''; END'");
    backup(&sandbox, &source, "left.sql.gz");
    for from_pipe in [false, true] {
        let target = TestDatabase::planned(major, "left_target");
        let told = match from_pipe {
            false => restore(&sandbox, "left.sql.gz", &target.url()),
            true => {
                crate::restore_pipe::piped(&sandbox, &fs::read(sandbox.path("left.sql.gz")).unwrap(), &target.url())
            }
        };
        told.expect(3).says("not restored").says("broken").says("out of order");
        assert_eq!(target.psql("SELECT (SELECT count(*) FROM t), (SELECT n FROM sound), (SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass)"), "100|100|1");
        assert_eq!(target.psql("SELECT relispopulated FROM pg_class WHERE relname = 'broken'"), "f");
    }
}

#[test]
fn an_owner_without_superuser_restores_where_it_can() {
    let major = 16;
    let (sandbox, role, other) = (Sandbox::new(), Role::new(major, "plain"), Role::new(major, "other"));
    let admin = |sql: &str| psql(major, &admin_url(major), sql);
    let source = TestDatabase::new(major, "plain_source");
    admin(&format!("ALTER DATABASE {} OWNER TO {}", source.name, role.name));
    let as_role = |database: &TestDatabase| database.url().replace("//postgres@", &format!("//{}@", role.name));
    psql(major, &as_role(&source), "CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1)");
    backup(&sandbox, &source, "plain.sql.gz");

    // filled: it owns the database, but may not create the one that would take its place
    restore(&sandbox, "plain.sql.gz", &as_role(&source)).expect(4).says("CREATEDB");
    admin(&format!("ALTER ROLE {} CREATEDB", role.name));
    restore(&sandbox, "plain.sql.gz", &as_role(&source)).expect(0).says("_before_restore_");
    let target = TestDatabase::planned(major, "plain_target");
    restore(&sandbox, "plain.sql.gz", &as_role(&target)).expect(0);
    assert_eq!(
        target.psql("SELECT a, pg_get_userbyid(relowner) FROM s.t, pg_class WHERE oid = 's.t'::regclass"),
        format!("1|{}", role.name)
    );

    source.psql(&format!("CREATE TABLE s.theirs (a int); ALTER TABLE s.theirs OWNER TO {}", other.name));
    backup(&sandbox, &source, "mixed.sql.gz");
    let mixed = TestDatabase::planned(major, "plain_mixed");
    restore(&sandbox, "mixed.sql.gz", &as_role(&mixed)).expect(4).blames(&other.name).hints();
    assert!(!mixed.exists());
    let foreign = TestDatabase::new(major, "plain_foreign");
    foreign.psql("CREATE TABLE t (a int)");
    restore(&sandbox, "plain.sql.gz", &as_role(&foreign)).expect(4).blames("belongs to postgres");
    drop((source, target, mixed, foreign));
}

#[test]
fn what_only_a_superuser_may_is_left_behind() {
    let major = 17;
    let (sandbox, role) = (Sandbox::new(), Role::new(major, "modest"));
    let admin = |sql: &str| psql(major, &admin_url(major), sql);
    admin(&format!("ALTER ROLE {} CREATEDB", role.name));
    let source = TestDatabase::new(major, "modest_source");
    admin(&format!(
        "ALTER DATABASE {0} OWNER TO {1}; ALTER DATABASE {0} SET log_statement = 'ddl'",
        source.name, role.name
    ));
    let as_role = |database: &TestDatabase| database.url().replace("//postgres@", &format!("//{}@", role.name));
    psql(
        major,
        &as_role(&source),
        "CREATE SCHEMA s; CREATE TABLE s.t (a int PRIMARY KEY); INSERT INTO s.t VALUES (1);
         CREATE FUNCTION s.watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    );
    source.psql("CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION s.watch(); COMMENT ON EVENT TRIGGER watch IS 'sees all'");
    backup(&sandbox, &source, "modest.sql.gz");
    let whole = fs::read(sandbox.path("modest.sql.gz")).unwrap();
    for from_pipe in [false, true] {
        let target = TestDatabase::planned(major, "modest_target");
        let told = match from_pipe {
            false => restore(&sandbox, "modest.sql.gz", &as_role(&target)),
            true => crate::restore_pipe::piped(&sandbox, &whole, &as_role(&target)),
        };
        told.expect(3).says("not restored").says("EVENT TRIGGER").says("log_statement");
        assert_eq!(
            target.psql("SELECT a, (SELECT count(*) FROM pg_index WHERE indrelid = 's.t'::regclass) FROM s.t"),
            "1|1"
        );
        assert_eq!(
            target.psql("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"),
            role.name
        );
    }
    drop(source);
}

#[test]
fn hooks_run_around_a_restore() {
    let major = 13;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "hooks_source");
    source.psql("CREATE TABLE t (a int)");
    backup(&sandbox, &source, "t.sql.gz");
    let target = TestDatabase::planned(major, "hooks_target");
    let configure = |before: &str| {
        let text = format!(
            "[restore]\nbefore_restore = \"echo before >> order; {before}\"\nafter_restore = \"echo after >> order\"\n"
        );
        fs::write(sandbox.path("miyabi-backup.toml"), text).unwrap();
        drop(fs::remove_file(sandbox.path("order")));
    };
    let order = || fs::read_to_string(sandbox.path("order")).unwrap_or_default();
    configure("exit 3");
    restore(&sandbox, "t.sql.gz", &target.url()).expect(1).blames("before_restore");
    assert_eq!(order(), "before\n");
    assert!(!target.exists());
    // nobody said yes: nothing is stopped
    source.psql("INSERT INTO t VALUES (1)");
    sandbox.run(&["restore", "--file", "t.sql.gz", "--url", &source.url()]).expect(4);
    assert_eq!(order(), "before\n");
    configure("true");
    restore(&sandbox, "t.sql.gz", &target.url()).expect(0);
    assert_eq!(order(), "before\nafter\n");
}

#[test]
fn bytes_of_any_encoding_come_back() {
    for (encoding, major) in [("SQL_ASCII", 15), ("LATIN1", 17), ("EUC_JP", 18)] {
        let sandbox = Sandbox::new();
        let source = TestDatabase::planned(major, "encoded");
        psql(
            major,
            &admin_url(major),
            &format!(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'",
                source.name
            ),
        );
        let bytes = match encoding {
            "SQL_ASCII" => {
                "SELECT n, convert_from(decode(lpad(to_hex(n), 2, '0'), 'hex'), 'SQL_ASCII') FROM generate_series(1, 255) n"
            }
            "LATIN1" => "SELECT n, chr(n) FROM generate_series(1, 255) n WHERE n NOT BETWEEN 128 AND 159",
            _ => "SELECT n, convert_from(decode('a4a2c6fccbdc', 'hex'), 'EUC_JP') FROM generate_series(1, 9) n",
        };
        source.psql(&format!("CREATE TABLE t (n int, v text); INSERT INTO t {bytes}"));
        if encoding == "SQL_ASCII" {
            let named = "DO $do$ BEGIN EXECUTE format('CREATE TABLE %I (a text DEFAULT %L)', convert_from('\\xe9f8', 'SQL_ASCII'), convert_from('\\xff27', 'SQL_ASCII')); \
                         EXECUTE format('COMMENT ON TABLE %I IS %L', convert_from('\\xe9f8', 'SQL_ASCII'), convert_from('\\xfe', 'SQL_ASCII')); END $do$";
            source.psql(named);
        }
        backup(&sandbox, &source, "encoded.sql.gz");
        let digest = "SELECT pg_encoding_to_char(encoding), (SELECT md5(string_agg(encode(convert_to(v, getdatabaseencoding()), 'hex'), ',' ORDER BY n)) FROM t), \
                      (SELECT md5(string_agg(encode(convert_to(relname, getdatabaseencoding()), 'hex'), ',' ORDER BY relname)) FROM pg_class WHERE relkind = 'r' AND oid >= 16384) \
                      FROM pg_database WHERE datname = current_database()";
        let target = TestDatabase::planned(major, "encoded_copy");
        restore(&sandbox, "encoded.sql.gz", &target.url()).expect(0);
        assert_eq!(target.psql(digest), source.psql(digest), "{encoding}");
        // over itself, and from a pipe
        restore(&sandbox, "encoded.sql.gz", &target.url()).expect(0);
        let piped = TestDatabase::planned(major, "encoded_piped");
        crate::restore_pipe::piped(&sandbox, &fs::read(sandbox.path("encoded.sql.gz")).unwrap(), &piped.url())
            .expect(0);
        assert_eq!(piped.psql(digest), source.psql(digest), "{encoding} from a pipe");
    }
}

#[test]
fn a_row_of_thirty_megabytes_comes_back() {
    let major = 15;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "wide");
    source.psql("CREATE TABLE wide (v text); ALTER TABLE wide ALTER v SET STORAGE EXTERNAL; INSERT INTO wide SELECT repeat(md5('x'), 1000000); INSERT INTO wide VALUES ('small')");
    backup(&sandbox, &source, "wide.sql.gz");
    let digest = "SELECT count(*), sum(length(v)), sum(hashtextextended(v, 0)) FROM wide";
    for from_pipe in [false, true] {
        let target = TestDatabase::planned(major, "wide_copy");
        match from_pipe {
            false => restore(&sandbox, "wide.sql.gz", &target.url()).expect(0),
            true => {
                crate::restore_pipe::piped(&sandbox, &fs::read(sandbox.path("wide.sql.gz")).unwrap(), &target.url())
                    .expect(0)
            }
        };
        assert_eq!(target.psql(digest), source.psql(digest));
    }
}

#[test]
fn the_newest_sound_backup_is_found_and_what_was_passed_over_is_named() {
    let major = 14;
    let sandbox = Sandbox::new();
    let (one, two) = (TestDatabase::new(major, "latest_a"), TestDatabase::new(major, "latest_b"));
    for database in [&one, &two] {
        database.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
        sandbox.run(&["backup", "postgres", "--url", &database.url(), "--to", "backups"]).expect(0);
    }
    sleep(Duration::from_millis(1100));
    let between =
        psql(major, &admin_url(major), "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
    sleep(Duration::from_millis(1100));
    one.psql("UPDATE t SET a = 2");
    sandbox.run(&["backup", "postgres", "--url", &one.url(), "--to", "backups"]).expect(0);

    let target = TestDatabase::planned(major, "latest_target");
    let take = |file: &str, more: &[&str]| {
        let url = target.url();
        let mut arguments = vec!["restore", "--file", file, "--url", &url, "--confirm"];
        arguments.extend(more);
        sandbox.run(&arguments)
    };
    take("latest", &[]).expect(2).blames("several databases").says(&two.name).says("--name");
    take("latest", &["--name", &one.name]).expect(0);
    assert_eq!(target.psql("SELECT a FROM t"), "2");
    take(&format!("before:{between}"), &["--name", &one.name]).expect(0);
    assert_eq!(target.psql("SELECT a FROM t"), "1");
    take("before:2001-01-01", &["--name", &one.name]).expect(5);

    let daily = |path: &&std::path::PathBuf| path.components().any(|part| part.as_os_str() == "daily");
    let files = sandbox.files(".sql.gz");
    let newest = files.iter().filter(daily).rfind(|path| path.to_string_lossy().contains(&one.name)).expect("a backup");
    let mut bytes = fs::read(newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::remove_file(newest).unwrap();
    fs::write(newest, bytes).unwrap();
    let told = take("latest", &["--name", &one.name]).expect(0);
    told.says("passed over").says(newest.file_name().unwrap().to_str().unwrap());
    assert_eq!(target.psql("SELECT a FROM t"), "1");
}

#[test]
fn a_lost_maintenance_session_is_made_anew() {
    let major = 15;
    let server = OwnServer::start(major, &Recipe { hba: "host all all all trust\n", settings: &[], files: &[] });
    let (sandbox, source) = (Sandbox::new(), slow_source(major));
    backup(&sandbox, &source, "slow.sql.gz");
    server.psql("CREATE DATABASE shop");
    let url = server.admin_url().replace("/postgres?", "/shop?");
    psql(major, &url, "CREATE TABLE old (a int)");
    let run = sandbox.start(&["restore", "--file", "slow.sql.gz", "--url", &url, "--confirm"]);
    let loading = "FROM pg_stat_activity WHERE starts_with(datname, 'shop_') AND query LIKE 'COPY%'";
    wait_until("rows", || server.psql(&format!("SELECT count(*) > 0 {loading}")) == "t");
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'postgres' AND application_name = 'miyabi-backup'";
    assert_eq!(server.psql(ended), "1");
    server.psql(&format!("SELECT pg_terminate_backend(pid) {loading}"));
    run.wait().expect(1).says("stands as it was").never_says("could not be dropped");
    assert_eq!(
        server.psql("SELECT string_agg(datname, ' ') FROM pg_database WHERE starts_with(datname, 'shop')"),
        "shop"
    );
}

#[test]
fn the_maintenance_database_itself_can_be_replaced() {
    let server = OwnServer::start(16, &Recipe { hba: "host all all all trust\n", settings: &[], files: &[] });
    let sandbox = Sandbox::new();
    let url = server.admin_url();
    psql(16, &url, "CREATE TABLE mine (a int); INSERT INTO mine VALUES (1)");
    sandbox.run(&["backup", "postgres", "--url", &url, "--output", "postgres.sql.gz"]).expect(0);
    psql(16, &url, "UPDATE mine SET a = 2");
    restore(&sandbox, "postgres.sql.gz", &url).expect(0).says("postgres_before_restore_");
    assert_eq!(psql(16, &url, "SELECT a FROM mine"), "1");
    // and with template1 filled, it is refused
    psql(16, &url.replace("/postgres?", "/template1?"), "CREATE TABLE stray (a int)");
    restore(&sandbox, "postgres.sql.gz", &url.replace("/postgres?", "/template1?")).expect(4).blames("template1");
}

#[test]
fn a_foreign_script_takes_the_encoding_of_the_database_that_it_replaces() {
    let major = 17;
    let sandbox = Sandbox::new();
    let target = TestDatabase::planned(major, "foreign_latin");
    psql(
        major,
        &admin_url(major),
        &format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", target.name),
    );
    sample::fill(&target, 1);
    let script = crate::util::stock(major, "pg_dump").args(["-d", &target.url()]).output().unwrap();
    fs::write(sandbox.path("dump.sql"), &script.stdout).unwrap();
    let told = restore(&sandbox, "dump.sql", &target.url());
    told.expect(0);
    assert_eq!(target.psql("SHOW server_encoding"), "LATIN1");
}
