//! A folder on this machine. Publishes as `staging.rs` says; files are 0600 and folders 0700 whatever the umask.
//!
//! Refuses to follow symbolic links below its root, and refuses names that stand.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::FileType;

use crate::checksum::Sha256;
use crate::error::{Error, Kind, Result};

use super::staging::{FileBytes, Naming, StagedFile, final_name, remove_if_dead};
use super::sys::{self, Folder, Found, Fuse};
use super::{Bytes, Entry, EntryKind, Name, Space, Store, Upload, error};

/// A tree is four folders deep; what lies deeper than this is no backup, and a loop of mounts ends here.
const DEPTH_MAX: usize = 16;
const COPY_BYTES: usize = 1 << 20;

/// What `fsck` leaves at the top of a file system: only root can enter it, and nothing of ours is in it.
const LOST_AND_FOUND: &str = "lost+found";

pub struct LocalStore {
    root: PathBuf,
    fuse: Fuse,
}

impl LocalStore {
    /// Touches nothing yet: the folder is made by the first write.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        LocalStore { root: root.into(), fuse: Fuse::default() }
    }

    /// Every system call passes this fuse.
    #[cfg(any(test, feature = "testkit"))]
    pub fn with_fuse(root: impl Into<PathBuf>, fuse: Fuse) -> Self {
        LocalStore { root: root.into(), fuse }
    }

    /// Removes what dead runs left in the folder itself, which may be somebody else's too: what may not be looked at or removed
    /// stays. `is_ours` is asked with the final name.
    pub fn sweep_here(&self, is_ours: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        let cannot = |cause| error::place(format!("cannot sweep {}", self.root.display()), cause);
        let folder = match self.open_folder("").map_err(allowed) {
            Ok(Some(folder)) => folder,
            Ok(None) | Err(None) => return Ok(Vec::new()),
            Err(Some(cause)) => return Err(cannot(cause)),
        };
        let mut removed = Vec::new();
        for leaf in folder.names().or_else(|cause| allowed(cause).map_or(Ok(Vec::new()), Err)).map_err(cannot)? {
            let text = leaf.to_string_lossy();
            if !final_name(&text).is_some_and(is_ours) {
                continue;
            }
            match remove_if_dead(&folder, &leaf).map_err(allowed) {
                Ok(true) => removed.push(self.shown(&text)),
                Ok(false) | Err(None) => {}
                Err(Some(cause)) => return Err(cannot(cause)),
            }
        }
        removed.sort();
        Ok(removed)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where this name stands, for messages and for programs that want a path.
    pub fn path_of(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn open_root(&self) -> io::Result<Folder> {
        Folder::open(&self.root, self.fuse.clone())
    }

    /// `Ok(None)` if it is not there.
    fn open_folder(&self, folder: &str) -> io::Result<Option<Folder>> {
        let enter = || parts(folder)?.iter().try_fold(self.open_root()?, |parent, part| parent.child(OsStr::new(part)));
        match enter() {
            Ok(folder) => Ok(Some(folder)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    fn make_root(&self) -> io::Result<Folder> {
        match self.open_root() {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => make_path(&self.root, &self.fuse),
            opened => opened,
        }
    }

    fn make_folder(&self, folder: &str) -> io::Result<Folder> {
        parts(folder)?.iter().try_fold(self.make_root()?, |parent, part| make_and_enter(&parent, OsStr::new(part)))
    }

    fn stage(&self, name: &Name) -> Result<StagedFile> {
        let shown = self.shown(name.as_str());
        let folder = self
            .make_folder(name.folder())
            .map_err(|cause| error::place(format!("cannot make the folder of {shown}"), cause))?;
        StagedFile::create(Arc::new(folder), OsStr::new(name.file_name()), shown, Naming::New)
    }

    fn open_bytes(&self, name: &Name) -> Result<FileBytes<File>> {
        let shown = self.shown(name.as_str());
        let opened = self.open_folder(name.folder()).and_then(|folder| match folder {
            Some(folder) => folder.open_file(OsStr::new(name.file_name())),
            None => Err(io::ErrorKind::NotFound.into()),
        });
        let sized = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
        match sized {
            Ok((len, file)) => Ok(FileBytes::of(file, self.fuse.clone(), len)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                Err(Error::new(Kind::Nothing, format!("{shown} does not exist")))
            }
            Err(cause) => Err(error::place(format!("cannot open {shown}"), cause)),
        }
    }

    /// The same bytes once more, for places that cannot link.
    fn copy(&self, from: &Name, to: &Name) -> Result<()> {
        let source = self.open_bytes(from)?;
        let mut upload = Box::new(self.stage(to)?);
        let copied = digest(&source, |piece| upload.write_all(piece).map_err(error::from_write))?;
        upload.publish(&mut |stored| error::compared(Ok(()), digest(stored, |_| Ok(()))? == copied))?;
        Ok(())
    }
}

impl Store for LocalStore {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn begin(&self, name: &Name) -> Result<Box<dyn Upload>> {
        Ok(Box::new(self.stage(name)?))
    }

    fn open(&self, name: &Name) -> Result<Box<dyn Bytes>> {
        Ok(Box::new(self.open_bytes(name)?))
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let cannot = |cause| error::place(format!("cannot list {}", self.root.join(folder).display()), cause);
        if let Some(start) = self.open_folder(folder).map_err(cannot)? {
            walk(&start, folder.trim_matches('/'), 0, &mut |found| {
                if let Seen::Published(entry) = found {
                    entries.push(entry);
                }
                Ok(())
            })
            .map_err(cannot)?;
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn list_here(&self, prefix: &str) -> Result<Vec<Entry>> {
        let cannot = |cause| error::place(format!("cannot list {}", self.root.display()), cause);
        let root = self.open_root().map_err(cannot)?;
        let mut entries = Vec::new();
        for leaf in root.names().map_err(cannot)? {
            if leaf.to_str().is_some_and(|name| name.starts_with(prefix))
                && let Some(found) = root.stat(&leaf).map_err(cannot)?
            {
                entries.push(entry(leaf.to_string_lossy().into_owned(), &leaf, &found));
            }
        }
        Ok(entries)
    }

    fn shown(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }

    fn link(&self, from: &Name, to: &Name) -> Result<()> {
        let (source, target) = (self.shown(from.as_str()), self.shown(to.as_str()));
        let cannot = |cause| error::place(format!("cannot link {source} to {target}"), cause);
        let Some(from_folder) = self.open_folder(from.folder()).map_err(cannot)? else {
            return Err(Error::new(Kind::Nothing, format!("{source} does not exist")));
        };
        let from_leaf = OsStr::new(from.file_name());
        match from_folder.stat(from_leaf).map_err(cannot)? {
            None => return Err(Error::new(Kind::Nothing, format!("{source} does not exist"))),
            Some(found) if found.kind != FileType::RegularFile => {
                return Err(cannot(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
            }
            Some(_) => {}
        }
        let to_folder = self.make_folder(to.folder()).map_err(cannot)?;
        let to_leaf = OsStr::new(to.file_name());
        match from_folder.link(from_leaf, &to_folder, to_leaf) {
            Ok(()) => to_folder.sync().map_err(|cause| match to_folder.unlink(to_leaf) {
                Ok(_) => cannot(cause),
                Err(left) => cannot(cause).note(format!("{target} could not be removed: {left}")),
            }),
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Err(error::exists(&target)),
            Err(cause) if sys::cannot_link(&cause) => self.copy(from, to),
            Err(cause) => Err(cannot(cause)),
        }
    }

    fn delete(&self, name: &Name) -> Result<()> {
        let cannot = |cause| error::place(format!("cannot remove {}", self.shown(name.as_str())), cause);
        let Some(folder) = self.open_folder(name.folder()).map_err(cannot)? else { return Ok(()) };
        if folder.unlink(OsStr::new(name.file_name())).map_err(cannot)? {
            folder.sync().map_err(cannot)?;
        }
        Ok(())
    }

    fn sweep(&self, is_ours: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        let cannot = |cause| error::place(format!("cannot sweep {}", self.root.display()), cause);
        if let Some(start) = self.open_folder("").map_err(cannot)? {
            walk(&start, "", 0, &mut |seen| {
                if let Seen::Staging { folder, leaf, path, final_path } = seen
                    && is_ours(&final_path)
                    && remove_if_dead(folder, leaf)?
                {
                    removed.push(path);
                }
                Ok(())
            })
            .map_err(cannot)?;
        }
        removed.sort();
        Ok(removed)
    }

    fn space(&self) -> Result<Option<Space>> {
        // The nearest folder that exists: the file system it will be made on.
        let existing = self.root.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
        Folder::open(existing, self.fuse.clone())
            .and_then(|folder| folder.space())
            .map(Some)
            .map_err(|cause| error::place(format!("cannot read the free space of {}", self.root.display()), cause))
    }
}

/// `None` for what this user may not do.
fn allowed(cause: io::Error) -> Option<io::Error> {
    Some(cause).filter(|cause| cause.kind() != io::ErrorKind::PermissionDenied)
}

enum Seen<'a> {
    Published(Entry),
    Staging { folder: &'a Folder, leaf: &'a OsStr, path: String, final_path: String },
}

type Visit<'a> = &'a mut dyn FnMut(Seen<'_>) -> io::Result<()>;

fn walk(folder: &Folder, path: &str, depth: usize, visit: Visit<'_>) -> io::Result<()> {
    for leaf in folder.names()? {
        // Gone since we read the folder: a staging file that was published.
        let Some(found) = folder.stat(&leaf)? else { continue };
        let text = leaf.to_string_lossy();
        let full = if path.is_empty() { text.clone().into_owned() } else { format!("{path}/{text}") };
        if let Some(final_leaf) = final_name(&text) {
            let final_path = if path.is_empty() { final_leaf.to_owned() } else { format!("{path}/{final_leaf}") };
            visit(Seen::Staging { folder, leaf: &leaf, path: full, final_path })?;
            continue;
        }
        if text.starts_with('.') || (depth == 0 && text == LOST_AND_FOUND) {
            continue;
        }
        if found.kind == FileType::Directory && depth < DEPTH_MAX {
            match folder.child(&leaf) {
                Ok(child) => {
                    walk(&child, &full, depth + 1, visit)?;
                    continue;
                }
                // Shown as something that could not be looked at.
                Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {}
                Err(cause) => return Err(cause),
            }
        }
        visit(Seen::Published(entry(full, &leaf, &found)))?;
    }
    Ok(())
}

fn entry(path: String, leaf: &OsStr, found: &Found) -> Entry {
    let kind = match found.kind {
        FileType::RegularFile if leaf.to_str().is_some() => EntryKind::File,
        FileType::Symlink => EntryKind::Link,
        _ => EntryKind::Other,
    };
    let modified = Timestamp::from_second(found.modified_seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    Entry { name: Name::found(path), kind, size: found.size, modified }
}

/// The folders on the way; one that would lead out of the tree is refused.
fn parts(folder: &str) -> io::Result<Vec<&str>> {
    let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    match parts.iter().any(|part| matches!(*part, "." | "..")) {
        true => Err(io::Error::new(io::ErrorKind::InvalidInput, "a folder of the tree cannot lie outside of it")),
        false => Ok(parts),
    }
}

/// Makes every missing folder of a path, each durable in its parent.
fn make_path(path: &Path, fuse: &Fuse) -> io::Result<Folder> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !is_folder(folder)).collect();
    let start = missing.last().and_then(|first| first.parent()).filter(|parent| !parent.as_os_str().is_empty());
    let mut here = Folder::open(start.unwrap_or(Path::new(".")), fuse.clone())?;
    for folder in missing.iter().rev() {
        match folder.components().next_back() {
            Some(Component::Normal(leaf)) => here = make_and_enter(&here, leaf)?,
            // `missing/..` names nothing that we could make.
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
    }
    Ok(here)
}

fn is_folder(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.is_dir()
}

fn make_and_enter(parent: &Folder, leaf: &OsStr) -> io::Result<Folder> {
    match parent.child(leaf) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            if parent.make_child(leaf)? {
                parent.sync()?;
            }
            parent.child(leaf)
        }
        entered => entered,
    }
}

/// Length and SHA-256 of everything, handing each piece on as it is read.
fn digest(stored: &dyn Bytes, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<(u64, Vec<u8>)> {
    let mut sha256 = Sha256::new();
    let mut piece = vec![0; COPY_BYTES];
    let mut offset = 0;
    while offset < stored.len() {
        let len = usize::try_from(stored.len() - offset).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let piece = &mut piece[..len];
        stored
            .read_at(offset, piece)
            .map_err(|cause| Error::new(Kind::Place, "cannot read what is to be copied").because(cause))?;
        sha256.update(&*piece);
        take(piece)?;
        offset += len as u64;
    }
    Ok((stored.len(), sha256.finalize().to_vec()))
}

#[cfg(test)]
mod tests;
