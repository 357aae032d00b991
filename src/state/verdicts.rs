//! What verification last said of each stored archive. Rotation and status ask it; a restore does not, and looks itself.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::journal::Journal;

const FILE: &str = "verified.jsonl";

/// One archive, looked at once.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    pub at: Timestamp,
    /// Tree and name: `/srv/backups/postgres/daily/…`.
    pub path: String,
    pub sound: bool,
    /// The first finding, where it is not sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The last word on each path.
#[derive(Clone, Debug, Default)]
pub struct Verdicts(BTreeMap<String, Verified>);

impl Verdicts {
    pub fn read(state_dir: &Path) -> Result<Verdicts> {
        let lines = Journal::new(state_dir, FILE).read::<Verified>()?;
        Ok(lines.entries.into_iter().collect())
    }

    pub fn record(state_dir: &Path, verified: &[Verified]) -> Result<()> {
        match verified {
            [] => Ok(()),
            _ => Journal::new(state_dir, FILE).append(verified),
        }
    }

    pub fn of(&self, tree: &str, name: &str) -> Option<&Verified> {
        self.0.get(&format!("{tree}/{name}"))
    }
}

impl FromIterator<Verified> for Verdicts {
    fn from_iter<I: IntoIterator<Item = Verified>>(all: I) -> Self {
        Verdicts(all.into_iter().map(|one| (one.path.clone(), one)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let folder = tempfile::tempdir().unwrap();
        let one = |path: &str, sound: bool| Verified {
            at: Timestamp::UNIX_EPOCH,
            path: path.to_owned(),
            sound,
            why: (!sound).then(|| "a byte is wrong".to_owned()),
        };
        Verdicts::record(folder.path(), &[one("/t/a", false), one("/t/b", true)]).unwrap();
        Verdicts::record(folder.path(), &[one("/t/a", true)]).unwrap();
        let verdicts = Verdicts::read(folder.path()).unwrap();
        assert!(verdicts.of("/t", "a").unwrap().sound && verdicts.of("/t", "b").unwrap().sound);
        assert!(verdicts.of("/t", "c").is_none() && verdicts.of("/u", "a").is_none());
    }
}
