//! One file a command: resolve, call the floor below, show what came of it. No work is done here.

pub mod alert;
pub mod backup;
pub mod copy;
pub mod dashboard;
pub mod doctor;
pub mod drill;
pub mod inspect;
pub mod list;
pub mod logs;
pub mod manual;
pub mod metrics;
pub mod prune;
pub mod restore;
pub mod salvage;
pub mod schedule;
pub mod status;
pub mod verify;

use std::time::Duration;

use jiff::Timestamp;

use super::config::Config;
use super::resolve::{self, Notes};
use super::terminal::Terminal;
use crate::error::Result;
use crate::job::Context;
use crate::state::Recording;
use crate::state::history::{Item, cannot_record};

/// What every command is given.
pub struct Run<'a> {
    pub config: &'a Config,
    pub terminal: &'a Terminal,
    pub context: &'a Context,
    pub notes: Notes,
    /// What the history will say of this run's databases.
    pub items: Vec<Item>,
    started: Timestamp,
    recording: Option<Recording>,
}

impl<'a> Run<'a> {
    pub fn new(config: &'a Config, terminal: &'a Terminal, context: &'a Context) -> Self {
        let notes = Notes::new(config.warnings.clone());
        let started = context.clock.now();
        Run { config, terminal, context, notes, items: Vec::new(), started, recording: None }
    }

    /// From here on the history knows of this run, also if it is killed. A history that cannot be written is told and
    /// fails nothing.
    pub fn record(&mut self, command: &str) {
        let begun = resolve::state_dir(self.config)
            .and_then(|folder| Recording::begin(&folder, command, env!("CARGO_PKG_VERSION"), self.started));
        match begun {
            Ok(recording) => {
                if let Some(journal) = self.terminal.journal() {
                    journal.belongs_to(recording.id(), command);
                }
                self.recording = Some(recording);
            }
            Err(error) => self.terminal.warning(&cannot_record(error).chain()),
        }
    }

    /// The last thing that is done, whatever came of the command: the history, then whoever is to be told.
    pub async fn end(mut self, done: &Result<u8>) {
        let Some(recording) = self.recording.take() else { return };
        let command = recording.command().to_owned();
        let (exit_code, error) = match done {
            Ok(code) => (*code, None),
            Err(error) => (error.kind().exit_code(), Some(error.chain())),
        };
        let items = std::mem::take(&mut self.items);
        if let Some(journal) = self.terminal.journal() {
            items.iter().for_each(|item| journal.item(&command, item));
        }
        if let Err(error) = recording.end(exit_code, error, items, self.context.clock.now()) {
            self.terminal.warning(&cannot_record(error).chain());
        }
        alert::after(&command, exit_code, &mut self).await;
    }

    pub fn took(&self) -> Duration {
        Duration::try_from(self.context.clock.now().duration_since(self.started)).unwrap_or_default()
    }

    /// What resolving had to say.
    pub fn show_notes(&self) {
        self.notes.all().iter().for_each(|note| self.terminal.warning(note));
    }
}
