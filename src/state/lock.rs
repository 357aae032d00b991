//! One run per tree at a time, and one drill.
//!
//! The lock is the kernel's, on a file that is never removed: it ends with the process that holds it, however
//! that ends, and there is no stale lock to break. The file's text says who holds it, for the message of whoever
//! does not get it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::checksum::{Sha256, hex};
use crate::error::{Error, Kind, Result};

/// A holder's text is three short lines; whatever is longer was not written by us.
const HOLDER_BYTES_MAX: u64 = 4096;

/// Which tree is meant, by whatever path it was named.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TreeKey(String);

impl TreeKey {
    /// Links and `..` on the way are resolved, so that two names of one folder are one key. Parts that do not
    /// exist yet are taken as they are written.
    pub fn of_folder(path: &Path) -> Result<Self> {
        let cannot = |cause| Error::new(Kind::Place, format!("cannot resolve {}", path.display())).because(cause);
        let absolute = std::path::absolute(path).map_err(cannot)?;
        for existing in absolute.ancestors() {
            match existing.canonicalize() {
                Ok(real) => {
                    let missing = absolute.strip_prefix(existing).unwrap_or(Path::new(""));
                    let whole = if missing.as_os_str().is_empty() { real } else { real.join(missing) };
                    return Ok(TreeKey(whole.display().to_string()));
                }
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(cannot(cause)),
            }
        }
        Ok(TreeKey(absolute.display().to_string()))
    }

    /// A bucket and prefix: `s3://bucket/prefix`.
    pub fn of_url(url: &str) -> Self {
        TreeKey(url.trim_end_matches('/').to_owned())
    }

    /// The key of the drills of this tree: they go beside backups into it, and not beside each other.
    pub fn of_drills(&self) -> Self {
        TreeKey(format!("drill of {}", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn file_name(&self) -> String {
        let hash = hex(&Sha256::digest(self.0.as_bytes()));
        format!("run-{}.lock", hash.get(..16).unwrap_or(&hash))
    }
}

/// Held until it is dropped or the process ends.
#[derive(Debug)]
#[must_use = "the lock is free again when this is dropped"]
pub struct RunLock {
    _file: File,
    path: PathBuf,
}

impl RunLock {
    /// Makes the state folder if it is missing. `Refused` if another process holds the tree.
    pub fn acquire(state_dir: &Path, tree: &TreeKey, now: Timestamp) -> Result<RunLock> {
        let cannot = |cause| {
            Error::new(Kind::Place, format!("cannot lock {} in {}", tree.0, state_dir.display()))
                .because(cause)
                .hint("the state folder must be writable; --state-dir names another one")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(cannot)?;
        let path = state_dir.join(tree.file_name());
        let mut file = open(&path).map_err(cannot)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(held(tree, &mut file)),
            Err(cause) => return Err(cannot(cause.into())),
        }
        sign(&mut file, tree, now).map_err(cannot)?;
        Ok(RunLock { _file: file, path })
    }

    /// The lock file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits()).unwrap_or_default();
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)
}

fn sign(file: &mut File, tree: &TreeKey, now: Timestamp) -> io::Result<()> {
    file.set_len(0)?;
    write!(file, "{}\n{now:.0}\n{}\n", std::process::id(), tree.0)
}

fn held(tree: &TreeKey, file: &mut File) -> Error {
    let mut text = String::new();
    // Without the text the refusal stands all the same.
    let _ = file.take(HOLDER_BYTES_MAX).read_to_string(&mut text);
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse::<u32>().ok());
    let since = lines.next().and_then(|line| line.parse::<Timestamp>().ok());
    let holder = match (pid, since) {
        (Some(pid), Some(since)) => format!("process {pid}, since {since}"),
        (Some(pid), None) => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    Error::new(Kind::Refused, format!("{} is in use by {holder}", tree.0))
        .hint("one run per tree at a time: wait until it ends, or end it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2025-11-29T03:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_second_run_is_told_who_holds_the_tree() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("new/state");
        let key = TreeKey::of_folder(folder.path()).unwrap();
        let first = RunLock::acquire(&state, &key, now()).unwrap();
        let error = RunLock::acquire(&state, &key, now()).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        let expected =
            format!("{} is in use by process {}, since 2025-11-29T03:00:00Z", key.as_str(), std::process::id());
        assert_eq!(error.to_string(), expected);
        let other = TreeKey::of_url("s3://bucket/miyabi/");
        let _other = RunLock::acquire(&state, &other, now()).unwrap();
        drop(first);
        let _again = RunLock::acquire(&state, &key, now()).unwrap();
    }

    #[test]
    fn what_an_earlier_run_wrote_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let key = TreeKey::of_url("s3://bucket");
        let path = RunLock::acquire(folder.path(), &key, now()).unwrap().path().to_owned();
        std::fs::write(&path, "99999999\nmuch longer than what comes now, and of no use at all to anybody\nx\ny\n")
            .unwrap();
        let _lock = RunLock::acquire(folder.path(), &key, now()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n2025-11-29T03:00:00Z\ns3://bucket\n", std::process::id()));
    }

    #[test]
    fn one_folder_has_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        std::os::unix::fs::symlink(&tree, folder.path().join("link")).unwrap();
        let key = TreeKey::of_folder(&tree).unwrap();
        for other in ["link", "link/.", "tree/../tree", "link/"] {
            assert_eq!(TreeKey::of_folder(&folder.path().join(other)).unwrap(), key, "{other}");
        }
        let later = TreeKey::of_folder(&folder.path().join("link/later")).unwrap();
        std::fs::create_dir(tree.join("later")).unwrap();
        assert_eq!(TreeKey::of_folder(&tree.join("later")).unwrap(), later);
    }

    #[test]
    fn a_planted_link_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let key = TreeKey::of_url("s3://bucket");
        std::os::unix::fs::symlink(&victim, folder.path().join(key.file_name())).unwrap();
        assert_eq!(RunLock::acquire(folder.path(), &key, now()).unwrap_err().kind(), Kind::Place);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    }
}
