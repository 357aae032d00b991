//! The capture against real servers: what the catalogs hold comes back as text that makes it again.

use std::time::Duration;

use futures_util::StreamExt;
use miyabi_backup::cancel::Cancel;
use miyabi_backup::error::Kind;
use miyabi_backup::pg::capture::{self, Capture, CaptureOptions};
use miyabi_backup::pg::catalog::object::{Base, BaseColumns, class};
use miyabi_backup::pg::connect::Server;
use miyabi_backup::pg::filter::Filter;
use miyabi_backup::pg::script::{Entry, LENIENT, Section};
use miyabi_backup::pg::session::Session;

use crate::util::{MAJORS, TestDatabase, psql, psql_output, server_url, stock};

async fn session(major: u32, database: &str) -> Session {
    let url = format!("{}/{database}", server_url(major));
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the server runs");
    tokio::spawn(connection);
    Session::start(client).await.expect("a session starts")
}

#[tokio::test]
async fn every_type_of_column_is_read() {
    for major in MAJORS {
        let session = session(major, "postgres").await;
        assert_eq!(session.version().major(), major);
        let sql = "SELECT 'x'::name AS a, NULL::text AS b, true AS c, 'q'::\"char\" AS d, 7::int2 AS e, -8 AS f, \
                   9::int8 AS g, 4294967295::oid AS h, '{a,\"b,c\"}'::text[] AS i, '1 2'::oidvector AS j, \
                   '3 4'::int2vector AS k, ARRAY['z', NULL] AS l, 'pg_catalog'::pg_catalog.regnamespace::text AS m";
        let row = session.row(sql).await.unwrap();
        assert_eq!(row.text("a").unwrap(), "x");
        assert_eq!(row.opt_text("b").unwrap(), None);
        assert!(row.text("b").is_err());
        assert!(row.bool("c").unwrap());
        assert_eq!(row.char("d").unwrap(), 'q');
        assert_eq!((row.i16("e").unwrap(), row.i32("f").unwrap(), row.i64("g").unwrap()), (7, -8, 9));
        assert_eq!(row.u32("h").unwrap(), u32::MAX);
        assert!(row.i32("h").is_err());
        assert_eq!(row.text_array("i").unwrap(), ["a", "b,c"]);
        assert_eq!(row.oid_array("j").unwrap(), [1, 2]);
        assert_eq!(row.i16_array("k").unwrap(), [3, 4]);
        assert!(row.text_array("l").is_err());
        assert_eq!(row.opt_text_elements("l").unwrap(), [Some("z".to_owned()), None]);
        assert!(row.bool("a").is_err());
    }
}

#[tokio::test]
async fn base_columns_read_on_every_major() {
    let columns = BaseColumns {
        catalog: "pg_proc",
        name: "proname",
        in_schema: true,
        owner: Some("proowner"),
        acl: Some(("proacl", "'f'")),
    };
    for major in MAJORS {
        let session = session(major, "postgres").await;
        let from = "FROM pg_catalog.pg_proc o JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace";
        let rows = session.rows(&format!("SELECT {} {from}", columns.sql())).await.unwrap();
        let bases: Vec<Base> = rows.iter().map(|row| Base::read(row, class::PG_PROC).unwrap()).collect();
        let reload = bases.iter().find(|base| base.name == "pg_reload_conf").unwrap();
        assert_eq!(reload.acl.as_deref(), Some(["postgres=X/postgres".to_owned()].as_slice()));
        assert_eq!(reload.init_acl, reload.acl);
        assert_eq!(*reload.default_acl, ["=X/postgres", "postgres=X/postgres"]);
        assert!(reload.in_system_schema && !reload.is_users());
    }
}

/// Objects that need each other in every way that has a rule of its own, and parts whose state is easily lost.
const LOOPS: &str = r#"
CREATE SCHEMA "S ""q""";
CREATE TABLE t (id int PRIMARY KEY, v text, w int DEFAULT 3 NOT NULL);
CREATE VIEW on_key AS SELECT id, v, count(*) AS n FROM t GROUP BY id;
CREATE VIEW above AS SELECT * FROM on_key;
CREATE MATERIALIZED VIEW mv AS SELECT id, v FROM t GROUP BY id;
CREATE MATERIALIZED VIEW mv2 AS SELECT n FROM above;
CREATE UNIQUE INDEX mv_id ON mv (id);
CREATE FUNCTION of_row(t) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
ALTER TABLE t ADD CONSTRAINT by_row CHECK (of_row(t.*) = 1);
CREATE INDEX by_row ON t (of_row(t.*));
CREATE TABLE defaulted (a int);
CREATE FUNCTION next_of(defaulted) RETURNS int LANGUAGE sql AS 'SELECT 2';
ALTER TABLE defaulted ALTER a SET DEFAULT next_of(NULL::defaulted);
CREATE DOMAIN dom AS int;
CREATE FUNCTION of_dom(dom) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1::int > 0';
ALTER DOMAIN dom ADD CONSTRAINT positive CHECK (of_dom(VALUE));
COMMENT ON CONSTRAINT positive ON DOMAIN dom IS 'it''s';
ALTER DOMAIN dom ADD CONSTRAINT later CHECK (VALUE::int < 9) NOT VALID;
CREATE TABLE first_view_source (x int);
CREATE VIEW v1 AS SELECT 1 AS a;
CREATE VIEW v2 AS SELECT a FROM v1;
CREATE OR REPLACE VIEW v1 AS SELECT x AS a FROM first_view_source;
CREATE TABLE serials (a serial, b bigserial, c int GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 2), "d ""q" text);
SELECT setval('serials_a_seq', 7, false);
CREATE TABLE parent (k int NOT NULL, at date, note text DEFAULT 'p') PARTITION BY RANGE (at);
CREATE TABLE part_b (note text DEFAULT 'own', at date, k int NOT NULL);
ALTER TABLE parent ATTACH PARTITION part_b FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE part_rest PARTITION OF parent DEFAULT PARTITION BY HASH (k);
CREATE TABLE part_h PARTITION OF part_rest FOR VALUES WITH (MODULUS 1, REMAINDER 0);
ALTER TABLE parent ADD CONSTRAINT parent_unique UNIQUE (k, at);
CREATE TABLE child_of (k int, at date, FOREIGN KEY (k, at) REFERENCES parent (k, at));
CREATE TABLE base_table (a int DEFAULT 1, b int NOT NULL, CHECK (b > 0));
CREATE TABLE heir (c int, a int) INHERITS (base_table);
ALTER TABLE heir ALTER a DROP DEFAULT, ALTER b SET DEFAULT 4;
CREATE TABLE stored (a int, g int GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE stored_heir () INHERITS (stored);
CREATE RULE quiet AS ON UPDATE TO heir DO INSTEAD NOTHING;
ALTER TABLE heir DISABLE RULE quiet;
CREATE TABLE empty_table ();
INSERT INTO empty_table DEFAULT VALUES;
CREATE POLICY p ON t AS RESTRICTIVE FOR UPDATE USING (id > 0) WITH CHECK (id < 9);
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
COMMENT ON COLUMN t.v IS E'two\nlines; \\! and a backslash';
COMMENT ON CONSTRAINT by_row ON t IS 'c';
"#;

/// The script as psql would read it, rows and large objects included.
async fn whole_script(capture: &Capture) -> String {
    let script = capture.script();
    let section = |section| script.entries.iter().filter(move |entry| entry.section == section);
    let mut text = script.preamble.clone();
    let sql = |entry: &Entry| script.statements.get(entry.sql).unwrap();
    text.extend(section(Section::PreData).map(sql));
    for table in &script.tables {
        text.push_str(&table.rows.copy_from());
        let rows = capture.session().client().copy_out(table.rows.copy_to(None).as_str()).await.unwrap();
        for block in rows.map(|block| block.unwrap()).collect::<Vec<_>>().await {
            text.push_str(&capture.session().codec().decode(&block).unwrap());
        }
        text.push_str("\\.\n");
    }
    text.extend(section(Section::Data).map(sql));
    let post: Vec<&Entry> = section(Section::PostData).collect();
    let last = post.iter().position(|entry| entry.may_fail).unwrap_or(post.len());
    text.extend(post[..last].iter().map(|entry| sql(entry)));
    text.push_str(LENIENT);
    text.extend(post[last..].iter().map(|entry| sql(entry)));
    text
}

async fn capture(url: &str) -> Capture {
    let server = Server::from_url(url).unwrap();
    let options =
        CaptureOptions { lock_timeout: Duration::from_secs(2), connections: 2, rows: true, filter: Filter::default() };
    capture::open(&server, &options, &Cancel::new()).await.unwrap()
}

fn stock_dump(database: &TestDatabase) -> String {
    let output = stock(database.major, "pg_dump").arg("-d").arg(database.url()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Newer minor versions wrap the script in a key that differs from run to run.
    text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn loops_and_easily_lost_state_survive_a_reload() {
    for major in MAJORS {
        let (source, target) = (TestDatabase::new(major, "loops"), TestDatabase::new(major, "loops_again"));
        source.psql(LOOPS);
        let capture = capture(&source.url()).await;
        assert_eq!(capture.warnings(), &[] as &[String], "{major}");
        target.psql(&whole_script(&capture).await);
        let positions = 0..capture.script().entries.len();
        for (position, entry) in positions.zip(&capture.script().entries) {
            let earlier = entry.depends.iter().all(|on| usize::try_from(*on).unwrap() < position);
            assert!(earlier, "{} {} needs what comes later", entry.kind, entry.name);
        }
        capture.commit().await.unwrap();
        assert_eq!(stock_dump(&source), stock_dump(&target), "PostgreSQL {major}");
        assert_eq!(target.psql("SELECT count(*) FROM empty_table"), "1");
    }
}

#[tokio::test]
async fn a_missing_role_is_named_before_anything_is_made() {
    let major = MAJORS[MAJORS.len() - 1];
    let (source, target) = (TestDatabase::new(major, "roles"), TestDatabase::new(major, "roles_again"));
    let (owner, reader) = (format!("{} owner", source.name), format!("{}_reader", source.name));
    source.psql(&format!(
        "CREATE ROLE \"{owner}\"; CREATE ROLE \"{reader}\"; CREATE TABLE t (a int); \
         ALTER TABLE t OWNER TO \"{owner}\"; GRANT SELECT (a) ON t TO \"{reader}\""
    ));
    let capture = capture(&source.url()).await;
    let text = whole_script(&capture).await;
    let properties = capture.facts().properties.to_json().unwrap().to_string();
    assert!(properties.contains(&owner) && properties.contains(&reader) && !properties.contains("SCRAM"));
    capture.commit().await.unwrap();
    source.psql(&format!("DROP OWNED BY \"{owner}\", \"{reader}\"; DROP ROLE \"{owner}\", \"{reader}\""));
    let output = psql_output(major, &target.url(), &text);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(stderr.contains(&format!("\"{owner}\", {reader}")), "{stderr}");
    assert_eq!(target.psql("SELECT count(*) FROM pg_class WHERE relname = 't'"), "0");
}

#[tokio::test]
async fn a_held_table_is_waited_for_within_the_bound_and_named() {
    let major = MAJORS[0];
    let source = TestDatabase::new(major, "held");
    source.psql("CREATE TABLE busy (a int)");
    let holder = session(major, &source.name).await;
    holder.execute("BEGIN; LOCK TABLE public.busy IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let server = Server::from_url(&source.url()).unwrap();
    let options = CaptureOptions {
        lock_timeout: Duration::from_millis(200),
        connections: 1,
        rows: true,
        filter: Filter::default(),
    };
    let error = capture::open(&server, &options, &Cancel::new()).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Source);
    assert!(error.chain().contains("cannot lock all tables"), "{}", error.chain());
}

#[tokio::test]
async fn settings_of_the_database_change_nothing() {
    let major = MAJORS[MAJORS.len() - 1];
    let source = TestDatabase::new(major, "hostile");
    source.psql(
        "CREATE TABLE t (a timestamptz DEFAULT '2024-01-01 00:00+00', b interval DEFAULT '1 day 2 hours', m money)",
    );
    source.psql("INSERT INTO t (m) VALUES (1234.56)");
    let plain = capture(&source.url()).await;
    let before = whole_script(&plain).await;
    plain.commit().await.unwrap();
    for setting in [
        "search_path = public",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = sql_standard",
        "standard_conforming_strings = off",
        "quote_all_identifiers = on",
        "timezone = 'Asia/Kathmandu'",
        "statement_timeout = '1s'",
        "default_transaction_isolation = serializable",
    ] {
        source.psql(&format!("ALTER DATABASE \"{}\" SET {setting}", source.name));
    }
    let changed = capture(&source.url()).await;
    assert_eq!(whole_script(&changed).await, before);
    let kept = changed.facts().properties.settings.len();
    assert_eq!(kept, 8);
    changed.commit().await.unwrap();
}

#[tokio::test]
async fn bytes_of_a_database_without_an_encoding_survive() {
    let major = MAJORS[MAJORS.len() - 1];
    let source = TestDatabase::planned(major, "ascii");
    let sql = format!("CREATE DATABASE \"{}\" TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'", source.name);
    psql(major, &format!("{}/postgres", server_url(major)), &sql);
    let maker = session(major, &source.name).await;
    maker.execute("DO $$ BEGIN EXECUTE 'CREATE TABLE public.\"n' || chr(233) || '\" (a text DEFAULT ''' || chr(255) || ''')'; END $$").await.unwrap();
    let capture = capture(&source.url()).await;
    let table = &capture.script().tables[0];
    assert_eq!(table.rows.table.name.as_str(), "n\u{e9}");
    let script = capture.script();
    let text: String = script.entries.iter().map(|entry| script.statements.get(entry.sql).unwrap()).collect();
    let bytes = capture.session().codec().encode(&text).unwrap();
    capture.commit().await.unwrap();
    assert!(bytes.windows(4).any(|part| part == b"\"n\xe9\""), "one byte, as in the catalog");
    assert!(!bytes.windows(2).any(|part| part == b"\xc3\xa9"), "not its UTF-8 form");
}
