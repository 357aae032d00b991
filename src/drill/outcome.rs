//! What came of a drill, archive by archive.

use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Kind, Result};
use crate::job::DrillJob;
use crate::listing::Listed;
use crate::manifest::Moment;
use crate::policy::ArchiveKind;
use crate::policy::Tier;
use crate::policy::freshness::{is_overdue, recovery_point};

/// A restore that came to its end, and what is wrong with it.
pub struct Restored {
    pub restore_seconds: f64,
    pub tables: u64,
    pub rows: u64,
    pub findings: Vec<String>,
    pub warnings: Vec<String>,
    /// What the role that drilled may not make, and so nobody has tried.
    pub left_out: Vec<String>,
    /// Tables with rows among it, which were not compared.
    pub not_compared: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct DrillOutcome {
    pub drills: Vec<Drilled>,
    /// Of all newest backups, one after the other.
    pub restore_seconds: f64,
    /// What is wrong with all of them together.
    pub findings: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Drilled {
    pub at: Timestamp,
    pub name: String,
    pub kind: Option<ArchiveKind>,
    pub archive: String,
    pub backed_up: Moment,
    pub ok: bool,
    /// Everything that was compared is what was dumped, but the role that drilled may not make all of it.
    pub incomplete: bool,
    pub restore_seconds: Option<f64>,
    pub rto_seconds: f64,
    pub age_seconds: f64,
    pub rpo_seconds: f64,
    pub tables: u64,
    pub rows: u64,
    pub findings: Vec<String>,
    pub warnings: Vec<String>,
    pub left_out: Vec<String>,
    #[serde(skip)]
    error: Option<Kind>,
}

pub fn drilled(row: &Listed, done: Result<Restored>, job: &DrillJob, now: Timestamp) -> Drilled {
    let age = now.duration_since(row.timestamp.instant());
    let tier = row.tier.unwrap_or(Tier::Daily);
    let mut drilled = Drilled {
        at: now,
        name: row.label.clone(),
        kind: row.kind,
        archive: row.path.clone(),
        backed_up: row.timestamp,
        ok: false,
        incomplete: false,
        restore_seconds: None,
        rto_seconds: job.rto.as_secs_f64(),
        age_seconds: age.as_secs_f64(),
        rpo_seconds: recovery_point(tier).as_secs_f64(),
        tables: 0,
        rows: 0,
        findings: Vec::new(),
        warnings: Vec::new(),
        left_out: Vec::new(),
        error: None,
    };
    match done {
        Ok(restored) => {
            let Restored { restore_seconds, tables, rows, findings, warnings, left_out, not_compared } = restored;
            drilled = Drilled {
                restore_seconds: Some(restore_seconds),
                tables,
                rows,
                findings,
                warnings,
                left_out,
                ..drilled
            };
            if restore_seconds > drilled.rto_seconds {
                let target = drilled.rto_seconds;
                drilled.findings.push(format!("the restore took {restore_seconds:.0} s, the target is {target:.0} s"));
            }
            if is_overdue(tier, age) {
                let hours = age.as_hours();
                drilled.warnings.push(format!("the backup is {hours} hours old: as much would be lost"));
            }
            if drilled.findings.is_empty() && !not_compared.is_empty() {
                drilled.incomplete = true;
                let tables = not_compared.join(", ");
                drilled.findings.push(format!(
                    "incomplete: the role that drills may not make what these tables need, so they were not compared: {tables}"
                ));
            }
        }
        Err(error) => {
            drilled.error = Some(error.kind());
            drilled.findings.push(error.chain());
            drilled.findings.extend(error.notes().iter().cloned());
            drilled.warnings.extend(error.hint_text().map(str::to_owned));
        }
    }
    drilled.ok = drilled.findings.is_empty();
    drilled
}

impl DrillOutcome {
    /// After a disaster all databases are restored, one after the other: the first drill of each name is its newest.
    pub(super) fn judge_together(&mut self, job: &DrillJob) {
        let mut names: Vec<(Option<ArchiveKind>, &str)> = Vec::new();
        let mut seconds = 0.0;
        for drilled in &self.drills {
            let name = (drilled.kind, drilled.name.as_str());
            if !names.contains(&name) {
                names.push(name);
                seconds += drilled.restore_seconds.unwrap_or(0.0);
            }
        }
        let target = job.rto_together().as_secs_f64();
        if seconds > target {
            self.findings.push(format!("all restores together took {seconds:.0} s, the target is {target:.0} s"));
        }
        self.restore_seconds = seconds;
    }

    /// 0 if every drill succeeded within its targets; 3 if some did, or all that could be compared is well; else the first error's own code, or 30 where a
    /// restored database is not what was dumped.
    pub fn exit_code(&self) -> u8 {
        let failed = self.drills.iter().filter(|one| !one.ok).count();
        match self.drills.iter().find(|one| !one.ok) {
            None if self.findings.is_empty() => 0,
            None => Kind::Target.exit_code(),
            Some(_) if failed < self.drills.len() || self.drills.iter().all(|one| one.ok || one.incomplete) => {
                Kind::Partial.exit_code()
            }
            Some(first) => first.error.unwrap_or(Kind::Damaged).exit_code(),
        }
    }
}
