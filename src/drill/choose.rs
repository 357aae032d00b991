//! Which archives are drilled. The newest of each database always is: it is the one that would be needed.

use std::collections::BTreeSet;

use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{DrillJob, Sampling};
use crate::listing::{Listed, Listing, State};
use crate::manifest::Meta;
use crate::policy::ArchiveKind;

/// Newest first, each archive once, whatever tiers it stands in.
pub fn choose<'a>(listing: &'a Listing, job: &DrillJob) -> Result<Vec<&'a Listed>> {
    let wanted = |row: &&Listed| {
        matches!(row.kind, Some(ArchiveKind::Postgres | ArchiveKind::Sqlite))
            && row.state == State::Complete
            && row.meta.as_ref().is_some_and(Meta::is_regular)
            && job.kind.is_none_or(|kind| row.kind == Some(kind))
            && (job.names.is_empty() || job.names.contains(&row.label))
    };
    let mut seen = BTreeSet::new();
    let id = |row: &Listed| Some(row.meta.as_ref()?.details.as_ref()?.archive_id.clone());
    let is_new = |row: &&Listed| seen.insert(id(row));
    let all: Vec<&Listed> = listing.rows.iter().filter(wanted).filter(is_new).collect();
    if let Some(missing) = job.names.iter().find(|name| !all.iter().any(|row| row.label == **name)) {
        return Err(Error::new(Kind::Nothing, format!("there is no backup of `{missing}` to drill")));
    }
    if all.is_empty() {
        return Err(Error::new(Kind::Nothing, format!("there is no backup to drill in {}", job.root.display()))
            .hint("`miyabi-backup list` shows what is there, `miyabi-backup backup` makes one"));
    }
    let mut first_of = BTreeSet::new();
    let (newest, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|row| first_of.insert((row.kind, row.label.as_str())));
    let mut chosen = newest;
    match job.sampling {
        Sampling::Newest => {}
        Sampling::All => chosen.extend(others),
        Sampling::Sample(count) => chosen.extend(by_chance(others, count)?),
    }
    Ok(chosen)
}

fn by_chance(mut from: Vec<&Listed>, count: usize) -> Result<Vec<&Listed>> {
    let mut picked = Vec::new();
    while picked.len() < count && !from.is_empty() {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).context(Kind::Bug, || "cannot draw random bytes".to_owned())?;
        let at = u64::from_be_bytes(bytes) % from.len() as u64;
        picked.push(from.swap_remove(usize::try_from(at).unwrap_or(0)));
    }
    Ok(picked)
}
