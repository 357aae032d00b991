//! SQLite restores: the safety copy, files of other tools, pipes, missing places.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::program::{Outcome, Sandbox};

fn fill(path: &Path, rows: u32) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!(
            "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
             INSERT INTO t SELECT i, hex(randomblob(50)) FROM n"
        ))
        .unwrap();
}

fn rows(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

fn piped(sandbox: &Sandbox, archive: &str, arguments: &[&str]) -> Outcome {
    let mut cat = Command::new("cat").arg(sandbox.path(archive)).stdout(Stdio::piped()).spawn().unwrap();
    let mut command = sandbox.command(arguments);
    command.stdin(cat.stdout.take().unwrap());
    let outcome = sandbox.finish(command);
    drop(cat.wait());
    outcome
}

fn backed_up() -> Sandbox {
    let sandbox = Sandbox::new();
    fill(&sandbox.path("app.db"), 1_000);
    sandbox.run(&["backup", "sqlite", "--file", "app.db", "--output", "app.db.gz"]).expect(0);
    sandbox
}

#[test]
fn every_way_in_brings_the_same_rows() {
    let sandbox = backed_up();
    let packed = Command::new("gzip").args(["-9", "-c"]).arg(sandbox.path("app.db")).output().unwrap();
    fs::write(sandbox.path("foreign.db.gz"), packed.stdout).unwrap();
    for (index, from) in ["app.db.gz", "foreign.db.gz", "app.db"].into_iter().enumerate() {
        let target = format!("target{index}.db");
        sandbox.run(&["restore", "--file", from, "--database", &target, "--confirm"]).expect(0);
        assert_eq!(rows(&sandbox.path(&target)), 1_000, "{from}");
        assert_eq!(fs::metadata(sandbox.path(&target)).unwrap().permissions().mode() & 0o777, 0o600);
        let through = format!("piped{index}.db");
        piped(&sandbox, from, &["restore", "--file", "-", "--database", &through, "--confirm"]).expect(0);
        assert_eq!(rows(&sandbox.path(&through)), 1_000, "{from} through a pipe");
    }
    assert_eq!(sandbox.staging_files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_old_content_is_kept_and_named() {
    let sandbox = backed_up();
    fill(&sandbox.path("live.db"), 7);
    let told =
        sandbox.run(&["restore", "--file", "app.db.gz", "--database", "live.db", "--confirm", "--json"]).expect(0);
    let kept = told.json()["kept"].as_str().expect("a safety copy").to_owned();
    assert!(kept.contains("live.db.before-restore-2"), "{kept}");
    assert_eq!((rows(Path::new(&kept)), rows(&sandbox.path("live.db"))), (7, 1_000));
    // without a yes nothing happens
    sandbox
        .run(&["restore", "--file", "app.db.gz", "--database", "live.db"])
        .expect(4)
        .says("--confirm")
        .says("live.db");
    sandbox.run(&["restore", "--file", "app.db.gz"]).expect(2).hints();
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let sandbox = backed_up();
    let told = sandbox.run(&["restore", "--file", "app.db.gz", "--database", "no/such/app.db", "--confirm"]).expect(21);
    told.blames("no/such").hints();
    assert!(!sandbox.path("no").exists());
    let told =
        sandbox.run(&["restore", "--file", "app.db.gz", "--database", "x.db", "--staging", "nowhere", "--confirm"]);
    told.expect(21).blames("nowhere");
    assert!(!sandbox.path("x.db").exists());
    fs::create_dir(sandbox.path("stage")).unwrap();
    sandbox.run(&["restore", "--file", "app.db.gz", "--database", "x.db", "--staging", "stage", "--confirm"]).expect(0);
    assert_eq!(fs::read_dir(sandbox.path("stage")).unwrap().count(), 0);
    fs::create_dir(sandbox.path("folder")).unwrap();
    sandbox.run(&["restore", "--file", "app.db.gz", "--database", "folder", "--confirm"]).expect(1).blames("folder");
    assert_eq!(sandbox.staging_files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_full_staging_folder_changes_nothing() {
    let sandbox = backed_up();
    let live = sandbox.path("live.db");
    fill(&live, 7);
    // a file may grow to 8 KiB and no further: the disk of this process is full
    let mut command = Command::new("/bin/sh");
    let program = env!("CARGO_BIN_EXE_miyabi-backup");
    let line =
        format!("trap '' XFSZ; ulimit -f 16; exec {program} restore --file app.db.gz --database live.db --confirm");
    command.args(["-c", &line]).current_dir(sandbox.path("")).env("HOME", sandbox.path(""));
    command.env("MIYABI_BACKUP_STATE_DIR", sandbox.path("state")).env("TZ", "UTC").stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(21), "{said}");
    assert!(said.contains("error:") && said.contains("hint:"), "{said}");
    assert_eq!(rows(&live), 7);
    assert_eq!(sandbox.staging_files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_cut_pipe_leaves_the_target() {
    let sandbox = backed_up();
    fill(&sandbox.path("live.db"), 7);
    let whole = fs::read(sandbox.path("app.db.gz")).unwrap();
    for kept in [whole.len() - 1, whole.len() / 2] {
        fs::write(sandbox.path("cut.db.gz"), &whole[..kept]).unwrap();
        piped(&sandbox, "cut.db.gz", &["restore", "--file", "-", "--database", "live.db", "--confirm"]).expect(30);
        assert_eq!(rows(&sandbox.path("live.db")), 7);
    }
    assert!(sandbox.files(".db").iter().all(|path| !path.to_string_lossy().contains("before-restore")));
    assert_eq!(sandbox.staging_files(), Vec::<std::path::PathBuf>::new());
    // what is for the other kind of target says so
    sandbox.run(&["restore", "--file", "app.db.gz", "--database", "x.db", "--table", "t", "--confirm"]).expect(2);
    sandbox
        .run(&[
            "restore",
            "--file",
            "app.db.gz",
            "--type",
            "postgres",
            "--url",
            "postgres://nobody@127.0.0.1:1/x",
            "--confirm",
        ])
        .expect(2);
}
