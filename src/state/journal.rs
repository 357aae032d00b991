//! A file of JSON lines that is only ever appended to, by several processes at once.
//!
//! A line is written under a lock, in one piece, and synced. A run that was cut off may leave half a line: the next
//! writer begins on a new one, and readers pass over what they cannot read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Kind, Result};

/// Nothing of ours is longer; a longer line was not written by us and is not held in memory.
const LINE_BYTES_MAX: u64 = 4 << 20;

#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

/// What could be read, oldest first.
#[derive(Debug)]
pub struct Lines<T> {
    pub entries: Vec<T>,
    /// Lines that are not whole, or of a newer version.
    pub unreadable: u64,
    /// Where the next reading begins, in bytes.
    pub end: u64,
}

impl Journal {
    pub fn new(state_dir: &Path, file_name: &str) -> Self {
        Journal { path: state_dir.join(file_name) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder if it is missing.
    pub fn append(&self, entries: &[impl Serialize]) -> Result<()> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)
                .map_err(|cause| Error::new(Kind::Bug, "cannot write a line of JSON").because(cause))?;
            lines.push(b'\n');
        }
        self.write(&lines).map_err(|cause| {
            Error::new(Kind::Place, format!("cannot write {}", self.path.display()))
                .because(cause)
                .hint("the state folder must be writable; --state-dir names another one")
        })
    }

    fn write(&self, lines: &[u8]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits()).unwrap_or_default();
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(&self.path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let mut whole = Vec::with_capacity(lines.len().saturating_add(1));
        if !ends_with_a_line(&mut file)? {
            whole.push(b'\n');
        }
        whole.extend_from_slice(lines);
        file.write_all(&whole)?;
        file.sync_data()
    }

    /// Everything; a file that is not there is empty.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Lines<T>> {
        self.read_from(0)
    }

    /// What stands behind `offset`, which was the end of an earlier reading.
    pub fn read_from<T: DeserializeOwned>(&self, offset: u64) -> Result<Lines<T>> {
        let cannot = |cause| Error::new(Kind::Place, format!("cannot read {}", self.path.display())).because(cause);
        let mut lines = Lines { entries: Vec::new(), unreadable: 0, end: offset };
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(lines),
            Err(cause) => return Err(cannot(cause)),
        };
        file.seek(SeekFrom::Start(offset)).map_err(cannot)?;
        let mut reader = BufReader::new(file);
        loop {
            let mut line = Vec::new();
            let taken = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(cannot)?;
            // A line that is being written has no end yet: it is left for the next reading.
            if taken == 0 || (line.last() != Some(&b'\n') && (taken as u64) < LINE_BYTES_MAX) {
                return Ok(lines);
            }
            lines.end = lines.end.saturating_add(taken as u64);
            match serde_json::from_slice(&line) {
                Ok(entry) => lines.entries.push(entry),
                Err(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Err(_) => lines.unreadable = lines.unreadable.saturating_add(1),
            }
        }
    }
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_costs_itself_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&folder.path().join("new/state"), "x.jsonl");
        assert_eq!(journal.read::<u32>().unwrap().entries, Vec::<u32>::new());
        journal.append(&[1, 2]).unwrap();
        let mut file = OpenOptions::new().append(true).open(journal.path()).unwrap();
        file.write_all(b"{\"cut off by a power").unwrap();
        let read = journal.read::<u32>().unwrap();
        assert_eq!((read.entries, read.unreadable), (vec![1, 2], 0), "half a line may still become a whole one");
        journal.append(&[3]).unwrap();
        let later = journal.read::<u32>().unwrap();
        assert_eq!((later.entries, later.unreadable), (vec![1, 2, 3], 1));
        journal.append(&[4]).unwrap();
        assert_eq!(journal.read_from::<u32>(later.end).unwrap().entries, [4]);
    }

    #[test]
    fn writers_at_once_lose_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path(), "x.jsonl");
        std::thread::scope(|scope| {
            for writer in 0..8u32 {
                let journal = journal.clone();
                scope.spawn(move || (0..50).for_each(|n| journal.append(&[writer * 50 + n]).unwrap()));
            }
        });
        let mut all = journal.read::<u32>().unwrap().entries;
        all.sort_unstable();
        assert_eq!(all, (0..400).collect::<Vec<_>>());
    }
}
