//! Removes what the retention policy says may go: `.meta` first, then the archive, the reverse of publishing.
//!
//! A run that is cut off leaves an archive without `.meta`, which is no backup any more and which the next run
//! removes. Only what this program published is touched, under the name that it gave: a renamed backup is kept, and
//! one of another tool too unless it is adopted. Works on any store.

mod judge;
pub mod kept;
mod manifests;
pub mod outcome;
mod remove;

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::job::{Context, PruneJob};
use crate::listing::Listing;
use crate::policy::naming;
use crate::state::{RunLock, TreeKey, Verdicts};
use crate::store::{Places, Store};

pub use outcome::{PruneOutcome, Pruned};

/// A tree of backups, by whatever it is stored in.
#[derive(Clone)]
pub struct Tree {
    pub store: Arc<dyn Store>,
    /// Names the tree in the state folder.
    pub key: TreeKey,
}

impl Tree {
    /// A folder that is there, or a prefix in a bucket.
    pub fn open(root: &Path, places: &Places) -> Result<Self> {
        let key = match Places::bucket(root) {
            Some(location) => TreeKey::of_url(&location?.to_string()),
            None => TreeKey::of_folder(root)?,
        };
        Ok(Tree { store: places.open(root)?, key })
    }
}

/// Judges every backup of the tree and, unless this is a dry run, removes those that may go. Blocks.
pub fn run(tree: &Tree, job: &PruneJob, context: &Context) -> Result<PruneOutcome> {
    let now = context.clock.zoned();
    let _lock = match job.dry_run {
        true => None,
        false => Some(RunLock::acquire(&job.state_dir, &tree.key, now.timestamp())?),
    };
    let verdicts = Verdicts::read(&job.state_dir)?;
    let listing = Listing::of(tree.store.as_ref(), now.time_zone())?;
    let judged = judge::judge(&listing, &tree.key, &verdicts, job, &now);
    let manifests = manifests::expired(tree.store.as_ref(), &listing, &judged, &job.rules, &now)?;
    let mut outcome = PruneOutcome::new(tree.store.describe(), job.dry_run, &judged, manifests);
    if !job.dry_run {
        remove::all(tree.store.as_ref(), &judged, &outcome.manifests, &context.cancel)
            .map_err(|error: Error| error.while_doing(format!("cannot prune {}", outcome.place)))?;
        outcome.swept = tree.store.sweep(&naming::is_ours_unfinished)?;
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests;
