//! `prune`, and the rotation after a backup: which tree, by which rules.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::backup::{configured, retention};
use super::{Backup, Notes, machine, places};
use crate::backup::BackupOutcome;
use crate::cli::args::PruneArgs;
use crate::cli::config::Config;
use crate::error::Result;
use crate::job::{Place, PruneJob, Scope, Source};

pub enum Prune {
    Backups {
        roots: Vec<PathBuf>,
        job: PruneJob,
    },
    /// What restores over these sources have kept.
    BeforeRestore(Vec<Source>),
}

pub fn prune(args: &PruneArgs, config: &Config, notes: &mut Notes) -> Result<Prune> {
    if args.before_restore {
        // What a source has kept is found by its name: of one that has none, nothing goes.
        let (sources, failures) = configured(config, notes)?;
        for failure in failures {
            notes.warn(format!("{}: what restores have kept of it stays", failure.error.chain()));
        }
        return Ok(Prune::BeforeRestore(sources));
    }
    let job = PruneJob {
        rules: retention(config)?,
        scope: Scope::All,
        adopt: args.adopt,
        dry_run: args.dry_run,
        state_dir: machine::state_dir(config)?,
    };
    Ok(Prune::Backups { roots: places::to_look_at(config)?, job })
}

/// What follows a backup: in each tree that it wrote, the series of which it made a new one. `None` if there is nothing
/// to rotate.
pub fn rotation(plan: &Backup, outcome: &BackupOutcome) -> Option<(Vec<PathBuf>, PruneJob)> {
    let job = plan.job.as_ref().filter(|_| plan.prunes)?;
    let Place::Tree { root } = &job.place else { return None };
    let made = outcome.sources.iter().filter_map(|source| source.result.as_ref().ok());
    let made: BTreeSet<String> = made.map(|done| done.sha256.clone()).collect();
    if made.is_empty() {
        return None;
    }
    let roots = std::iter::once(root).chain(&job.copies).cloned().collect();
    let job = PruneJob {
        rules: plan.retention,
        scope: Scope::SeriesOf(made),
        adopt: false,
        dry_run: false,
        state_dir: job.state_dir.clone(),
    };
    Some((roots, job))
}
