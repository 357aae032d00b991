//! Jobs that only read what is stored.

use super::{archive_kind, machine, places, values};
use crate::cli::args::{CopyArgs, ListArgs, VerifyArgs};
use crate::cli::config::Config;
use crate::error::Result;
use crate::job::{CopyJob, ListJob, VerifyJob};

pub fn verify(args: &VerifyArgs, config: &Config) -> Result<VerifyJob> {
    let paths = match args.paths.as_slice() {
        [] => places::to_look_at(config)?,
        named => named.to_vec(),
    };
    Ok(VerifyJob {
        paths,
        threads: values::count(config, "threads", machine::cores())?,
        staging: config.get("staging").map(|setting| config.path(setting)),
    })
}

pub fn copy(args: &CopyArgs, config: &Config) -> Result<CopyJob> {
    Ok(CopyJob {
        from: args.from.clone(),
        to: args.to.clone(),
        label: args.name.clone(),
        kind: args.kind.map(archive_kind),
        state_dir: machine::state_dir(config)?,
    })
}

pub fn list(args: &ListArgs, config: &Config) -> Result<ListJob> {
    Ok(ListJob { root: places::to_read(config)?, label: args.name.clone(), kind: args.kind.map(archive_kind) })
}
