//! SIGKILL at fifty moments of a backup: what stands under a final name is sound, and the next run cleans up.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::program::Sandbox;
use crate::sample;
use crate::util::TestDatabase;

const KILLS: u32 = 50;

/// A step of xorshift: moments that differ from each other and are the same in every run.
fn scatter(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state % 10_000) as f64 / 10_000.0
}

#[test]
fn a_killed_run_publishes_nothing_unsound_and_the_next_one_cleans_up() {
    let sandbox = Sandbox::new();
    let database = TestDatabase::new(17, "e2e_kill");
    sample::fill(&database, 3000);
    let connection = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
    connection.execute_batch("CREATE TABLE t (v BLOB)").unwrap();
    connection.execute_batch("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000) INSERT INTO t SELECT randomblob(1000) FROM n").unwrap();
    drop(connection);
    std::fs::write(sandbox.path(".env"), format!("DATABASE_URL={}\nSQLITE_DATABASES=app.db\n", database.url()))
        .unwrap();

    let began = Instant::now();
    sandbox.run(&["backup"]).expect(0);
    let whole = began.elapsed();
    let (mut published, mut interrupted, mut random) = (0, 0, 0x9e37_79b9_7f4a_7c15);
    for kill in 0..KILLS {
        std::fs::remove_dir_all(sandbox.path("backups")).ok();
        let moment = whole.mul_f64((f64::from(kill) + scatter(&mut random)) / f64::from(KILLS));
        let mut run = sandbox.start(&["backup"]);
        std::thread::sleep(moment);
        interrupted += u32::from(!run.has_ended());
        run.kill();

        // Nothing else may be under a final name than what verifies; a .meta never stands without its archive.
        let archives = sandbox.files(".gz");
        published += archives.len();
        for archive in &archives {
            sandbox.run(&["verify", archive.to_str().unwrap()]).expect(0);
        }
        for meta in sandbox.files(".meta") {
            let archive = PathBuf::from(meta.to_str().unwrap().strip_suffix(".meta").unwrap());
            assert!(archive.exists(), "kill {kill} after {moment:?}: {} describes nothing", meta.display());
        }
        let partial = sandbox.path("backups").exists() && kill % 5 == 4;
        if partial {
            sandbox.run(&["backup"]).expect(0);
            let left: Vec<_> =
                sandbox.staging_files().into_iter().filter(|path| path.starts_with(sandbox.path("backups"))).collect();
            assert!(left.is_empty(), "kill {kill} after {moment:?}: the next run left {left:?}");
        }
    }
    sandbox.run(&["backup"]).expect(0);
    sandbox.run(&["verify"]).expect(0);
    assert!(interrupted > KILLS / 2, "only {interrupted} of {KILLS} kills hit a running backup, which took {whole:?}");
    assert!(published > 0, "no kill came late enough to meet a published archive");
    // the servers of the killed runs must not go on reading for nobody
    let deadline = Instant::now() + Duration::from_secs(30);
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while database.psql(sessions) != "0" {
        assert!(Instant::now() < deadline, "sessions of killed runs are left on the server");
        std::thread::sleep(Duration::from_millis(100));
    }
}
