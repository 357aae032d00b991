//! Restores for trial: sound ones pass, altered ones name the table, and hostile ones reach nothing.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::own_server::{OwnServer, Recipe};
use crate::program::{Outcome, Sandbox};
use crate::sample::fill;
use crate::util::{TestDatabase, admin_url, psql, server_url, unique};

const MAJOR: u32 = 17;

/// A role that may do nothing but create databases; dropped at the end.
pub struct Drillmaster {
    major: u32,
    pub name: String,
}

impl Drillmaster {
    pub fn new(major: u32) -> Self {
        let name = unique("drillmaster");
        psql(major, &admin_url(major), &format!("CREATE ROLE {name} LOGIN NOSUPERUSER CREATEDB"));
        Drillmaster { major, name }
    }

    pub fn url(&self) -> String {
        server_url(self.major).replace("postgres@", &format!("{}@", self.name))
    }

    fn scratch_databases(&self) -> String {
        let owned = format!("SELECT count(*) FROM pg_database WHERE datdba = '{}'::regrole", self.name);
        psql(self.major, &admin_url(self.major), &owned)
    }
}

impl Drop for Drillmaster {
    fn drop(&mut self) {
        let sql = format!(
            "SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database WHERE datdba = '{0}'::regrole \\gexec\n\
             DROP ROLE {0};",
            self.name
        );
        drop(crate::util::psql_output(self.major, &admin_url(self.major), &sql));
    }
}

fn back_up(sandbox: &Sandbox, database: &TestDatabase) {
    let toml = format!("globals = false\n[[postgres]]\nname = \"shop\"\nurl = \"{}\"\n", database.url());
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    sandbox.run(&["backup"]).expect(0);
}

fn drill(sandbox: &Sandbox, master: &Drillmaster) -> Outcome {
    sandbox.run(&["drill", "--url", &master.url(), "--json"])
}

#[test]
fn what_was_dumped_comes_back_on_every_major() {
    for major in [13, 15, 18] {
        let sandbox = Sandbox::new();
        let (database, master) = (TestDatabase::new(major, "drilled"), Drillmaster::new(major));
        fill(&database, 300);
        back_up(&sandbox, &database);
        let outcome = drill(&sandbox, &master).expect(0).json();
        let one = &outcome["drills"][0];
        assert_eq!((&one["ok"], &one["name"]), (&true.into(), &"shop".into()), "{outcome}");
        assert!(one["restore_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{outcome}");
        assert_eq!(one["rows"], 300 + 1500 + 4, "{outcome}");
        assert_eq!(master.scratch_databases(), "0", "the scratch database stays on {major}");
        let status = sandbox.run(&["status", "--json"]).json();
        assert_eq!(status["databases"][0]["last_drill"]["ok"], true, "{status}");
    }
}

/// The archive is sound in every byte and restores without a complaint; what stands in the database then is not what
/// was dumped. Only the comparison can tell.
#[test]
fn one_altered_row_fails_the_drill_and_names_the_table() {
    let sandbox = Sandbox::new();
    let (database, master) = (TestDatabase::new(MAJOR, "altered"), Drillmaster::new(MAJOR));
    // Building its index alters one of the rows that have just been loaded.
    database.psql(
        "CREATE TABLE ledger (id int, note text); INSERT INTO ledger SELECT n, 'n' || n FROM generate_series(1, 2000) n; \
         CREATE FUNCTION spoil(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN \
           IF $1 = 2000 AND current_database() LIKE 'miyabi\\_drill\\_%' THEN UPDATE public.ledger SET note = 'other' WHERE id = 7; END IF; \
           RETURN $1; END $$; \
         CREATE FUNCTION innocent(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.spoil($1); END $$; \
         CREATE INDEX ON ledger (innocent(id)); CREATE TABLE plain (id int); INSERT INTO plain VALUES (1);",
    );
    back_up(&sandbox, &database);
    let outcome = drill(&sandbox, &master).expect(30).json();
    let findings = outcome["drills"][0]["findings"].to_string();
    assert!(findings.contains("public.ledger") && !findings.contains("public.plain"), "{outcome}");
    assert_eq!(master.scratch_databases(), "0");
    sandbox.run(&["status"]).expect(41).says("the restore drill").says("public.ledger");
    sandbox.run(&["logs"]).expect(0).says("public.ledger");
}

#[test]
fn code_in_rows_has_no_rights_and_superusers_are_refused() {
    let sandbox = Sandbox::new();
    let (database, master) = (TestDatabase::new(MAJOR, "hostile"), Drillmaster::new(MAJOR));
    let victim = unique("pwned_role");
    database.psql(&format!(
        "CREATE FUNCTION attack(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
           IF current_database() LIKE 'miyabi\\_drill\\_%' THEN \
             BEGIN EXECUTE 'CREATE ROLE {victim} SUPERUSER'; EXCEPTION WHEN insufficient_privilege THEN NULL; END; \
           END IF; RETURN true; END $$; \
         CREATE TABLE bait (a int CHECK (attack(a))); INSERT INTO bait VALUES (1)"
    ));
    back_up(&sandbox, &database);
    sandbox.run(&["drill"]).expect(4).says("refusing to drill as superuser").says("CREATE ROLE miyabi_drill");
    drill(&sandbox, &master).expect(0);
    let found = psql(MAJOR, &admin_url(MAJOR), &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{victim}'"));
    assert_eq!(found, "0", "code of a restored row has made itself a superuser");
    psql(MAJOR, &admin_url(MAJOR), &format!("ALTER ROLE {} NOCREATEDB", master.name));
    drill(&sandbox, &master).expect(4);
}

#[test]
fn own_questions_and_targets_decide() {
    let sandbox = Sandbox::new();
    let (database, master) = (TestDatabase::new(MAJOR, "asked"), Drillmaster::new(MAJOR));
    fill(&database, 20);
    back_up(&sandbox, &database);
    let configure = |checks: &str| {
        let toml = format!(
            "globals = false\n[[postgres]]\nname = \"shop\"\nurl = \"{}\"\n[drill]\nurl = \"{}\"\n{checks}",
            database.url(),
            master.url()
        );
        fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    };
    let question = |sql: &str, expect: &str| {
        format!("[[drill.check]]\ndatabase = \"shop\"\nsql = \"{sql}\"\nexpect = \"{expect}\"\n")
    };
    configure(&question("SELECT count(*), min(id) FROM customers", "20|1"));
    sandbox.run(&["drill"]).expect(0).says("1 of 1 drills succeeded");
    configure(&question("SELECT count(*) FROM customers", "21"));
    sandbox.run(&["drill"]).expect(30).blames("says `20`, expected is `21`");
    configure(&question("SELECT nonsense", "1"));
    sandbox.run(&["drill"]).expect(30).blames("nonsense");
    configure("rto = \"0s\"\n");
    sandbox.run(&["drill"]).expect(30).blames("the target is 0 s");
    configure("[[drill.check]]\nsql = \"SELECT 1\"\n");
    sandbox.run(&["drill"]).expect(2).blames("has no `database`");
}

#[test]
fn what_a_killed_drill_left_goes_with_the_next() {
    let sandbox = Sandbox::new();
    let (database, master) = (TestDatabase::new(MAJOR, "left"), Drillmaster::new(MAJOR));
    database.psql("CREATE TABLE t (a int)");
    back_up(&sandbox, &database);
    let left = format!("CREATE DATABASE miyabi_drill_{:016x} OWNER {}", std::process::id(), master.name);
    psql(MAJOR, &admin_url(MAJOR), &left);
    let own = format!("CREATE DATABASE {}_own OWNER {}", master.name, master.name);
    psql(MAJOR, &admin_url(MAJOR), &own);
    drill(&sandbox, &master).expect(0);
    assert_eq!(master.scratch_databases(), "1", "only what a drill made may go");
}

#[test]
fn a_sqlite_file_is_drilled_without_a_server() {
    let sandbox = Sandbox::new();
    let app = Connection::open(sandbox.path("app.db")).unwrap();
    app.execute_batch("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2, NULL)").unwrap();
    drop(app);
    let toml = "[[sqlite]]\npath = \"app.db\"\n[[drill.check]]\ndatabase = \"app\"\nsql = \"SELECT a, b FROM t ORDER BY a\"\nexpect = \"1|x\\n2|\"\n";
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    sandbox.run(&["drill"]).expect(5);
    sandbox.run(&["backup"]).expect(0);
    let before = fs::read(sandbox.path("app.db")).unwrap();
    let outcome = sandbox.run(&["drill", "--json"]).expect(0).json();
    assert_eq!(outcome["drills"][0]["rows"], 2, "{outcome}");
    assert_eq!(fs::read(sandbox.path("app.db")).unwrap(), before, "the live file was touched");
    assert_eq!(sandbox.staging_files(), Vec::<std::path::PathBuf>::new());

    let archive = sandbox.daily("app");
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    sandbox.run(&["drill", "app"]).expect(30).blames("app");
    sandbox.run(&["drill", "nobody"]).expect(5);
}

/// Of all sizes: nothing, less than a piece, several pieces, with a hole.
#[test]
fn large_objects_are_compared_byte_for_byte() {
    let sandbox = Sandbox::new();
    let (database, master) = (TestDatabase::new(MAJOR, "blobs"), Drillmaster::new(MAJOR));
    database.psql(
        "SELECT lo_create(70001); SELECT lo_from_bytea(70002, 'abc'); \
         SELECT lo_from_bytea(70003, decode(repeat('c0ffee', 250000), 'hex')); \
         SELECT lo_create(70004); SELECT lo_put(70004, 900000, 'behind a hole');",
    );
    back_up(&sandbox, &database);
    drill(&sandbox, &master).expect(0);

    let path = sandbox.daily("shop");
    let path = path.with_file_name(format!("{}.meta", path.file_name().unwrap().to_str().unwrap()));
    let mut meta: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((&meta["large_objects"]["count"], &meta["large_objects"]["raw_bytes"]), (&4.into(), &1_650_016.into()));
    let mut alter = |key: &str, value: Value| {
        meta["large_objects"][key] = value;
        fs::write(&path, meta.to_string()).unwrap();
        drill(&sandbox, &master).expect(30).json()["drills"][0]["findings"].to_string()
    };
    let findings = alter("digest", "0".repeat(32).into());
    assert!(findings.contains("bytes of the 4 large objects"), "{findings}");
    let findings = alter("count", 5.into());
    assert!(findings.contains("4 large objects of 1.6 MiB came back, 5 large objects"), "{findings}");
    assert_eq!(master.scratch_databases(), "0");
}

/// A role that may only create databases cannot make everything that a superuser made.
#[test]
fn what_the_role_may_not_make_is_told_and_is_no_failure() {
    let sandbox = Sandbox::new();
    let (database, master) = (TestDatabase::new(MAJOR, "beyond"), Drillmaster::new(MAJOR));
    fill(&database, 50);
    database.psql(
        "CREATE EXTENSION dblink; CREATE EXTENSION citext; CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; \
         CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION watched(); COMMENT ON EXTENSION dblink IS 'ours';",
    );
    back_up(&sandbox, &database);
    let one = drill(&sandbox, &master).expect(0).json()["drills"][0].clone();
    let left_out = one["left_out"].to_string();
    assert!(left_out.contains("EXTENSION dblink") && left_out.contains("EVENT TRIGGER watching"), "{one}");
    assert!(!left_out.contains("citext"), "{one}");
    assert_eq!((&one["ok"], &one["incomplete"], &one["rows"]), (&true.into(), &false.into(), &304.into()), "{one}");
    sandbox.run(&["status"]).expect(0);

    database.psql(
        "CREATE TABLE linked (a text[] DEFAULT dblink_get_connections()); INSERT INTO linked VALUES ('{x}'), ('{y}');",
    );
    sandbox.run(&["backup"]).expect(0);
    let outcome = drill(&sandbox, &master).expect(3).json();
    let one = &outcome["drills"][0];
    assert_eq!((&one["ok"], &one["incomplete"]), (&false.into(), &true.into()), "{outcome}");
    assert!(one["findings"].to_string().contains("public.linked (2 rows)"), "{outcome}");
    assert_eq!(one["rows"], 304, "{outcome}");
    sandbox.run(&["status"]).expect(40).says("incomplete").says("public.linked");
    assert_eq!(master.scratch_databases(), "0");
    // A superuser of a server that is its own may make all of it.
    let all = sandbox.run(&["drill", "--as-superuser", "--json"]).expect(0).json();
    assert_eq!(all["drills"][0]["rows"], 306, "{all}");
}

#[test]
fn a_drill_that_would_fill_the_servers_disk_is_not_begun() {
    let sandbox = Sandbox::new();
    let (database, master) = (TestDatabase::new(MAJOR, "roomless"), Drillmaster::new(MAJOR));
    fill(&database, 5);
    back_up(&sandbox, &database);
    let path = sandbox.daily("shop");
    let path = path.with_file_name(format!("{}.meta", path.file_name().unwrap().to_str().unwrap()));
    let mut meta: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    meta["raw_bytes"] = (1_u64 << 50).into();
    fs::write(&path, meta.to_string()).unwrap();
    drill(&sandbox, &master).expect(21).says("1.0 PiB are needed on the server's disk");
    assert_eq!(master.scratch_databases(), "0");
}

/// Before the first of the month: can drills be made where they are meant to be made?
#[test]
fn the_doctor_looks_at_the_server_of_drills() {
    let sandbox = Sandbox::new();
    let (database, master) = (TestDatabase::new(MAJOR, "doctored"), Drillmaster::new(MAJOR));
    let doctor = |url: &str| {
        let sources = format!(
            "globals = false\n[status]\nmin_free = 0\n[[postgres]]\nname = \"shop\"\nurl = \"{}\"\n",
            database.url()
        );
        fs::write(sandbox.path("miyabi-backup.toml"), format!("{sources}[drill]\nurl = \"{url}\"\n")).unwrap();
        let outcome = sandbox.run(&["doctor", "--json"]);
        let found = outcome.json();
        let all = found["findings"].as_array().unwrap().iter();
        all.filter(|one| one["subject"].to_string().contains("drill on ")).cloned().collect::<Vec<_>>()
    };
    let only = |found: &[Value], level: &str, what: &str, mend: &str| {
        let [one] = found else { panic!("{found:?}") };
        assert_eq!(one["level"], level, "{one}");
        assert!(one["what"].to_string().contains(what) && one["mend"].to_string().contains(mend), "{one}");
        one.clone()
    };
    only(&doctor(&master.url()), "ok", "may make databases", "[]");

    let admin = |sql: &str| psql(MAJOR, &admin_url(MAJOR), sql);
    admin(&format!("ALTER ROLE {} NOCREATEDB", master.name));
    let one = only(&doctor(&master.url()), "critical", "may not create databases", "ALTER ROLE");
    admin(one["mend"][0].as_str().unwrap());
    only(&doctor(&master.url()), "ok", "may make databases", "[]");

    only(&doctor(&server_url(MAJOR)), "critical", "refusing to drill as superuser", "CREATE ROLE miyabi_drill");
    only(&doctor("postgres://miyabi_drill@127.0.0.1:9"), "critical", "127.0.0.1:9", "");
    let nobody = master.url().replace(&master.name, "nobody_of_this_name");
    only(&doctor(&nobody), "critical", "nobody_of_this_name", "");
    assert_eq!(master.scratch_databases(), "0", "the doctor makes nothing");

    // What a drill then meets is what the doctor said: an older server.
    let old = Drillmaster::new(13);
    let found = doctor(&old.url());
    assert_eq!((&found[0]["level"], &found[1]["level"]), (&"ok".into(), &"warning".into()), "{found:?}");
    let what = found[1]["what"].to_string();
    assert!(what.contains("is PostgreSQL 13, older than the server of shop"), "{what}");
    assert!(found[1]["mend"].to_string().contains("a server of PostgreSQL 17"), "{found:?}");

    // A server of its own may have its superuser for it.
    let recipe = Recipe { hba: "local all all trust\nhost all all 127.0.0.1/32 trust\n", settings: &[], files: &[] };
    let own = OwnServer::start(MAJOR, &recipe);
    only(&doctor(&own.admin_url()), "ok", "may make all that backups hold", "[]");
}
