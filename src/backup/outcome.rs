//! What a run of `backup` leads to: one result a source, and the exit code that follows from all of them.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Kind};
use crate::manifest::meta::Meta;
use crate::policy::Tier;
use crate::units::{RawBytes, StoredBytes};

#[derive(Debug, Default)]
pub struct BackupOutcome {
    pub sources: Vec<SourceOutcome>,
    /// What was cleaned up before: staging files of runs that died.
    pub swept: Vec<String>,
}

#[derive(Debug)]
pub struct SourceOutcome {
    pub label: String,
    /// `shop on db.example:5432`, or the path of a SQLite file.
    pub source: String,
    /// Globals beside databases: nobody asked for them alone, so their success does not make a failed run a partial one.
    pub goes_along: bool,
    pub result: Result<BackedUp, Error>,
}

/// One archive that stands, with its `.meta`.
#[derive(Clone, Debug, Serialize)]
pub struct BackedUp {
    pub path: PathBuf,
    /// Empty for `--output`.
    pub tiers: Vec<Tier>,
    /// The same backup in further places.
    pub copies: Vec<PathBuf>,
    pub size_bytes: StoredBytes,
    pub raw_bytes: RawBytes,
    pub tables: u64,
    pub rows: u64,
    pub sha256: String,
    /// The flags that left out objects or rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    pub duration_seconds: f64,
    pub warnings: Vec<String>,
    /// Places of the run that did not get it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<PlaceFailure>,
}

/// Why one of several places has no backup of this run.
#[derive(Clone, Debug, Serialize)]
pub struct PlaceFailure {
    pub place: PathBuf,
    pub error: String,
    pub hint: Option<String>,
    pub notes: Vec<String>,
}

impl From<(PathBuf, Error)> for PlaceFailure {
    fn from((place, error): (PathBuf, Error)) -> Self {
        let (hint, notes) = (error.hint_text().map(str::to_owned), error.notes().to_vec());
        PlaceFailure { place, error: error.chain(), hint, notes }
    }
}

impl BackedUp {
    pub fn new(path: PathBuf, tiers: Vec<Tier>, meta: &Meta) -> Self {
        let details = meta.details.as_ref();
        BackedUp {
            path,
            tiers,
            copies: Vec::new(),
            size_bytes: meta.size_bytes,
            raw_bytes: details.map(|details| details.raw_bytes).unwrap_or_default(),
            tables: details.map_or(0, |details| details.tables.len() as u64),
            rows: details.map_or(0, |details| details.tables.iter().map(|table| table.rows).sum()),
            sha256: details.map(|details| details.sha256.clone()).unwrap_or_default(),
            part: details.and_then(|details| details.part.clone()),
            duration_seconds: details.map_or(0.0, |details| details.duration_seconds),
            warnings: details.map(|details| details.warnings.clone()).unwrap_or_default(),
            failed: Vec::new(),
        }
    }
}

impl BackupOutcome {
    /// 0 if all succeeded, 3 if only some did or not in every place, else the first error's own code. A signal's code goes before all. What
    /// only goes along counts as a failure, never as the success of a run.
    pub fn exit_code(&self) -> u8 {
        let errors = || self.sources.iter().filter_map(|source| source.result.as_ref().err());
        if let Some(stopped) = errors().find(|error| matches!(error.kind(), Kind::Signal(_))) {
            return stopped.kind().exit_code();
        }
        let is_short = |source: &SourceOutcome| source.result.as_ref().is_ok_and(|done| !done.failed.is_empty());
        match errors().next() {
            None if self.sources.iter().any(is_short) => Kind::Partial.exit_code(),
            None => 0,
            Some(_) if self.sources.iter().any(|one| one.result.is_ok() && !one.goes_along) => {
                Kind::Partial.exit_code()
            }
            Some(error) => error.kind().exit_code(),
        }
    }
}
