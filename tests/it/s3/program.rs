//! The program with buckets: written to in one pass, listed, verified, inspected and restored without a local copy.

use std::ffi::OsStr;
use std::process::Command;
use std::time::{Duration, Instant};

use super::proxy::{Action, Proxy};
use super::server::{self, place, url};
use crate::program::{Outcome, Sandbox};
use crate::sample;
use crate::util::TestDatabase;

const MAJOR: u32 = 17;

/// The program in a sandbox that knows the server and the ordinary key by its environment, as AWS tools do.
struct Bucket {
    sandbox: Sandbox,
    place: String,
    endpoint: String,
}

impl Bucket {
    fn new(label: &str) -> Self {
        Bucket { sandbox: Sandbox::new(), place: place(label).to_string(), endpoint: url() }
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = self.sandbox.command(arguments);
        command.env("AWS_ENDPOINT_URL", &self.endpoint);
        command.env("AWS_ACCESS_KEY_ID", "testkey").env("AWS_SECRET_ACCESS_KEY", "testsecret");
        command
    }

    fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        self.sandbox.finish(self.command(arguments))
    }

    /// Objects below the place, by name.
    fn objects(&self) -> Vec<String> {
        let location = miyabi_backup::store::s3::Location::parse(&self.place).unwrap();
        let listed = server::open(&location, server::settings()).list("").unwrap();
        listed.into_iter().map(|entry| entry.name.to_string()).collect()
    }

    fn daily(&self, label: &str) -> String {
        let is_it = |name: &String| name.contains("/daily/") && name.contains(label) && !name.ends_with(".meta");
        let found: Vec<_> = self.objects().into_iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        format!("{}/{}", self.place, found[0])
    }
}

#[test]
fn a_database_goes_to_a_bucket_and_comes_back_from_it() {
    let bucket = Bucket::new("program");
    let source = TestDatabase::new(MAJOR, "s3_source");
    sample::fill(&source, 3000);
    let backup = ["backup", "postgres", "--url", &source.url(), "--to", &bucket.place, "--no-globals"];
    bucket.run(&backup).expect(0);
    let objects = bucket.objects();
    assert_eq!(objects.len(), 6, "three tiers with their .meta: {objects:?}");
    assert!(bucket.sandbox.staging_files().is_empty() && bucket.sandbox.files(".gz").is_empty());
    // The second run of a day is a daily one alone.
    bucket.run(&backup).expect(0);
    assert_eq!(bucket.objects().len(), 8);

    bucket.run(&["list", "--from", &bucket.place]).expect(0).says("postgres/daily/").says(&source.name);
    bucket.run(&["verify", &bucket.place]).expect(0).says("4");
    let archive = format!("{}/{}", bucket.place, objects.iter().find(|name| name.contains("daily")).unwrap());
    bucket.run(&["inspect", &archive]).expect(0).says("customers");
    bucket.run(&["verify", &archive]).expect(0);

    let target = TestDatabase::planned(MAJOR, "s3_target");
    let restore = ["restore", "--file", "latest", "--from", &bucket.place, "--url", &target.url(), "--confirm"];
    bucket.run(&restore).expect(0);
    assert_eq!(sample::fingerprint(&target), sample::fingerprint(&source));
}

/// After the loss of a machine: one binary, the bucket and its key, in an empty folder.
#[test]
fn a_bucket_alone_is_enough_to_recover() {
    let bucket = Bucket::new("recovery");
    let source = TestDatabase::new(MAJOR, "s3_lost");
    sample::fill(&source, 300);
    let (name, prefix) = bucket.place.trim_start_matches("s3://").split_once('/').unwrap();
    let with_bucket = |mut command: Command| {
        command.env("AWS_S3_BACKUP_BUCKET", name).env("AWS_S3_PREFIX", prefix);
        bucket.sandbox.finish(command)
    };
    with_bucket(bucket.command(&["backup", "postgres", "--url", &source.url(), "--no-globals"])).expect(0);
    assert!(!bucket.sandbox.files(".sql.gz").is_empty(), "the folder was left out");

    let elsewhere = Bucket { sandbox: Sandbox::new(), place: bucket.place.clone(), endpoint: url() };
    let target = TestDatabase::planned(MAJOR, "s3_found");
    let mut command = elsewhere.command(&["restore", "--file", "latest", "--url", &target.url(), "--confirm"]);
    command.env("AWS_S3_BACKUP_BUCKET", name).env("AWS_S3_PREFIX", prefix);
    elsewhere.sandbox.finish(command).expect(0);
    assert_eq!(sample::fingerprint(&target), sample::fingerprint(&source));
}

#[test]
fn several_places_are_written_in_one_pass_and_one_that_fails_spoils_nothing() {
    let bucket = Bucket::new("several");
    let source = TestDatabase::new(MAJOR, "s3_several");
    sample::fill(&source, 300);
    let url = source.url();
    let backup = |to: &[&str]| {
        let mut arguments = vec!["backup", "postgres", "--url", &url, "--no-globals"];
        to.iter().for_each(|place| arguments.extend(["--to", place]));
        bucket.run(&arguments)
    };
    backup(&["here", &bucket.place]).expect(0).says("copy: s3://");
    let local = bucket.sandbox.files(".sql.gz");
    assert_eq!((local.len(), bucket.objects().len()), (3, 6));
    bucket.run(&["verify", "here", &bucket.place]).expect(0);

    backup(&["s3://other/not-ours", "here"]).expect(3).says("s3://other/not-ours").says("access is denied");
    assert_eq!(bucket.sandbox.files(".sql.gz").len(), 4);
    backup(&["s3://other/not-ours", "s3://other/nor-this"]).expect(21).says("access is denied");
    let staged = bucket.sandbox.staging_files();
    assert!(staged.is_empty(), "{staged:?}");
}

#[test]
fn a_key_that_may_only_write_backs_up() {
    let bucket = Bucket::new("write_only");
    bucket.sandbox.path("x");
    let file = bucket.sandbox.path("app.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    let mut command = bucket.command(&["backup", "sqlite", "--file", "app.db", "--to", &bucket.place]);
    command.env("AWS_ACCESS_KEY_ID", "wokey").env("AWS_SECRET_ACCESS_KEY", "wosecret");
    bucket.sandbox.finish(command).expect(0).never_says("copy was made");
    // What cannot be copied there afterwards was written along; the second run of a day is a daily one alone.
    let archives = |tier: &str| {
        let is_it = |name: &&String| name.contains(tier) && name.contains("app") && !name.ends_with(".meta");
        bucket.objects().iter().filter(is_it).count()
    };
    assert_eq!((archives("/daily/"), archives("/weekly/"), archives("/monthly/")), (1, 1, 1), "{:?}", bucket.objects());
    bucket.run(&["verify", &bucket.place]).expect(0).says("3");
    let archive = bucket.daily("app");
    let shown = bucket.run(&["list", "--from", &bucket.place, "--json"]).expect(0).json();
    assert_eq!(shown["backups"][0]["meta"]["readback"], "denied");
    bucket.run(&["verify", &archive]).expect(0);
    let target = bucket.sandbox.path("back.db");
    bucket.run(&["restore", "--file", &archive, "--database", target.to_str().unwrap(), "--confirm"]).expect(0);
    let rows: i64 =
        rusqlite::Connection::open(&target).unwrap().query_row("SELECT a FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
    // Names have seconds, and this key cannot see which ones stand.
    let second = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let begun = second();
    while second() == begun {
        std::thread::yield_now();
    }
    let mut command = bucket.command(&["backup", "sqlite", "--file", "app.db", "--to", &bucket.place]);
    command.env("AWS_ACCESS_KEY_ID", "wokey").env("AWS_SECRET_ACCESS_KEY", "wosecret");
    bucket.sandbox.finish(command).expect(0);
    assert_eq!((archives("/daily/"), archives("/weekly/"), archives("/monthly/")), (2, 1, 1), "{:?}", bucket.objects());
}

/// Parts of all tiers go up at once, within the memory of one.
#[test]
fn a_key_that_may_only_write_fills_all_tiers_in_one_pass() {
    let bucket = Bucket::new("write_only_tiers");
    let source = TestDatabase::new(MAJOR, "s3_write_only");
    sample::fill_slowly_read(&source, "large", 25);
    let url = source.url();
    let backup = ["backup", "postgres", "--url", &url, "--no-globals", "--compress", "none", "--s3-max-parts", "2"];
    let mut command = bucket.command(&[&backup[..], &["--to", "here", "--to", &bucket.place]].concat());
    command.env("AWS_ACCESS_KEY_ID", "wokey").env("AWS_SECRET_ACCESS_KEY", "wosecret");
    bucket.sandbox.finish(command).expect(0).never_says("copy was made");
    let objects = bucket.objects();
    let of = |tier: &str| objects.iter().filter(|name| name.contains(tier)).count();
    assert!(of("/daily/") > 2 && of("/daily/") == of("/weekly/") && of("/daily/") == of("/monthly/"), "{objects:?}");
    bucket.run(&["verify", &bucket.place, "here"]).expect(0);
}

#[test]
fn one_table_costs_its_own_bytes() {
    let mut bucket = Bucket::new("one_table");
    let source = TestDatabase::new(MAJOR, "s3_wide");
    sample::fill_slowly_read(&source, "large", 30);
    source.psql("CREATE TABLE small AS SELECT n AS id, md5(n::text) AS v FROM generate_series(1, 3000) n");
    bucket.run(&["backup", "postgres", "--url", &source.url(), "--to", &bucket.place, "--no-globals"]).expect(0);
    let archive = bucket.daily(&source.name);
    let size = bucket.run(&["inspect", &archive, "--json"]).json()["size_bytes"].as_u64().unwrap();

    let proxy = Proxy::start(&url(), |_| Action::Pass);
    bucket.endpoint = proxy.url.clone();
    let target = TestDatabase::new(MAJOR, "s3_narrow");
    bucket.run(&["restore", "--file", &archive, "--url", &target.url(), "--table", "small", "--confirm"]).expect(0);
    assert_eq!(target.psql("SELECT count(*) FROM small"), "3000");
    let fetched = proxy.answered_bytes();
    assert!(fetched * 100 < size * 3, "{fetched} of {size} bytes were fetched:\n{}", proxy.log().join("\n"));
}

#[test]
fn a_set_of_files_is_one_backup() {
    let bucket = Bucket::new("set");
    let source = TestDatabase::new(MAJOR, "s3_set");
    sample::fill_slowly_read(&source, "large", 40);
    let backup = ["backup", "postgres", "--url", &source.url(), "--to", &bucket.place, "--compress", "none"];
    let small = ["--no-globals", "--s3-max-parts", "2", "--s3-memory", "10M"];
    bucket.run(&[backup.as_slice(), small.as_slice()].concat()).expect(0);
    let objects = bucket.objects();
    let daily: Vec<_> = objects.iter().filter(|name| name.contains("/daily/")).collect();
    assert!(daily.iter().any(|name| name.ends_with(".sql.gz.002")), "{daily:?}");
    let weekly = objects.iter().filter(|name| name.contains("/weekly/")).count();
    assert_eq!(daily.len(), weekly, "{objects:?}");
    bucket.run(&["verify", &bucket.place]).expect(0);
    let target = TestDatabase::planned(MAJOR, "s3_joined");
    let restore = ["restore", "--file", "latest", "--from", &bucket.place, "--url", &target.url(), "--confirm"];
    bucket.run(&restore).expect(0);
    assert_eq!(sample::fingerprint(&target), sample::fingerprint(&source));
}

#[test]
fn an_interrupted_run_leaves_neither_object_nor_upload() {
    let bucket = Bucket::new("interrupted");
    let source = TestDatabase::new(MAJOR, "s3_stopped");
    sample::fill_slowly_read(&source, "large", 60);
    let location = miyabi_backup::store::s3::Location::parse(&bucket.place).unwrap();
    // Stopped while its second part is on the way.
    let (seen, is_seen) = std::sync::mpsc::channel();
    let proxy = Proxy::start(&url(), move |request| {
        if request.target.contains("partNumber=2") {
            // Nobody listens for the second time.
            let _ = seen.send(());
        }
        Action::Pass
    });
    let arguments = ["backup", "postgres", "--url", &source.url(), "--to", &bucket.place, "--compress", "none"];
    let mut command = bucket.command(&arguments);
    command.env("AWS_ENDPOINT_URL", &proxy.url).args(["--s3-memory", "10M"]);
    // The machine may be busy with other tests: one of three must be done within a second.
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let child = command.spawn().unwrap();
        is_seen.recv_timeout(Duration::from_secs(60)).expect("a second part");
        let began = Instant::now();
        assert!(Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        fastest = fastest.min(began.elapsed());
        assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(bucket.objects().is_empty(), "{:?}", bucket.objects());
        while is_seen.try_recv().is_ok() {}
    }
    assert!(fastest < Duration::from_secs(1), "it takes {fastest:?} to stop");
    let settings = miyabi_backup::store::s3::Settings { stale_after: Duration::ZERO, ..server::settings() };
    assert!(server::open(&location, settings).sweep(&|_| true).unwrap().is_empty());
}
