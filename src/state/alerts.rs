//! What was told to people: read, changed and written again under a lock, so that two runs do not tell it twice.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::policy::alerts::Memory;

const FILE: &str = "alerts.json";
const FAILURES: &str = "alert-failures.json";

/// Channels that took nothing when they were last tried: since when, and why.
pub type Failures = BTreeMap<String, Failure>;

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub since: Timestamp,
    pub why: String,
}

/// For whoever shows them. A file that is not there, or not whole, says nothing.
pub fn failures(state_dir: &Path) -> Failures {
    let bytes = std::fs::read(state_dir.join(FAILURES)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Held while alerts are decided and told.
pub struct AlertMemory {
    folder: PathBuf,
    _lock: File,
}

impl AlertMemory {
    /// Waits for another run that is telling something.
    pub fn lock(state_dir: &Path) -> Result<AlertMemory> {
        let open = || -> io::Result<File> {
            DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
            let path = state_dir.join("alerts.lock");
            let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
            flock(&lock, FlockOperation::LockExclusive)?;
            Ok(lock)
        };
        let lock = open().map_err(|cause| cannot("lock", state_dir, cause))?;
        Ok(AlertMemory { folder: state_dir.to_owned(), _lock: lock })
    }

    /// One that cannot be understood counts as empty: to tell everything again is better than nothing.
    pub fn read(&self) -> Result<Memory> {
        match std::fs::read(self.folder.join(FILE)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Memory::new()),
            Err(cause) => Err(cannot("read", &self.folder, cause)),
        }
    }

    pub fn write(&self, memory: &Memory) -> Result<()> {
        self.replace(FILE, memory)
    }

    /// Takes over what the channels that were tried now did: `None` for one that took it.
    pub fn note_failures(&self, tried: &[(String, Option<String>)], now: Timestamp) -> Result<()> {
        let before = failures(&self.folder);
        let mut after = before.clone();
        for (channel, why) in tried {
            let since = before.get(channel).map_or(now, |failure| failure.since);
            match why {
                Some(why) => _ = after.insert(channel.clone(), Failure { since, why: why.clone() }),
                None => _ = after.remove(channel),
            }
        }
        if after == before { Ok(()) } else { self.replace(FAILURES, &after) }
    }

    /// The old content or the new, whatever happens.
    fn replace(&self, name: &str, content: &impl Serialize) -> Result<()> {
        let json = serde_json::to_vec_pretty(content)
            .map_err(|cause| Error::new(Kind::Bug, "cannot write JSON").because(cause))?;
        let staged = self.folder.join(format!(".{name}.partial"));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
            file.write_all(&json)?;
            file.sync_all()?;
            std::fs::rename(&staged, self.folder.join(name))
        };
        write().map_err(|cause| cannot("write", &self.folder, cause))
    }
}

fn cannot(verb: &str, state_dir: &Path, cause: io::Error) -> Error {
    Error::new(Kind::Place, format!("cannot {verb} what was told in {}", state_dir.display())).because(cause)
}
