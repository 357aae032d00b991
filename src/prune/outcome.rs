//! What a run of `prune` removed, or would remove, and why everything else stays.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::listing::State;
use crate::manifest::Moment;
use crate::policy::Tier;
use crate::units::StoredBytes;

use super::judge::Judged;

#[derive(Clone, Debug, Serialize)]
pub struct PruneOutcome {
    pub place: String,
    pub dry_run: bool,
    /// Newest first.
    pub removed: Vec<Pruned>,
    pub kept: Vec<Pruned>,
    /// Manifests of runs of which nothing is left.
    pub manifests: Vec<String>,
    /// Unfinished files that no live run owned.
    pub swept: Vec<String>,
    /// Of archives whose last name is removed.
    pub freed_bytes: StoredBytes,
}

#[derive(Clone, Debug, Serialize)]
pub struct Pruned {
    pub path: String,
    pub label: String,
    pub tier: Option<Tier>,
    pub timestamp: Moment,
    pub size_bytes: StoredBytes,
    pub state: State,
    pub reason: String,
}

impl PruneOutcome {
    pub(super) fn new(place: String, dry_run: bool, judged: &[Judged<'_>], manifests: Vec<String>) -> Self {
        let freed_bytes = freed(judged);
        let (removed, kept): (Vec<_>, Vec<_>) = judged.iter().partition(|one| one.remove);
        PruneOutcome {
            place,
            dry_run,
            removed: removed.into_iter().map(pruned).collect(),
            kept: kept.into_iter().map(pruned).collect(),
            manifests,
            swept: Vec::new(),
            freed_bytes,
        }
    }
}

fn pruned(one: &Judged<'_>) -> Pruned {
    Pruned {
        path: one.row.path.clone(),
        label: one.row.label.clone(),
        tier: one.row.tier,
        timestamp: one.row.timestamp,
        size_bytes: StoredBytes(one.row.size),
        state: one.row.state,
        reason: one.reason.clone(),
    }
}

/// The tiers of one backup share its bytes on a disk: they are free when the last name goes.
fn freed(judged: &[Judged<'_>]) -> StoredBytes {
    let id = |one: &Judged<'_>| {
        let details = one.row.meta.as_ref().and_then(|meta| meta.details.as_ref());
        details.map_or_else(|| one.row.path.clone(), |details| details.archive_id.clone())
    };
    let mut held: BTreeSet<String> = judged.iter().filter(|one| !one.remove).map(id).collect();
    let first_of = |one: &&Judged<'_>| held.insert(id(one));
    judged.iter().filter(|one| one.remove).filter(first_of).map(|one| StoredBytes(one.row.size)).sum()
}
