//! The known attacks on this kind of tool: each is tried here, restored natively and by psql, as a superuser.
//!
//! Of the same family and elsewhere: one deparsed text that is several statements (`pg_leaf`), a row that is `\.` and
//! a script whose COPY fails (`e2e_stock_tools`), members and lengths that lie (`archive_damage`, `bad_archives`),
//! `\restrict` (`e2e_foreign`).

mod encodings;
mod every_kind;
mod hijack;
mod hostile_server;
mod paths;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::Sandbox;
use crate::util::{TestDatabase, stock};

/// What stock pg_dump tells about a database, byte for byte, schema and rows; without the lines that differ by run.
pub fn told(database: &TestDatabase) -> Vec<u8> {
    let output = stock(database.major, "pg_dump").arg("-d").arg(database.url()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let varies = |line: &[u8]| line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ");
    output.stdout.split_inclusive(|byte| *byte == b'\n').filter(|line| !varies(line)).flatten().copied().collect()
}

#[track_caller]
pub fn assert_told_the_same(source: &TestDatabase, copy: &TestDatabase, way: &str) {
    let (expected, found) = (told(source), told(copy));
    if expected != found {
        let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
        let (expected, found) = (lines(&expected), lines(&found));
        let differs = expected.iter().zip(&found).find(|(a, b)| a != b);
        let differs = differs.map(|(a, b)| format!("{}\n{}", a.escape_ascii(), b.escape_ascii()));
        panic!("{way} on {}: {} and {} lines; {differs:?}", source.major, expected.len(), found.len());
    }
}

pub fn back_up(sandbox: &Sandbox, source: &TestDatabase) -> PathBuf {
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "a.sql.gz"]).expect(0);
    sandbox.path("a.sql.gz")
}

pub fn restore(sandbox: &Sandbox, archive: &Path, target: &TestDatabase) {
    let archive = archive.to_str().unwrap();
    sandbox.run(&["restore", "--file", archive, "--url", &target.url(), "--confirm"]).expect(0);
}

/// `gunzip -c archive | psql -X -d target` in the sandbox's folder, with variables set that an attacker would love.
pub fn restore_by_psql(sandbox: &Sandbox, archive: &Path, target: &TestDatabase) {
    let mut gunzip = Command::new("gunzip").arg("-c").arg(archive).stdout(Stdio::piped()).spawn().unwrap();
    let mut psql = stock(target.major, "psql");
    for variable in ["HOME", "x", "n", "HOST", "name"] {
        psql.args(["-v", &format!("{variable}=\"; DROP TABLE victim; --")]);
    }
    psql.args(["-X", "-q", "-d", &target.url()]).current_dir(sandbox.path(""));
    let output = psql.stdin(gunzip.stdout.take().unwrap()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    // A subscription that is made without a connection is worth a warning to the server.
    let warned = complaints.lines().all(|line| ["WARNING:  ", "HINT:  "].iter().any(|start| line.contains(start)));
    assert!(output.status.success() && warned, "psql {}: {complaints}", target.major);
    assert!(gunzip.wait().unwrap().success());
}

/// Nothing but what the test itself made lies in the sandbox.
#[track_caller]
pub fn assert_no_file_appeared(sandbox: &Sandbox) {
    let all = sandbox.files("");
    let ours = |path: &PathBuf| {
        path.ends_with("a.sql.gz") || path.ends_with("a.sql.gz.meta") || path.starts_with(sandbox.path("state"))
    };
    let strange: Vec<_> = all.iter().filter(|path| !ours(path)).collect();
    assert!(strange.is_empty(), "a command ran: {strange:?}");
}
