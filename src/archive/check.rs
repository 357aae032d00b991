//! Every finding over one archive, not the first: the one place where errors are collected instead of returned.

use std::collections::BTreeMap;

use crate::error::Kind;
use crate::read_at::ReadAt;

use super::fault::{Fault, Flaw};
use super::header::ArchiveHeader;
use super::index::Objects;
use super::member::{MemberKind, Tag};
use super::model::StreamKind;
use super::survey::{Broken, Survey, Tally};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// Bytes are not what was written.
    Damage,
    /// Nothing can be said about the file: not ours, or written by a newer version.
    Unsupported,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    pub severity: Severity,
    pub what: String,
    /// Byte offset in the archive.
    pub at: Option<u64>,
    /// `schema.table`, or the kind of a stream of the script.
    pub stream: Option<String>,
    /// Known for rows alone.
    pub rows_lost: Option<u64>,
}

/// What is sound and what is lost of one stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StreamReport {
    pub stream: String,
    pub kind: StreamKind,
    pub members: u64,
    pub rows: u64,
    pub members_lost: u64,
    pub rows_lost: u64,
    /// Whether the losses are exact, not lower bounds: the index is gone, or the file is cut.
    pub exact: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub header: Option<ArchiveHeader>,
    pub findings: Vec<Finding>,
    pub streams: Vec<StreamReport>,
    /// Bytes that were gone through.
    pub stored: u64,
}

impl Report {
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// The kind of error that the findings amount to.
    pub fn kind(&self) -> Option<Kind> {
        let unsupported = self.findings.iter().any(|finding| finding.severity == Severity::Unsupported);
        match (self.findings.is_empty(), unsupported) {
            (true, _) => None,
            (false, true) => Some(Kind::Unsupported),
            (false, false) => Some(Kind::Damaged),
        }
    }
}

/// Reads all of `source`. `progress` is told how many bytes were passed since it was last called.
pub fn check<R: ReadAt>(source: R, progress: &mut dyn FnMut(u64)) -> Report {
    let stored = source.len();
    match Survey::take(&source, Objects::Passed, progress) {
        Ok(survey) => report(survey, stored),
        Err(fault) => Report { stored, findings: vec![finding(&fault, None, None)], ..Report::default() },
    }
}

pub(super) fn report(survey: Survey, stored: u64) -> Report {
    let findings = findings(&survey);
    let streams = survey.found.tallies.values().map(stream_report).collect();
    Report { header: survey.header, findings, streams, stored }
}

fn findings(survey: &Survey) -> Vec<Finding> {
    let label = |tally: &Tally| tally.spec.label();
    let mut broken: BTreeMap<u64, &Broken> = BTreeMap::new();
    let mut all = Vec::new();
    for flaw in &survey.found.broken {
        // The first flaw at a place is the reason of those that follow.
        broken.entry(flaw.fault.at).or_insert(flaw);
    }
    for entry in &survey.found.missing {
        let tally = survey.found.tallies.get(&entry.stream);
        let rows_lost = tally.filter(|tally| tally.spec.kind == StreamKind::Rows).map(|_| entry.rows);
        let missing = Flaw::Missing.at(entry.offset);
        let reason = broken.remove(&entry.offset).map_or(&missing, |broken| &broken.fault);
        all.push(finding(reason, tally.map(label), rows_lost));
    }
    for broken in broken.values() {
        let stream = broken.tag.and_then(|tag| survey.found.tallies.get(&tag.stream)).map(label);
        let rows_lost = broken.tag.filter(|_| survey.index.is_none()).and_then(rows_of);
        all.push(finding(&broken.fault, stream, rows_lost));
    }
    all.sort_by_key(|finding| finding.at);
    for stream in survey.index.iter().flat_map(|index| &index.streams) {
        let whole = survey.found.tallies.get(&stream.id).filter(|tally| tally.members_lost == 0);
        if whole.is_some_and(|tally| tally.digest != stream.digest) {
            let finding = finding(&Flaw::Digest.at(0), Some(stream.spec.label()), None);
            all.push(Finding { at: None, ..finding });
        }
    }
    all
}

fn rows_of(tag: Tag) -> Option<u64> {
    (tag.kind == MemberKind::Data(StreamKind::Rows)).then_some(tag.rows)
}

fn finding(fault: &Fault, stream: Option<String>, rows_lost: Option<u64>) -> Finding {
    let severity = match fault.flaw.kind() {
        Kind::Unsupported => Severity::Unsupported,
        _ => Severity::Damage,
    };
    Finding { severity, what: fault.to_string(), at: Some(fault.at), stream, rows_lost }
}

fn stream_report(tally: &Tally) -> StreamReport {
    StreamReport {
        stream: tally.spec.label(),
        kind: tally.spec.kind,
        members: tally.members,
        rows: tally.rows,
        members_lost: tally.members_lost,
        rows_lost: tally.rows_lost,
        exact: tally.exact,
    }
}
