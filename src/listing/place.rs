//! A file or folder that the user named, as a store and what lies in it.

use std::path::Path;

use jiff::tz::TimeZone;

use crate::error::{Context, Error, Kind, Result};
use crate::policy::naming::{META_SUFFIX, whole_name};
use crate::store::{LocalStore, Store as _};

use super::{Listing, gather};

/// A folder is listed with everything below; a file is one row, whatever its name. A `.meta` stands for its
/// archive. Links are followed here, because the user wrote them; below a folder they are not.
pub fn at_path(path: &Path, zone: &TimeZone) -> Result<(LocalStore, Listing)> {
    let shown = path.display();
    let real = match path.canonicalize() {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new(Kind::Nothing, format!("{shown} does not exist")));
        }
        real => real.context(Kind::Place, || format!("cannot open {shown}"))?,
    };
    if real.is_dir() {
        let store = LocalStore::new(&real);
        let listing = Listing::of(&store, zone)?;
        return Ok((store, listing));
    }
    let unusable = || Error::new(Kind::Refused, format!("{shown} is not a name that can be read"));
    let file = real.file_name().and_then(|file| file.to_str()).ok_or_else(unusable)?;
    let store = LocalStore::new(real.parent().ok_or_else(unusable)?);
    let archive = whole_name(file.strip_suffix(META_SUFFIX).unwrap_or(file));
    let row = gather::single(&store, store.list_here(archive)?, archive, zone)?
        .ok_or_else(|| Error::new(Kind::Nothing, format!("{shown} has no archive beside it")))?;
    Ok((store, Listing { rows: vec![row], ..Listing::default() }))
}
