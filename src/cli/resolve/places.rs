//! Where backups are, or go to.

use std::path::{Path, PathBuf};

use super::values::unusable;
use crate::cli::args::BackupArgs;
use crate::cli::config::{Config, Origin, Setting};
use crate::error::{Error, Kind, Result};
use crate::job::Place;
use crate::store::s3::Location;

const ROOT: &str = "backups";
/// Of the bucket that `places.s3` names alone.
const PREFIX: &str = "miyabi";

/// The first place, and the others that are written in the same pass.
pub fn to_write(args: &BackupArgs, config: &Config) -> Result<(Place, Vec<PathBuf>)> {
    if let Some(path) = &args.output {
        if Location::is_one(&path.to_string_lossy()) {
            return Err(Error::new(Kind::Usage, "--output names a file of this machine")
                .hint("--to s3://bucket/prefix writes into a bucket, under the names of a tree"));
        }
        return Ok((Place::File { path: path.clone(), force: args.force }, Vec::new()));
    }
    let flags = args.to.iter().map(|value| Setting { value: value.clone(), origin: Origin::Flag("--to") });
    let mut named = flags.map(|setting| tree(config, &setting)).collect::<Result<Vec<_>>>()?;
    if named.is_empty() {
        named = configured(config)?;
    }
    let mut roots: Vec<PathBuf> = Vec::new();
    for root in named {
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    let mut roots = roots.into_iter();
    let root = roots.next().unwrap_or_else(|| PathBuf::from(ROOT));
    Ok((Place::Tree { root }, roots.collect()))
}

/// The tree that is read. Without one on this machine it is the bucket: after a disaster nothing else is left.
pub fn to_read(config: &Config) -> Result<PathBuf> {
    let folder = folder(config)?;
    let is_meant = config.get("places.root").is_some() || folder.exists();
    match bucket(config)? {
        Some(bucket) if !is_meant => Ok(bucket),
        _ => Ok(folder),
    }
}

/// All that are configured; a folder that nobody named and that is not there is none. A place that a flag names stands alone.
pub fn to_look_at(config: &Config) -> Result<Vec<PathBuf>> {
    if let Some(setting) = config.get("places.root").filter(|setting| matches!(setting.origin, Origin::Flag(_))) {
        return Ok(vec![tree(config, setting)?]);
    }
    let read = to_read(config)?;
    let bucket = bucket(config)?.filter(|bucket| *bucket != read);
    Ok(std::iter::once(read).chain(bucket).collect())
}

/// The folder and, if one is named, the bucket; or the place that a flag names.
pub fn to_examine(config: &Config) -> Result<Vec<PathBuf>> {
    match config.get("places.root").filter(|setting| matches!(setting.origin, Origin::Flag(_))) {
        Some(setting) => Ok(vec![tree(config, setting)?]),
        None => configured(config),
    }
}

/// The folder and, if one is named, the bucket.
pub fn configured(config: &Config) -> Result<Vec<PathBuf>> {
    Ok(std::iter::once(folder(config)?).chain(bucket(config)?).collect())
}

fn folder(config: &Config) -> Result<PathBuf> {
    config.get("places.root").map_or_else(|| Ok(PathBuf::from(ROOT)), |setting| tree(config, setting))
}

fn bucket(config: &Config) -> Result<Option<PathBuf>> {
    let Some(Setting { value, origin }) = config.get("places.s3") else { return Ok(None) };
    let place = match Location::is_one(value) {
        true => value.clone(),
        false => {
            let prefix = config.get("places.s3_prefix").map_or(PREFIX, |setting| setting.value.as_str());
            format!("s3://{}/{}", value.trim_matches('/'), prefix.trim_matches('/'))
        }
    };
    location(&place, origin).map(Some)
}

/// A folder, or `s3://bucket/prefix`.
fn tree(config: &Config, setting: &Setting) -> Result<PathBuf> {
    if Location::is_one(&setting.value) {
        return location(&setting.value, &setting.origin);
    }
    if setting.value.is_empty() || setting.value.contains("://") || setting.value.starts_with("s3:") {
        return Err(unusable(&setting.origin, "a folder or s3://bucket/prefix", &setting.value));
    }
    Ok(config.path(setting))
}

fn location(text: &str, origin: &Origin) -> Result<PathBuf> {
    let place = Location::parse(text).map_err(|error| error.while_doing(format!("cannot use {origin}")))?;
    Ok(Path::new(&place.to_string()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Command;
    use crate::cli::config::testing::config;

    fn written(arguments: &[&str], environment: &[(&str, &str)], toml: &str) -> Result<Vec<String>> {
        let (args, config) = config(arguments, environment, "", toml);
        let Command::Backup(args) = &args.command else { panic!("not a backup") };
        let (place, copies) = to_write(args, &config)?;
        Ok(std::iter::once(place.describe()).chain(copies.iter().map(|copy| copy.display().to_string())).collect())
    }

    #[test]
    fn a_bucket_is_written_beside_the_folder() {
        let bucket = [("AWS_S3_BACKUP_BUCKET", "vault")];
        assert_eq!(written(&["backup"], &bucket, "").unwrap(), ["backups", "s3://vault/miyabi"]);
        let prefixed = [("AWS_S3_BACKUP_BUCKET", "vault"), ("AWS_S3_PREFIX", "/a/b/")];
        assert_eq!(written(&["backup"], &prefixed, "").unwrap(), ["backups", "s3://vault/a/b"]);
        let root = "[places]\nroot = \"s3://vault/x\"\n";
        assert_eq!(written(&["backup"], &[], root).unwrap(), ["s3://vault/x"]);
        let both = "[places]\nroot = \"/srv\"\ns3 = \"s3://vault/x\"\n";
        assert_eq!(written(&["backup"], &[], both).unwrap(), ["/srv", "s3://vault/x"]);
    }

    #[test]
    fn all_that_is_configured_is_looked_at() {
        let looked = |arguments: &[&str], environment: &[(&str, &str)], toml: &str| {
            let (_, config) = config(arguments, environment, "", toml);
            let shown =
                |places: Vec<PathBuf>| places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>();
            (shown(to_look_at(&config).unwrap()), shown(to_examine(&config).unwrap()))
        };
        let (bucket, root) = ([("AWS_S3_BACKUP_BUCKET", "vault")], "[places]\nroot = \"/srv\"\n");
        let both = vec!["/srv".to_owned(), "s3://vault/miyabi".to_owned()];
        assert_eq!(looked(&["status"], &bucket, root), (both.clone(), both));
        let one = |place: &str| vec![place.to_owned()];
        assert_eq!(looked(&["status", "--from", "/mnt"], &bucket, root), (one("/mnt"), one("/mnt")));
        assert_eq!(looked(&["prune", "--from", "s3://vault/x"], &bucket, root).0, one("s3://vault/x"));
        assert_eq!(looked(&["status"], &[], root).0, one("/srv"));
        // After a disaster the bucket is all there is.
        let nowhere = "[places]\n";
        assert_eq!(looked(&["status"], &bucket, nowhere).0, one("s3://vault/miyabi"));
    }

    #[test]
    fn flags_name_all_places() {
        let bucket = [("AWS_S3_BACKUP_BUCKET", "vault")];
        let named = ["backup", "--to", "s3://a-b/c/", "--to", "/srv", "--to", "s3://a-b/c"];
        assert_eq!(written(&named, &bucket, "").unwrap(), ["s3://a-b/c", "/srv"]);
        for wrong in ["s3:/vault", "s3://", "https://vault/x", "s3://vault/../x"] {
            assert_eq!(written(&["backup", "--to", wrong], &[], "").unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
        let output = written(&["backup", "--output", "s3://vault/x.gz"], &[], "");
        assert_eq!(output.unwrap_err().kind(), Kind::Usage);
    }
}
