//! What one file turned out to be, gathered check by check.

use crate::archive::Stream;
use crate::error::{Error, Kind, Result};
use crate::manifest::Format;

use super::outcome::{Finding, Severity, Verdict};

#[derive(Debug, Default)]
pub struct Seen {
    /// What it holds, as far as that could be seen.
    pub format: Option<Format>,
    /// Of another tool.
    pub foreign: bool,
    pub raw: u64,
    pub rows: u64,
    pub tables: u64,
    /// An archive of ours whose index could be read.
    pub ours: Option<Ours>,
    pub findings: Vec<Finding>,
    not_ours: bool,
    unreadable: bool,
    unfinished: bool,
    sealed: bool,
}

/// What an archive's index says of it.
#[derive(Debug)]
pub struct Ours {
    pub id: String,
    pub streams: Vec<Stream>,
}

impl Seen {
    pub fn damage(&mut self, what: impl Into<String>) {
        self.findings.push(Finding::damage(what));
    }

    pub fn note(&mut self, what: impl Into<String>) {
        self.findings.push(Finding::note(what));
    }

    /// Nothing can be said of its soundness; `why` says so.
    pub fn not_ours(&mut self, why: impl Into<String>) {
        self.not_ours = true;
        self.note(why);
    }

    /// It was never published; what there is of it may be sound all the same.
    pub fn unfinished(&mut self, why: impl Into<String>) {
        self.unfinished = true;
        self.note(why);
    }

    /// It is encrypted, and what is inside could not be looked at.
    pub fn sealed(&mut self, why: impl Into<String>) {
        self.sealed = true;
        self.note(why);
    }

    /// The check could not be made.
    pub fn unreadable(&mut self, why: &Error) {
        self.unreadable = true;
        let hint = why.hint_text().map(|hint| format!(" ({hint})")).unwrap_or_default();
        self.note(format!("{}{hint}", why.chain()));
    }

    /// Takes in the error of a check; one that stops the run is handed back.
    pub fn failed(&mut self, error: Error) -> Result<()> {
        match error.kind() {
            Kind::Stopped | Kind::Signal(_) | Kind::Bug => return Err(error),
            Kind::Damaged => self.damage(error.chain()),
            Kind::Unsupported => self.not_ours(error.chain()),
            _ => self.unreadable(&error),
        }
        Ok(())
    }

    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Damage)
    }

    /// Damage that was seen goes before what could not be seen.
    pub fn verdict(&self) -> Verdict {
        match () {
            () if self.is_damaged() => Verdict::Damaged,
            () if self.unreadable => Verdict::Unreadable,
            () if self.not_ours => Verdict::NotOurs,
            () if self.unfinished => Verdict::Unfinished,
            () if self.sealed => Verdict::Sealed,
            () => Verdict::Sound,
        }
    }
}
