//! Jobs that only read what is stored.

use super::{archive_kind, machine, places, values};
use crate::cli::args::{ListArgs, VerifyArgs};
use crate::cli::config::Config;
use crate::error::Result;
use crate::job::{ListJob, VerifyJob};

pub fn verify(args: &VerifyArgs, config: &Config) -> Result<VerifyJob> {
    let paths = match (args.paths.as_slice(), &args.from) {
        ([], Some(_)) => vec![places::to_read(config)?],
        ([], None) => places::to_verify(config)?,
        (named, _) => named.to_vec(),
    };
    Ok(VerifyJob {
        paths,
        threads: values::count(config, "threads", machine::cores())?,
        staging: config.get("staging").map(|setting| config.path(setting)),
    })
}

pub fn list(args: &ListArgs, config: &Config) -> Result<ListJob> {
    Ok(ListJob { root: places::to_read(config)?, label: args.name.clone(), kind: args.kind.map(archive_kind) })
}
