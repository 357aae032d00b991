//! Jobs that only read what is stored.

use super::{Notes, archive_kind, machine, places, values};
use crate::cli::args::{ListArgs, VerifyArgs};
use crate::cli::config::Config;
use crate::error::Result;
use crate::job::{ListJob, VerifyJob};

pub fn verify(args: &VerifyArgs, config: &Config, notes: &mut Notes) -> Result<VerifyJob> {
    let paths = if args.paths.is_empty() { vec![places::to_read(config, notes)?] } else { args.paths.clone() };
    Ok(VerifyJob {
        paths,
        threads: values::count(config, "threads", machine::cores())?,
        staging: config.get("staging").map(|setting| config.path(setting)),
    })
}

pub fn list(args: &ListArgs, config: &Config, notes: &mut Notes) -> Result<ListJob> {
    Ok(ListJob { root: places::to_read(config, notes)?, label: args.name.clone(), kind: args.kind.map(archive_kind) })
}
