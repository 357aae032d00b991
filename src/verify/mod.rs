//! Verifies stored backups.

pub mod outcome;

use crate::archive::check;
use crate::error::{Error, Kind, Result};
use crate::job::Context;
use crate::listing::Listed;
use crate::store::{LocalStore, Name, Store};

/// Whether a listed backup is sound: every byte of it is read.
pub fn judge(store: &LocalStore, row: &Listed, context: &Context) -> Result<()> {
    let stored = store.open(&Name::new(row.path.as_str())?)?;
    let report = check(stored, &mut |_| {});
    context.cancel.check()?;
    match report.findings.into_iter().next() {
        None => Ok(()),
        Some(finding) => Err(Error::new(Kind::Damaged, finding.what)),
    }
}
