//! Backup and restore of a generated PostgreSQL database of about 60 MB, by the functions that the program runs:
//! catalog, rows, archive, read-back and publishing; then rows, indexes and foreign keys.
//!
//! Needs the test server of PostgreSQL 17: `scripts/servers.sh start 17`.

use std::hint::black_box;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use miyabi_backup::cancel::Cancel;
use miyabi_backup::clock::Clock;
use miyabi_backup::job::{
    Adaptation, ArchiveChoice, BackupJob, Compress, Content, Context, Place, PostgresSource, PostgresTarget,
    RestoreJob, Selection, Source,
};
use miyabi_backup::pg::connect::Server;
use miyabi_backup::pg::filter::Filter;
use miyabi_backup::progress::Progress;
use miyabi_backup::store::Places;
use miyabi_backup::store::s3::Settings;
use miyabi_backup::{backup, restore};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

const MAJOR: u32 = 17;
const ORDERS: u32 = 55_000;
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// A test server, and the names of two databases that no other run uses.
struct Databases {
    runtime: Runtime,
    url: String,
    source: String,
    target: String,
}

impl Databases {
    fn new() -> Self {
        let folder = std::env::var_os("MIYABI_TEST_SERVERS")
            .filter(|folder| !folder.is_empty())
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".servers"), PathBuf::from);
        let fact = folder.join(MAJOR.to_string()).join("url");
        let url = std::fs::read_to_string(&fact).unwrap_or_else(|cause| {
            eprintln!("error: no PostgreSQL {MAJOR} to measure with ({}: {cause})", fact.display());
            eprintln!("hint: run `make microbench`, or `scripts/servers.sh start {MAJOR}` once");
            process::exit(1);
        });
        let runtime = Runtime::new().unwrap();
        let name = |role: &str| format!("bench_{role}_{}", process::id());
        Databases { runtime, url: url.trim().to_owned(), source: name("source"), target: name("target") }
    }

    fn sql(&self, database: &str, statements: &[&str]) {
        self.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&format!("{}/{database}", self.url), NoTls)
                .await
                .unwrap_or_else(|cause| panic!("PostgreSQL {MAJOR} at {} does not answer: {cause}", self.url));
            let driver = tokio::spawn(connection);
            for statement in statements {
                client.batch_execute(statement).await.unwrap();
            }
            drop(client);
            driver.await.unwrap().unwrap();
        });
    }

    fn fill_source(&self) {
        self.sql("postgres", &[&format!("CREATE DATABASE {} TEMPLATE template0", self.source)]);
        self.sql(&self.source, &[&format!("SET bench.orders = {ORDERS}"), include_str!("shop.sql")]);
    }

    fn drop_target(&self) {
        self.sql("postgres", &[&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.target)]);
    }

    fn server(&self, database: &str) -> Server {
        Server::from_url(&format!("{}/{database}", self.url)).unwrap()
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        self.drop_target();
        self.sql("postgres", &[&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.source)]);
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn context() -> Context {
    let clock = Clock::new(TimeZone::UTC, Timestamp::now);
    let cancel = Cancel::new();
    let places = Places::new(Settings::usual(), &cancel);
    Context {
        clock,
        cancel,
        progress: Progress::new(),
        host: "bench".to_owned(),
        places,
        scratch: std::env::temp_dir(),
        keys: Default::default(),
        signed_by: None,
    }
}

fn backup_job(server: Server, archive: &Path, compress: Compress) -> BackupJob {
    BackupJob {
        sources: vec![Source::Postgres(Box::new(PostgresSource {
            label: "bench".to_owned(),
            server,
            filter: Filter::default(),
        }))],
        place: Place::File { path: archive.to_owned(), force: true },
        copies: Vec::new(),
        retain: None,
        compress,
        recipients: None,
        signer: None,
        jobs: cores(),
        limit_rate: None,
        threads: cores(),
        content: Content::All,
        state_dir: archive.with_file_name("state"),
        staging: None,
        lock_timeout: LOCK_TIMEOUT,
    }
}

fn restore_job(server: Server, archive: &Path) -> RestoreJob {
    let database = Some(server.database.clone());
    RestoreJob {
        archive: ArchiveChoice::File(archive.to_owned()),
        kind: None,
        postgres: PostgresTarget::Known { server: Box::new(server), database },
        sqlite: None,
        adaptation: Adaptation::default(),
        selection: Selection { tables: Vec::new(), content: Content::All },
        jobs: cores(),
        threads: cores(),
        state_dir: archive.with_file_name("state"),
        staging: None,
        lock_timeout: LOCK_TIMEOUT,
        busy_limit: LOCK_TIMEOUT,
    }
}

fn end_to_end(criterion: &mut Criterion) {
    let databases = Databases::new();
    databases.fill_source();
    let folder = TempDir::new().unwrap();
    let mut group = criterion.benchmark_group("end_to_end");
    group.sample_size(10);
    for (name, compress) in [("gzip", Compress::default()), ("none", Compress::Stored)] {
        let archive = folder.path().join(name.replace(':', "-")).with_extension("sql.gz");
        let job = backup_job(databases.server(&databases.source), &archive, compress);
        let back_up = || {
            let outcome = databases.runtime.block_on(backup::run(&job, &context())).unwrap();
            outcome.sources.into_iter().next().unwrap().result.unwrap()
        };
        let made = back_up();
        group.throughput(Throughput::Bytes(made.raw_bytes.0));
        group.bench_function(format!("backup/{name}"), |bencher| bencher.iter(|| black_box(back_up())));

        let job = restore_job(databases.server(&databases.target), &archive);
        let restore = || {
            let done = databases.runtime.block_on(async {
                let context = context();
                restore::plan(&job, &context).await?.run(&job, &context).await
            });
            let rows = done.unwrap().rows;
            assert_eq!(rows, made.rows, "rows were lost");
            rows
        };
        group.bench_function(format!("restore/{name}"), |bencher| {
            bencher.iter_batched(|| databases.drop_target(), |()| black_box(restore()), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
