//! The place: what backups take of it, what is left, and whether that will do for a month.

use std::collections::BTreeMap;

use crate::listing::Listing;
use crate::policy::{Tier, trend};
use crate::units::human_bytes;

use super::StatusJob;
use super::facts::Facts;
use super::outcome::{Code, DatabaseStatus, Finding, PlaceStatus};

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
        state: findings.iter().map(|finding| finding.level).max().unwrap_or_default(),
        findings,
        used_bytes,
        free_bytes: space.map(|space| space.free),
        total_bytes: space.map(|space| space.total),
        used_in_30_days_bytes,
    }
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
