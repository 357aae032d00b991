//! One file a command: resolve, call the floor below, show what came of it. No work is done here.

pub mod backup;
pub mod inspect;
pub mod list;
pub mod restore;
pub mod salvage;
pub mod verify;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::config::Config;
use super::resolve::Notes;
use super::terminal::Terminal;
use crate::error::{Error, Kind, Result};
use crate::job::Context;
use crate::listing::{self, Listed};
use crate::store::{Bytes, LocalStore, Name, Store};

/// What every command is given.
pub struct Run<'a> {
    pub config: &'a Config,
    pub terminal: &'a Terminal,
    pub context: &'a Context,
    pub notes: Notes,
    started: Timestamp,
}

impl<'a> Run<'a> {
    pub fn new(config: &'a Config, terminal: &'a Terminal, context: &'a Context) -> Self {
        let notes = Notes::new(config.warnings.clone());
        Run { config, terminal, context, notes, started: context.clock.now() }
    }

    pub fn took(&self) -> Duration {
        Duration::try_from(self.context.clock.now().duration_since(self.started)).unwrap_or_default()
    }

    /// What resolving had to say.
    pub fn show_notes(&self) {
        self.notes.all().iter().for_each(|note| self.terminal.warning(note));
    }
}

/// One archive that the user named.
pub struct Named {
    pub row: Listed,
    store: LocalStore,
}

impl Named {
    pub fn find(path: &Path, run: &Run<'_>) -> Result<Named> {
        if path.is_dir() {
            return Err(Error::new(Kind::Usage, format!("{} is a folder, not an archive", path.display())));
        }
        let (store, listing) = listing::at_path(path, run.context.clock.zone())?;
        let nothing = || Error::new(Kind::Nothing, format!("{} holds no archive", path.display()));
        Ok(Named { row: listing.rows.into_iter().next().ok_or_else(nothing)?, store })
    }

    pub fn open(&self) -> Result<Box<dyn Bytes>> {
        match self.row.files().as_slice() {
            [file] => self.store.open(&Name::new(*file)?),
            files => {
                let what = format!("cannot open {}: it is stored in {} parts", self.row.path, files.len());
                Err(Error::new(Kind::Unsupported, what).hint("put the parts together with cat first"))
            }
        }
    }
}
