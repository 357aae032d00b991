//! From the rows of a listing to verdicts: whose series a row belongs to, what is known of its health, and whether it
//! is ours to remove at all.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Zoned;

use crate::job::{PruneJob, Scope};
use crate::listing::{Listed, Listing, State};
use crate::manifest::{Meta, Source};
use crate::policy::retention::{Candidate, Health, decide};
use crate::policy::{ArchiveKind, naming};
use crate::state::{TreeKey, Verdicts};

pub struct Judged<'a> {
    pub row: &'a Listed,
    pub remove: bool,
    pub reason: String,
}

/// Backups of one source, all of it or the same part.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
enum Series {
    Of {
        source: Source,
        content: &'static str,
        part: Option<String>,
    },
    /// Of the older system, without a `.meta` that says more.
    Named {
        kind: Option<ArchiveKind>,
        label: String,
    },
}

/// In the order of the listing.
pub fn judge<'a>(
    listing: &'a Listing,
    tree: &TreeKey,
    verdicts: &Verdicts,
    job: &PruneJob,
    now: &Zoned,
) -> Vec<Judged<'a>> {
    let named = series_by_name(listing);
    let scope = series_in_scope(listing, &job.scope);
    let mut candidates = Vec::new();
    let mut slots = Vec::new();
    for row in &listing.rows {
        let placed = place(row, job.adopt, &named).and_then(|(series, health)| match &scope {
            Some(scope) if !scope.contains(&series) => Err("not of a source that this run has backed up"),
            _ => Ok((series, health)),
        });
        slots.push(match (placed, row.tier) {
            (Ok((series, health)), Some(tier)) => {
                let failed = verdicts.of(tree.as_str(), &row.path).is_some_and(|last| !last.sound);
                let health = if failed && health == Health::Good { Health::Bad } else { health };
                candidates.push(Candidate { series, tier, at: row.timestamp.instant(), health });
                Ok(candidates.len().saturating_sub(1))
            }
            (Ok(_), None) => Err(OUTSIDE),
            (Err(why), _) => Err(why),
        });
    }
    let decided = decide(&job.rules, now, &candidates);
    let judged = slots.into_iter().zip(&listing.rows).map(|(slot, row)| match slot.map(|at| decided.get(at)) {
        Ok(Some(verdict)) => Judged { row, remove: verdict.is_removal(), reason: verdict.to_string() },
        Ok(None) => Judged { row, remove: false, reason: "not judged".to_owned() },
        Err(why) => Judged { row, remove: false, reason: why.to_owned() },
    });
    judged.collect()
}

const OUTSIDE: &str = "outside of the folders of tiers";

/// Series and health, or why it is not ours to remove.
fn place(
    row: &Listed,
    adopt: bool,
    named: &BTreeMap<(Option<ArchiveKind>, &str), Series>,
) -> Result<(Series, Health), &'static str> {
    if row.tier.is_none() {
        return Err(OUTSIDE);
    }
    if !naming::is_ours(&row.path) {
        return Err("not under a name that a run gives");
    }
    let meta = row.meta.as_ref();
    let is_foreign = row.state == State::Foreign || meta.is_some_and(Meta::is_foreign);
    if is_foreign && !adopt {
        return Err("made by another tool, and not adopted");
    }
    let health = match row.state {
        State::Complete | State::Foreign => Health::Good,
        State::Damaged => Health::Bad,
        State::NoMeta | State::NoArchive => Health::Remnant,
    };
    let series = match (meta, row.state) {
        (Some(meta), _) => of_meta(meta),
        (None, State::Foreign) => Series::Named { kind: row.kind, label: row.label.clone() },
        (None, _) => {
            let known = named.get(&(row.kind, row.label.as_str()));
            known.cloned().ok_or("no finished backup of this name says what it belongs to")?
        }
    };
    Ok((series, health))
}

fn of_meta(meta: &Meta) -> Series {
    let content = meta.details.as_ref().map_or("all", |details| details.content.name());
    Series::Of { source: meta.source(), content, part: meta.part().map(str::to_owned) }
}

/// What a name stands for: the series of its newest finished backup.
fn series_by_name(listing: &Listing) -> BTreeMap<(Option<ArchiveKind>, &str), Series> {
    let mut named = BTreeMap::new();
    // Newest first, so that the first one stays.
    for row in listing.rows.iter().filter(|row| row.state == State::Complete) {
        if let Some(meta) = &row.meta {
            named.entry((row.kind, row.label.as_str())).or_insert_with(|| of_meta(meta));
        }
    }
    named
}

/// `None`: all of them.
fn series_in_scope(listing: &Listing, scope: &Scope) -> Option<BTreeSet<Series>> {
    let Scope::SeriesOf(archives) = scope else { return None };
    let metas = listing.rows.iter().filter_map(|row| row.meta.as_ref());
    let is_new = |meta: &&Meta| meta.details.as_ref().is_some_and(|details| archives.contains(&details.sha256));
    Some(metas.filter(is_new).map(of_meta).collect())
}
