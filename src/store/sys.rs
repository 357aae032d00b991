//! The system calls of the local store, one method each, relative to an open folder.
//!
//! Nothing below the root follows a symbolic link. Every call passes the [`Fuse`] first, so that tests can
//! fail any one of them; in a real run there is none.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    Advice, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, fadvise, fchmod, flock, fstatvfs,
    linkat, mkdirat, open, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::Space;

const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const FOLDER_MODE: Mode = Mode::RWXU;
const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Fails the calls that a test wants to fail.
#[derive(Clone, Default)]
pub struct Fuse(pub(super) Option<Arc<FuseState>>);

pub(super) struct FuseState {
    pub(super) calls: AtomicU64,
    pub(super) fails_at: u64,
    /// Every later call fails, too: what a killed process would not have done is not done.
    pub(super) stays_blown: bool,
    /// What the failing call answers.
    pub(super) errno: Errno,
    /// A file system that has no hard links.
    pub(super) refuses_links: bool,
}

impl Fuse {
    fn burn(&self) -> io::Result<()> {
        let Some(state) = &self.0 else { return Ok(()) };
        let call = state.calls.fetch_add(1, Ordering::SeqCst);
        if call == state.fails_at || (state.stays_blown && call > state.fails_at) {
            return Err(state.errno.into());
        }
        Ok(())
    }

    fn allow_link(&self) -> io::Result<()> {
        match &self.0 {
            Some(state) if state.refuses_links => Err(Errno::PERM.into()),
            _ => Ok(()),
        }
    }
}

pub(super) struct Folder {
    fd: OwnedFd,
    fuse: Fuse,
}

/// What stands under a name, without following it.
pub(super) struct Found {
    pub(super) kind: FileType,
    pub(super) size: u64,
    pub(super) modified_seconds: i64,
    pub(super) identity: (u64, u64),
}

#[derive(Debug, Eq, PartialEq)]
pub(super) enum Locked {
    Yes,
    ByAnother,
    /// This file system has no such locks.
    Unsupported,
}

impl Folder {
    /// The root, as the user wrote it: links on the way to it are the user's own.
    pub(super) fn open(path: &Path, fuse: Fuse) -> io::Result<Folder> {
        fuse.burn()?;
        let fd = open(path, FOLDER_FLAGS, Mode::empty())?;
        Ok(Folder { fd, fuse })
    }

    pub(super) fn child(&self, name: &OsStr) -> io::Result<Folder> {
        self.fuse.burn()?;
        let fd = openat(&self.fd, name, FOLDER_FLAGS | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Folder { fd, fuse: self.fuse.clone() })
    }

    /// Makes a folder that only its owner can enter, whatever the umask; `false` if it was there.
    pub(super) fn make_child(&self, name: &OsStr) -> io::Result<bool> {
        self.fuse.burn()?;
        match mkdirat(&self.fd, name, FOLDER_MODE) {
            Ok(()) => {
                self.fuse.burn()?;
                allow_refusal(rustix::fs::chmodat(&self.fd, name, FOLDER_MODE, AtFlags::empty()))?;
                Ok(true)
            }
            Err(Errno::EXIST) => Ok(false),
            Err(cause) => Err(cause.into()),
        }
    }

    /// A new file that only its owner can read, whatever the umask.
    pub(super) fn create_new(&self, name: &OsStr) -> io::Result<File> {
        self.fuse.burn()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&self.fd, name, flags, FILE_MODE)?);
        self.fuse.burn()?;
        allow_refusal(fchmod(&file, FILE_MODE))?;
        Ok(file)
    }

    /// Opens for reading; anything but a regular file is refused (and a pipe does not block us).
    pub(super) fn open_file(&self, name: &OsStr) -> io::Result<File> {
        self.open_regular(name, OFlags::RDONLY)
    }

    /// Opens to be locked: over NFS an exclusive lock wants a file open for writing.
    pub(super) fn open_to_lock(&self, name: &OsStr) -> io::Result<File> {
        self.open_regular(name, OFlags::RDWR)
    }

    fn open_regular(&self, name: &OsStr, access: OFlags) -> io::Result<File> {
        self.fuse.burn()?;
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.fd, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
        }
    }

    /// Gives an existing file a second name; never overwrites.
    pub(super) fn link(&self, from: &OsStr, to_folder: &Folder, to: &OsStr) -> io::Result<()> {
        self.fuse.burn()?;
        self.fuse.allow_link()?;
        Ok(linkat(&self.fd, from, &to_folder.fd, to, AtFlags::empty())?)
    }

    /// Renames without overwriting.
    pub(super) fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        self.fuse.burn()?;
        Ok(renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE)?)
    }

    /// Renames; what stood under the new name is gone at the same instant.
    pub(super) fn rename_over(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        self.fuse.burn()?;
        Ok(renameat(&self.fd, from, &self.fd, to)?)
    }

    /// `false` if there was nothing to remove.
    pub(super) fn unlink(&self, name: &OsStr) -> io::Result<bool> {
        self.fuse.burn()?;
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Makes names durable. Some network file systems cannot sync a folder and say so by EINVAL: nothing
    /// more can be done there.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.fuse.burn()?;
        match rustix::fs::fsync(&self.fd) {
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            done => Ok(done?),
        }
    }

    pub(super) fn stat(&self, name: &OsStr) -> io::Result<Option<Found>> {
        self.fuse.burn()?;
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Found {
                kind: FileType::from_raw_mode(stat.st_mode),
                size: u64::try_from(stat.st_size).unwrap_or(0),
                modified_seconds: stat.st_mtime,
                identity: (stat.st_dev, stat.st_ino),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(cause) => Err(cause.into()),
        }
    }

    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        self.fuse.burn()?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    pub(super) fn space(&self) -> io::Result<Space> {
        self.fuse.burn()?;
        let stat = fstatvfs(&self.fd)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
    }

    pub(super) fn fuse(&self) -> &Fuse {
        &self.fuse
    }
}

/// Writes as much as the system takes.
pub(super) fn write(fuse: &Fuse, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    fuse.burn()?;
    io::Write::write(file, bytes)
}

pub(super) fn read_exact_at(fuse: &Fuse, file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    fuse.burn()?;
    file.read_exact_at(buf, offset)
}

/// Makes contents durable, and drops them from memory, so that reading again asks the device.
pub(super) fn sync_file(fuse: &Fuse, file: &File) -> io::Result<()> {
    fuse.burn()?;
    file.sync_all()?;
    // Advice only: where it is not taken, reading again sees the cached bytes.
    let _ = fadvise(file, 0, None, Advice::DontNeed);
    Ok(())
}

pub(super) fn try_lock(fuse: &Fuse, file: &File) -> io::Result<Locked> {
    fuse.burn()?;
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Locked::Yes),
        Err(Errno::WOULDBLOCK) => Ok(Locked::ByAnother),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOLCK | Errno::INVAL) => Ok(Locked::Unsupported),
        Err(cause) => Err(cause.into()),
    }
}

pub(super) fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether a failed `link` says "not on this file system" rather than "not you" or "no room".
pub(super) fn cannot_link(cause: &io::Error) -> bool {
    let unable = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::XDEV, Errno::MLINK];
    unable.iter().any(|errno| cause.raw_os_error() == Some(errno.raw_os_error()))
}

/// File systems without modes refuse to set one. The file was asked for with the right mode, and a umask
/// can only have made it stricter.
fn allow_refusal(done: Result<(), Errno>) -> io::Result<()> {
    match done {
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        done => Ok(done?),
    }
}
