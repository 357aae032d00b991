//! What a run to or from a bucket leaves on the disk meanwhile: the kernel is asked what was opened and made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use miyabi_backup::policy::naming::{copy_name, unpacked_name};

use super::proxy::{Action, Proxy};
use super::server::{place, url};
use super::store::noise;
use crate::encryption::age_key;
use crate::program::Sandbox;
use crate::sample;
use crate::util::TestDatabase;

const MAJOR: u32 = 17;

/// Every call by which a file can come to be, be opened or change its name.
const CALLS: &str = "trace=open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,\
                     symlink,symlinkat,memfd_create,truncate";

/// Runs the program under strace and returns its calls, each whole: every thread has a file of its own.
fn traced(sandbox: &Sandbox, label: &str, arguments: &[&str]) -> Vec<String> {
    let logs = sandbox.path(label);
    fs::create_dir(&logs).unwrap();
    let mut traced = Command::new("strace");
    // -yy: what a descriptor stands for, so that a name relative to a folder is known as well.
    traced.args(["-ff", "-qq", "-yy", "-s", "4096", "-e", CALLS, "-e", "signal=none", "-o"]).arg(logs.join("log"));
    let program = sandbox.command(arguments);
    traced.arg(program.get_program()).args(program.get_args()).current_dir(sandbox.path("empty"));
    traced.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced
        .env("AWS_ENDPOINT_URL", url())
        .env("AWS_ACCESS_KEY_ID", "testkey")
        .env("AWS_SECRET_ACCESS_KEY", "testsecret");
    traced.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = traced.output().expect("strace is installed by `make setup`");
    assert!(output.status.success(), "{label}: {}", String::from_utf8_lossy(&output.stderr));
    let files = fs::read_dir(&logs).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Calls that made, renamed or opened for writing anything outside of these folders. Those that failed made nothing.
fn writes<'a>(calls: &'a [String], allowed: &[PathBuf]) -> Vec<&'a String> {
    let is_allowed = |call: &str| allowed.iter().any(|folder| call.contains(&*folder.to_string_lossy()));
    let writes = |call: &str| {
        let opens = call.starts_with("open");
        !opens || ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TMPFILE"].iter().any(|flag| call.contains(flag))
    };
    // A call without an answer is the end of its thread.
    let succeeded = |call: &str| call.contains(" = ") && !call.contains(" = -1 ");
    calls.iter().filter(|call| succeeded(call) && writes(call) && !is_allowed(call)).collect()
}

/// The judge itself: a run to a disk is seen.
fn sees_files(sandbox: &Sandbox, url: &str, state: &Path) {
    let to_disk = traced(sandbox, "disk", &["backup", "--url", url, "--to", "tree", "--no-globals"]);
    let seen = writes(&to_disk, &[state.to_owned()]);
    assert!(seen.iter().any(|call| call.contains("daily")), "a file was not seen: {to_disk:#?}");
}

#[test]
fn a_database_goes_to_a_bucket_and_comes_back_without_a_file() {
    let (sandbox, source) = (Sandbox::new(), TestDatabase::new(MAJOR, "no_files"));
    // Longer than a part, so that parts are sent while others are made.
    sample::fill_slowly_read(&source, "large", 30);
    sample::fill(&source, 100);
    let public = age_key(&sandbox, "key.txt");
    let key = sandbox.path("key.txt").display().to_string();
    let state = sandbox.path("state");
    fs::create_dir(sandbox.path("empty")).unwrap();
    let url = source.url();
    sees_files(&sandbox, &url, &state);
    fs::remove_dir_all(sandbox.path("empty")).unwrap();
    fs::create_dir(sandbox.path("empty")).unwrap();

    fs::write(sandbox.path("phrase"), "open sesame").unwrap();
    let phrase = sandbox.path("phrase").display().to_string();
    let by_gpg = ["--encrypt", "gpg", "--passphrase-file", phrase.as_str()];
    for (label, seal, open) in [
        ("plain", &[][..], &[][..]),
        ("sealed", &["--encrypt-to", &public], &["--identity", key.as_str()]),
        ("by_gpg", &by_gpg, &by_gpg[2..]),
    ] {
        let place = place(&format!("no_files_{label}")).to_string();
        let backup = ["backup", "--url", &url, "--to", &place, "--no-globals", "--compress", "none"];
        let calls = traced(&sandbox, &format!("{label}_backup"), &[&backup, seal].concat());
        let allowed = [state.clone(), PathBuf::from("/dev/null")];
        let seen = writes(&calls, &allowed);
        assert!(calls.len() > 20 && seen.is_empty(), "{label}: {seen:#?}");
        let target = TestDatabase::planned(MAJOR, "no_files_back");
        let back = ["restore", "--file", "latest", "--from", &place, "--confirm", "--url"];
        let target_url = target.url();
        let calls = traced(&sandbox, &format!("{label}_restore"), &[&back, &[target_url.as_str()][..], open].concat());
        let seen = writes(&calls, &allowed);
        assert!(calls.len() > 20 && seen.is_empty(), "{label}: {seen:#?}");
        sample::assert_same(&source, &target);
    }
    let left: Vec<_> = fs::read_dir(sandbox.path("empty")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// SQLite's own way to copy needs a file. One that a killed run left is found by the next, wherever it is.
#[test]
fn a_copy_that_a_killed_run_left_goes_with_the_next() {
    let sandbox = Sandbox::new();
    let database = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
    database.execute_batch("CREATE TABLE t (a BLOB)").unwrap();
    (0..300u64).for_each(|row| _ = database.execute("INSERT INTO t VALUES (?1)", [noise(100_000, row)]).unwrap());
    drop(database);
    let place = place("killed_copy").to_string();
    let back_up = |endpoint: &str| {
        let mut command =
            sandbox.command(&["backup", "sqlite", "--file", "app.db", "--to", &place, "--compress", "none"]);
        command.args(["--s3-memory", "10M"]).env("AWS_ENDPOINT_URL", endpoint);
        command.env("AWS_ACCESS_KEY_ID", "testkey").env("AWS_SECRET_ACCESS_KEY", "testsecret");
        command
    };
    let (seen, is_seen) = std::sync::mpsc::channel();
    let proxy = Proxy::start(&url(), move |request| {
        if request.target.contains("partNumber=2") {
            // Nobody listens for the second time.
            let _ = seen.send(());
        }
        Action::Pass
    });
    let mut child = back_up(&proxy.url).spawn().unwrap();
    is_seen.recv_timeout(std::time::Duration::from_secs(60)).expect("a second part");
    child.kill().unwrap();
    child.wait().unwrap();
    let left = sandbox.staging_files();
    assert_eq!(left.len(), 1, "{left:?}");

    // Of a run that is at work, and of somebody else.
    let live = sandbox.path(format!(".{}.partial", copy_name("sqlite-app-20260102-030000")));
    let held = fs::File::create(&live).unwrap();
    held.lock().unwrap();
    let theirs = sandbox.path(".theirs.partial");
    fs::write(&theirs, "").unwrap();
    sandbox.finish(back_up(&url())).expect(0).says("left by a run that died");
    let mut stand = sandbox.staging_files();
    stand.sort();
    assert_eq!(stand, [live, theirs]);

    // The same where a file out of a bucket is unpacked to be looked at.
    let scratch = sandbox.path("scratch");
    fs::create_dir(&scratch).unwrap();
    let unpacked = scratch.join(format!(".{}.partial", unpacked_name("sqlite-app-20260101-030000.db.gz", 7)));
    fs::write(&unpacked, "pages").unwrap();
    let mut verify = sandbox.command(&["verify", &place]);
    verify.env("TMPDIR", &scratch).env("AWS_ENDPOINT_URL", url());
    verify.env("AWS_ACCESS_KEY_ID", "testkey").env("AWS_SECRET_ACCESS_KEY", "testsecret");
    sandbox.finish(verify).expect(0);
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
}
