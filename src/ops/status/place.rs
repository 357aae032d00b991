//! The place: what backups take of it, what is left, and whether that will do for a month.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::listing::Listing;
use crate::policy::{Tier, freshness, trend};
use crate::state::history::Run;
use crate::store::is_denied;
use crate::units::human_bytes;

use super::StatusJob;
use super::database::minute;
use super::facts::{Facts, Past};
use super::outcome::{Code, DatabaseStatus, Finding, Level, PlaceStatus};

const DAYS: u64 = 30;

pub fn assess(facts: &Facts, job: &StatusJob, databases: &[DatabaseStatus]) -> PlaceStatus {
    let used_bytes = used(&facts.listing);
    let used_in_30_days_bytes = databases.iter().map(|one| in_30_days(one, job)).fold(0, u64::saturating_add);
    let mut findings = Vec::new();
    let space = match &facts.space {
        Ok(space) => *space,
        Err(error) => {
            findings.push(Finding::warning(Code::Place, format!("cannot tell its free space: {}", error.chain())));
            None
        }
    };
    if databases.is_empty() {
        findings.push(Finding::warning(Code::Place, "there is no backup in it, and nothing is configured to have one"));
    }
    let noncurrent = facts.noncurrent.as_ref().copied().unwrap_or_else(|error| {
        findings.push(Finding::warning(Code::Place, format!("cannot tell what old versions take: {}", error.chain())));
        None
    });
    findings.extend(missed(&facts.place, &facts.past.history));
    for skipped in &facts.listing.skipped {
        findings.push(Finding::warning(Code::Place, format!("{} was not looked at: {}", skipped.path, skipped.why)));
    }
    if let Some(space) = space {
        let more = used_in_30_days_bytes.saturating_sub(used_bytes);
        if space.free < job.min_free {
            let (free, least) = (human_bytes(space.free), human_bytes(job.min_free));
            findings.push(Finding::warning(Code::Space, format!("{free} free, less than {least}")));
        }
        if more > space.free {
            let (free, more) = (human_bytes(space.free), human_bytes(more));
            findings.push(Finding::warning(
                Code::Space,
                format!("{free} free, and {more} more will be needed within 30 days"),
            ));
        }
    }
    PlaceStatus {
        place: facts.place.clone(),
        readable: true,
        state: findings.iter().map(|finding| finding.level).max().unwrap_or_default(),
        findings,
        used_bytes,
        free_bytes: space.map(|space| space.free),
        total_bytes: space.map(|space| space.total),
        used_in_30_days_bytes,
        noncurrent_bytes: noncurrent.map(|noncurrent| noncurrent.bytes),
    }
}

/// One that cannot be listed, so that nothing can be said of its backups.
pub fn unreadable(place: &str, error: &Error, past: &Past) -> PlaceStatus {
    let level = if is_denied(error) { Level::Warning } else { Level::Critical };
    let message = format!("nothing is known of its backups: {}", error.chain());
    let mut findings = vec![Finding { level, code: Code::Place, message }];
    findings.extend(missed(place, &past.history));
    PlaceStatus {
        place: place.to_owned(),
        readable: false,
        state: findings.iter().map(|finding| finding.level).max().unwrap_or_default(),
        findings,
        used_bytes: 0,
        free_bytes: None,
        total_bytes: None,
        used_in_30_days_bytes: 0,
        noncurrent_bytes: None,
    }
}

/// Backups that got elsewhere and not here, up to the newest run that says something of this place.
fn missed(place: &str, history: &[Run]) -> Option<Finding> {
    let told = |run: &&Run| run.start.command == "backup" && run.items.iter().any(|item| item.ok);
    let of = |run: &Run| {
        let all = run.items.iter().flat_map(|item| item.missed.iter().map(move |missed| (item, missed)));
        let here: Vec<_> = all.filter(|(_, missed)| missed.place == place).collect();
        here.first().map(|(item, missed)| format!("{}: {}", item.name, missed.error))
    };
    let mut runs = history.iter().rev().filter(told);
    let last = runs.next()?;
    let why = of(last)?;
    let since = runs.take_while(|run| of(run).is_some()).last().unwrap_or(last).start.at;
    let message =
        format!("the backup of {} did not get there, nor all since {}: {why}", minute(last.start.at), minute(since));
    let day = freshness::recovery_point(Tier::Daily);
    Some(match last.start.at.duration_since(since) >= day {
        true => Finding::critical(Code::Failed, message),
        false => {
            Finding::warning(Code::Failed, format!("the backup of {} did not get there: {why}", minute(last.start.at)))
        }
    })
}

/// The tiers of one backup share its bytes.
fn used(listing: &Listing) -> u64 {
    let mut archives: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &listing.rows {
        let details = row.meta.as_ref().and_then(|meta| meta.details.as_ref());
        archives.insert(details.map_or(row.path.as_str(), |details| &details.archive_id), row.size);
    }
    archives.into_values().fold(0, u64::saturating_add)
}

/// As many backups of each tier as there will be, each as large as the middle of the month by the trend.
fn in_30_days(one: &DatabaseStatus, job: &StatusJob) -> u64 {
    let sizes: Vec<u64> = one.sizes.iter().map(|size| size.size_bytes).collect();
    let Some(newest) = sizes.last() else { return 0 };
    let size = (*newest as f64 + trend::growth(&sizes) * (DAYS / 2) as f64).max(0.0);
    let count = |tier: Tier| {
        let days = u64::from(job.rules.days(tier));
        let (every, most) = match tier {
            Tier::Daily => (1, days),
            Tier::Weekly => (7, days.div_ceil(7)),
            Tier::Monthly => (30, days.div_ceil(30)),
        };
        let standing = one.tiers.iter().find(|status| status.tier == tier).map_or(0, |status| status.count);
        standing.saturating_add(DAYS / every).min(most.max(1))
    };
    let all: u64 = Tier::ALL.into_iter().map(count).sum();
    (size * all as f64) as u64
}
