//! Runs the real program in a folder of its own, and explains what happened when an assertion fails.
//!
//! The environment is scrubbed: no variable, home folder, `.env` or configuration of the machine reaches the program.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder that is the working directory, the home and the state of every program run in it.
pub struct Dir {
    folder: TempDir,
}

impl Dir {
    pub fn new() -> Self {
        Dir { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("its folder");
        fs::write(&path, content).expect("a file");
        path
    }

    /// A SQLite file with one table of `rows` rows.
    pub fn sqlite(&self, name: &str, rows: u32) -> PathBuf {
        let path = self.join(name);
        let database = rusqlite::Connection::open(&path).expect("a database");
        database.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);").expect("a table");
        for row in 0..rows {
            database.execute("INSERT INTO t (b) VALUES (?1)", [format!("row {row}")]).expect("a row");
        }
        path
    }

    /// The program, ready to run with `arguments` separated by spaces.
    pub fn cmd(&self, arguments: &str) -> Cmd<'_> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_miyabi-backup"));
        command.env_clear().env("HOME", self.path()).env("TZ", "UTC").env("XDG_STATE_HOME", self.join(".state"));
        command.current_dir(self.path()).stdin(Stdio::null()).args(arguments.split_whitespace());
        Cmd { dir: self, command }
    }

    fn files(&self) -> String {
        let mut text = String::new();
        list(self.path(), self.path(), &mut text);
        text
    }
}

fn list(root: &Path, folder: &Path, text: &mut String) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let size = fs::symlink_metadata(&path).map_or(0, |facts| facts.len());
        let shown = path.strip_prefix(root).unwrap_or(&path).display();
        if path.is_dir() {
            list(root, &path, text);
        } else {
            let _ = writeln!(text, "  {size:>9}  {shown}");
        }
    }
}

pub struct Cmd<'a> {
    dir: &'a Dir,
    command: Command,
}

impl<'a> Cmd<'a> {
    /// One argument that may hold spaces.
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn run(mut self) -> Ran<'a> {
        let output = self.command.output().expect("the program starts");
        Ran { dir: self.dir, command: format!("{:?}", self.command), output }
    }
}

/// A finished run. Every method that finds something amiss prints all there is to know.
pub struct Ran<'a> {
    dir: &'a Dir,
    command: String,
    output: Output,
}

impl Ran<'_> {
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        if self.output.status.code() != Some(code) {
            self.fail(&format!("expected exit code {code}"));
        }
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        if !self.stderr().contains(text) {
            self.fail(&format!("expected on standard error: {text}"));
        }
        self
    }

    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        if !self.stdout().contains(text) {
            self.fail(&format!("expected on standard output: {text}"));
        }
        self
    }

    #[track_caller]
    pub fn prints_nothing(self) -> Self {
        if !self.output.stdout.is_empty() {
            self.fail("expected nothing on standard output");
        }
        self
    }

    /// `text` stands on neither stream.
    #[track_caller]
    pub fn never_shows(self, text: &str) -> Self {
        if self.stdout().contains(text) || self.stderr().contains(text) {
            self.fail(&format!("expected on neither stream: {text}"));
        }
        self
    }

    /// Has a line `error: …` and, if wanted, one `hint: …`.
    #[track_caller]
    pub fn reports(self, error: &str, hint: &str) -> Self {
        let stderr = self.stderr();
        let has = |start: &str, text: &str| stderr.lines().any(|line| line.starts_with(start) && line.contains(text));
        if !has("error: ", error) {
            self.fail(&format!("expected a line `error: …{error}…`"));
        }
        if !hint.is_empty() && !has("hint: ", hint) {
            self.fail(&format!("expected a line `hint: …{hint}…`"));
        }
        self
    }

    /// Standard output as exactly one JSON object.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.output.stdout) {
            Ok(value @ Value::Object(_)) => value,
            Ok(_) => self.fail("expected one JSON object"),
            Err(cause) => self.fail(&format!("expected JSON: {cause}")),
        }
    }

    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        panic!(
            "{what}\n--- command\n{}\n--- folder\n{}\n{}--- exit\n{}\n--- stdout\n{}\n--- stderr\n{}",
            self.command,
            self.dir.path().display(),
            self.dir.files(),
            self.output.status,
            self.stdout(),
            self.stderr(),
        )
    }
}
