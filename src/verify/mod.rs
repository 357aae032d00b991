//! Verifies stored backups: every byte is read and every check is made; every finding is reported, not the first.
//!
//! Nothing is changed, and nothing is ever called sound that was not read to its end. Files of other tools are
//! verified as far as they say of themselves that they are whole.

pub mod foreign;
pub mod outcome;
mod pinned;
pub mod script;
pub mod stored;
pub mod unpacked;

mod against_meta;
mod file;
mod in_order;
mod seen;
mod sqlite;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::{Error, Kind, Result, first_cause};
use crate::job::{Context, VerifyJob};
use crate::listing::{Listed, Listing, Skipped, at_path};
use crate::manifest::{RunManifest, meta::META_BYTES_MAX};
use crate::store::{Bytes, Name, Store};
use crate::units::{RawBytes, StoredBytes};

use file::Origin;
use outcome::{FileReport, Finding, Nothing, Severity, Verdict, VerifyOutcome};
use pinned::Pinned;

/// Verifies every archive that the job names or that lies below a folder that it names. Blocks; an error is returned
/// only if the run is stopped. At most `threads` archives are looked at at once, each with one member in memory.
pub fn run(job: &VerifyJob, context: &Context) -> Result<VerifyOutcome> {
    let mut found = Found::default();
    for path in &job.paths {
        context.cancel.check()?;
        found.gather(path, context);
    }
    let total = found.files.iter().map(|file| file.row.size).fold(0, u64::saturating_add);
    context.progress.stage("verifying", total);
    let checked = check_all(&found.files, job, context)?;
    let mut files = found.reports;
    files.extend(checked);
    Ok(VerifyOutcome { files, nothing: found.nothing })
}

/// Whether this backup is sound, checked in full; the error says why it is not. What `latest` asks.
pub fn judge(store: &dyn Store, row: &Listed, context: &Context) -> Result<()> {
    judged(store, row, context).map(drop)
}

/// Opens an archive of which a signature is asked for: what is read from it is what was checked, whatever becomes of the
/// file or the object meanwhile.
pub fn open_signed(store: &dyn Store, row: &Listed, context: &Context) -> Result<Box<dyn Bytes>> {
    match judged(store, row, context)? {
        Some(pinned) => Ok(Box::new(pinned)),
        None => Err(Error::new(Kind::Damaged, "its .meta does not say what was signed")),
    }
}

fn judged(store: &dyn Store, row: &Listed, context: &Context) -> Result<Option<Pinned>> {
    context.progress.stage(format!("verifying {}", row.path), row.size);
    let (report, pinned) = file::check_bytes(store, row, Origin::Folder, None, context)?;
    let Some(kind) = report.verdict.kind() else { return Ok(pinned) };
    let kind = if report.verdict == Verdict::Sealed { Kind::Refused } else { kind };
    let is_reason = |finding: &&Finding| report.verdict != Verdict::Damaged || finding.severity == Severity::Damage;
    let reasons = report.findings.iter().filter(is_reason).count();
    let first = report.findings.iter().find(is_reason).map_or("it is not sound", |finding| finding.what.as_str());
    Err(match reasons {
        0 | 1 => Error::new(kind, first),
        _ => Error::new(kind, format!("{first}, and {} more findings", reasons - 1)),
    })
}

struct File {
    store: Arc<dyn Store>,
    row: Listed,
    origin: Origin,
}

/// What is to be checked, and what is known before any archive is opened.
#[derive(Default)]
struct Found {
    files: Vec<File>,
    reports: Vec<FileReport>,
    nothing: Vec<Nothing>,
}

impl Found {
    fn gather(&mut self, path: &Path, context: &Context) {
        let (store, listing) = match at_path(path, &context.places, context.clock.zone()) {
            Ok(found) => found,
            Err(error) if error.kind() == Kind::Nothing => {
                self.nothing.push(Nothing { path: path.to_owned(), why: error.chain() });
                return;
            }
            Err(error) => {
                self.reports.push(bad(path, Verdict::Unreadable, Finding::note(error.chain())));
                return;
            }
        };
        let origin = if listing.is_file { Origin::Named } else { Origin::Folder };
        let Listing { rows, manifests, skipped, .. } = listing;
        if rows.is_empty() && skipped.is_empty() {
            self.nothing.push(Nothing { path: path.to_owned(), why: "no backup lies in it or below".to_owned() });
        }
        for Skipped { path, why } in skipped {
            let path = PathBuf::from(store.shown(&path));
            self.reports.push(bad(&path, Verdict::Unreadable, Finding::note(why)));
        }
        for manifest in manifests {
            if let Err(error) = read_manifest(store.as_ref(), &manifest) {
                let path = PathBuf::from(store.shown(&manifest));
                self.reports.push(bad(&path, Verdict::Damaged, Finding::damage(error.chain())));
            }
        }
        self.files.extend(rows.into_iter().map(|row| File { store: Arc::clone(&store), row, origin }));
    }
}

/// Of a file that no archive can be seen in.
fn bad(path: &Path, verdict: Verdict, finding: Finding) -> FileReport {
    FileReport {
        path: path.to_owned(),
        verdict,
        foreign: false,
        findings: vec![finding],
        size: StoredBytes(0),
        raw: RawBytes(0),
        rows: 0,
        tables: 0,
    }
}

/// No restore needs a run manifest; one that cannot be read shows all the same that the place loses bytes.
fn read_manifest(store: &dyn Store, path: &str) -> Result<()> {
    let bytes = store.open(&Name::new(path)?)?;
    let len = usize::try_from(bytes.len()).unwrap_or(usize::MAX).min(META_BYTES_MAX + 1);
    let mut json = vec![0; len];
    bytes
        .read_at(0, &mut json)
        .map_err(|cause| Error::new(Kind::Damaged, "the run manifest cannot be read").because(cause))?;
    RunManifest::parse(&json).map(drop)
}

/// In the order of `files`, whoever was done first.
fn check_all(files: &[File], job: &VerifyJob, context: &Context) -> Result<Vec<FileReport>> {
    let next = AtomicUsize::new(0);
    let check_some = || -> Result<Vec<(usize, FileReport)>> {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(File { store, row, origin }) = files.get(at) else { return Ok(done) };
            done.push((at, file::check(store.as_ref(), row, *origin, job.staging.as_deref(), context)?));
        }
    };
    let mut reports = thread::scope(|scope| {
        let workers: Vec<_> = (0..job.threads.clamp(1, files.len().max(1))).map(|_| scope.spawn(check_some)).collect();
        let joined =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        first_cause(joined)
    })?
    .concat();
    reports.sort_by_key(|(at, _)| *at);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}
