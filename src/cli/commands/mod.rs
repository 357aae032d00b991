//! One file a command: resolve, call the floor below, show what came of it. No work is done here.

pub mod backup;
pub mod copy;
pub mod inspect;
pub mod list;
pub mod restore;
pub mod salvage;
pub mod verify;

use std::time::Duration;

use jiff::Timestamp;

use super::config::Config;
use super::resolve::Notes;
use super::terminal::Terminal;
use crate::job::Context;

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
