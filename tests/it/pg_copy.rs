//! Rows out of and into real servers: equal to what the server's own COPY says, and what happens when it is disturbed.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use miyabi_backup::cancel::Cancel;
use miyabi_backup::error::{Error, Kind, Result};
use miyabi_backup::ident::{Ident, QualifiedName, StreamId};
use miyabi_backup::pg::connect::{self, Control, Server};
use miyabi_backup::pg::copy_in;
use miyabi_backup::pg::copy_out::{self, Copied, CopyTask, Source};
use miyabi_backup::pg::settings::Purpose;
use miyabi_backup::pg::wire::Conn;
use miyabi_backup::pipeline::feed::{BLOCK_BYTES, QUEUE_BYTES};
use miyabi_backup::pipeline::{Feed, FeedReceiver, feed};

use crate::util::{MAJORS, TestDatabase, admin_url, psql, stock, unique};

/// A coordinator that holds an exported snapshot.
pub struct Coordinator {
    control: Control,
    source: Source,
}

impl Coordinator {
    pub async fn new(url: &str, connections: usize) -> Self {
        let server = Server::from_url(url).unwrap();
        let control = connect::client(&server, Purpose::Read).await.unwrap();
        control.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.unwrap();
        let row = control.client.query_one("SELECT pg_catalog.pg_export_snapshot()", &[]).await.unwrap();
        let source = Source {
            server: control.reached.server.clone(),
            snapshot: row.get(0),
            connections: NonZeroUsize::new(connections).unwrap(),
            limit: None,
        };
        Coordinator { control, source }
    }

    pub async fn task(&self, stream: u32, table: &str) -> CopyTask {
        let sql = "SELECT c.oid, c.relfilenode, c.relkind, ARRAY(SELECT a.attname::pg_catalog.text \
                     FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                     ORDER BY a.attnum) \
                   FROM pg_catalog.pg_class c \
                   WHERE c.relname = $1 AND c.relnamespace = 'public'::pg_catalog.regnamespace";
        let row = self.control.client.query_one(sql, &[&table]).await.unwrap();
        let (oid, file, kind): (u32, u32, i8) = (row.get(0), row.get(1), row.get(2));
        let columns: Vec<String> = row.get(3);
        let rows = copy_out::Rows {
            table: QualifiedName::new("public", table),
            columns: columns.into_iter().map(Ident::new).collect(),
            select: None,
            into: None,
            pages: None,
        };
        CopyTask {
            stream: StreamId(stream),
            rows,
            oid,
            relkind: char::from(kind as u8),
            relfilenode: Some(file),
            bytes_estimate: 0,
        }
    }

    pub async fn run(&self, tasks: Vec<CopyTask>) -> (Result<Copied>, BTreeMap<u32, Collected>) {
        self.run_with(tasks, &Cancel::new()).await
    }

    async fn run_with(&self, tasks: Vec<CopyTask>, cancel: &Cancel) -> (Result<Copied>, BTreeMap<u32, Collected>) {
        let (sender, receiver) = feed(QUEUE_BYTES);
        let collector = tokio::spawn(collect(receiver));
        let copied = copy_out::run(&self.source, tasks, &sender, cancel).await;
        drop(sender);
        (copied, collector.await.unwrap())
    }
}

#[derive(Default)]
pub struct Collected {
    pub rows: Vec<u8>,
    pub count: u64,
    blocks: Vec<Vec<u8>>,
    pub ended: Option<Option<u64>>,
}

pub async fn collect(mut receiver: FeedReceiver) -> BTreeMap<u32, Collected> {
    let mut streams: BTreeMap<u32, Collected> = BTreeMap::new();
    while let Some(message) = receiver.recv().await {
        match message {
            Feed::Block(block) => {
                let stream = streams.entry(block.stream.0).or_default();
                assert!(stream.ended.is_none(), "a block after its stream's end");
                let span = block.rows.expect("blocks of tables count their rows");
                stream.rows.extend_from_slice(&block.bytes[span.at.clone()]);
                stream.count += span.count;
                stream.blocks.push(block.bytes);
            }
            Feed::End { stream, rows } => {
                let ended = streams.entry(stream.0).or_default().ended.replace(rows);
                assert!(ended.is_none(), "a stream ended twice");
            }
        }
    }
    streams
}

/// What the server's own COPY of the table says, by stock psql.
fn servers_copy(database: &TestDatabase, sql: &str) -> Vec<u8> {
    let mut psql = stock(database.major, "psql");
    psql.args(["-XAtq", "-d", &database.url(), "-c", "SET timezone = 'UTC'", "-c", sql]);
    let output = psql.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub fn chain(outcome: Result<Copied>) -> (Error, String) {
    let error = outcome.expect_err("the run is disturbed");
    let text = error.chain();
    (error, text)
}

const ZOO: &str = "
    CREATE TABLE zoo (i bigint, f float8, n numeric, t text, b bytea, at timestamptz, d date, v interval, a text[], j jsonb);
    INSERT INTO zoo VALUES (1, 0.1::float8 + 0.2, 'NaN', E'tab\\tnew\\nline\\\\.\\r', '\\x00ff', '2024-03-31 01:30:00+00',
        'infinity', '-1 day +02:03:04', '{a,NULL,\"NULL\"}', '{\"k\": [1, null]}'), (2, '-0', 1e100, '\\.', '', '-infinity', '4713-01-01 BC',
        '1 year 2 mons', '{}', '\"\\\\u00e9\"'), (NULL, 'Infinity', NULL, '', NULL, NULL, NULL, NULL, NULL, NULL);
    CREATE TABLE many AS SELECT g AS id, md5(g::text) || repeat('x', g % 90) AS t FROM generate_series(1, 60000) g;
    CREATE TABLE empty (a int);
    CREATE TABLE no_columns ();
    INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
    CREATE TABLE wide AS SELECT g AS id, repeat(chr(96 + g), 1500000) AS t FROM generate_series(1, 3) g;
    CREATE TABLE \"odd \"\"name\nhere\" AS SELECT 1 AS a;";

#[tokio::test(flavor = "multi_thread")]
async fn copied_rows_equal_the_servers_own_copy() {
    for major in MAJORS {
        let database = TestDatabase::new(major, "copy_zoo");
        database.psql(ZOO);
        // What a role carries must not change what is read.
        let hostile = "ALTER DATABASE \"@\" SET datestyle = 'German'; ALTER DATABASE \"@\" SET intervalstyle = 'iso_8601'; \
                       ALTER DATABASE \"@\" SET extra_float_digits = 0; ALTER DATABASE \"@\" SET bytea_output = 'escape'; \
                       ALTER DATABASE \"@\" SET statement_timeout = '500ms'; ALTER DATABASE \"@\" SET search_path = 'public';";
        let tables = ["zoo", "many", "empty", "no_columns", "wide", "odd \"name\nhere"];
        let expected: Vec<Vec<u8>> = tables
            .iter()
            .map(|table| servers_copy(&database, &format!("COPY {} TO STDOUT", QualifiedName::new("public", *table))))
            .collect();
        psql(major, &admin_url(major), &hostile.replace('@', &database.name));

        let coordinator = Coordinator::new(&database.url(), 3).await;
        let mut tasks = Vec::new();
        for (stream, table) in tables.iter().enumerate() {
            tasks.push(coordinator.task(stream as u32, table).await);
        }
        let prefixes: Vec<String> = tasks.iter().map(|task| task.rows.copy_from()).collect();
        let (copied, streams) = coordinator.run(tasks).await;
        let copied = copied.unwrap();
        assert_eq!(copied.rows, 3 + 60_000 + 2 + 3 + 1, "PostgreSQL {major}");
        for (stream, expected) in expected.iter().enumerate() {
            let got = &streams[&(stream as u32)];
            assert!(got.rows == *expected, "PostgreSQL {major}: rows of {} differ", tables[stream]);
            assert_eq!(got.ended, Some(Some(got.count)), "PostgreSQL {major}: {}", tables[stream]);
            for block in &got.blocks {
                assert!(block.starts_with(prefixes[stream].as_bytes()));
                assert!(block.ends_with(b"\n\\.\n"));
                assert!(
                    block.len() <= BLOCK_BYTES || got.count == got.blocks.len() as u64,
                    "an oversize row stands alone"
                );
            }
        }
        assert!(streams[&1].blocks.len() > 1, "the large table takes several blocks");
        assert_eq!(streams[&4].blocks.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_without_an_encoding_pass_unchanged() {
    let name = unique("copy_ascii");
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'");
    psql(16, &admin_url(16), &create);
    let database = TestDatabase { major: 16, name };
    database.psql("CREATE TABLE raw (t text); INSERT INTO raw SELECT convert_from('\\xff80fe41', 'SQL_ASCII')");
    let coordinator = Coordinator::new(&database.url(), 1).await;
    let task = coordinator.task(0, "raw").await;
    let (copied, streams) = coordinator.run(vec![task]).await;
    copied.unwrap();
    assert_eq!(streams[&0].rows, b"\xff\x80\xfeA\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changed_after_the_snapshot_is_named() {
    let changes = [
        ("TRUNCATE victim", "truncated or rewritten"),
        ("ALTER TABLE victim ALTER a TYPE bigint", "truncated or rewritten"),
        ("DROP TABLE victim", "dropped, renamed or replaced"),
        ("ALTER TABLE victim RENAME TO other", "dropped, renamed or replaced"),
        ("DROP TABLE victim; CREATE VIEW victim AS SELECT 1 AS a", "dropped, renamed or replaced"),
    ];
    for major in MAJORS {
        for (change, said) in changes {
            let database = TestDatabase::new(major, "copy_torn");
            database.psql("CREATE TABLE calm AS SELECT 1 AS a; CREATE TABLE victim AS SELECT 1 AS a");
            let coordinator = Coordinator::new(&database.url(), 1).await;
            let tasks = vec![coordinator.task(0, "victim").await, coordinator.task(1, "calm").await];
            let relation_is_gone = change.starts_with("DROP TABLE victim") || change.contains("RENAME");
            database.psql(change);
            let (error, text) = chain(coordinator.run(tasks).await.0);
            assert_eq!(error.kind(), Kind::Source);
            assert!(text.starts_with("cannot read rows of public.victim: "), "PostgreSQL {major}, {change}: {text}");
            let missing =
                relation_is_gone && (text.contains("does not exist") || text.contains("could not obtain lock"));
            assert!(text.contains(said) || missing, "PostgreSQL {major}, {change}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_that_became_a_view_in_place_is_named() {
    // Up to 15 a rule turns an empty table into a view without a new OID.
    let database = TestDatabase::new(15, "copy_rule");
    database.psql("CREATE TABLE victim (a int)");
    let coordinator = Coordinator::new(&database.url(), 1).await;
    let task = coordinator.task(0, "victim").await;
    database.psql("CREATE RULE \"_RETURN\" AS ON SELECT TO victim DO INSTEAD SELECT 1 AS a");
    let (_, text) = chain(coordinator.run(vec![task]).await.0);
    assert!(text.starts_with("cannot read rows of public.victim: it became another kind"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_stronger_lock_is_named_at_once() {
    let database = TestDatabase::new(17, "copy_lock");
    database.psql("CREATE TABLE busy AS SELECT 1 AS a");
    let coordinator = Coordinator::new(&database.url(), 1).await;
    let task = coordinator.task(0, "busy").await;
    let server = Server::from_url(&database.url()).unwrap();
    let mut holder = Conn::open(&server, Purpose::Write).await.unwrap();
    holder.execute(b"BEGIN; LOCK TABLE public.busy IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (error, text) = chain(coordinator.run(vec![task]).await.0);
    assert!(text.starts_with("cannot read rows of public.busy: could not obtain lock"), "{text}");
    assert!(error.hint_text().unwrap().contains("stronger lock"));
    holder.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_names_its_table() {
    let database = TestDatabase::new(18, "copy_kill");
    database.psql("CREATE TABLE slow AS SELECT 1 AS a");
    let coordinator = Coordinator::new(&database.url(), 2).await;
    let mut task = coordinator.task(0, "slow").await;
    task.rows.select = Some("SELECT pg_catalog.pg_sleep(60)".into());
    let url = database.url();
    let killer = tokio::task::spawn_blocking(move || {
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY (SELECT pg_catalog.pg_sleep%'";
        let deadline = Instant::now() + Duration::from_secs(20);
        while psql(18, &url, kill) == "0" {
            assert!(Instant::now() < deadline, "the COPY was never seen");
        }
    });
    let (error, text) = chain(coordinator.run(vec![task]).await.0);
    killer.await.unwrap();
    assert_eq!(error.kind(), Kind::Source);
    assert!(text.starts_with("cannot read rows of public.slow: terminating connection"), "{text}");
    assert!(error.hint_text().unwrap().contains("administrator"));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_is_prompt_and_reaches_the_server() {
    let database = TestDatabase::new(18, "copy_cancel");
    database.psql("CREATE TABLE slow AS SELECT 1 AS a");
    let coordinator = Coordinator::new(&database.url(), 1).await;
    let mut task = coordinator.task(0, "slow").await;
    task.rows.select = Some("SELECT pg_catalog.pg_sleep(60)".into());
    let running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY (SELECT pg_catalog.pg_sleep%' AND state = 'active'";
    let cancel = Cancel::new();
    let (url, canceller) = (database.url(), cancel.clone());
    let stopper = tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + Duration::from_secs(20);
        while psql(18, &url, running) == "0" && Instant::now() < deadline {}
        canceller.cancel_by_signal(15);
        Instant::now()
    });
    let (error, text) = chain(coordinator.run_with(vec![task], &cancel).await.0);
    let asked = stopper.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "took {:?}", asked.elapsed());
    assert_eq!((error.kind(), text.as_str()), (Kind::Signal(15), "stopped by signal 15"));
    let deadline = Instant::now() + Duration::from_secs(5);
    while database.psql(running) != "0" {
        assert!(Instant::now() < deadline, "the server goes on with the COPY");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_says_what_to_grant() {
    let database = TestDatabase::new(16, "copy_grant");
    let role = unique("reader");
    database.psql(&format!("CREATE ROLE {role} LOGIN; CREATE TABLE secret AS SELECT 1 AS a"));
    let url = database.url().replace("postgres@", &format!("{role}@"));
    let coordinator = Coordinator::new(&url, 1).await;
    let task = coordinator.task(0, "secret").await;
    let (error, text) = chain(coordinator.run(vec![task]).await.0);
    assert!(text.starts_with("cannot read rows of public.secret: permission denied for table secret"), "{text}");
    assert!(error.hint_text().unwrap().contains("GRANT SELECT ON TABLE secret"));
    drop(coordinator);
    database.psql(&format!("DROP ROLE {role}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_level_security_fails_instead_of_hiding_rows() {
    let database = TestDatabase::new(18, "copy_rls");
    let role = unique("tenant");
    database.psql(&format!(
        "CREATE ROLE {role} LOGIN; CREATE TABLE guarded AS SELECT g AS a FROM generate_series(1, 9) g; \
         ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON guarded USING (a < 3); \
         GRANT SELECT ON guarded TO {role}"
    ));
    let url = database.url().replace("postgres@", &format!("{role}@"));
    let coordinator = Coordinator::new(&url, 1).await;
    let task = coordinator.task(0, "guarded").await;
    let (error, text) = chain(coordinator.run(vec![task]).await.0);
    assert!(text.contains("row-level security"), "{text}");
    assert!(error.hint_text().unwrap().contains("BYPASSRLS"));
    drop(coordinator);
    database.psql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

async fn writer(database: &TestDatabase) -> Conn {
    Conn::open(&Server::from_url(&database.url()).unwrap(), Purpose::Write).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_load_as_they_were_read() {
    for major in MAJORS {
        let database = TestDatabase::new(major, "copy_load");
        database.psql(ZOO);
        let coordinator = Coordinator::new(&database.url(), 2).await;
        let mut tasks = Vec::new();
        for (stream, table) in ["zoo", "many", "no_columns", "wide"].iter().enumerate() {
            tasks.push(coordinator.task(stream as u32, table).await);
        }
        let (copied, streams) = coordinator.run(tasks).await;
        copied.unwrap();
        drop(coordinator);
        let digest = "SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM \"%\" t";
        let of = |table: &str| database.psql(&digest.replace('%', table));
        let before = ["zoo", "many", "no_columns", "wide"].map(of);
        database.psql("TRUNCATE zoo, many, no_columns, wide");
        let mut conn = writer(&database).await;
        for stream in streams.values() {
            for block in &stream.blocks {
                let rows = block.iter().filter(|byte| **byte == b'\n').count() as u64 - 2;
                copy_in::load(&mut conn, block, rows, &Cancel::new()).await.unwrap();
            }
        }
        conn.close().await;
        assert_eq!(["zoo", "many", "no_columns", "wide"].map(of), before, "PostgreSQL {major}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_names_table_row_and_column_and_leaves_the_connection_usable() {
    let database = TestDatabase::new(15, "copy_bad");
    database.psql("CREATE TABLE numbers (n int, t text)");
    let mut conn = writer(&database).await;
    let member = b"COPY \"public\".\"numbers\" (\"n\", \"t\") FROM stdin;\n1\ta\n2\tb\nthree\tc\n\\.\n";
    let error = copy_in::load(&mut conn, member, 3, &Cancel::new()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Target);
    let text = error.chain();
    assert!(text.starts_with("cannot load rows into public.numbers: invalid input syntax"), "{text}");
    assert!(text.contains("COPY numbers, line 3, column n: \"three\""), "{text}");

    let missing = b"COPY \"public\".\"nowhere\" (\"n\") FROM stdin;\n1\n\\.\n";
    let error = copy_in::load(&mut conn, missing, 1, &Cancel::new()).await.unwrap_err();
    assert!(error.chain().starts_with("cannot load rows into public.nowhere: relation"), "{}", error.chain());

    let cancelled = Cancel::new();
    cancelled.cancel_by_signal(2);
    let good = b"COPY \"public\".\"numbers\" (\"n\", \"t\") FROM stdin;\n1\ta\n\\.\n";
    assert_eq!(copy_in::load(&mut conn, good, 1, &cancelled).await.unwrap_err().kind(), Kind::Signal(2));
    let error = copy_in::load(&mut conn, good, 2, &Cancel::new()).await.unwrap_err();
    assert!(error.chain().contains("kept 1 of 2 rows"), "{}", error.chain());
    let error = copy_in::execute(&mut conn, b"CREATE TABLE broken (").await.unwrap_err();
    assert!(error.chain().starts_with("cannot run `CREATE TABLE broken (`: syntax error"), "{}", error.chain());
    copy_in::execute(&mut conn, b"CREATE TABLE public.whole (a int); INSERT INTO public.whole VALUES (1)")
        .await
        .unwrap();
    assert_eq!(database.psql("SELECT count(*) FROM numbers, whole"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_talks_during_copy_does_not_stall_it() {
    let database = TestDatabase::new(18, "copy_notices");
    database.psql(
        "CREATE TABLE noisy (n int); CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN RAISE WARNING '%', repeat('x', 20000); RETURN NEW; END$$; \
         CREATE TRIGGER shout BEFORE INSERT ON noisy FOR EACH ROW EXECUTE FUNCTION shout()",
    );
    let rows: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    let member = format!("COPY public.noisy (n) FROM stdin;\n{rows}\\.\n");
    let mut conn = writer(&database).await;
    let cancel = Cancel::new();
    let load = copy_in::load(&mut conn, member.as_bytes(), 20_000, &cancel);
    tokio::time::timeout(Duration::from_secs(60), load).await.expect("no deadlock").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_a_copy_up_keeps_no_row() {
    let database = TestDatabase::new(14, "copy_fail");
    database.psql("CREATE TABLE t (n int)");
    let mut conn = writer(&database).await;
    conn.copy_in(b"COPY public.t FROM stdin").await.unwrap();
    conn.copy_send(b"1\n2\n").await.unwrap();
    conn.copy_fail("the archive is damaged").await.unwrap();
    let rows = conn.query(b"SELECT pg_catalog.count(*)::text FROM public.t").await.unwrap();
    assert_eq!(rows, [[Some(b"0".to_vec())]]);
}
