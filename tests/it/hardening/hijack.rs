//! Objects that stand in for the server's own: in the search path, and swapped under the hands of a running backup.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use miyabi_backup::error::Kind;
use miyabi_backup::ident::QualifiedName;
use miyabi_backup::pg::catalog::sequence;
use miyabi_backup::pg::session::Session;
use tokio_postgres::NoTls;

use super::{assert_told_the_same, back_up, restore, restore_by_psql};
use crate::program::Sandbox;
use crate::util::{TestDatabase, server_url};

/// Whoever runs one of these moves the sequence, which no rollback undoes; in a read-only transaction it fails.
const TRAPS: &str = r#"
CREATE SEQUENCE public.sprung;
CREATE FUNCTION public.trap() RETURNS boolean LANGUAGE sql AS $$ SELECT pg_catalog.nextval('public.sprung') > 0 $$;
DO $do$ DECLARE t text; op text;
BEGIN
  FOREACH t IN ARRAY ARRAY['name', 'text', 'oid', '"char"', 'int4', 'int2', 'bool'] LOOP
    EXECUTE pg_catalog.format('CREATE FUNCTION public.trap(%1$s, %1$s) RETURNS boolean LANGUAGE sql AS $$ SELECT public.trap() $$', t);
    FOREACH op IN ARRAY ARRAY['=', '<>', '<', '>', '~', '!~', '^@', '||', '-'] LOOP
      EXECUTE pg_catalog.format('CREATE OPERATOR public.%s (LEFTARG = %2$s, RIGHTARG = %2$s, FUNCTION = public.trap)', op, t);
    END LOOP;
  END LOOP;
END $do$;
CREATE FUNCTION public.format(text, VARIADIC "any") RETURNS text LANGUAGE internal AS 'text_format';
CREATE OR REPLACE FUNCTION public.format(text) RETURNS text LANGUAGE sql AS 'SELECT public.trap()::text';
CREATE FUNCTION public.quote_ident(text) RETURNS text LANGUAGE sql AS 'SELECT public.trap()::text';
CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT public.trap()::text';
CREATE FUNCTION public.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'SELECT public.trap()::text';
CREATE FUNCTION public.current_database() RETURNS name LANGUAGE sql AS 'SELECT public.trap()::text::name';
CREATE FUNCTION public.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT public.trap()::int';
CREATE FUNCTION public.to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT public.trap()::int::oid::regclass';
CREATE FUNCTION public.lo_get(oid) RETURNS bytea LANGUAGE sql AS 'SELECT public.trap()::text::bytea';
CREATE FUNCTION public.lo_create(oid) RETURNS oid LANGUAGE sql AS 'SELECT public.trap()::int::oid';
CREATE FUNCTION public.setval(regclass, bigint, boolean) RETURNS bigint LANGUAGE sql AS 'SELECT public.trap()::int::bigint';
CREATE FUNCTION public.pg_get_viewdef(oid) RETURNS text LANGUAGE sql AS 'SELECT public.trap()::text';
CREATE FUNCTION public.caught(int, anyelement) RETURNS int LANGUAGE sql AS 'SELECT public.trap()::int';
CREATE AGGREGATE public.array_agg(anyelement) (SFUNC = public.caught, STYPE = int, INITCOND = '0');
CREATE AGGREGATE public.count(anyelement) (SFUNC = public.caught, STYPE = int, INITCOND = '0');
CREATE VIEW public.pg_class AS SELECT c.*, public.trap() AS trap FROM pg_catalog.pg_class c;
CREATE VIEW public.pg_namespace AS SELECT c.*, public.trap() AS trap FROM pg_catalog.pg_namespace c;
CREATE VIEW public.pg_settings AS SELECT c.*, public.trap() AS trap FROM pg_catalog.pg_settings c;
CREATE VIEW public.pg_roles AS SELECT c.*, public.trap() AS trap FROM pg_catalog.pg_roles c;
CREATE VIEW public.pg_database AS SELECT c.*, public.trap() AS trap FROM pg_catalog.pg_database c;
CREATE TYPE public.oid AS ENUM ('not yours'); CREATE DOMAIN public.text AS int; CREATE TYPE public.regclass AS (a int);
CREATE TABLE public.orders (id serial PRIMARY KEY, v pg_catalog.text CHECK (v OPERATOR(pg_catalog.<>) ''));
INSERT INTO public.orders (v) VALUES ('a'), ('b');
CREATE VIEW public.seen AS SELECT id FROM public.orders;
SELECT pg_catalog.lo_from_bytea(99, '\x01');
"#;

fn sprung(database: &TestDatabase) -> String {
    database.psql("SET search_path = pg_catalog; SELECT last_value, is_called FROM public.sprung")
}

#[test]
fn nothing_stands_in_for_the_servers_own_objects() {
    for major in [13, 15, 18] {
        let sandbox = Sandbox::new();
        let source = TestDatabase::new(major, "hard_hijack");
        source.psql(&format!("SET search_path = pg_catalog; {TRAPS}"));
        let set = |database: &TestDatabase| {
            database.psql(&format!(
                "SET search_path = pg_catalog; ALTER DATABASE \"{0}\" SET search_path = public, pg_catalog; \
                 ALTER ROLE postgres IN DATABASE \"{0}\" SET search_path = public, pg_catalog",
                database.name
            ));
        };
        set(&source);
        let path = source.psql("SHOW search_path");
        assert_eq!(path, "public, pg_catalog", "the traps are not in the way");
        let archive = back_up(&sandbox, &source);
        let (native, script) = (TestDatabase::planned(major, "hard_native"), TestDatabase::new(major, "hard_psql"));
        // A role's setting in a database that does not yet exist cannot be; the second restore finds both.
        restore(&sandbox, &archive, &native);
        set(&native);
        restore(&sandbox, &archive, &native);
        set(&script);
        restore_by_psql(&sandbox, &archive, &script);
        sandbox.run(&["verify", archive.to_str().unwrap()]).expect(0);
        let tables = [
            "restore",
            "--file",
            "a.sql.gz",
            "--url",
            &script.url(),
            "--data-only",
            "--table",
            "public.orders",
            "--confirm",
        ];
        script.psql("TRUNCATE public.orders");
        sandbox.run(&tables).expect(0);
        for database in [&source, &native, &script] {
            assert_eq!(sprung(database), "1|f", "a trap was sprung on {major}");
        }
        assert_told_the_same(&source, &native, "native");
        assert_told_the_same(&source, &script, "psql");
    }
}

const TRAP_VIEW: &str = "CREATE VIEW public.bait AS SELECT public.trap()::int::bigint AS last_value, true AS is_called, 0::bigint AS log_cnt, 1 AS a";

/// A server that does not know `restrict_nonsystem_relation_kind`: as here, where nobody sets it.
#[tokio::test]
async fn a_sequence_swapped_for_a_view_is_not_read_on_an_unpatched_server() {
    for major in [13, 15, 17] {
        let source = TestDatabase::new(major, "hard_swapped");
        source.psql("CREATE SEQUENCE sprung; CREATE FUNCTION trap() RETURNS boolean LANGUAGE sql AS $$ SELECT nextval('public.sprung') > 0 $$; CREATE SEQUENCE bait");
        let oid: u32 = source.psql("SELECT 'bait'::regclass::oid").parse().unwrap();
        let url = format!("{}/{}", server_url(major), source.name);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let session = Session::start(client).await.unwrap();
        assert_eq!(
            session
                .row("SHOW restrict_nonsystem_relation_kind")
                .await
                .unwrap()
                .text("restrict_nonsystem_relation_kind")
                .unwrap(),
            ""
        );
        let bait = [(oid, QualifiedName::new("public", "bait"))];
        session.execute("BEGIN").await.unwrap();
        let value = sequence::values(&session, &bait).await.unwrap().remove(0).1.unwrap();
        assert_eq!((value.last_value, value.is_called), (1, false));
        session.execute("COMMIT").await.unwrap();

        source.psql(&format!("DROP SEQUENCE bait; {TRAP_VIEW}"));
        session.execute("BEGIN").await.unwrap();
        let error = sequence::values(&session, &bait).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Source);
        assert!(error.chain().contains("\"bait\""), "{}", error.chain());
        assert_eq!(source.psql("SELECT last_value, is_called FROM sprung"), "1|f", "the view ran on {major}");
    }
}

/// CVE-2024-7348: one session swaps tables and sequences for views with a trap in them as fast as it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_swapped_for_a_view_is_not_read() {
    for major in [13, 18] {
        let source = Arc::new(TestDatabase::new(major, "hard_racer"));
        source.psql("CREATE SEQUENCE sprung; CREATE FUNCTION trap() RETURNS boolean LANGUAGE sql AS $$ SELECT nextval('public.sprung') > 0 $$; CREATE TABLE other (a int)");
        let (client, connection) = tokio_postgres::connect(&source.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let racer = tokio::spawn(async move {
            client.batch_execute("SET lock_timeout = '20ms'; SET client_min_messages = error").await.unwrap();
            let mut swaps = 0;
            let kinds =
                ["CREATE TABLE public.bait AS SELECT 1::bigint AS last_value, 1 AS a", "CREATE SEQUENCE public.bait"];
            while !stop.load(Ordering::Relaxed) {
                for sql in [
                    kinds[swaps % 2],
                    "DROP TABLE public.bait; ",
                    "DROP SEQUENCE public.bait",
                    TRAP_VIEW,
                    "DROP VIEW public.bait",
                ] {
                    drop(client.batch_execute(sql).await);
                    tokio::time::sleep(Duration::from_millis(u64::try_from(swaps % 7).unwrap() * 20)).await;
                }
                swaps += 1;
            }
            swaps
        });
        let database = Arc::clone(&source);
        let published = tokio::task::spawn_blocking(move || {
            let mut published = 0;
            for _ in 0..8 {
                let sandbox = Sandbox::new();
                let outcome = sandbox.run(&["backup", "postgres", "--url", &database.url(), "--output", "a.sql.gz"]);
                match sandbox.files("a.sql.gz").is_empty() {
                    true => drop(outcome.expect(20).blames("bait")),
                    false => {
                        drop(outcome.expect(0));
                        restore(&sandbox, &sandbox.path("a.sql.gz"), &TestDatabase::planned(major, "hard_racer_copy"));
                        published += 1;
                    }
                }
                assert_eq!(
                    database.psql("SELECT last_value, is_called FROM sprung"),
                    "1|f",
                    "a trap was sprung on {major}"
                );
            }
            published
        })
        .await;
        over.store(true, Ordering::Relaxed);
        let swaps = racer.await.unwrap();
        println!("PostgreSQL {major}: {published:?} of 8 published, {swaps} swaps");
        assert!(published.is_ok() && swaps > 10, "{published:?} {swaps}");
    }
}
