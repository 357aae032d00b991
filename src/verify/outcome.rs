//! What `verify` found: a verdict a file, every finding, and the exit code that follows.

use std::path::PathBuf;

use serde::Serialize;

use crate::archive;
use crate::error::Kind;
use crate::units::{RawBytes, StoredBytes};

#[derive(Clone, Debug, Default, Serialize)]
pub struct VerifyOutcome {
    pub files: Vec<FileReport>,
    /// Paths that were named and that are not there, or folders without a backup in them.
    pub nothing: Vec<Nothing>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Nothing {
    pub path: PathBuf,
    pub why: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    pub path: PathBuf,
    pub verdict: Verdict,
    /// Made by another tool: a plain pg_dump script or a compressed database file.
    pub foreign: bool,
    pub findings: Vec<Finding>,
    pub size: StoredBytes,
    pub raw: RawBytes,
    pub rows: u64,
    pub tables: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every byte was read and every check held.
    Sound,
    Damaged,
    /// Not an archive, or of a newer format.
    NotOurs,
    /// The file could not be read.
    Unreadable,
    /// Encrypted, and nobody gave a key: length and SHA-256 are those of its `.meta`, if it has one, and nothing is known
    /// of what is inside. Never as good as sound.
    Sealed,
    /// Sound in itself, but no backup: its run was killed before the `.meta`.
    Unfinished,
}

#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub what: String,
    /// Where in the file, in stored bytes.
    pub at: Option<u64>,
    /// The stream it lies in: `public.orders`.
    pub stream: Option<String>,
    pub rows_lost: Option<u64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; it does not make a sound backup a damaged one.
    Note,
    Damage,
}

impl VerifyOutcome {
    /// 0 only if every file is sound, or at worst an unfinished one beside a sound one, and every path had one: nothing
    /// to look at is not soundness.
    pub fn exit_code(&self) -> u8 {
        let has = |verdict| self.files.iter().any(|file| file.verdict == verdict);
        let worst = [Verdict::Damaged, Verdict::Unreadable, Verdict::NotOurs, Verdict::Sealed]
            .into_iter()
            .find(|verdict| has(*verdict));
        match worst.and_then(Verdict::kind) {
            Some(kind) => kind.exit_code(),
            None if !has(Verdict::Sound) || !self.nothing.is_empty() => Kind::Nothing.exit_code(),
            None => 0,
        }
    }
}

impl Verdict {
    /// The kind of error that it amounts to.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Verdict::Sound => None,
            Verdict::Damaged => Some(Kind::Damaged),
            Verdict::NotOurs => Some(Kind::Unsupported),
            Verdict::Unreadable => Some(Kind::Place),
            Verdict::Sealed => Some(Kind::Partial),
            Verdict::Unfinished => Some(Kind::Nothing),
        }
    }
}

impl Finding {
    pub fn note(what: impl Into<String>) -> Self {
        Finding { severity: Severity::Note, what: what.into(), at: None, stream: None, rows_lost: None }
    }

    pub fn damage(what: impl Into<String>) -> Self {
        Finding { severity: Severity::Damage, ..Finding::note(what) }
    }

    /// Damage of one stream.
    pub fn damage_of(stream: impl Into<String>, what: impl Into<String>) -> Self {
        Finding { stream: Some(stream.into()), ..Finding::damage(what) }
    }
}

impl From<archive::Finding> for Finding {
    fn from(found: archive::Finding) -> Self {
        let severity = match found.severity {
            archive::Severity::Damage => Severity::Damage,
            archive::Severity::Unsupported => Severity::Note,
        };
        let archive::Finding { what, at, stream, rows_lost, .. } = found;
        Finding { severity, what, at, stream, rows_lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(verdict: Verdict) -> FileReport {
        FileReport {
            path: PathBuf::from("x"),
            verdict,
            foreign: false,
            findings: Vec::new(),
            size: StoredBytes(0),
            raw: RawBytes(0),
            rows: 0,
            tables: 0,
        }
    }

    #[test]
    fn only_sound_files_and_no_empty_place_exit_with_0() {
        let code = |verdicts: &[Verdict], nothing: usize| {
            let none = Nothing { path: PathBuf::from("y"), why: String::new() };
            let files = verdicts.iter().map(|verdict| file(*verdict)).collect();
            VerifyOutcome { files, nothing: vec![none; nothing] }.exit_code()
        };
        assert_eq!(code(&[Verdict::Sound], 0), 0);
        assert_eq!(code(&[], 0), 5);
        assert_eq!(code(&[], 1), 5);
        assert_eq!(code(&[Verdict::Sound], 1), 5);
        assert_eq!(code(&[Verdict::Unfinished], 0), 5, "what was never published is no backup");
        assert_eq!(code(&[Verdict::Unfinished, Verdict::Sound], 0), 0, "a killed run does not spoil the others");
        assert_eq!(code(&[Verdict::Sound, Verdict::NotOurs], 1), 31);
        assert_eq!(code(&[Verdict::Sealed, Verdict::Sound], 0), 3, "what nobody looked into is not verified");
        assert_eq!(code(&[Verdict::Sealed, Verdict::NotOurs], 0), 31);
        assert_eq!(code(&[Verdict::NotOurs, Verdict::Unreadable], 0), 21);
        assert_eq!(code(&[Verdict::Unreadable, Verdict::Damaged], 0), 30);
    }
}
