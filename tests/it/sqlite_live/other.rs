//! Other processes: Python as an application, and this test binary as ourselves, to be killed or starved.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// An application that uses a database: `writer.py` in one of its roles. Killed when dropped.
pub struct Other {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Other {
    pub fn start(database: &Path, busy_seconds: f64, role: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sqlite_live/writer.py");
        let mut child = Command::new("python3")
            .arg(script)
            .arg(database)
            .arg(busy_seconds.to_string())
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed as the other process");
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Other { child, to, from }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the other process died: {line:?}"))
    }

    pub fn expect(&mut self, key: &str) -> Value {
        let line = self.line();
        assert!(line.get(key).is_some(), "expected {key}, not {line}");
        line[key].clone()
    }

    pub fn go_on(&mut self) {
        self.to.as_mut().unwrap().write_all(b"go on\n").unwrap();
    }

    /// Ends it; its last words.
    pub fn stop(mut self) -> Value {
        self.to = None;
        let line = self.line();
        assert!(self.child.wait().unwrap().success());
        line
    }

    /// Ends one that has nothing more to say.
    pub fn stop_silent(mut self) {
        self.to = None;
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Already gone if it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const JOB: &str = "MIYABI_TEST_SQLITE_JOB";
const TOLD: &str = "told: ";

/// What this test binary does in a process of its own; it says `ok` or the error's kind and chain.
pub enum Job {
    Copy { path: PathBuf, staging: PathBuf },
    Restore { staged: PathBuf, target: PathBuf },
}

impl Job {
    fn words(&self) -> OsString {
        let (verb, from, to) = match self {
            Job::Copy { path, staging } => ("copy", path, staging),
            Job::Restore { staged, target } => ("restore", staged, target),
        };
        [verb.as_ref(), from.as_os_str(), to.as_os_str()].join("\n".as_ref())
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command.args(["--exact", "sqlite_live::other::the_other_self_says_what_happened", "--nocapture"]);
        command.env(JOB, self.words()).stdout(Stdio::piped()).stderr(Stdio::null());
    }

    pub fn run(&self) -> String {
        told_by(self.command(&std::env::current_exe().unwrap()))
    }

    /// True if it was killed while it ran.
    pub fn kill_after(&self, moment: Duration) -> bool {
        let mut child = self.command(&std::env::current_exe().unwrap()).spawn().unwrap();
        thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap().code().is_none()
    }

    /// Every file that it writes is limited: what a full disk does, without one. Python ignores SIGXFSZ, and what
    /// it starts inherits that, so that writing fails instead of killing.
    pub fn run_with_file_size_limit(&self, bytes: u64) -> String {
        let limited = "import os, resource, sys\n\
             resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\n\
             os.execv(sys.argv[2], sys.argv[2:])";
        let mut command = Command::new("python3");
        command.args(["-c", limited, &bytes.to_string()]).arg(std::env::current_exe().unwrap());
        self.prepare(&mut command);
        told_by(command)
    }

    /// As a user whom permissions hold back, should we be root. `open` is a folder which that user may use.
    pub fn run_without_rights(&self, open: &Path) -> String {
        const NOBODY: u32 = 65534;
        if !rustix::process::geteuid().is_root() {
            return self.run();
        }
        // Our own file may lie where only root gets to.
        let program = open.join("program");
        if !program.exists() {
            fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = self.command(&program);
        command.uid(NOBODY).gid(NOBODY).current_dir(open);
        told_by(command)
    }
}

fn told_by(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().find_map(|line| line.split_once(TOLD)).map(|(_, told)| told.to_owned());
    told.unwrap_or_else(|| panic!("the other self said nothing ({}): {text}", output.status))
}

/// Run with a job in its environment, this is the other self. Run as a test, it starts one that must fail.
#[test]
fn the_other_self_says_what_happened() {
    let Some(words) = std::env::var_os(JOB) else {
        let missing = Job::Copy { path: "/no/such.db".into(), staging: "/no/such/copy".into() };
        assert!(missing.run().starts_with("place: cannot create /no/such/copy: No such file"));
        return;
    };
    let words = words.into_string().unwrap();
    let mut words = words.split('\n');
    let (verb, from, to) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let done = match verb {
        "copy" => super::back_up(from.as_ref(), to.as_ref(), Duration::from_secs(3)).map(drop),
        _ => super::restore_into(from.as_ref(), to.as_ref(), Duration::from_secs(5)).map(drop),
    };
    match done {
        Ok(()) => println!("\n{TOLD}ok"),
        Err(error) => println!("\n{TOLD}{}: {}", error.kind().name(), error.chain()),
    }
}
