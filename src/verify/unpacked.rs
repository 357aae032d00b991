//! A SQLite file out of its archive, for as long as it is looked at: 0600, and removed on every exit.
//!
//! It is a store's unfinished file that never gets its final name: locked while we live, swept when we die by whoever
//! unpacks there next.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::policy::naming::{is_set_aside, unpacked_name};
use crate::store::{LocalStore, Name, Store, Upload, explain};
use crate::units::human_bytes;

use super::foreign::not_inflated;

const PIECE_BYTES: usize = 128 << 10;
const HINT: &str = "--staging names another folder for the unpacked copy";

pub struct Unpacked {
    upload: Box<dyn Upload>,
    path: PathBuf,
}

impl Unpacked {
    /// In `staging`, or beside `archive`. `needed` bytes must be free there.
    pub fn begin(archive: &Path, staging: Option<&Path>, needed: u64) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let doing = || format!("cannot unpack {}", archive.display());
        let folder = staging.or(archive.parent()).filter(|folder| !folder.as_os_str().is_empty());
        let store = LocalStore::new(folder.unwrap_or(Path::new(".")));
        // What is unpacked in a folder of its own is in no tree that somebody sweeps.
        store.sweep_here(&is_set_aside).map_err(|error| error.while_doing(doing()).hint(HINT))?;
        if let Some(space) = store.space()?.filter(|space| space.free < needed) {
            let (free, needed) = (human_bytes(space.free), human_bytes(needed));
            let lack = format!("{} has {free} free, {needed} are needed", store.root().display());
            return Err(Error::new(Kind::Place, doing()).because(lack).hint(HINT));
        }
        let file = archive.file_name().unwrap_or_default().to_string_lossy();
        let number = u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Ordering::Relaxed);
        let name = unpacked_name(&file, number);
        let upload = store.begin(&Name::new(name.as_str())?).map_err(|error| error.while_doing(doing()).hint(HINT))?;
        Ok(Unpacked { upload, path: store.root().join(format!(".{name}.partial")) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything that `reader` yields; how many bytes that was. `Kind::Damaged` if it cannot be had.
    pub fn fill(&mut self, reader: &mut impl Read, cancel: &Cancel) -> Result<u64> {
        let mut piece = vec![0; PIECE_BYTES];
        let mut raw = 0;
        loop {
            cancel.check()?;
            match reader.read(&mut piece) {
                Ok(0) => return self.flush().map(|()| raw),
                Ok(taken) => {
                    self.write(piece.get(..taken).unwrap_or_default())?;
                    raw += taken as u64;
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => {
                    cancel.check()?;
                    return Err(Error::new(Kind::Damaged, not_inflated(raw, &cause)));
                }
            }
        }
    }

    pub fn write(&mut self, pages: &[u8]) -> Result<()> {
        self.upload.write_all(pages).map_err(failed)
    }

    /// Who opens the file by its path sees all that was written.
    pub fn flush(&mut self) -> Result<()> {
        self.upload.flush().map_err(failed)
    }
}

fn failed(cause: io::Error) -> Error {
    explain(Error::new(Kind::Place, "cannot unpack").because(cause)).hint(HINT)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_copy_is_private_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("sqlite-shop-20251129-030000.db.gz");
        let mut one = Unpacked::begin(&archive, None, 1).unwrap();
        let other = Unpacked::begin(&archive, None, 1).unwrap();
        one.write(b"pages").unwrap();
        one.flush().unwrap();
        assert_eq!(std::fs::read(one.path()).unwrap(), b"pages");
        assert_eq!(std::fs::metadata(one.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(one.path(), other.path());
        drop((one, other));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_fit_is_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        let error = Unpacked::begin(&folder.path().join("x.db.gz"), None, u64::MAX).err().unwrap();
        assert_eq!((error.kind(), error.hint_text()), (Kind::Place, Some(HINT)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
