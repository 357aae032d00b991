//! Where backups are, or go to.

use std::path::PathBuf;

use super::Notes;
use crate::cli::args::BackupArgs;
use crate::cli::config::{Config, Origin, Setting};
use crate::error::{Error, Kind, Result};
use crate::job::Place;

const ROOT: &str = "backups";

/// The first place and the roots that get a copy.
pub fn to_write(args: &BackupArgs, config: &Config) -> Result<(Place, Vec<PathBuf>)> {
    if let Some(path) = &args.output {
        return Ok((Place::File { path: path.clone(), force: args.force }, Vec::new()));
    }
    let flags = args.to.iter().map(|value| Setting { value: value.clone(), origin: Origin::Flag("--to") });
    let mut roots = flags.map(|setting| folder(config, &setting)).collect::<Result<Vec<_>>>()?.into_iter();
    if let Some(root) = roots.next() {
        let mut copies = Vec::new();
        for copy in roots {
            if copy != root && !copies.contains(&copy) {
                copies.push(copy);
            }
        }
        return Ok((Place::Tree { root }, copies));
    }
    if let Some(bucket) = config.get("places.s3") {
        return Err(no_s3(&bucket.origin));
    }
    Ok((Place::Tree { root: root(config)? }, Vec::new()))
}

/// The tree that is read. A bucket that is configured is not looked into, and that is said.
pub fn to_read(config: &Config, notes: &mut Notes) -> Result<PathBuf> {
    let is_flag = config.get("places.root").is_some_and(|setting| matches!(setting.origin, Origin::Flag(_)));
    if let Some(bucket) = config.get("places.s3").filter(|_| !is_flag) {
        notes.warn(format!("the bucket of {} is not looked into: S3 is not supported by this version", bucket.origin));
    }
    root(config)
}

fn root(config: &Config) -> Result<PathBuf> {
    config.get("places.root").map_or_else(|| Ok(PathBuf::from(ROOT)), |setting| folder(config, setting))
}

fn folder(config: &Config, setting: &Setting) -> Result<PathBuf> {
    if setting.value.starts_with("s3:") {
        return Err(no_s3(&setting.origin));
    }
    if setting.value.is_empty() || setting.value.contains("://") {
        return Err(super::values::unusable(&setting.origin, "a folder", &setting.value));
    }
    Ok(config.path(setting))
}

fn no_s3(origin: &Origin) -> Error {
    Error::new(Kind::Usage, format!("cannot use {origin}: backing up to S3 is not supported by this version"))
        .hint("give a folder by --to, or unset it")
}
