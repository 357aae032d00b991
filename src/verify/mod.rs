//! Verifies stored backups: every byte of every archive named or found, and every finding, not the first.

pub mod outcome;

use std::path::Path;

use crate::archive::{self, Report, check};
use crate::error::{Error, Kind, Result};
use crate::job::{Context, VerifyJob};
use crate::listing::{self, Listed, State};
use crate::store::{LocalStore, Name, Store};
use crate::units::{RawBytes, StoredBytes};

use outcome::{FileReport, Finding, Severity, Verdict, VerifyOutcome};

pub fn run(job: &VerifyJob, context: &Context) -> Result<VerifyOutcome> {
    let mut files = Vec::new();
    for path in &job.paths {
        let (store, listing) = listing::at_path(path, context.clock.zone())?;
        for row in &listing.rows {
            files.push(look_at(&store, path, row, context)?);
        }
    }
    Ok(VerifyOutcome { files })
}

fn look_at(store: &LocalStore, named: &Path, row: &Listed, context: &Context) -> Result<FileReport> {
    let path = if named.is_dir() { named.join(&row.path) } else { named.to_owned() };
    let mut file = FileReport {
        path,
        verdict: Verdict::Sound,
        foreign: row.state == State::Foreign,
        findings: Vec::new(),
        size: StoredBytes(row.size),
        raw: RawBytes(0),
        rows: 0,
        tables: 0,
    };
    if row.state == State::Damaged || row.state == State::NoArchive {
        file.verdict = Verdict::Damaged;
        file.findings.push(damage(row.note.clone().unwrap_or_else(|| row.state.name().to_owned())));
        return Ok(file);
    }
    match store.open(&Name::new(row.path.as_str())?) {
        Ok(stored) => {
            context.progress.stage(format!("verifying {}", row.path), row.size);
            let report = check(stored, &mut |bytes| context.progress.add_raw(bytes, 0));
            context.cancel.check()?;
            take_in(&mut file, report);
        }
        Err(error) => {
            file.verdict = Verdict::Unreadable;
            file.findings.push(damage(error.chain()));
        }
    }
    Ok(file)
}

fn take_in(file: &mut FileReport, report: Report) {
    file.verdict = match report.kind() {
        None => Verdict::Sound,
        Some(Kind::Unsupported) => Verdict::NotOurs,
        Some(_) => Verdict::Damaged,
    };
    file.rows = report.streams.iter().map(|stream| stream.rows).sum();
    file.tables = report.streams.iter().filter(|stream| stream.kind == archive::StreamKind::Rows).count() as u64;
    file.findings.extend(report.findings.into_iter().map(|found| Finding {
        severity: Severity::Damage,
        what: found.what,
        at: found.at,
        stream: found.stream,
        rows_lost: found.rows_lost,
    }));
}

fn damage(what: String) -> Finding {
    Finding { severity: Severity::Damage, what, at: None, stream: None, rows_lost: None }
}

/// Whether a listed backup is sound: every byte of it is read.
pub fn judge(store: &LocalStore, row: &Listed, context: &Context) -> Result<()> {
    let stored = store.open(&Name::new(row.path.as_str())?)?;
    let report = check(stored, &mut |_| {});
    context.cancel.check()?;
    match report.findings.into_iter().next() {
        None => Ok(()),
        Some(finding) => Err(Error::new(Kind::Damaged, finding.what)),
    }
}
