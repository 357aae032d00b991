//! Restores that fit an archive to another server: without owners or rights, under other roles, with roles made.
//!
//! Stock pg_dump with the same flags is the judge.

use crate::program::{Outcome, Sandbox};
use crate::restore_parts::Role;
use crate::restore_pipe::with_input;
use crate::util::{TestDatabase, admin_url, psql, stock};

/// Roles with names that are hard to tell from SQL, and one database in which every place that names a role has one.
struct Named {
    owner: Role,
    reader: Role,
    granter: Role,
    source: TestDatabase,
    sandbox: Sandbox,
}

impl Named {
    fn backed_up(major: u32) -> Self {
        let [owner, reader, granter] = ["fit_owner", "fit_reader", "fit_granter"].map(|stem| Role::new(major, stem));
        let (o, r, g) = (&owner.name, &reader.name, &granter.name);
        let source = TestDatabase::new(major, "fit_source");
        source.psql(&format!(
            "CREATE SCHEMA s AUTHORIZATION {o}; CREATE TABLE s.t (a int PRIMARY KEY, {o} text); INSERT INTO s.t SELECT n, '{o}' FROM generate_series(1, 9) n;
             ALTER TABLE s.t OWNER TO {o}; COMMENT ON TABLE s.t IS 'OWNER TO {o}'; CREATE SEQUENCE s.q; ALTER SEQUENCE s.q OWNER TO {o}; ALTER SEQUENCE s.q OWNED BY s.t.a;
             GRANT USAGE ON SCHEMA s TO {g}, {r}; GRANT SELECT ON s.t TO {g} WITH GRANT OPTION; SET ROLE {g}; GRANT SELECT ON s.t TO {r}; RESET ROLE;
             GRANT UPDATE (a) ON s.t TO {r}; CREATE POLICY {o} ON s.t FOR SELECT TO {r}, {o} USING ({o} = '{o}'); ALTER TABLE s.t ENABLE ROW LEVEL SECURITY;
             CREATE FUNCTION s.f() RETURNS text LANGUAGE sql AS $$SELECT 'GRANT ALL ON s.t TO {o};'$$; ALTER FUNCTION s.f() OWNER TO {o};
             ALTER DEFAULT PRIVILEGES FOR ROLE {o} IN SCHEMA s GRANT SELECT ON TABLES TO {r}; SELECT lo_from_bytea(4711, 'x'); ALTER LARGE OBJECT 4711 OWNER TO {o};
             GRANT SELECT ON LARGE OBJECT 4711 TO {r}; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER v FOREIGN DATA WRAPPER w; CREATE USER MAPPING FOR {o} SERVER v OPTIONS (user '{o}');
             CREATE PUBLICATION p FOR TABLE s.t; COMMENT ON PUBLICATION p IS 'news'; CREATE VIEW s.v AS SELECT a FROM s.t; ALTER VIEW s.v OWNER TO {r}"
        ));
        source.psql(&format!(
            "ALTER DATABASE {0} OWNER TO {o}; GRANT CREATE ON DATABASE {0} TO {r}; ALTER ROLE {r} IN DATABASE {0} SET work_mem = '9MB'",
            source.name
        ));
        let sandbox = Sandbox::new();
        sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "fit.sql.gz"]).expect(0);
        Named { owner, reader, granter, source, sandbox }
    }

    fn restore(&self, target: &TestDatabase, more: &[&str]) -> Outcome {
        let url = target.url();
        let mut arguments = vec!["restore", "--file", "fit.sql.gz", "--url", &url, "--confirm"];
        arguments.extend(more);
        self.sandbox.run(&arguments)
    }

    fn piped(&self, target: &TestDatabase, file: &str, more: &[&str]) -> Outcome {
        let (bytes, url) = (std::fs::read(self.sandbox.path(file)).unwrap(), target.url());
        let mut arguments = vec!["restore", "--file", "-", "--url", &url, "--confirm"];
        arguments.extend(more);
        with_input(&self.sandbox, &bytes, &arguments)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // Roles are dropped before the database that names them: what they own goes first.
        let drops =
            [&self.owner, &self.reader, &self.granter].map(|role| format!("DROP OWNED BY {} CASCADE;", role.name));
        drop(crate::util::psql_output(self.source.major, &self.source.url(), &drops.concat()));
        drop(crate::util::psql_output(
            self.source.major,
            &admin_url(self.source.major),
            &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.source.name),
        ));
    }
}

/// What stock pg_dump tells of a database, without what differs from call to call.
fn dump(database: &TestDatabase, flags: &[&str]) -> String {
    let output = stock(database.major, "pg_dump").args(flags).args(["-d", &database.url()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = |line: &&str| !line.starts_with("--") && !line.starts_with('\\') && !line.is_empty();
    text.lines().filter(told).map(|line| format!("{line}\n")).collect()
}

/// The same archive by us, and the same database by stock pg_dump with the same flags, into two databases.
#[test]
fn what_is_left_out_is_what_pg_dump_leaves_out() {
    let major = 16;
    let named = Named::backed_up(major);
    let cases: [&[&str]; 6] = [
        &["--no-owner"],
        &["--no-privileges"],
        &["--no-owner", "--no-privileges"],
        &["--no-comments"],
        &["--no-publications"],
        &[
            "--no-owner",
            "--no-privileges",
            "--no-comments",
            "--no-publications",
            "--no-subscriptions",
            "--no-tablespaces",
            "--no-security-labels",
        ],
    ];
    for flags in cases {
        let stocks = TestDatabase::new(major, "fit_stock");
        let script = stock(major, "pg_dump").args(flags).args(["-d", &named.source.url()]).output().unwrap();
        stocks.psql(&String::from_utf8_lossy(&script.stdout));
        let [ours, piped, theirs] = ["fit_ours", "fit_piped", "fit_theirs"].map(|stem| TestDatabase::new(major, stem));
        named.restore(&ours, flags).expect(0);
        named.piped(&piped, "fit.sql.gz", flags).expect(0);
        // a whole script of pg_dump, fitted while it is restored
        let plain = stock(major, "pg_dump").args(["-d", &named.source.url()]).output().unwrap();
        std::fs::write(named.sandbox.path("plain.sql"), &plain.stdout).unwrap();
        named.piped(&theirs, "plain.sql", flags).expect(0);
        let wanted = dump(&stocks, &[]);
        for (database, how) in [(&ours, "from a file"), (&piped, "from a pipe"), (&theirs, "from pg_dump's script")] {
            assert_eq!(dump(database, &[]), wanted, "{flags:?} {how}");
        }
    }
}

const NAMES: &str = "
SELECT relname, pg_get_userbyid(relowner), (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(relacl) a) FROM pg_class WHERE relnamespace = 's'::regnamespace ORDER BY 1;
SELECT nspname, pg_get_userbyid(nspowner), (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(nspacl) a) FROM pg_namespace WHERE nspname = 's';
SELECT attname, attacl FROM pg_attribute WHERE attrelid = 's.t'::regclass AND attacl IS NOT NULL;
SELECT proname, pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = 's'::regnamespace;
SELECT (SELECT string_agg(r::text, ',' ORDER BY r::text) FROM unnest(roles) r) FROM pg_policies;
SELECT pg_get_userbyid(defaclrole), defaclacl FROM pg_default_acl; SELECT usename FROM pg_user_mappings;
SELECT pg_get_userbyid(lomowner), (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(lomacl) a) FROM pg_largeobject_metadata;
SELECT pg_get_userbyid(datdba), (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(datacl) a) FROM pg_database WHERE datname = current_database();
SELECT r.rolname, s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = current_database()";

/// What must never change: text in rows, comments, bodies, options, and names of other things.
const TEXTS: &str = "SELECT * FROM s.t ORDER BY a; SELECT prosrc FROM pg_proc WHERE pronamespace = 's'::regnamespace; SELECT obj_description('s.t'::regclass);
SELECT policyname, qual FROM pg_policies; SELECT umoptions FROM pg_user_mappings";

#[test]
fn a_role_map_changes_roles_and_nothing_else() {
    let major = 17;
    let named = Named::backed_up(major);
    let [new_owner, new_reader] = ["fit \"New\" owner", "fit=reader TO x"].map(|stem| {
        let role = Role { major, name: format!("\"{}\"", crate::util::unique(stem).replace('"', "\"\"")) };
        psql(major, &admin_url(major), &format!("CREATE ROLE {}", role.name));
        role
    });
    let bare = |role: &Role| role.name[1..role.name.len() - 1].replace("\"\"", "\"");
    let pairs =
        [format!("{}={}", named.owner.name, bare(&new_owner)), format!("{}={}", named.reader.name, new_reader.name)];
    let texts = named.source.psql(TEXTS);
    let expected = named
        .source
        .psql(NAMES)
        .replace(&named.owner.name, &bare(&new_owner))
        .replace(&named.reader.name, &bare(&new_reader));
    let plain = |text: &str| {
        let mut lines: Vec<String> = text
            .replace(['"', '\\'], "")
            .lines()
            .map(|line| {
                let mut parts: Vec<&str> = line.split([',', '|', '{', '}']).collect();
                parts.sort_unstable();
                parts.join(",")
            })
            .collect();
        lines.sort();
        lines
    };
    let target = TestDatabase::planned(major, "fit_mapped");
    named.restore(&target, &["--role-map", &pairs[0], "--role-map", &pairs[1]]).expect(0);
    assert_eq!(plain(&target.psql(NAMES)), plain(&expected));
    assert_eq!(target.psql(TEXTS), texts);
    drop(target);
    let piped = TestDatabase::planned(major, "fit_mapped");
    named.piped(&piped, "fit.sql.gz", &["--role-map", &pairs[0], "--role-map", &pairs[1]]).expect(0);
    assert_eq!(plain(&piped.psql(NAMES)), plain(&expected));
    assert_eq!(piped.psql(TEXTS), texts);
    drop(piped);
}

#[test]
fn missing_roles_are_made_as_they_were_and_go_again_when_the_restore_fails() {
    let major = 16;
    let (sandbox, source) = (Sandbox::new(), TestDatabase::new(major, "make_source"));
    let [owner, group] = ["make_owner", "make_group"].map(|stem| Role::new(major, stem));
    let (o, g) = (&owner.name, &group.name);
    let facts = format!(
        "SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolconnlimit, rolvaliduntil, rolconfig FROM pg_roles WHERE rolname IN ('{o}', '{g}') ORDER BY 1;
         SELECT roleid::regrole, member::regrole, admin_option, inherit_option, set_option FROM pg_auth_members WHERE member = '{o}'::regrole OR roleid = '{g}'::regrole ORDER BY 1, 2"
    );
    source.psql(&format!(
        "ALTER ROLE {o} NOINHERIT CREATEDB CONNECTION LIMIT 7 VALID UNTIL '2040-01-01 00:00:00+00' PASSWORD 'secret'; ALTER ROLE {o} SET work_mem = '5MB'; ALTER ROLE {g} NOLOGIN;
         GRANT {g} TO {o} WITH ADMIN TRUE, INHERIT FALSE; GRANT pg_monitor TO {o};
         CREATE TABLE t (a int); INSERT INTO t VALUES (1); ALTER TABLE t OWNER TO {o}; GRANT SELECT ON t TO {g};
         CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE TABLE checked (a int CHECK (fine(a))); INSERT INTO checked VALUES (13)"
    ));
    let before = source.psql(&facts);
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "sound.sql.gz"]).expect(0);
    source.psql("CREATE OR REPLACE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> 13'");
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "broken.sql.gz"]).expect(0);
    source.psql(&format!("DROP TABLE t; DROP ROLE {o}; DROP ROLE {g}"));
    let roles =
        || psql(major, &admin_url(major), &format!("SELECT count(*) FROM pg_roles WHERE rolname IN ('{o}', '{g}')"));
    let target = TestDatabase::planned(major, "make_target");
    let restore = |file: &str, more: &[&str]| {
        let url = target.url();
        let mut arguments = vec!["restore", "--file", file, "--url", &url, "--confirm"];
        arguments.extend(more);
        sandbox.run(&arguments)
    };
    restore("sound.sql.gz", &[]).expect(4).says("--create-roles").says(o).says(g);
    restore("broken.sql.gz", &["--create-roles"]).expect(1).blames("checked").never_says("could not be dropped");
    assert_eq!((roles().as_str(), target.exists()), ("0", false), "a failed restore leaves no roles");
    restore("sound.sql.gz", &["--create-roles"]).expect(0).says("without a password").says(o);
    assert_eq!(target.psql(&facts), before);
    assert_eq!(target.psql("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 't'"), *o);
    assert_eq!(target.psql(&format!("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = '{o}'")), "t");
    drop((target, source));
    let piped = TestDatabase::planned(major, "make_piped");
    let bytes = std::fs::read(sandbox.path("sound.sql.gz")).unwrap();
    let arguments = ["restore", "--file", "-", "--url", &piped.url(), "--confirm", "--create-roles"];
    with_input(&sandbox, &bytes, &arguments).expect(2).blames("--create-roles").hints();
}

#[test]
fn a_modest_role_restores_what_others_owned() {
    let major = 15;
    let named = Named::backed_up(major);
    let modest = Role::new(major, "fit_modest");
    psql(major, &admin_url(major), &format!("ALTER ROLE {} CREATEDB", modest.name));
    named.source.psql("DROP FOREIGN DATA WRAPPER w CASCADE");
    named
        .sandbox
        .run(&["backup", "postgres", "--url", &named.source.url(), "--output", "fit.sql.gz", "--force"])
        .expect(0);
    let target = TestDatabase::planned(major, "fit_modest");
    let url = target.url().replace("//postgres@", &format!("//{}@", modest.name));
    let restore = |more: &[&str]| {
        let mut arguments = vec!["restore", "--file", "fit.sql.gz", "--url", &url, "--confirm"];
        arguments.extend(more);
        named.sandbox.run(&arguments)
    };
    restore(&[]).expect(4).says("may not give objects to their owners").says("--no-owner");
    assert!(!target.exists());
    // all but the setting of a role that is not its own
    let told = restore(&["--no-owner", "--no-privileges"]).expect(3).says("not restored: a property of database");
    assert_eq!(told.stderr().matches("not restored").count(), 1, "{told}");
    assert_eq!(target.psql("SELECT count(*) FROM s.t"), "9");
    assert_eq!(
        target.psql("SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 's'::regnamespace"),
        modest.name
    );
    assert_eq!(
        target.psql("SELECT count(*) FROM pg_class WHERE relnamespace = 's'::regnamespace AND relacl IS NOT NULL"),
        "0"
    );
    // a part, and rows alone, are fitted in the same way
    let part = TestDatabase::planned(major, "fit_part");
    let part_url = part.url().replace("//postgres@", &format!("//{}@", modest.name));
    psql(major, &admin_url(major), &format!("CREATE DATABASE {} OWNER {}", part.name, modest.name));
    psql(major, &part_url, "CREATE SCHEMA s; CREATE TABLE mine (a int)");
    let arguments = [
        "restore",
        "--file",
        "fit.sql.gz",
        "--url",
        &part_url,
        "--confirm",
        "--table",
        "s.t",
        "--no-owner",
        "--no-privileges",
        "--no-publications",
    ];
    named.sandbox.run(&arguments).expect(0);
    assert_eq!(
        part.psql(
            "SELECT count(*), (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 's.t'::regclass) FROM s.t"
        ),
        format!("9|{}", modest.name)
    );
    drop((target, part));
}

#[test]
fn tablespaces_and_encodings_are_looked_at_before_anything_is_made() {
    let major = 16;
    let (sandbox, source) = (Sandbox::new(), TestDatabase::new(major, "space_source"));
    let space = crate::util::unique("space");
    source.psql(&format!("SET allow_in_place_tablespaces = on; CREATE TABLESPACE {space} LOCATION ''"));
    source.psql(&format!("CREATE TABLE t (a text) TABLESPACE {space}; CREATE INDEX i ON t (a) TABLESPACE {space}; INSERT INTO t VALUES ('é')"));
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "space.sql.gz"]).expect(0);
    let target = TestDatabase::planned(major, "space_target");
    let restore = |target: &TestDatabase, more: &[&str]| {
        let url = target.url();
        let mut arguments = vec!["restore", "--file", "space.sql.gz", "--url", &url, "--confirm"];
        arguments.extend(more);
        sandbox.run(&arguments)
    };
    restore(&target, &[]).expect(0);
    let placed = "SELECT count(*) FROM pg_class WHERE relname IN ('t', 'i') AND reltablespace <> 0";
    assert_eq!(target.psql(placed), "2");
    psql(major, &admin_url(major), &format!("DROP DATABASE {}", target.name));
    source.psql(&format!("DROP TABLE t; DROP TABLESPACE {space}"));
    restore(&target, &[]).expect(4).blames(&space).says("--no-tablespaces");
    assert!(!target.exists());
    restore(&target, &["--no-tablespaces"]).expect(0);
    assert_eq!(target.psql(placed), "0");

    let latin = TestDatabase::planned(major, "space_latin");
    psql(
        major,
        &admin_url(major),
        &format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'", latin.name),
    );
    restore(&latin, &["--no-tablespaces"]).expect(0).says("characters that LATIN1 does not have end the restore");
    assert_eq!(latin.psql("SET client_encoding = 'UTF8'; SELECT a, octet_length(a) FROM t"), "é|1");
    drop(source);
}

#[test]
fn flags_that_mean_nothing_here_are_refused() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("x.sql.gz");
    std::fs::write(&file, "").unwrap();
    for wrong in ["a", "=b", "a=", "\"a=b"] {
        let told = sandbox.run(&["restore", "--file", "x.sql.gz", "--database", "x", "--role-map", wrong]);
        told.expect(2).blames("--role-map");
    }
    let told =
        sandbox.run(&["restore", "--file", "x.sql.gz", "--database", "x", "--role-map", "a=b", "--role-map", "a=c"]);
    told.expect(2).blames("two roles for a");
}
