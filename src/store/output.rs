//! `--output FILE`: exactly that file and `FILE.meta`, wherever the user wants them.
//!
//! Refuses if either exists. Replacing is asked for, and then the old archive goes at the instant at which the
//! new one is complete; the old `.meta` goes just before, so that it never describes an archive it does not
//! belong to.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;

use crate::error::{Error, Kind, Result};

use super::staging::{Naming, StagedFile};
use super::sys::{Folder, Fuse};
use super::{Check, Published, Upload, error, same_bytes};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Existing {
    Refuse,
    Replace,
}

pub struct Output {
    folder: Arc<Folder>,
    path: PathBuf,
    leaf: OsString,
    meta_leaf: OsString,
    existing: Existing,
}

impl Output {
    /// The folder must be there; nothing is made yet.
    pub fn new(path: &Path, existing: Existing) -> Result<Self> {
        Output::with_fuse(path, existing, Fuse::default())
    }

    /// Every system call passes this fuse.
    pub(super) fn with_fuse(path: &Path, existing: Existing, fuse: Fuse) -> Result<Self> {
        let shown = path.display();
        let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir();
        let leaf = match path.file_name() {
            Some(leaf) if !is_folder => leaf.to_owned(),
            _ => return Err(Error::new(Kind::Usage, format!("{shown} names a folder, not a file"))),
        };
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = Folder::open(parent, fuse)
            .map_err(|cause| error::place(format!("cannot open the folder of {shown}"), cause))?;
        let mut meta_leaf = leaf.clone();
        meta_leaf.push(".meta");
        let output = Output { folder: Arc::new(folder), path: path.to_owned(), leaf, meta_leaf, existing };
        output.check_what_stands(&output.leaf)?;
        output.check_what_stands(&output.meta_leaf)?;
        Ok(output)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn meta_path(&self) -> PathBuf {
        self.path.with_file_name(&self.meta_leaf)
    }

    /// Starts the archive.
    pub fn begin(&self) -> Result<Box<dyn Upload>> {
        let staged = self.stage(&self.leaf)?;
        match self.existing {
            Existing::Refuse => Ok(Box::new(staged)),
            Existing::Replace => Ok(Box::new(Replacing {
                staged: Box::new(staged),
                folder: Arc::clone(&self.folder),
                leaf: self.leaf.clone(),
                meta_leaf: self.meta_leaf.clone(),
                meta_shown: self.meta_path().display().to_string(),
            })),
        }
    }

    /// Publishes `FILE.meta`, last.
    pub fn put_meta(&self, bytes: &[u8]) -> Result<Published> {
        put(self.stage(&self.meta_leaf)?, bytes)
    }

    fn stage(&self, leaf: &OsStr) -> Result<StagedFile> {
        let shown = self.path.with_file_name(leaf).display().to_string();
        let naming = match self.existing {
            Existing::Refuse => Naming::New,
            Existing::Replace => Naming::Replace,
        };
        StagedFile::create(Arc::clone(&self.folder), leaf, shown, naming)
    }

    fn check_what_stands(&self, leaf: &OsStr) -> Result<()> {
        let shown = self.path.with_file_name(leaf).display().to_string();
        let found = self.folder.stat(leaf).map_err(|cause| error::place(format!("cannot look for {shown}"), cause))?;
        match (found, self.existing) {
            (None, _) => Ok(()),
            (Some(_), Existing::Refuse) => {
                Err(Error::new(Kind::Refused, format!("{shown} exists")).hint("--force replaces it"))
            }
            (Some(found), Existing::Replace) if found.kind == FileType::RegularFile => Ok(()),
            (Some(_), Existing::Replace) => {
                Err(Error::new(Kind::Refused, format!("{shown} is not a regular file")).hint("choose another name"))
            }
        }
    }
}

/// An archive that takes the place of another one.
struct Replacing {
    staged: Box<StagedFile>,
    folder: Arc<Folder>,
    leaf: OsString,
    meta_leaf: OsString,
    meta_shown: String,
}

impl Write for Replacing {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.staged.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.staged.flush()
    }
}

impl Upload for Replacing {
    fn publish(self: Box<Self>, check: Check<'_>) -> Result<Published> {
        let Replacing { staged, folder, leaf, meta_leaf, meta_shown } = *self;
        let cannot = |cause| error::place(format!("cannot replace {meta_shown}"), cause);
        let standing = || folder.stat(&leaf).map(|found| found.map(|found| found.identity));
        let old_archive = standing().map_err(cannot)?;
        let mut old_meta = None;
        let published = staged.publish(&mut |stored| {
            check(stored)?;
            // Checked: the next step is the rename.
            old_meta = take_away(&folder, &meta_leaf).map_err(cannot)?;
            Ok(())
        });
        match (published, old_meta) {
            (Err(error), Some(old)) if matches!(standing(), Ok(now) if now == old_archive) => {
                let back = StagedFile::create(Arc::clone(&folder), &meta_leaf, meta_shown.clone(), Naming::New)
                    .and_then(|staged| put(staged, &old));
                Err(match back {
                    Ok(_) => error,
                    Err(left) => error.note(format!("{meta_shown} could not be put back: {}", left.chain())),
                })
            }
            (published, _) => published,
        }
    }

    fn abort(self: Box<Self>) -> Result<()> {
        self.staged.abort()
    }
}

fn put(mut staged: StagedFile, bytes: &[u8]) -> Result<Published> {
    staged.write_all(bytes).map_err(error::from_write)?;
    Box::new(staged).publish(&mut |stored| same_bytes(stored, bytes))
}

/// Removes a file and returns what it held.
fn take_away(folder: &Folder, leaf: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match folder.open_file(leaf) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(cause),
    };
    folder.unlink(leaf)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
