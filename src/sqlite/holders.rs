//! Who has a database open, and who holds its locks: pid and command, from `/proc` on Linux.
//!
//! What the system does not show (other users' processes, other hosts) is missing from the answer: an empty list
//! never proves that nobody holds the file. Elsewhere than on Linux the list is always empty.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::open::side_file;

/// What a process does with the file, as far as its locks tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Hold {
    Open,
    Reading,
    Writing,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    pub pid: u32,
    pub command: String,
    pub hold: Hold,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hold = match self.hold {
            Hold::Open => "open",
            Hold::Reading => "reading",
            Hold::Writing => "writing",
        };
        write!(f, "{} (pid {}, {hold})", self.command, self.pid)
    }
}

/// The holders but for ourselves, writers first.
pub fn of(database: &Path) -> Vec<Holder> {
    let files = [database.to_owned(), side_file(database, "-wal"), side_file(database, "-shm")];
    let mut found: BTreeMap<u32, Hold> = BTreeMap::new();
    for (pid, hold) in by_descriptor(&files).into_iter().chain(by_lock(&files)) {
        let known = found.entry(pid).or_insert(hold);
        *known = hold.max(*known);
    }
    found.remove(&std::process::id());
    let mut holders: Vec<Holder> =
        found.into_iter().map(|(pid, hold)| Holder { pid, command: command_of(pid), hold }).collect();
    holders.sort_by_key(|holder| (std::cmp::Reverse(holder.hold), holder.pid));
    holders
}

/// `python3 (pid 71, writing), sqlite3 (pid 99, open)`; those who hold a lock alone, if any does.
pub fn describe(holders: &[Holder]) -> String {
    const NAMED_MAX: usize = 5;
    let strongest = holders.iter().map(|holder| holder.hold).max().unwrap_or(Hold::Open);
    let least = if strongest == Hold::Open { Hold::Open } else { Hold::Reading };
    let names: Vec<String> = holders.iter().filter(|holder| holder.hold >= least).map(ToString::to_string).collect();
    match names.len().checked_sub(NAMED_MAX) {
        Some(more) if more > 0 => {
            format!("{} and {more} more", names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", "))
        }
        _ => names.join(", "),
    }
}

fn command_of(pid: u32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => name.trim_end().to_owned(),
        Err(_) => "a process".to_owned(),
    }
}

#[cfg(target_os = "linux")]
fn by_descriptor(files: &[PathBuf]) -> Vec<(u32, Hold)> {
    use std::os::unix::fs::MetadataExt;

    let wanted: Vec<(u64, u64)> =
        files.iter().filter_map(|file| fs::metadata(file).ok()).map(|meta| (meta.dev(), meta.ino())).collect();
    let has_it_open = |pid: u32| {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        descriptors
            .flatten()
            .filter_map(|descriptor| fs::metadata(descriptor.path()).ok())
            .any(|meta| wanted.contains(&(meta.dev(), meta.ino())))
    };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| has_it_open(*pid))
        .map(|pid| (pid, Hold::Open))
        .collect()
}

#[cfg(target_os = "linux")]
fn by_lock(files: &[PathBuf]) -> Vec<(u32, Hold)> {
    use std::os::unix::fs::MetadataExt;

    let wanted: Vec<Inode> = files
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|meta| Inode {
            major: rustix::fs::major(meta.dev()),
            minor: rustix::fs::minor(meta.dev()),
            number: meta.ino(),
        })
        .collect();
    let table = fs::read_to_string("/proc/locks").unwrap_or_default();
    table
        .lines()
        .filter_map(parse_lock)
        .filter(|lock| wanted.contains(&lock.inode))
        .map(|lock| (lock.pid, lock.hold()))
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn by_descriptor(_files: &[PathBuf]) -> Vec<(u32, Hold)> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
fn by_lock(_files: &[PathBuf]) -> Vec<(u32, Hold)> {
    Vec::new()
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Inode {
    major: u32,
    minor: u32,
    number: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Lock {
    pid: u32,
    inode: Inode,
    exclusive: bool,
    start: u64,
}

impl Lock {
    /// By SQLite's lock bytes: pending, reserved and shared from 2^30 on in the database, writer, checkpointer and
    /// readers from 120 on in `-shm`. Its byte 128 and a WAL database's shared lock only say that it is open.
    fn hold(self) -> Hold {
        const WAL_WRITE: u64 = 120;
        const WAL_READ: std::ops::Range<u64> = 123..128;
        const PENDING: u64 = 0x4000_0000;
        match (self.exclusive, self.start) {
            (true, WAL_WRITE..=122) => Hold::Writing,
            (true, start) if start >= PENDING => Hold::Writing,
            (_, start) if WAL_READ.contains(&start) || start >= PENDING => Hold::Reading,
            _ => Hold::Open,
        }
    }
}

/// `7: POSIX  ADVISORY  WRITE 1234 fe:00:5678 1073741824 1073741825`; a line of a waiter (`7: -> POSIX …`) is none.
fn parse_lock(line: &str) -> Option<Lock> {
    let mut words = line.split_whitespace().skip(1);
    if !matches!(words.next()?, "POSIX" | "FLOCK") {
        return None;
    }
    let exclusive = words.nth(1)? == "WRITE";
    let pid = words.next()?.parse().ok()?;
    let mut inode = words.next()?.split(':');
    let major = u32::from_str_radix(inode.next()?, 16).ok()?;
    let minor = u32::from_str_radix(inode.next()?, 16).ok()?;
    let number = inode.next()?.parse().ok()?;
    let start = words.next()?.parse().ok()?;
    Some(Lock { pid, inode: Inode { major, minor, number }, exclusive, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_lines_are_read_and_waiters_are_not_holders() {
        let lock = parse_lock("12: POSIX  ADVISORY  WRITE 4711 fe:0a:131077 1073741825 1073741825").unwrap();
        assert_eq!(lock.inode, Inode { major: 0xfe, minor: 0x0a, number: 131_077 });
        assert_eq!((lock.pid, lock.hold()), (4711, Hold::Writing));
        let shared = parse_lock("1: POSIX  ADVISORY  READ  9 00:15:3 1073741826 1073742335").unwrap();
        assert_eq!(shared.hold(), Hold::Reading);
        let connected = parse_lock("1: POSIX  ADVISORY  READ  9 00:15:3 128 128").unwrap();
        assert_eq!(connected.hold(), Hold::Open);
        assert_eq!(parse_lock("12: -> POSIX  ADVISORY  WRITE 4711 fe:0a:131077 0 EOF"), None);
        assert_eq!(parse_lock("12: OFDLCK ADVISORY  WRITE -1 fe:0a:131077 0 EOF"), None);
        assert_eq!(parse_lock(""), None);
    }

    #[test]
    fn lock_holders_are_named_before_those_who_merely_have_it_open() {
        let holder = |pid, hold| Holder { pid, command: "app".into(), hold };
        assert_eq!(describe(&[holder(7, Hold::Writing), holder(8, Hold::Open)]), "app (pid 7, writing)");
        assert_eq!(describe(&[holder(8, Hold::Open)]), "app (pid 8, open)");
        let many: Vec<Holder> = (1..=7).map(|pid| holder(pid, Hold::Open)).collect();
        assert!(describe(&many).ends_with("app (pid 5, open) and 2 more"));
    }
}
