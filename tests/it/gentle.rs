//! A dump beside a working database: what it takes from it, and what it leaves.

use std::time::Instant;

use crate::own_server::{OwnServer, Recipe};
use crate::program::Sandbox;
use crate::sample;
use crate::util::{TestDatabase, bin_dir};

#[test]
fn a_limit_holds_for_all_connections_together() {
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(18, "gentle_limit");
    sample::fill_slowly_read(&database, "one", 2);
    sample::fill_slowly_read(&database, "other", 2);
    let rows = "SELECT sum(length(v) + length(id::text) + 2) FROM (SELECT * FROM one UNION ALL SELECT * FROM other) t";
    let bytes: f64 = database.psql(rows).parse().unwrap();
    for (flags, rate) in [(["--jobs", "4"], 1_u32), (["--gentle", "--quiet"], 2)] {
        let limit = format!("{rate}M/s");
        let began = Instant::now();
        let output = format!("limited{rate}.sql.gz");
        let base = ["backup", "postgres", "--limit-rate", &limit, "--url", &database.url(), "--output", &output];
        sandbox.run(&[&base[..], &flags].concat()).expect(0);
        let least = bytes / f64::from(rate << 20);
        assert!(began.elapsed().as_secs_f64() > 0.9 * least, "{limit}: {:?} for {bytes} bytes", began.elapsed());
    }
    sandbox.run(&["backup", "postgres", "--limit-rate", "fast", "--url", &database.url()]).expect(2).says("20M");
    sandbox.run(&["backup", "postgres", "--gentle", "--jobs", "2", "--url", &database.url()]).expect(2).says("--jobs");
}

/// Buffers of 8 KiB.
const SHARED_BUFFERS: u32 = 2048;

#[test]
fn a_gentle_dump_leaves_the_servers_cache_alone() {
    assert!(bin_dir(17).exists());
    let shared_buffers = format!("shared_buffers={}kB", SHARED_BUFFERS * 8);
    let hba = "host all all 127.0.0.1/32 trust\nlocal all all trust\n";
    let server = OwnServer::start(17, &Recipe { hba, settings: &[&shared_buffers], files: &[] });
    // `cold` is far larger than a quarter of the cache: then a plain scan passes by it.
    server.psql(
        "CREATE EXTENSION pg_buffercache; CREATE EXTENSION pg_prewarm; \
         CREATE TABLE cold AS SELECT g AS id, repeat('x', 900) AS v FROM generate_series(1, 45000) g; \
         CREATE TABLE hot AS SELECT g AS id, repeat('y', 900) AS v FROM generate_series(1, 12000) g; \
         CHECKPOINT",
    );
    let held = |table: &str| -> u32 {
        let sql = format!(
            "SELECT count(*) FROM pg_buffercache WHERE relfilenode = pg_relation_filenode('{table}') AND reldatabase <> 0"
        );
        server.psql(&sql).parse().unwrap()
    };
    let sandbox = Sandbox::new();
    let dump = |flags: &[&str]| {
        server.psql("SELECT pg_prewarm('hot')");
        server.psql("SELECT pg_prewarm('hot')");
        let before = held("hot");
        let url = server.admin_url();
        let base = ["backup", "postgres", "--table", "cold", "--url", &url, "--output", "cold.sql.gz", "--force"];
        sandbox.run(&[&base[..], flags].concat()).expect(0);
        (before, held("hot"), held("cold"))
    };
    let (before, hot, cold) = dump(&["--gentle"]);
    assert!(before > SHARED_BUFFERS / 2, "{before} buffers are too few to lose");
    // The catalogs need a few.
    assert!(hot >= before - before / 5, "{hot} of {before} buffers are left");
    assert!(cold < SHARED_BUFFERS / 10, "{cold} buffers went to the dump");
    // What it is good for: parts of a table go through the cache.
    let (_, hot_in_parts, cold) = dump(&["--jobs", "4"]);
    assert!(cold > SHARED_BUFFERS / 4 && hot_in_parts < hot, "{cold} buffers went to a dump in parts");
}
