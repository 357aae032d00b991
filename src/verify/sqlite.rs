//! The SQLite file in an archive: unpacked, and judged by SQLite itself.

use std::path::Path;

use crate::archive::{Archive, ReadAt, StreamKind};
use crate::cancel::Cancel;
use crate::error::{Kind, Result};
use crate::sqlite::{integrity, require_fixed_library};

use super::foreign::Site;
use super::seen::Seen;
use super::unpacked::Unpacked;

/// Unpacks the pages of a sound archive and checks them. Whoever drops the result removes the copy.
pub fn unpack<R: ReadAt>(archive: &Archive<R>, site: Site<'_>) -> Result<Unpacked> {
    let pages = || archive.streams().iter().filter(|stream| stream.spec.kind == StreamKind::Pages);
    let needed = pages().map(|stream| stream.raw.0).fold(0, u64::saturating_add);
    let mut copy = Unpacked::begin(site.path, site.staging, needed)?;
    let mut raw = Vec::new();
    for stream in pages() {
        for member in archive.members_of(stream.id) {
            site.cancel.check()?;
            archive.read_member(&member, &mut raw)?;
            copy.write(&raw)?;
        }
    }
    copy.flush()?;
    Ok(copy)
}

/// `integrity_check` of a file that only we know, or that nobody writes to.
pub fn check(file: &Path, cancel: &Cancel, seen: &mut Seen) -> Result<()> {
    require_fixed_library()?;
    match integrity::check(file, Kind::Damaged, "the SQLite file in it is damaged", cancel) {
        Err(error) => seen.failed(error),
        Ok(found) => {
            if found.foreign_key_violations > 0 {
                let count = match found.foreign_key_violations {
                    integrity::VIOLATIONS_MAX => format!("{} or more", integrity::VIOLATIONS_MAX),
                    count => count.to_string(),
                };
                seen.note(format!("{count} rows violate foreign keys, as they did in the source"));
            }
            for table in found.unchecked {
                seen.note(format!("table {table} needs a function or collation of its application to be checked"));
            }
            Ok(())
        }
    }
}
