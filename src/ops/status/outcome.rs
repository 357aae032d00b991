//! What `status` says, as `--json` shows it: docs/JSON.md holds these fields, and they are only ever added to.

use serde::Serialize;

use crate::manifest::Moment;
use crate::policy::{ArchiveKind, Tier};
use crate::prune::kept::KeptCopy;
use crate::state::drills::Drill;
use crate::state::history::Run;

/// The version of this object.
pub const STATUS_VERSION: u32 = 1;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    Ok,
    Warning,
    Critical,
}

impl Level {
    pub const fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Critical => "critical",
        }
    }

    /// Apart from those of `error::Kind`: nothing failed, and something is wrong.
    pub const fn exit_code(self) -> u8 {
        match self {
            Level::Ok => 0,
            Level::Warning => 40,
            Level::Critical => 41,
        }
    }
}

/// What a finding is about; alerts are told apart by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    Never,
    Stale,
    Failed,
    Vanished,
    Damaged,
    Size,
    RowsGone,
    Drill,
    Space,
    Place,
    Alert,
}

impl Code {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Code::Never => "never",
            Code::Stale => "stale",
            Code::Failed => "failed",
            Code::Vanished => "vanished",
            Code::Damaged => "damaged",
            Code::Size => "size",
            Code::RowsGone => "rows_gone",
            Code::Drill => "drill",
            Code::Space => "space",
            Code::Place => "place",
            Code::Alert => "alert",
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    pub level: Level,
    pub code: Code,
    pub message: String,
}

impl Finding {
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Finding { level: Level::Warning, code, message: message.into() }
    }

    pub fn critical(code: Code, message: impl Into<String>) -> Self {
        Finding { level: Level::Critical, code, message: message.into() }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub status_version: u32,
    pub state: Level,
    pub at: Moment,
    pub databases: Vec<DatabaseStatus>,
    pub place: PlaceStatus,
    /// The other places that are configured, each with its own copies.
    pub further_places: Vec<FurtherPlace>,
    /// Channels of `[alerts]` that could not be reached when they were last tried.
    pub delivery: Vec<Finding>,
    pub schedule: ScheduleStatus,
    /// What restores have kept; `None` where it was not looked for, or a server did not answer.
    pub kept_copies: Option<Vec<KeptCopy>>,
    /// The last runs, newest first.
    pub runs: Vec<Run>,
}

/// A finding and whom it is about.
pub struct About<'a> {
    /// `shop (postgres)`, `shop (postgres) in s3://vault/miyabi`, or the place.
    pub subject: String,
    /// Of a database that nobody configured it raises no alarm.
    pub configured: bool,
    pub finding: &'a Finding,
}

impl Status {
    pub(super) fn add(&mut self, further: FurtherPlace) {
        let worst = further.databases.iter().map(|one| one.state).max().unwrap_or_default();
        self.state = self.state.max(worst).max(further.place.state);
        self.further_places.push(further);
    }

    /// Everything that is wrong: databases before their place, the first place before the others; last
    /// that alerts do not get through.
    pub fn findings(&self) -> Vec<About<'_>> {
        let further = self.further_places.iter().map(|one| (&one.place, &one.databases, true));
        let mut all = Vec::new();
        for (place, databases, is_further) in std::iter::once((&self.place, &self.databases, false)).chain(further) {
            for one in databases {
                let subject = match is_further {
                    true => format!("{} ({}) in {}", one.name, one.kind, place.place),
                    false => format!("{} ({})", one.name, one.kind),
                };
                let about = |finding| About { subject: subject.clone(), configured: one.configured, finding };
                all.extend(one.findings.iter().map(about));
            }
            let about = |finding| About { subject: place.place.clone(), configured: true, finding };
            all.extend(place.findings.iter().map(about));
        }
        let about = |finding| About { subject: "alerts".to_owned(), configured: true, finding };
        all.extend(self.delivery.iter().map(about));
        all
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct DatabaseStatus {
    pub name: String,
    pub kind: ArchiveKind,
    pub state: Level,
    /// Whether the configuration names it. What it does not name is shown and raises no alarm.
    pub configured: bool,
    pub findings: Vec<Finding>,
    /// `None`: never.
    pub last: Option<LastBackup>,
    /// Sizes of the last dailies, oldest first, at most thirty.
    pub sizes: Vec<SizePoint>,
    pub sparkline: String,
    /// By what part the newest size differs from the median of the seven before it.
    pub deviation: Option<f64>,
    pub tiers: Vec<TierStatus>,
    pub last_verify: Option<VerifyStatus>,
    pub last_drill: Option<Drill>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LastBackup {
    pub path: String,
    pub timestamp: Moment,
    pub age_seconds: i64,
    pub size_bytes: u64,
    pub raw_bytes: u64,
    pub rows: u64,
    pub tables: u64,
    pub duration_seconds: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct SizePoint {
    pub timestamp: Moment,
    pub size_bytes: u64,
    pub duration_seconds: f64,
    pub rows: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct TierStatus {
    pub tier: Tier,
    pub count: u64,
    pub bytes: u64,
    pub newest: Option<Moment>,
    /// When its backups were made, oldest first.
    pub made: Vec<Moment>,
    pub rpo_seconds: i64,
    pub within_rpo: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct VerifyStatus {
    pub path: String,
    pub at: Moment,
    pub sound: bool,
    pub why: Option<String>,
    /// Archives of this database that were found unsound when they were last looked at.
    pub unsound: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct PlaceStatus {
    pub place: String,
    /// Whether it could be listed: if not, nothing is known of its backups.
    pub readable: bool,
    pub state: Level,
    pub findings: Vec<Finding>,
    pub used_bytes: u64,
    pub free_bytes: Option<u64>,
    pub total_bytes: Option<u64>,
    /// What backups will take in thirty days, by trend and retention.
    pub used_in_30_days_bytes: u64,
    /// Where the place keeps versions and lets them be listed: bytes of those that are not current, whatever they are of.
    pub noncurrent_bytes: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FurtherPlace {
    #[serde(flatten)]
    pub place: PlaceStatus,
    pub databases: Vec<DatabaseStatus>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ScheduleStatus {
    /// The configured time of day.
    pub at: Option<String>,
    pub next_run: Option<Moment>,
}
