//! Runs the binary as a user does: in a folder of its own, with no environment but what a test gives, without a terminal.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A working folder that is also the program's home; its state lies in `state`. Deleted at the end of the test.
pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        Sandbox { folder: tempfile::tempdir().expect("a folder for the test") }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ready to be started: nothing of the tester's own environment gets through but the way to programs and libraries.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_miyabi-backup"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path()).env("MIYABI_BACKUP_STATE_DIR", self.path("state")).env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        self.finish(self.command(arguments))
    }

    /// Runs a command made by [`Sandbox::command`] and changed since.
    pub fn finish(&self, mut command: Command) -> Outcome {
        let line = format!("{command:?}");
        let output = command.output().expect("the binary starts");
        Outcome { line, folder: self.folder.path().to_owned(), output }
    }

    pub fn start<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Running {
        let mut command = self.command(arguments);
        let line = format!("{command:?}");
        let child = command.spawn().expect("the binary starts");
        Running { line, folder: self.folder.path().to_owned(), child: Some(child) }
    }

    /// Everything below the sandbox whose name ends like this, sorted; dot-files are staging and are left out.
    pub fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut found = all_files(self.folder.path());
        found.retain(|path| {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            name.ends_with(ending) && !name.starts_with('.')
        });
        found
    }

    /// The one daily archive of this label, in the tree `backups`.
    pub fn daily(&self, label: &str) -> PathBuf {
        let is_it = |path: &PathBuf| {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let middle = name.split_once('-').map_or("", |(_, rest)| rest);
            let stamped = middle.strip_prefix(label).is_some_and(|rest| rest.starts_with("-2"));
            path.components().any(|part| part.as_os_str() == "daily") && stamped
        };
        let mut found: Vec<_> = self.files(".gz").into_iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "expected one daily backup of {label}, found {found:?}");
        found.remove(0)
    }

    /// What a run leaves only while it works.
    pub fn staging_files(&self) -> Vec<PathBuf> {
        let mut found = all_files(self.folder.path());
        found.retain(|path| path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with('.')));
        found
    }
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(all_files(&entry.path())),
            _ => found.push(entry.path()),
        }
    }
    found.sort();
    found
}

/// Started and not yet waited for; killed if the test ends first.
pub struct Running {
    line: String,
    folder: PathBuf,
    child: Option<Child>,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// The largest resident size so far, in KiB; 0 until the program is there: before, the process shows that of the tests.
    pub fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let line = line.filter(|_| status.starts_with("Name:\tmiyabi-backup\n"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }

    /// Sends a signal by its name: `STOP` holds the run where it is, however fast the machine, until `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().expect("kill starts");
        assert!(sent.success(), "cannot send {name}: the run has ended");
    }

    /// Reads standard output until it has this text, then ends the run by SIGTERM; returns what was read.
    pub fn stop_when_it_says(mut self, text: &str) -> String {
        use std::io::Read;
        let mut output = self.child.as_mut().and_then(|child| child.stdout.take()).expect("a pipe");
        let mut read = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&read).contains(text) {
            assert_eq!(output.read(&mut byte).expect("readable"), 1, "it ended without saying `{text}`");
            read.push(byte[0]);
        }
        self.signal("TERM");
        String::from_utf8_lossy(&read).into_owned()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    pub fn kill(mut self) -> Outcome {
        self.child.as_mut().expect("not yet waited for").kill().expect("a child can be killed");
        self.wait()
    }

    pub fn wait(mut self) -> Outcome {
        let child = self.child.take().expect("not yet waited for");
        let output = child.wait_with_output().expect("the binary ends");
        Outcome { line: std::mem::take(&mut self.line), folder: self.folder.clone(), output }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// What came of a run; every failing expectation shows all of it.
pub struct Outcome {
    line: String,
    folder: PathBuf,
    output: Output,
}

impl Outcome {
    /// The exit code was this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.output.status.code(), Some(code), "expected exit code {code}{self}");
        self
    }

    /// The exit code, unless a signal ended it.
    pub fn code(&self) -> Option<i64> {
        self.output.status.code().map(i64::from)
    }

    #[track_caller]
    pub fn expect_failure(self) -> Self {
        assert!(!self.output.status.success(), "expected a failure{self}");
        self
    }

    /// Standard error or output has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr().contains(text) || self.stdout().contains(text), "expected it to say `{text}`{self}");
        self
    }

    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        let silent = !self.stderr().contains(text) && !self.stdout().contains(text);
        assert!(silent, "expected it to never say `{text}`{self}");
        self
    }

    /// A line that begins with `error:` names this.
    #[track_caller]
    pub fn blames(self, text: &str) -> Self {
        let stderr = self.stderr();
        let blamed = stderr.lines().any(|line| line.starts_with("error:") && line.contains(text));
        assert!(blamed, "expected a line `error: … {text} …`{self}");
        self
    }

    /// There is a line that begins with `hint:`.
    #[track_caller]
    pub fn hints(self) -> Self {
        assert!(self.stderr().lines().any(|line| line.starts_with("hint:")), "expected a hint{self}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout()) {
            Ok(value) => value,
            Err(fault) => panic!("expected JSON on standard output: {fault}{self}"),
        }
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "\n--- command\n{}\n--- status\n{}", self.line, self.output.status)?;
        writeln!(f, "--- stdout\n{}\n--- stderr\n{}\n--- files", self.stdout(), self.stderr())?;
        for path in all_files(&self.folder) {
            let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            writeln!(f, "{size:>12} {}", path.strip_prefix(&self.folder).unwrap_or(&path).display())?;
        }
        Ok(())
    }
}
