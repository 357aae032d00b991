//! Which step of post-data may start now: what it needs is done, and what runs leaves it its locks.
//!
//! Pure: no connection, no clock. Steps come in the script's order, which is an order of their dependencies, and only as
//! many as the window holds. Of those that may start, quick ones go first, then the one with the most rows; steps that
//! must run alone keep the script's order among each other and wait until nothing else can be done.
//!
//! Something can always start: of all steps that are not done the script's first has all that it needs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::locks::{Held, Locks, TableId};

/// Statements that wait, in bytes. A database of ordinary size fits whole.
pub const WINDOW_BYTES: usize = 8 << 20;

/// So many candidates are looked at in one go: if all of them are barred, something runs that will end.
const LOOKED_AT: usize = 4096;

/// One step of the script in the parts that are run one after the other, each under its own locks.
#[derive(Debug)]
pub struct Planned<T> {
    /// Its position in the table of contents, and those of the entries that it needs.
    pub at: u32,
    pub depends: Box<[u32]>,
    /// Tables whose rows must be there. Empty for a step that runs alone: it waits for all of them.
    pub tables: Vec<TableId>,
    pub parts: VecDeque<Part<T>>,
}

#[derive(Debug)]
pub struct Part<T> {
    pub work: T,
    pub locks: Locks,
    /// Bytes of rows that it goes through; 0 is quick.
    pub weight: u64,
    pub bytes: usize,
}

/// A part that was started. It has to be given back.
#[derive(Debug)]
pub struct Started<T> {
    pub work: T,
    pub weight: u64,
    step: u64,
    locks: Locks,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Need {
    Entry(u32),
    Rows(TableId),
}

type Key = (bool, Reverse<u64>, u64);

#[derive(Debug)]
struct Waiting<T> {
    at: u32,
    parts: VecDeque<Part<T>>,
    unmet: usize,
}

#[derive(Debug)]
pub struct Schedule<T> {
    /// By their place in the script.
    steps: BTreeMap<u64, Waiting<T>>,
    next: u64,
    ready: BTreeSet<Key>,
    alone: BTreeSet<u64>,
    /// Steps of an entry that are not done.
    open: HashMap<u32, usize>,
    unloaded: HashSet<TableId>,
    waits: HashMap<Need, Vec<u64>>,
    held: Held,
    bytes: usize,
    /// No step follows.
    complete: bool,
}

impl<T> Schedule<T> {
    /// Rows of these tables are still to come.
    pub fn new(unloaded: HashSet<TableId>) -> Self {
        Schedule {
            steps: BTreeMap::new(),
            next: 0,
            ready: BTreeSet::new(),
            alone: BTreeSet::new(),
            open: HashMap::new(),
            unloaded,
            waits: HashMap::new(),
            held: Held::default(),
            bytes: 0,
            complete: false,
        }
    }

    pub fn has_room(&self) -> bool {
        !self.complete && self.bytes < WINDOW_BYTES
    }

    pub fn complete(&mut self) {
        self.complete = true;
    }

    pub fn is_done(&self) -> bool {
        self.complete && self.steps.is_empty()
    }

    pub fn add(&mut self, planned: Planned<T>) {
        let Planned { at, depends, tables, parts } = planned;
        let Some(first) = parts.front() else { return };
        let step = self.next;
        self.next += 1;
        self.bytes += parts.iter().map(|part| part.bytes).sum::<usize>();
        let entries = depends.into_iter().filter(|on| *on != at && self.open.contains_key(on)).map(Need::Entry);
        let rows = tables.into_iter().filter(|table| self.unloaded.contains(table)).map(Need::Rows);
        let needs: HashSet<Need> = entries.chain(rows).collect();
        let unmet = needs.len();
        for need in needs {
            self.waits.entry(need).or_default().push(step);
        }
        if first.locks == Locks::Alone {
            self.alone.insert(step);
        } else if unmet == 0 {
            self.ready.insert(key(first, step));
        }
        *self.open.entry(at).or_default() += 1;
        self.steps.insert(step, Waiting { at, parts, unmet });
    }

    /// Steps that wait for nothing but a connection, or a lock that another one will give back.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// All rows of this table are there.
    pub fn loaded(&mut self, table: TableId) {
        if self.unloaded.remove(&table) {
            self.satisfied(Need::Rows(table));
        }
    }

    pub fn take(&mut self) -> Option<Started<T>> {
        let found = self.ready.iter().take(LOOKED_AT).find(|(_, _, step)| {
            let part = self.steps.get(step).and_then(|waiting| waiting.parts.front());
            part.is_some_and(|part| self.held.allows(&part.locks))
        });
        if let Some(key) = found.copied() {
            self.ready.remove(&key);
            return self.start(key.2);
        }
        let first = self.alone.first().copied()?;
        let is_free = self.held.is_empty() && self.unloaded.is_empty();
        if !is_free || self.steps.get(&first).is_none_or(|waiting| waiting.unmet > 0) {
            return None;
        }
        self.alone.remove(&first);
        self.start(first)
    }

    fn start(&mut self, step: u64) -> Option<Started<T>> {
        let Part { work, locks, bytes, weight } = self.steps.get_mut(&step)?.parts.pop_front()?;
        self.held.take(&locks);
        Some(Started { work, weight, step, locks, bytes })
    }

    /// Gives back what a part had; the step's next part may now start, or what needed the step.
    pub fn done(&mut self, part: Finished) {
        let Finished { step, locks, bytes } = part;
        self.held.release(&locks);
        self.bytes = self.bytes.saturating_sub(bytes);
        let Some(waiting) = self.steps.get(&step) else { return };
        if let Some(next) = waiting.parts.front() {
            self.ready.insert(key(next, step));
            return;
        }
        let at = waiting.at;
        self.steps.remove(&step);
        let open = self.open.get_mut(&at);
        if open.is_some_and(|open| {
            *open -= 1;
            *open == 0
        }) {
            self.open.remove(&at);
            self.satisfied(Need::Entry(at));
        }
    }

    fn satisfied(&mut self, need: Need) {
        for step in self.waits.remove(&need).unwrap_or_default() {
            let Some(waiting) = self.steps.get_mut(&step) else { continue };
            waiting.unmet = waiting.unmet.saturating_sub(1);
            let Some(first) = waiting.parts.front() else { continue };
            if waiting.unmet == 0 && first.locks != Locks::Alone {
                self.ready.insert(key(first, step));
            }
        }
    }
}

fn key<T>(part: &Part<T>, step: u64) -> Key {
    (part.weight > 0, Reverse(part.weight), step)
}

/// What remains of a part that ran.
#[derive(Debug)]
pub struct Finished {
    step: u64,
    locks: Locks,
    bytes: usize,
}

impl<T> Started<T> {
    pub fn into_parts(self) -> (T, Finished) {
        let Started { work, step, locks, bytes, .. } = self;
        (work, Finished { step, locks, bytes })
    }
}

#[cfg(test)]
#[path = "schedule/tests.rs"]
mod tests;
