//! What a step locks on the server, and whether two of them may run at the same time.
//!
//! A step is started only if all its locks are free of conflict with those of every step that runs, so none ever waits
//! for another while it holds something: a deadlock cannot arise. Two things make that hold although expressions may
//! read tables that no statement names. Such a hidden read waits for `AccessExclusive` alone; and of all steps that hold
//! that *and* run expressions one runs at a time, so nobody who is waited for can wait himself.

use std::collections::HashMap;

/// A table of the archive, as [`super::relations::Relations`] numbers them.
pub type TableId = usize;

/// The server's lock modes, as far as steps need them. `Read` stands for `ACCESS SHARE` and `ROW SHARE`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    Read,
    /// `VALIDATE CONSTRAINT`.
    ShareUpdateExclusive,
    /// `CREATE INDEX`.
    Share,
    /// `ADD FOREIGN KEY`, on both tables.
    ShareRowExclusive,
    /// Any other `ALTER TABLE`.
    AccessExclusive,
}

impl Mode {
    /// The server's conflict table.
    pub fn conflicts(self, with: Mode) -> bool {
        match (self, with) {
            (Mode::AccessExclusive, _) | (_, Mode::AccessExclusive) => true,
            (Mode::Read, _) | (_, Mode::Read) => false,
            (Mode::Share, Mode::Share) => false,
            _ => true,
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Locks {
    /// What it touches is not known: it runs when nothing else does.
    Alone,
    On {
        tables: Vec<(TableId, Mode)>,
        /// It evaluates expressions while it holds `AccessExclusive`.
        runs_code: bool,
    },
}

/// The locks of all steps that run now.
#[derive(Debug, Default)]
pub struct Held {
    tables: HashMap<TableId, Vec<Mode>>,
    steps: usize,
    runs_code: bool,
    alone: bool,
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.steps == 0
    }

    pub fn allows(&self, locks: &Locks) -> bool {
        match locks {
            Locks::Alone => self.is_empty(),
            Locks::On { .. } if self.alone => false,
            Locks::On { runs_code: true, .. } if self.runs_code => false,
            Locks::On { tables, .. } => tables.iter().all(|(table, mode)| {
                self.tables.get(table).is_none_or(|held| !held.iter().any(|other| mode.conflicts(*other)))
            }),
        }
    }

    pub fn take(&mut self, locks: &Locks) {
        self.steps += 1;
        match locks {
            Locks::Alone => self.alone = true,
            Locks::On { tables, runs_code } => {
                self.runs_code |= runs_code;
                for (table, mode) in tables {
                    self.tables.entry(*table).or_default().push(*mode);
                }
            }
        }
    }

    pub fn release(&mut self, locks: &Locks) {
        self.steps = self.steps.saturating_sub(1);
        match locks {
            Locks::Alone => self.alone = false,
            Locks::On { tables, runs_code } => {
                self.runs_code &= !runs_code;
                for (table, mode) in tables {
                    self.release_one(*table, *mode);
                }
            }
        }
    }

    fn release_one(&mut self, table: TableId, mode: Mode) {
        let Some(held) = self.tables.get_mut(&table) else { return };
        if let Some(at) = held.iter().position(|one| *one == mode) {
            held.swap_remove(at);
        }
        if held.is_empty() {
            self.tables.remove(&table);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(table: TableId, mode: Mode) -> Locks {
        Locks::On { tables: vec![(table, mode)], runs_code: false }
    }

    #[test]
    fn steps_meet_as_the_server_lets_them() {
        let mut held = Held::default();
        held.take(&on(1, Mode::Share));
        assert!(held.allows(&on(1, Mode::Share)), "two indexes of a table");
        assert!(held.allows(&on(1, Mode::Read)) && held.allows(&on(2, Mode::AccessExclusive)));
        assert!(!held.allows(&on(1, Mode::AccessExclusive)), "an index build and ALTER TABLE");
        assert!(!held.allows(&on(1, Mode::ShareUpdateExclusive)) && !held.allows(&Locks::Alone));
        held.release(&on(1, Mode::Share));
        assert!(held.is_empty() && held.allows(&on(1, Mode::AccessExclusive)));
        held.take(&on(1, Mode::ShareUpdateExclusive));
        assert!(!held.allows(&on(1, Mode::ShareUpdateExclusive)), "two foreign keys of a table");
        assert!(held.allows(&on(1, Mode::Read)), "a foreign key to a table whose own is looked at");
        held.take(&Locks::On { tables: vec![(3, Mode::AccessExclusive)], runs_code: true });
        assert!(!held.allows(&Locks::On { tables: vec![(4, Mode::AccessExclusive)], runs_code: true }));
        let mut held = Held::default();
        held.take(&Locks::Alone);
        assert!(!held.allows(&on(1, Mode::Read)), "what is not known runs alone");
    }
}
