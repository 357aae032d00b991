//! Run manifests go with their run: when their tier's days are over and none of their archives stands beside them.

use std::collections::BTreeSet;

use jiff::Zoned;

use crate::error::{Error, Kind, Result};
use crate::listing::Listing;
use crate::manifest::{RunManifest, meta::META_BYTES_MAX};
use crate::policy::retention::age_in_days;
use crate::policy::{Retention, naming};
use crate::store::{Name, Store};

use super::judge::Judged;

/// Their names. One that cannot be read stays: it may belong to anything.
pub fn expired(
    store: &dyn Store,
    listing: &Listing,
    judged: &[Judged<'_>],
    rules: &Retention,
    now: &Zoned,
) -> Result<Vec<String>> {
    let staying: BTreeSet<&str> = judged.iter().filter(|one| !one.remove).map(|one| one.row.path.as_str()).collect();
    let mut expired = Vec::new();
    for path in listing.manifests.iter().filter(|path| naming::is_ours(path)) {
        let (Some(tier), Some((folder, _))) = (naming::tier_of(path), path.rsplit_once('/')) else { continue };
        let Ok(manifest) = RunManifest::parse(&read(store, path)?) else { continue };
        let is_over = age_in_days(manifest.timestamp.instant(), now) >= rules.days(tier);
        let archives = manifest.files.iter().filter_map(|file| file.archive.as_deref());
        if is_over && !archives.into_iter().any(|archive| staying.contains(format!("{folder}/{archive}").as_str())) {
            expired.push(path.clone());
        }
    }
    Ok(expired)
}

fn read(store: &dyn Store, path: &str) -> Result<Vec<u8>> {
    let bytes = store.open(&Name::new(path)?)?;
    let mut json = vec![0; usize::try_from(bytes.len()).unwrap_or(usize::MAX).min(META_BYTES_MAX)];
    bytes
        .read_at(0, &mut json)
        .map_err(|cause| Error::new(Kind::Place, format!("cannot read {path}")).because(cause))?;
    Ok(json)
}
