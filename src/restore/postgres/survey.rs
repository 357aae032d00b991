//! What the chosen part of an archive asks of its target, read from the statements as they would be run there.
//!
//! Definitions are read through once; rows and the bytes of large objects are not. So what a preview says is exact
//! for any selection and any flags, also for archives of older versions of this program.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::{Archive, ReadAt, StreamKind, TocEntry};
use crate::error::Result;
use crate::pg::unfit::unfit;
use crate::script::{owner_of, roles_of, tablespace_of};

use super::fitting::Fitting;
use super::select::Chosen;
use super::steps::{ALL, SectionSteps, Step};

/// The kind of entries that hold bytes of large objects.
const LARGE_OBJECTS_KIND: &str = "BLOBS";

#[derive(Debug, Default)]
pub struct Needs {
    pub roles: BTreeSet<String>,
    /// Roles that objects are given to, those of optional entries left out.
    pub owners: BTreeSet<String>,
    pub tablespaces: BTreeSet<String>,
    pub extensions: BTreeSet<String>,
    /// What another major is known to refuse or to have otherwise, one line each.
    pub misfits: Vec<String>,
}

pub fn of<R: ReadAt>(archive: &Archive<R>, chosen: &Chosen, fitting: &Fitting) -> Result<Needs> {
    let mut needs = Needs::default();
    let mut refused: BTreeMap<(&str, u32), Vec<String>> = BTreeMap::new();
    let kinds = [StreamKind::PreData, StreamKind::LargeObjects, StreamKind::PostData];
    for stream in archive.streams().iter().filter(|stream| kinds.contains(&stream.spec.kind)) {
        let wanted = |at, entry: &TocEntry| chosen.wants(at, entry) && entry.kind != LARGE_OBJECTS_KIND;
        let mut steps = SectionSteps::new(archive, stream.id, ALL, wanted);
        while let Some(batch) = steps.next_member()? {
            for step in batch {
                needs.add(&step, fitting, &mut refused)?;
            }
        }
    }
    let lines = refused.into_iter().map(|((feature, since), what)| {
        format!("{feature} ({}) came with PostgreSQL {since}: {}", what.len(), some_of(&what))
    });
    needs.misfits.extend(lines);
    let extensions =
        (0_u32..).zip(archive.toc()).filter(|(at, entry)| entry.kind == "EXTENSION" && chosen.wants(*at, entry));
    needs.extensions.extend(extensions.map(|(_, entry)| entry.name.to_string()));
    Ok(needs)
}

/// The first few, so that a line stays one.
fn some_of(all: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match all.len() > SHOWN {
        true => format!("{shown} and {} more", all.len() - SHOWN),
        false => shown,
    }
}

impl Needs {
    fn add(
        &mut self,
        step: &Step,
        fitting: &Fitting,
        refused: &mut BTreeMap<(&'static str, u32), Vec<String>>,
    ) -> Result<()> {
        let fitted = fitting.fit_each(&step.sql)?;
        self.misfits.extend(fitted.changes.iter().map(|change| format!("{}: {change}", step.what)));
        for sql in &fitted.statements {
            self.roles.extend(roles_of(sql));
            self.tablespaces.extend(tablespace_of(sql));
            if !step.optional {
                self.owners.extend(owner_of(sql));
            }
            if let Some(found) = fitting.other_major().and_then(|target| unfit(sql, target)) {
                refused.entry(found).or_default().push(step.what.clone());
            }
        }
        Ok(())
    }
}
