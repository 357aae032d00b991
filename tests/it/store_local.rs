//! The local store where it meets the system: killed writers, full and read-only disks, other users, odd umasks.
//!
//! Scenarios that need a process of their own run this test executable again: `child` below is their entry.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use miyabi_backup::error::{Kind, Result};
use miyabi_backup::state::{RunLock, TreeKey};
use miyabi_backup::store::{LocalStore, Name, Store, explain};

const SCENARIO: &str = "MIYABI_TEST_STORE_SCENARIO";
const FOLDER: &str = "MIYABI_TEST_STORE_FOLDER";
const NOBODY: u32 = 65534;

/// Bytes of one archive: long enough that a kill lands in the middle of it.
const ARCHIVE_BYTES: usize = 3 << 20;

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

/// Contents that say of themselves whether they are whole.
fn content(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(ARCHIVE_BYTES - 4, number as u8);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn is_whole(bytes: &[u8]) -> bool {
    bytes.len() == ARCHIVE_BYTES && {
        let (body, crc) = bytes.split_at(ARCHIVE_BYTES - 4);
        crc == crc32fast::hash(body).to_le_bytes()
    }
}

/// Archive, second tier, `.meta` of both: the order of a run.
fn publish(store: &dyn Store, number: u64) -> Result<()> {
    let (daily, weekly) =
        (name(format!("postgres/daily/x-{number:06}")), name(format!("postgres/weekly/x-{number:06}")));
    let mut upload = store.begin(&daily)?;
    for piece in content(number).chunks(64 << 10) {
        upload.write_all(piece).map_err(|cause| {
            let error = miyabi_backup::error::Error::new(Kind::Bug, "cannot write the archive").because(cause);
            explain(error)
        })?;
    }
    upload.publish(&mut |stored| {
        assert_eq!(stored.len(), ARCHIVE_BYTES as u64);
        Ok(())
    })?;
    store.link(&daily, &weekly)?;
    store.put_new(&name(format!("{daily}.meta")), b"meta")?;
    store.put_new(&name(format!("{weekly}.meta")), b"meta")?;
    Ok(())
}

/// What the executable does when a test starts it again; on its own, it publishes once and looks.
#[test]
fn child() {
    let Some(scenario) = std::env::var_os(SCENARIO) else {
        let folder = tempfile::tempdir().unwrap();
        publish(&LocalStore::new(folder.path()), 1).unwrap();
        assert!(is_whole(&fs::read(folder.path().join("postgres/weekly/x-000001")).unwrap()));
        return;
    };
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let store = LocalStore::new(&folder);
    match scenario.to_str().unwrap() {
        "publish for ever" => {
            // Until somebody kills us.
            for number in 0u64.. {
                publish(&store, number).unwrap();
            }
        }
        "publish once" => publish(&store, 7).unwrap(),
        "fail to publish" => {
            let error = (0..).find_map(|number| publish(&store, number).err()).unwrap();
            println!(
                "kind={} chain={} hint={}",
                error.kind().name(),
                error.chain(),
                error.hint_text().unwrap_or("none")
            );
        }
        "hold the lock" => {
            let _lock = RunLock::acquire(&folder, &TreeKey::of_url("s3://tree"), jiff::Timestamp::UNIX_EPOCH).unwrap();
            fs::write(folder.join("held"), "").unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        other => panic!("no scenario `{other}`"),
    }
}

/// This executable, run through `prefix` if that is not empty; `prefix` ends where a program's name is expected.
fn again(prefix: &[&str], executable: &Path, scenario: &str, folder: &Path) -> Command {
    let mut words: Vec<&OsStr> = prefix.iter().map(OsStr::new).collect();
    words.push(executable.as_os_str());
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["--exact", "store_local::child", "--nocapture"]);
    command.env(SCENARIO, scenario).env(FOLDER, folder).current_dir("/");
    command
}

fn executable() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// Runs it to its end and returns what it printed.
fn told(mut command: Command) -> String {
    let mut output = command.output();
    // A file just copied is busy while a process that another test forks still holds the copy's descriptor.
    while output.as_ref().is_err_and(|cause| cause.kind() == std::io::ErrorKind::ExecutableFileBusy) {
        std::thread::sleep(Duration::from_millis(5));
        output = command.output();
    }
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}\n{errors}", output.status);
    text
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn is_staging(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().starts_with('.')
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited 30 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_writer_killed_at_any_moment_leaves_no_half_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let store = LocalStore::new(&root);
    let (mut swept, mut published) = (0, 0);
    // How long one publication takes here and now: the kills are spread over that time, twice.
    let started = Instant::now();
    publish(&store, 0).unwrap();
    let one_publication = started.elapsed();
    for round in 0..50u32 {
        for entry in store.list("").unwrap() {
            store.delete(&entry.name).unwrap();
        }
        let mut command = again(&[], &executable(), "publish for ever", &root);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Every second round gets as far as one archive under its name.
        let waits_for_staging = round % 2 == 0;
        wait_until("the writer begins", || files(&root).iter().any(|path| is_staging(path) == waits_for_staging));
        std::thread::sleep(one_publication * (round * 7919 % 50) / 50);
        kill(child);
        for path in files(&root) {
            let text = path.to_str().unwrap();
            if is_staging(&path) {
                continue;
            }
            published += 1;
            let bytes = fs::read(&path).unwrap();
            match text.strip_suffix(".meta") {
                Some(archive) => {
                    assert_eq!(bytes, b"meta", "{text}");
                    assert!(Path::new(archive).exists(), "{text} without its archive");
                }
                None => assert!(is_whole(&bytes), "{text} has {} bytes", bytes.len()),
            }
        }
        swept += store.sweep(&|path| path.starts_with("postgres/")).unwrap().len();
        assert!(!files(&root).iter().any(|path| is_staging(path)), "{:?}", files(&root));
    }
    assert!(
        swept >= 5 && published >= 25,
        "{swept} staging files swept, {published} files published: no test of anything"
    );
}

#[test]
fn a_sweep_spares_the_files_of_a_live_writer() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = again(&[], &executable(), "publish for ever", folder.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let store = LocalStore::new(folder.path());
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(500) || files(folder.path()).len() <= 4 {
        assert!(started.elapsed() < Duration::from_secs(30), "the writer publishes nothing");
        // At worst it takes a file that is created and not locked yet; then the writer creates another.
        store.sweep(&|_| true).unwrap();
    }
    assert!(child.try_wait().unwrap().is_none(), "the writer failed under the sweep");
    kill(child);
}

#[test]
fn a_lock_ends_with_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let child = again(&[], &executable(), "hold the lock", folder.path()).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the lock is held", || folder.path().join("held").exists());
    let acquire = || RunLock::acquire(folder.path(), &TreeKey::of_url("s3://tree"), jiff::Timestamp::UNIX_EPOCH);
    let error = acquire().unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains(&format!("process {}", child.id())), "{error}");
    kill(child);
    let _lock = acquire().unwrap();
}

/// The words that run a program in a mount namespace of its own, if this user may have one.
fn own_mounts() -> Option<Vec<&'static str>> {
    [vec!["unshare", "--mount"], vec!["unshare", "--map-root-user", "--mount"]].into_iter().find(|words| {
        let trial = [words.as_slice(), &["mount", "-t", "tmpfs", "none", "/mnt"]].concat();
        Command::new(trial[0]).args(&trial[1..]).output().is_ok_and(|output| output.status.success())
    })
}

#[test]
fn a_full_disk_is_said_to_be_full_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    // In a file system of 8 MiB where we may mount one, else under a limit on the size of a file.
    let (script, word) = match own_mounts() {
        Some(_) => ("mount -t tmpfs -o size=8m none \"$MIYABI_TEST_STORE_FOLDER\" && \"$@\"", "free, at least"),
        None => ("trap '' XFSZ; ulimit -f 1024; \"$@\"", "too large"),
    };
    let script = format!("{script}; find \"$MIYABI_TEST_STORE_FOLDER\" -name '.*' -type f");
    let prefix = [own_mounts().unwrap_or_default(), vec!["sh", "-c", &script, "sh"]].concat();
    let text = told(again(&prefix, &executable(), "fail to publish", folder.path()));
    assert!(text.contains("kind=place") && text.to_lowercase().contains(word), "{text}");
    assert!(!text.contains("hint=none"), "{text}");
    assert!(!text.contains(".partial\n"), "a staging file is left: {text}");
}

#[test]
fn a_read_only_file_system_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mounts) = own_mounts() else {
        // Without the right to mount, a folder that may not be written is the nearest thing.
        return a_folder_of_somebody_else_is_refused_with_a_hint();
    };
    let script = "mount -t tmpfs -o ro none \"$MIYABI_TEST_STORE_FOLDER\" && \"$@\"";
    let prefix = [mounts, vec!["sh", "-c", script, "sh"]].concat();
    let text = told(again(&prefix, &executable(), "fail to publish", folder.path()));
    assert!(text.contains("kind=place") && text.contains("mounted read-only"), "{text}");
}

#[test]
fn a_folder_of_somebody_else_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let target = folder.path().join("target");
    fs::create_dir(&target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere, so it becomes nobody; the copy is where nobody can run it.
    let copy = folder.path().join("executable");
    fs::copy(executable(), &copy).unwrap();
    let mut command = again(&[], &copy, "fail to publish", &target);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let text = told(command);
    assert!(
        text.contains("kind=place") && text.contains("ermission denied") && text.contains("owner and mode"),
        "{text}"
    );
    assert!(files(&target).is_empty());
}

#[test]
fn no_umask_opens_or_closes_a_backup() {
    for umask in ["000", "777"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let script = format!("umask {umask}; exec \"$@\"");
        told(again(&["sh", "-c", &script, "sh"], &executable(), "publish once", &root));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let found = files(&root);
        assert_eq!(found.len(), 4, "{found:?}");
        for file in found {
            assert_eq!(mode(&file), 0o600, "{} under umask {umask}", file.display());
            assert_eq!(mode(file.parent().unwrap()), 0o700, "the folder of {} under umask {umask}", file.display());
        }
        assert_eq!(mode(&root), 0o700);
    }
}
