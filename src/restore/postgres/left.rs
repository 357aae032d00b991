//! What could not be restored although the rest is whole, and what is not tried because it stands on that.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;

use crate::archive::TocEntry;
use crate::error::Error;
use crate::restore::outcome::BeyondRights;

use super::fitting::Refusal;
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
    /// What only another role could make, and what stands on it.
    pub beyond_rights: Vec<BeyondRights>,
    /// Tables of which the archive has rows and the target nothing.
    pub missing_tables: u64,
    /// Positions in the table of contents.
    lost: BTreeMap<u32, Lost>,
    /// Something is not there because the role may not make it.
    is_beyond_rights: bool,
}

/// What to call an object that is not there, and why it is not.
#[derive(Clone, Debug)]
struct Lost {
    what: String,
    why: Refusal,
}

impl LeftBehind {
    pub fn push(&mut self, line: String) {
        self.lines.push(line);
    }

    pub fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    pub fn is_beyond_rights(&self) -> bool {
        self.is_beyond_rights
    }

    /// Whether the object of this step is not there.
    pub fn has_lost_step(&self, step: &Step) -> bool {
        self.lost.contains_key(&step.at)
    }

    /// Why the step cannot be run: it stands on what is not there.
    pub fn stands_in_the_air(&self, step: &Step) -> Option<(String, Refusal)> {
        let needed = step.depends.iter().find_map(|on| self.lost.get(on));
        let Lost { what, why } = needed.or_else(|| self.lost.get(&step.at))?;
        Some((format!("needs {what}, which is not there"), *why))
    }

    /// Something that was only said of an object, and refused.
    pub fn tell_of(&mut self, step: &Step, reason: String, why: Option<Refusal>) {
        match why {
            Some(Refusal::Rights) => self.beyond_rights.push(BeyondRights { what: step.what.clone(), why: reason }),
            _ => self.lines.push(format!("{}: {reason}", step.what)),
        }
    }

    /// The object of this step is not there. Of what was only said of such an object nothing is said.
    pub fn lose(&mut self, step: &Step, toc: &[TocEntry], reason: &str, why: Refusal) {
        self.is_beyond_rights |= why == Refusal::Rights;
        let lost = |what: String| Lost { what, why };
        let is_accessory = ACCESSORIES.contains(&step.kind.as_str());
        if is_accessory && self.stands_in_the_air(step).is_some() {
            self.lost.insert(step.at, lost(step.what.clone()));
            return;
        }
        let rows = match step.rows {
            Some(rows) if rows > 0 => format!(" with its rows ({rows})"),
            _ => String::new(),
        };
        match why {
            Refusal::Rights => {
                let why = format!("{reason}{rows}");
                self.beyond_rights.push(BeyondRights { what: step.what.clone(), why });
            }
            Refusal::Feature => self.lines.push(format!("{}{rows}: {reason}", step.what)),
        }
        self.lost.insert(step.at, lost(step.what.clone()));
        if step.kind == "SEQUENCE" {
            let named = |entry: &&TocEntry| entry.kind == "SEQUENCE SET";
            let values = (0_u32..).zip(toc).filter(|(_, entry)| named(entry));
            let own = values.filter(|(_, entry)| describe(entry) == step.what.replacen("SEQUENCE", "SEQUENCE SET", 1));
            self.lost.extend(own.map(|(at, entry)| (at, lost(describe(entry)))));
        }
    }

    /// What is known of those that the step stands on: enough to run it elsewhere.
    pub fn about(&self, step: &Step) -> Self {
        let on = step.depends.iter().chain([&step.at]);
        let lost = on.filter_map(|on| self.lost.get_key_value(on)).map(|(on, lost)| (*on, lost.clone()));
        LeftBehind { lost: lost.collect(), is_beyond_rights: self.is_beyond_rights, ..LeftBehind::default() }
    }

    /// Takes over what a step that ran elsewhere could not make.
    pub fn keep_lost(&mut self, other: &LeftBehind) {
        self.lost.extend(other.lost.iter().map(|(at, lost)| (*at, lost.clone())));
        self.is_beyond_rights |= other.is_beyond_rights;
    }

    /// Whether there is something for [`tell`](LeftBehind::tell).
    pub fn tells(&self) -> bool {
        !self.lines.is_empty() || !self.beyond_rights.is_empty() || self.missing_tables > 0
    }

    /// Takes over what is to be told of a step that ran elsewhere.
    pub fn tell(&mut self, other: LeftBehind) {
        self.lines.extend(other.lines);
        self.beyond_rights.extend(other.beyond_rights);
        self.missing_tables += other.missing_tables;
    }

    /// Tables with rows that nobody can load, since the target has no such table and none of its entries was tried.
    pub fn lose_rows(&mut self, names: impl Iterator<Item = (String, u64)>) {
        let told: BTreeSet<String> = self.lost.values().map(|lost| lost.what.clone()).collect();
        for (name, rows) in names {
            self.missing_tables += 1;
            let known = ["TABLE", "FOREIGN TABLE"].iter().any(|kind| told.contains(&format!("{kind} {name}")));
            if !known {
                self.lines.push(format!("{rows} rows of {name}: the table is not there"));
            }
        }
    }
}
