//! Messages as entries of systemd's journal, with fields that `journalctl` can select by.
//!
//! Used where standard error already goes to the journal (`$JOURNAL_STREAM` names its device and inode). The protocol is one
//! datagram an entry: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. An entry that cannot be sent is written to standard error
//! like any other message, so nothing is lost.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::state::history::Item;

const SOCKET: &str = "/run/systemd/journal/socket";

/// Larger entries go to standard error: what a datagram can hold depends on the machine, and no message of ours is as long.
const BYTES_MAX: usize = 64 << 10;

pub struct Journal {
    socket: UnixDatagram,
    to: PathBuf,
    run: OnceLock<(String, String)>,
}

/// As `syslog` counts them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Priority {
    Error = 3,
    Warning = 4,
    Info = 6,
}

impl Journal {
    /// `stream` is the value of `JOURNAL_STREAM`; `None` if standard error goes elsewhere.
    pub fn of_stream(stream: Option<&str>) -> Option<Journal> {
        let facts = rustix::fs::fstat(io::stderr()).ok()?;
        let own = format!("{}:{}", facts.st_dev, facts.st_ino);
        (stream? == own).then(|| Journal::at(Path::new(SOCKET)))?
    }

    fn at(socket: &Path) -> Option<Journal> {
        Some(Journal { socket: UnixDatagram::unbound().ok()?, to: socket.to_owned(), run: OnceLock::new() })
    }

    /// From now on every entry names the run, as the history does, and its command.
    pub fn belongs_to(&self, run: &str, command: &str) {
        // A process has one run.
        let _ = self.run.set((run.to_owned(), command.to_owned()));
    }

    /// False if it was not taken.
    pub fn send(&self, priority: Priority, message: &str, fields: &[(&str, String)]) -> bool {
        let mut entry = Vec::new();
        add(&mut entry, "MESSAGE", message);
        add(&mut entry, "PRIORITY", &(priority as u8).to_string());
        add(&mut entry, "SYSLOG_IDENTIFIER", "miyabi-backup");
        if let Some((run, command)) = self.run.get() {
            add(&mut entry, "MIYABI_RUN", run);
            add(&mut entry, "MIYABI_COMMAND", command);
        }
        fields.iter().for_each(|(name, value)| add(&mut entry, name, value));
        entry.len() <= BYTES_MAX && self.socket.send_to(&entry, &self.to).is_ok()
    }

    /// What came of one database of a run.
    pub fn item(&self, command: &str, item: &Item) {
        let (priority, event) = match item.ok {
            true => (Priority::Info, format!("{command}.done")),
            false => (Priority::Error, format!("{command}.failed")),
        };
        let message = match &item.error {
            Some(error) => format!("{command} of {} failed: {error}", item.name),
            None => format!("{command} of {} is done", item.name),
        };
        let known = [
            ("MIYABI_KIND", item.kind.clone()),
            ("MIYABI_PATH", item.path.clone()),
            ("MIYABI_SIZE_BYTES", item.size_bytes.map(|bytes| bytes.to_string())),
            ("MIYABI_RAW_BYTES", item.raw_bytes.map(|bytes| bytes.to_string())),
            ("MIYABI_ROWS", item.rows.map(|rows| rows.to_string())),
            ("MIYABI_DURATION_SECONDS", item.duration_seconds.map(|seconds| format!("{seconds:.3}"))),
            ("MIYABI_ERROR", item.error.clone()),
        ];
        let mut fields = vec![("MIYABI_EVENT", event), ("MIYABI_DATABASE", item.name.clone())];
        fields.extend(known.into_iter().filter_map(|(name, value)| Some((name, value?))));
        self.send(priority, &message, &fields);
    }
}

/// `NAME=value` and a newline; a value with newlines has its length before it.
fn add(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_datagram_and_newlines_cannot_forge_fields() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::at(&path).unwrap();
        journal.belongs_to("00ff", "backup");
        let forged = "broken\nPRIORITY=7".to_owned();
        assert!(journal.send(Priority::Error, "it failed", &[("MIYABI_ERROR", forged.clone())]));
        let mut taken = vec![0; 4096];
        let length = listener.recv(&mut taken).unwrap();
        let mut expected = b"MESSAGE=it failed\nPRIORITY=3\nSYSLOG_IDENTIFIER=miyabi-backup\nMIYABI_RUN=00ff\nMIYABI_COMMAND=backup\nMIYABI_ERROR\n".to_vec();
        expected.extend_from_slice(&17_u64.to_le_bytes());
        expected.extend_from_slice(format!("{forged}\n").as_bytes());
        assert_eq!(&taken[..length], expected.as_slice());
        assert!(!journal.send(Priority::Info, &"x".repeat(BYTES_MAX), &[]), "too long for a datagram");
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        assert!(!journal.send(Priority::Info, "nobody listens", &[]));
        assert!(Journal::of_stream(None).is_none() && Journal::of_stream(Some("1:2")).is_none());
    }
}
