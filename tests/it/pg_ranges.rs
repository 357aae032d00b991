//! Tables read in parts by several connections: the same rows as read whole, whatever happens to the table meanwhile.

use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use miyabi_backup::cancel::Cancel;
use miyabi_backup::ident::StreamId;
use miyabi_backup::pg::capture::{self, Capture, CaptureOptions};
use miyabi_backup::pg::connect::Server;
use miyabi_backup::pg::copy_out::{self, CopyTask, Source};
use miyabi_backup::pg::filter::Filter;
use miyabi_backup::pg::script::TableData;
use miyabi_backup::pipeline::feed;
use miyabi_backup::pipeline::feed::QUEUE_BYTES;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::pg_copy::{Coordinator, chain, collect};
use crate::program::Sandbox;
use crate::sample;
use crate::util::{TestDatabase, psql};

async fn captured(database: &TestDatabase) -> Capture {
    let options =
        CaptureOptions { lock_timeout: Duration::from_secs(30), connections: 1, rows: true, filter: Filter::default() };
    let server = Server::from_url(&database.url()).unwrap();
    capture::open(&server, &options, &Cancel::new()).await.unwrap()
}

fn task(table: &TableData, stream: u32) -> CopyTask {
    CopyTask {
        stream: StreamId(stream),
        rows: table.rows.clone(),
        oid: table.oid,
        relkind: 'r',
        relfilenode: Some(table.filenode),
        bytes_estimate: table.bytes_estimate,
    }
}

fn source(capture: &Capture, connections: usize) -> Source {
    Source {
        server: capture.reached().server.clone(),
        snapshot: capture.snapshot_id().to_owned(),
        connections: NonZeroUsize::new(connections).unwrap(),
        limit: None,
    }
}

fn sorted(rows: &[u8]) -> Vec<&[u8]> {
    let mut rows: Vec<&[u8]> = rows.split_inclusive(|byte| *byte == b'\n').collect();
    rows.sort_unstable();
    rows
}

/// How many sessions read a part of a table. The server may be done with it already, and the rest stand in the sockets.
const READERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND query LIKE 'COPY (SELECT % WHERE ctid %'";

/// Reads all tables of a database by so many connections, of which all stand in the middle of a part at one time.
async fn read_in_parts(database: &TestDatabase, connections: usize) -> Vec<(u64, Vec<u8>)> {
    let capture = captured(database).await;
    let tables = &capture.script().tables;
    let tasks = tables.iter().enumerate().map(|(stream, table)| task(table, stream as u32)).collect();
    // Nobody takes blocks off the queue until all connections wait for room in it.
    let (sender, receiver) = feed(1);
    let (url, major) = (database.url(), database.major);
    let collector = tokio::spawn(async move {
        let watch = tokio::task::spawn_blocking(move || {
            let deadline = Instant::now() + Duration::from_secs(60);
            while psql(major, &url, READERS) != connections.to_string() {
                assert!(Instant::now() < deadline, "never were {connections} connections reading");
                thread::sleep(Duration::from_millis(20));
            }
        });
        watch.await.unwrap();
        collect(receiver).await
    });
    let copied = copy_out::run(&source(&capture, connections), tasks, &sender, &Cancel::new()).await.unwrap();
    drop(sender);
    let mut streams = collector.await.unwrap();
    assert_eq!(copied.rows, streams.values().map(|stream| stream.count).sum::<u64>());
    let names = 0..tables.len() as u32;
    let read = names.map(|stream| streams.remove(&stream).map(|read| (read.count, read.rows)).unwrap());
    let read = read.collect();
    capture.commit().await.unwrap();
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_read_by_all_connections_and_comes_whole() {
    for major in [14, 15, 18] {
        let database = TestDatabase::new(major, "ranges_one");
        database.psql(
            "CREATE TABLE one (dropped text, id int, t text, twice int GENERATED ALWAYS AS (id * 2) STORED); \
             INSERT INTO one SELECT 'x', g, repeat('y', 1000) FROM generate_series(1, 60000) g; \
             ALTER TABLE one DROP dropped",
        );
        let read = read_in_parts(&database, 3).await;
        let (count, rows) = &read[0];
        let whole = psql(major, &database.url(), "COPY one (id, t) TO STDOUT") + "\n";
        assert_eq!(*count, 60_000, "PostgreSQL {major}");
        assert!(sorted(rows) == sorted(whole.as_bytes()), "PostgreSQL {major}: rows differ");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_pages_whose_rows_fill_toast_are_read_by_all_connections() {
    let database = TestDatabase::new(18, "ranges_toast");
    database.psql(
        "CREATE TABLE large (id int, v text); ALTER TABLE large ALTER v SET STORAGE EXTERNAL; \
         INSERT INTO large SELECT g, repeat('x', 1 << 20) FROM generate_series(1, 200) g",
    );
    let pages = database.psql("SELECT pg_relation_size('large') / 8192");
    assert!(pages.parse::<u32>().unwrap() <= 2, "the heap has {pages} pages");
    let read = read_in_parts(&database, 3).await;
    let (count, rows) = &read[0];
    assert_eq!((*count, rows.len()), (200, (1..=200).map(|id: u32| id.to_string().len() + 2 + (1 << 20)).sum()));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_only_of_heaps_and_where_the_server_reads_them_well() {
    for major in [13, 14, 18] {
        let database = TestDatabase::new(major, "ranges_kinds");
        database.psql(
            "CREATE TABLE plain AS SELECT 1 AS a; CREATE TABLE bare (); \
             CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler; \
             CREATE TABLE in_other (a int) USING other; \
             CREATE TABLE parent (a int); CREATE TABLE child () INHERITS (parent); \
             CREATE TABLE root (a int) PARTITION BY LIST (a); CREATE TABLE leaf PARTITION OF root DEFAULT",
        );
        let capture = captured(&database).await;
        let ranged = |name: &str| {
            let tables = &capture.script().tables;
            tables.iter().find(|table| table.rows.table.name.as_str() == name).map(|table| table.rows.pages.is_some())
        };
        let heap = Some(major >= 14);
        for (name, expected) in [("plain", heap), ("parent", heap), ("child", heap), ("leaf", heap)] {
            assert_eq!(ranged(name), expected, "PostgreSQL {major}: {name}");
        }
        assert_eq!((ranged("bare"), ranged("in_other"), ranged("root")), (Some(false), Some(false), None));
    }
}

/// Tables whose pages are in every state that a part may begin or end with.
const SHAPES: &str = "
    CREATE TABLE empty (a int); CREATE TABLE one_row AS SELECT 1 AS a;
    CREATE TABLE one_page AS SELECT g AS a FROM generate_series(1, 200) g;
    CREATE TABLE holes AS SELECT g AS a, repeat('x', g % 700) AS t FROM generate_series(1, 5000) g;
    DELETE FROM holes WHERE a % 3 = 0 OR a BETWEEN 1000 AND 3000;
    CREATE TABLE hot (a int PRIMARY KEY, n int, t text) WITH (fillfactor = 50);
    INSERT INTO hot SELECT g, 0, repeat('y', 90) FROM generate_series(1, 2000) g;
    UPDATE hot SET n = n + 1; UPDATE hot SET n = n + 1 WHERE a % 2 = 0;
    CREATE TABLE parent AS SELECT g AS a FROM generate_series(1, 900) g;
    CREATE TABLE child () INHERITS (parent); INSERT INTO child SELECT g FROM generate_series(901, 2000) g;
    CREATE TABLE wide AS SELECT g AS a, repeat('z', 3000) AS t FROM generate_series(1, 40) g;";

#[test]
fn parts_of_any_size_are_the_whole_table() {
    let database = TestDatabase::new(18, "ranges_property");
    database.psql(SHAPES);
    // Whoever writes between two transactions leaves pages that nobody has pruned.
    database.psql("UPDATE hot SET n = n + 1 WHERE a % 5 = 0; VACUUM holes; INSERT INTO holes SELECT 7, 'new'");
    let shapes = ["empty", "one_row", "one_page", "holes", "hot", "parent", "child", "wide"];
    let whole = shapes.map(|table| psql(18, &database.url(), &format!("COPY {table} TO STDOUT")));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Sizes on disk and pages that the plan believes in; both may be wrong, since the table changes.
    let plans = (prop::collection::vec((0_u64..2 << 30, 0_u64..200), shapes.len()), 1_usize..6);
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let ran = runner.run(&plans, |(sizes, connections)| {
        let streams = runtime.block_on(async {
            let coordinator = Coordinator::new(&database.url(), connections).await;
            let mut tasks = Vec::new();
            for (stream, (table, (bytes, pages))) in shapes.iter().zip(&sizes).enumerate() {
                let mut task = coordinator.task(stream as u32, table).await;
                task.rows.pages = Some(*pages);
                tasks.push(CopyTask { bytes_estimate: *bytes, ..task });
            }
            let (copied, streams) = coordinator.run(tasks).await;
            copied.unwrap();
            streams
        });
        for (stream, whole) in whole.iter().enumerate() {
            let read = &streams[&(stream as u32)];
            let whole = if whole.is_empty() { String::new() } else { format!("{whole}\n") };
            prop_assert!(sorted(&read.rows) == sorted(whole.as_bytes()), "{} differs", shapes[stream]);
            prop_assert_eq!(read.ended, Some(Some(read.count)));
        }
        Ok(())
    });
    ran.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_meanwhile_changes_nothing() {
    for major in [15, 18] {
        let database = TestDatabase::new(major, "ranges_busy");
        database.psql(
            "CREATE TABLE busy (a int PRIMARY KEY, n int DEFAULT 0, t text) WITH (fillfactor = 70); \
             INSERT INTO busy (a, t) SELECT g, repeat('x', 400) FROM generate_series(1, 60000) g",
        );
        let before = psql(major, &database.url(), "COPY busy TO STDOUT") + "\n";
        let capture = captured(&database).await;
        // The file grows, rows move within their page and to others, dead ones are cleared away.
        let changes = "UPDATE busy SET n = n + 1 WHERE a % 7 = 0; UPDATE busy SET t = t || 'y' WHERE a % 11 = 0; \
                       DELETE FROM busy WHERE a % 13 = 0; \
                       INSERT INTO busy (a, t) SELECT -g - (SELECT count(*) FROM busy), 'new' FROM generate_series(1, 20000) g";
        let change = |url: &str| {
            psql(major, url, changes);
            psql(major, url, "VACUUM busy");
        };
        change(&database.url());
        let url = database.url();
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        let disturber = tokio::task::spawn_blocking(move || {
            while is_done.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                psql(major, &url, "UPDATE busy SET n = n + 1 WHERE a % 17 = 0");
                psql(major, &url, "VACUUM busy");
            }
        });
        let tasks = vec![task(&capture.script().tables[0], 0)];
        let (sender, receiver) = feed(QUEUE_BYTES);
        let collector = tokio::spawn(collect(receiver));
        let copied = copy_out::run(&source(&capture, 4), tasks, &sender, &Cancel::new()).await.unwrap();
        drop((sender, done));
        disturber.await.unwrap();
        let streams = collector.await.unwrap();
        assert_eq!(copied.rows, 60_000, "PostgreSQL {major}");
        assert!(sorted(&streams[&0].rows) == sorted(before.as_bytes()), "PostgreSQL {major}: not the snapshot's rows");
        capture.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_table_is_noticed_by_whoever_reads_a_part_of_it() {
    let database = TestDatabase::new(18, "ranges_torn");
    database.psql("CREATE TABLE victim AS SELECT g AS a FROM generate_series(1, 1000) g");
    let coordinator = Coordinator::new(&database.url(), 3).await;
    let mut task = coordinator.task(0, "victim").await;
    (task.bytes_estimate, task.rows.pages) = (1 << 30, Some(5));
    database.psql("TRUNCATE victim");
    let (_, text) = chain(coordinator.run(vec![task]).await.0);
    assert!(text.starts_with("cannot read rows of public.victim: it was truncated or rewritten"), "{text}");
}

#[test]
fn a_database_of_one_large_table_comes_back() {
    for major in [13, 15, 18] {
        let sandbox = Sandbox::new();
        let source = TestDatabase::new(major, "ranges_source");
        sample::fill(&source, 200);
        sample::fill_slowly_read(&source, "large", 40);
        source.psql("DELETE FROM large WHERE id % 7 = 0; UPDATE large SET v = v || 'z' WHERE id % 5 = 0");
        sandbox.run(&["backup", "postgres", "--jobs", "4", "--url", &source.url(), "--output", "one.sql.gz"]).expect(0);
        sandbox.run(&["verify", "one.sql.gz"]).expect(0);
        let target = TestDatabase::new(major, "ranges_target");
        let restore = ["restore", "--type", "postgres", "--file", "one.sql.gz", "--url", &target.url(), "--confirm"];
        sandbox.run(&restore).expect(0);
        sample::assert_same(&source, &target);
    }
}
