//! Every run that changes or checks something: a line when it starts, a line when it ends.
//!
//! A run that vanished (power cut, `kill -9`) has no second line. While it lives it holds a lock on a file of its own,
//! so that one at work is told from one that is gone whatever its process number is used for now.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};

use super::journal::{Journal, Lines};

const FILE: &str = "history.jsonl";
const MARKS: &str = "runs";

/// One line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
pub enum Record {
    Start(Start),
    End(End),
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// 16 hex digits, nobody else's.
    pub run: String,
    pub at: Timestamp,
    /// `backup`, `verify`, …
    pub command: String,
    pub pid: u32,
    pub version: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub run: String,
    pub at: Timestamp,
    pub exit_code: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default)]
    pub items: Vec<Item>,
}

/// What came of one database or file of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub name: String,
    pub ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Places of the run that did not get it, while others did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Missed>,
}

/// A place that has no backup of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Missed {
    /// As it is configured.
    pub place: String,
    pub error: String,
}

/// Both lines of a run, and what that makes of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    #[serde(flatten)]
    pub start: Start,
    pub state: RunState,
    pub ended_at: Option<Timestamp>,
    pub exit_code: Option<u8>,
    pub error: Option<String>,
    pub items: Vec<Item>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    Ok,
    /// Some of several failed.
    Partial,
    Failed,
    /// By a signal.
    Stopped,
    Running,
    /// It has begun, is not at work, and never said how it ended.
    Vanished,
}

impl RunState {
    pub const fn name(self) -> &'static str {
        match self {
            RunState::Ok => "ok",
            RunState::Partial => "partial",
            RunState::Failed => "failed",
            RunState::Stopped => "stopped",
            RunState::Running => "running",
            RunState::Vanished => "vanished",
        }
    }

    const fn of_exit_code(code: u8) -> Self {
        match code {
            0 => RunState::Ok,
            3 => RunState::Partial,
            130 | 143 => RunState::Stopped,
            _ => RunState::Failed,
        }
    }
}

/// A run that is going on. Dropping it without an end leaves a run that vanished.
#[derive(Debug)]
#[must_use = "a run without an end counts as one that vanished"]
pub struct Recording {
    state_dir: PathBuf,
    run: String,
    command: String,
    mark: PathBuf,
    _lock: File,
}

impl Recording {
    pub fn begin(state_dir: &Path, command: &str, version: &str, now: Timestamp) -> Result<Recording> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).context(Kind::Bug, || "cannot draw random bytes".to_owned())?;
        let run = format!("{:016x}", u64::from_be_bytes(id));
        let marks = state_dir.join(MARKS);
        let doing = || format!("cannot note the beginning of the run in {}", state_dir.display());
        let lock = make_mark(&marks, &run).context(Kind::Place, doing)?;
        forget_dead(&marks).context(Kind::Place, doing)?;
        let start = Start {
            run: run.clone(),
            at: now,
            command: command.to_owned(),
            pid: std::process::id(),
            version: version.to_owned(),
        };
        Journal::new(state_dir, FILE).append(&[Record::Start(start)])?;
        Ok(Recording {
            state_dir: state_dir.to_owned(),
            command: command.to_owned(),
            mark: marks.join(&run),
            run,
            _lock: lock,
        })
    }

    pub fn command(&self) -> &str {
        &self.command
    }

    pub fn id(&self) -> &str {
        &self.run
    }

    pub fn end(self, exit_code: u8, error: Option<String>, items: Vec<Item>, now: Timestamp) -> Result<()> {
        let end = End { run: self.run.clone(), at: now, exit_code, error, items };
        Journal::new(&self.state_dir, FILE).append(&[Record::End(end)])?;
        // A mark that stays is swept by the next run.
        let _ = std::fs::remove_file(&self.mark);
        Ok(())
    }
}

/// Gets its name only when it is locked, so that nobody takes it for a dead one.
fn make_mark(marks: &Path, run: &str) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(marks)?;
    let new = marks.join(format!("{run}.new"));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    std::fs::rename(&new, marks.join(run))?;
    Ok(file)
}

fn forget_dead(marks: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(marks)? {
        let path = entry?.path();
        if path.extension().is_none() && !is_held(&path) {
            match std::fs::remove_file(&path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
                _ => {}
            }
        }
    }
    Ok(())
}

fn is_held(mark: &Path) -> bool {
    File::open(mark).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

/// Puts lines together to runs; keeps those that have not ended for the next lines.
#[derive(Debug, Default)]
pub struct History {
    /// Oldest first.
    pub runs: Vec<Run>,
    pub unreadable: u64,
    end: u64,
}

impl History {
    pub fn read(state_dir: &Path) -> Result<History> {
        let mut history = History::default();
        history.read_on(state_dir)?;
        Ok(history)
    }

    /// Takes in what was written since; returns whether anything changed.
    pub fn read_on(&mut self, state_dir: &Path) -> Result<bool> {
        let Lines { entries, unreadable, end } = Journal::new(state_dir, FILE).read_from::<Record>(self.end)?;
        let mut changed = !entries.is_empty();
        self.end = end;
        self.unreadable = self.unreadable.saturating_add(unreadable);
        for record in entries {
            self.add(record);
        }
        for run in self.runs.iter_mut().filter(|run| run.state == RunState::Running) {
            if !is_held(&state_dir.join(MARKS).join(&run.start.run)) {
                run.state = RunState::Vanished;
                changed = true;
            }
        }
        Ok(changed)
    }

    fn add(&mut self, record: Record) {
        match record {
            Record::Start(start) => self.runs.push(Run {
                start,
                state: RunState::Running,
                ended_at: None,
                exit_code: None,
                error: None,
                items: Vec::new(),
            }),
            Record::End(end) => {
                let Some(run) = self.runs.iter_mut().rev().find(|run| run.start.run == end.run) else { return };
                run.state = RunState::of_exit_code(end.exit_code);
                run.ended_at = Some(end.at);
                run.exit_code = Some(end.exit_code);
                run.error = end.error;
                run.items = end.items;
            }
        }
    }
}

impl Run {
    /// `None` while it runs, and if it vanished.
    pub fn duration_seconds(&self) -> Option<f64> {
        self.ended_at.map(|end| end.duration_since(self.start.at).as_secs_f64().max(0.0))
    }
}

/// For messages of those who could not write it.
pub fn cannot_record(error: Error) -> Error {
    error.while_doing("the history has no line about this run")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_run_is_running_until_it_ends_and_vanished_if_it_never_does() {
        let folder = tempfile::tempdir().unwrap();
        let states = || History::read(folder.path()).unwrap().runs.iter().map(|run| run.state).collect::<Vec<_>>();
        let first = Recording::begin(folder.path(), "backup", "1", at(100)).unwrap();
        let second = Recording::begin(folder.path(), "verify", "1", at(101)).unwrap();
        assert_eq!(states(), [RunState::Running, RunState::Running]);
        let mut following = History::read(folder.path()).unwrap();
        first.end(0, None, vec![Item { name: "shop".into(), ok: true, ..Item::default() }], at(160)).unwrap();
        assert_eq!(states(), [RunState::Ok, RunState::Running]);
        drop(second);
        assert_eq!(states(), [RunState::Ok, RunState::Vanished]);
        assert!(following.read_on(folder.path()).unwrap());
        assert_eq!(following.runs[0].state, RunState::Ok);
        assert_eq!(following.runs[0].duration_seconds(), Some(60.0));
        assert_eq!(following.runs[1].state, RunState::Vanished);
        assert!(!following.read_on(folder.path()).unwrap());

        let third = Recording::begin(folder.path(), "backup", "1", at(200)).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join(MARKS)).unwrap().count(), 1, "dead marks are swept");
        third.end(143, Some("stopped by signal 15".into()), Vec::new(), at(201)).unwrap();
        assert_eq!(states(), [RunState::Ok, RunState::Vanished, RunState::Stopped]);
    }
}
