//! The removal itself, in an order that a power cut cannot turn against anybody.

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::listing::Listed;
use crate::policy::naming::meta_name;
use crate::store::{Name, Store};

use super::judge::Judged;

/// Oldest first; stops at the first failure and says how far it came.
pub fn all(store: &dyn Store, judged: &[Judged<'_>], manifests: &[String], cancel: &Cancel) -> Result<()> {
    let mut done: u64 = 0;
    let so_far = |error: Error, done: u64| match done {
        0 => error,
        done => error.note(format!("{done} backups had been removed before")),
    };
    for one in judged.iter().rev().filter(|one| one.remove) {
        cancel.check().map_err(|error| so_far(error, done))?;
        backup(store, one.row).map_err(|error| so_far(error, done))?;
        done = done.saturating_add(1);
    }
    for manifest in manifests {
        store.delete(&Name::new(manifest.as_str())?)?;
    }
    Ok(())
}

/// Without its `.meta` it is no backup any more, so whatever is left of it from then on misleads nobody.
fn backup(store: &dyn Store, row: &Listed) -> Result<()> {
    if row.meta.is_some() || row.files().is_empty() {
        store.delete(&Name::new(meta_name(&row.path))?)?;
    }
    for file in row.files().into_iter().rev() {
        store.delete(&Name::new(file)?)?;
    }
    Ok(())
}
