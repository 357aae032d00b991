//! A file in the making beside a database: it gets its name when it is whole and synced, else it is removed.
//!
//! Its maker holds an advisory lock on it, so that the next restore tells what a killed one has left behind from what
//! a living one is writing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::open;
use crate::error::{Context, Kind, Result};

pub(super) struct Unfinished {
    file: File,
    path: PathBuf,
    named: bool,
}

impl Unfinished {
    /// How the name of every unfinished file ends.
    pub const SUFFIX: &str = ".unfinished";

    pub fn create(path: PathBuf) -> Result<Self> {
        let doing = || format!("cannot create {}", path.display());
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create_new(true).mode(0o600).open(&path).context(Kind::Place, doing)?;
        let unfinished = Unfinished { file, path, named: false };
        unfinished.file.lock().context(Kind::Place, || format!("cannot lock {}", unfinished.path.display()))?;
        Ok(unfinished)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn fill(&self, from: &Path) -> io::Result<()> {
        io::copy(&mut File::open(from)?, &mut &self.file)?;
        self.file.sync_all()
    }

    /// Gives it another file's owner, as far as we may, and then its mode.
    pub fn dress(&self, like: &fs::Metadata) -> io::Result<()> {
        if fchown(&self.file, Some(like.uid()), Some(like.gid())).is_ok() {
            self.file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o777))?;
        }
        self.file.sync_all()
    }

    /// Gives it its name, never over another file.
    pub fn publish(mut self, name: &Path) -> io::Result<()> {
        rename_new(&self.path, name)?;
        self.named = true;
        open::sync_folder(name)
    }

    /// Gives it its name, over the file that has it.
    pub fn replace(mut self, name: &Path) -> io::Result<()> {
        fs::rename(&self.path, name)?;
        self.named = true;
        open::sync_folder(name)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.named {
            // If this fails, the next restore sweeps it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what killed restores of `target` have left behind.
pub(super) fn sweep(target: &Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else { return Ok(()) };
    let starts = [".before-restore-", ".restoring-"].map(|tail| [name.as_encoded_bytes(), tail.as_bytes()].concat());
    for entry in fs::read_dir(folder)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let name = name.as_encoded_bytes();
        let ours = starts.iter().any(|start| name.starts_with(start));
        // What another user has left, or another restore has just removed, is none of ours.
        if ours
            && name.ends_with(Unfinished::SUFFIX.as_bytes())
            && let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Renames, never over another file.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // This file system cannot: two steps, of which the first refuses as well.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        done => Ok(done?),
    }
}
