//! What rotation did, or would do.

use crate::listing::State;
use crate::prune::kept::KeptCopy;
use crate::prune::{PruneOutcome, Pruned};
use crate::units::{human_bytes, human_count};

use super::{align_right, table};

/// Every backup with its verdict and the reason.
pub fn prune_plan(outcome: &PruneOutcome) -> String {
    let mut rows = table(&["", "BACKUP", "SIZE", "BECAUSE"]);
    let mut add = |word: &str, all: &[Pruned]| {
        for one in all {
            let state = if one.state == State::Complete { "" } else { one.state.name() };
            let because = [state, one.reason.as_str()].into_iter().filter(|text| !text.is_empty());
            let because: Vec<&str> = because.collect();
            rows.add_row([word, &one.path, &human_bytes(one.size_bytes.0), &because.join(": ")]);
        }
    };
    add("remove", &outcome.removed);
    add("keep", &outcome.kept);
    for manifest in &outcome.manifests {
        rows.add_row(["remove", manifest, "", "its run is gone"]);
    }
    align_right(&mut rows, &[2]);
    format!("{rows}\n{}", summary(outcome))
}

pub fn pruned(outcome: &PruneOutcome) -> String {
    let mut lines: Vec<String> =
        outcome.removed.iter().map(|one| format!("removed {} ({})", one.path, one.reason)).collect();
    lines.extend(outcome.swept.iter().map(|name| format!("removed {name}, left by a run that died")));
    lines.push(summary(outcome));
    lines.join("\n")
}

fn summary(outcome: &PruneOutcome) -> String {
    let verb = if outcome.dry_run { "would be removed from" } else { "removed from" };
    format!(
        "{} backups {verb} {}, {} kept, {} freed",
        human_count(outcome.removed.len() as u64),
        outcome.place,
        human_count(outcome.kept.len() as u64),
        human_bytes(outcome.freed_bytes.0),
    )
}

pub fn kept_copies(copies: &[KeptCopy]) -> String {
    let mut rows = table(&["KEPT BY A RESTORE", "SIZE", "OF"]);
    for copy in copies {
        rows.add_row([copy.name.as_str(), &human_bytes(copy.bytes), &copy.source]);
    }
    align_right(&mut rows, &[1]);
    rows.to_string()
}
