//! A file, folder or place in a bucket that the user named, as a store and what lies in it.

use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::error::{Context, Error, Kind, Result};
use crate::policy::naming::{META_SUFFIX, whole_name};
use crate::store::s3::Location;
use crate::store::{Places, Store};

use super::{Listing, gather};

/// What helps whoever stands in the wrong folder.
const WHERE: &str = "run it where miyabi-backup.toml is, or name it by --config; --from names another tree";

/// A folder is listed with everything below; a file is one row, whatever its name. A `.meta` stands for its
/// archive. Links are followed here, because the user wrote them; below a folder they are not.
pub fn at_path(path: &Path, places: &Places, zone: &TimeZone) -> Result<(Arc<dyn Store>, Listing)> {
    if let Some(location) = Places::bucket(path) {
        return in_bucket(location?, places, zone);
    }
    let shown = path.display();
    let real = match path.canonicalize() {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new(Kind::Nothing, format!("{shown} does not exist")).hint(WHERE));
        }
        real => real.context(Kind::Place, || format!("cannot open {shown}"))?,
    };
    if real.is_dir() {
        let store = places.open(&real)?;
        let listing = Listing::of(store.as_ref(), zone)?;
        return Ok((store, listing));
    }
    let unusable = || Error::new(Kind::Refused, format!("{shown} is not a name that can be read"));
    let file = real.file_name().and_then(|file| file.to_str()).ok_or_else(unusable)?;
    let store = places.open(real.parent().ok_or_else(unusable)?)?;
    match one_file(store.as_ref(), file, zone)? {
        Some(listing) => Ok((store, listing)),
        None => Err(Error::new(Kind::Nothing, format!("{shown} has no archive beside it"))),
    }
}

/// A bucket has no folders: what keys begin with is one. Only a name with a dot is looked for as a file first, since
/// that lists all that begins like it.
fn in_bucket(location: Location, places: &Places, zone: &TimeZone) -> Result<(Arc<dyn Store>, Listing)> {
    let shown = location.to_string();
    let file = || -> Result<Option<(Arc<dyn Store>, Listing)>> {
        match location.split() {
            Some((folder, file)) => {
                let store = places.open_bucket(folder)?;
                Ok(one_file(store.as_ref(), file, zone)?.map(|listing| (store, listing)))
            }
            None => Ok(None),
        }
    };
    let looks_like_a_file = location.split().is_some_and(|(_, leaf)| leaf.contains('.'));
    if looks_like_a_file && let Some(found) = file()? {
        return Ok(found);
    }
    let store = places.open_bucket(location.clone())?;
    let entries = store.list("")?;
    if !entries.is_empty() {
        let listing = gather::gather(store.as_ref(), entries, zone)?;
        return Ok((store, listing));
    }
    let found = if looks_like_a_file { None } else { file()? };
    found.ok_or_else(|| Error::new(Kind::Nothing, format!("{shown} does not exist: no object begins like this")))
}

fn one_file(store: &dyn Store, file: &str, zone: &TimeZone) -> Result<Option<Listing>> {
    let archive = whole_name(file.strip_suffix(META_SUFFIX).unwrap_or(file));
    let row = gather::single(store, store.list_here(archive)?, archive, zone)?;
    Ok(row.map(|row| Listing { rows: vec![row], is_file: true, ..Listing::default() }))
}
