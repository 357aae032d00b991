//! Backup and restore of a generated SQLite database of about 64 MB: the copy, `integrity_check` and the fsync
//! included, as a user meets them.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use miyabi_backup::cancel::Cancel;
use miyabi_backup::progress::Progress;
use miyabi_backup::sqlite::{RestoreInto, SqliteSource, copy, restore};
use rusqlite::{Connection, params};
use tempfile::TempDir;

const ROWS: u32 = 100_000;

/// The same rows on every run: ids, words of a small vocabulary, a blob that does not compress; two indexes.
fn generate(path: &Path, journal_mode: &str) -> u64 {
    let mut db = Connection::open(path).unwrap();
    db.execute_batch(&format!(
        "PRAGMA journal_mode={journal_mode}; PRAGMA synchronous=OFF;
         CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL, body BLOB);
         CREATE INDEX item_name ON item(name); CREATE INDEX item_price ON item(price);"
    ))
    .unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let rows = db.transaction().unwrap();
    let mut insert = rows.prepare("INSERT INTO item VALUES (?, ?, ?, ?)").unwrap();
    for id in 0..ROWS {
        let body: Vec<u8> = (0..70).flat_map(|_| next().to_le_bytes()).collect();
        insert
            .execute(params![id, format!("item {}", next() % 5000), (next() % 100_000) as f64 / 100.0, body])
            .unwrap();
    }
    drop(insert);
    rows.commit().unwrap();
    db.close().unwrap();
    fs::metadata(path).unwrap().len()
}

fn sqlite(criterion: &mut Criterion) {
    let folder = TempDir::new().unwrap();
    let mut group = criterion.benchmark_group("sqlite");
    group.sample_size(10);
    for mode in ["wal", "delete"] {
        let (db, staged, live) = (folder.path().join(mode), folder.path().join("staged"), folder.path().join("live"));
        let bytes = generate(&db, mode);
        group.throughput(Throughput::Bytes(bytes));
        let source =
            SqliteSource { path: db.clone(), yield_limit: Duration::from_secs(3), busy_limit: Duration::from_secs(10) };
        let cancel = Cancel::new();
        let back_up = || copy::run(&source, &staged, &Progress::new(), &cancel).unwrap().check(&cancel).unwrap();
        group.bench_function(format!("backup/{mode}"), |bencher| {
            bencher.iter_batched(|| drop(fs::remove_file(&staged)), |()| black_box(back_up()), BatchSize::PerIteration);
        });
        let plan = RestoreInto {
            staged: staged.clone(),
            target: live.clone(),
            stamp: "20260102-030405".into(),
            busy_limit: Duration::from_secs(10),
        };
        let safety_copy = folder.path().join("live.before-restore-20260102-030405");
        drop(fs::remove_file(&staged));
        back_up();
        group.bench_function(format!("restore/{mode}"), |bencher| {
            bencher.iter_batched(
                || {
                    drop(fs::remove_file(&safety_copy));
                    fs::copy(&db, &live).unwrap();
                },
                |_| black_box(restore::into_file(&plan, &Progress::new(), &Cancel::new()).unwrap()),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, sqlite);
criterion_main!(benches);
