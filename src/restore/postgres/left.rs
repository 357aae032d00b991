//! What could not be restored although the rest is whole, and what is not tried because it stands on that.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;

use crate::archive::TocEntry;
use crate::error::Error;

use super::steps::{Step, describe};

/// The server's own words: what was run stands in the line already.
pub fn innermost(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(layer) = next {
        text = layer.to_string();
        next = layer.source();
    }
    text
}

/// Parts of an object: without it there is nothing to say of them.
const ACCESSORIES: [&str; 5] = ["OWNER", "COMMENT", "ACL", "SEQUENCE OWNED BY", "SEQUENCE SET"];

/// Lines for the user, and the objects that are not there.
#[derive(Debug, Default)]
pub struct LeftBehind {
    /// One line each: the object and the reason.
    pub lines: Vec<String>,
    /// Tables of which the archive has rows and the target nothing.
    pub missing_tables: u64,
    /// Positions in the table of contents, with what to call them.
    lost: BTreeMap<u32, String>,
}

impl LeftBehind {
    pub fn push(&mut self, line: String) {
        self.lines.push(line);
    }

    pub fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Whether the object of this step is not there.
    pub fn has_lost_step(&self, step: &Step) -> bool {
        self.lost.contains_key(&step.at)
    }

    /// Why the step cannot be run: it stands on what is not there.
    pub fn stands_in_the_air(&self, step: &Step) -> Option<String> {
        let needed = step.depends.iter().find_map(|on| self.lost.get(on));
        let needed = needed.or_else(|| self.lost.get(&step.at))?;
        Some(format!("needs {needed}, which is not there"))
    }

    /// The object of this step is not there. Of what was only said of such an object nothing is said.
    pub fn lose(&mut self, step: &Step, toc: &[TocEntry], reason: &str) {
        let is_accessory = ACCESSORIES.contains(&step.kind.as_str());
        if is_accessory && self.stands_in_the_air(step).is_some() {
            self.lost.insert(step.at, step.what.clone());
            return;
        }
        let rows = match step.rows {
            Some(rows) if rows > 0 => format!(" with its rows ({rows})"),
            _ => String::new(),
        };
        self.lines.push(format!("{}{rows}: {reason}", step.what));
        self.lost.insert(step.at, step.what.clone());
        if step.kind == "SEQUENCE" {
            let named = |entry: &&TocEntry| entry.kind == "SEQUENCE SET";
            let values = (0_u32..).zip(toc).filter(|(_, entry)| named(entry));
            let own = values.filter(|(_, entry)| describe(entry) == step.what.replacen("SEQUENCE", "SEQUENCE SET", 1));
            self.lost.extend(own.map(|(at, entry)| (at, describe(entry))));
        }
    }

    /// What is known of those that the step stands on: enough to run it elsewhere.
    pub fn about(&self, step: &Step) -> Self {
        let on = step.depends.iter().chain([&step.at]);
        let lost = on.filter_map(|on| self.lost.get_key_value(on)).map(|(on, what)| (*on, what.clone()));
        LeftBehind { lost: lost.collect(), ..LeftBehind::default() }
    }

    /// Takes over what a step that ran elsewhere could not make.
    pub fn keep_lost(&mut self, other: &LeftBehind) {
        self.lost.extend(other.lost.iter().map(|(at, what)| (*at, what.clone())));
    }

    /// Takes over what is to be told of a step that ran elsewhere.
    pub fn tell(&mut self, other: LeftBehind) {
        self.lines.extend(other.lines);
        self.missing_tables += other.missing_tables;
    }

    /// Tables with rows that nobody can load, since the target has no such table and none of its entries was tried.
    pub fn lose_rows(&mut self, names: impl Iterator<Item = (String, u64)>) {
        let told: BTreeSet<String> = self.lost.values().cloned().collect();
        for (name, rows) in names {
            self.missing_tables += 1;
            let known = ["TABLE", "FOREIGN TABLE"].iter().any(|kind| told.contains(&format!("{kind} {name}")));
            if !known {
                self.lines.push(format!("{rows} rows of {name}: the table is not there"));
            }
        }
    }
}
