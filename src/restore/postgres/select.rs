//! What of an archive is restored: all of it, one section, or some tables with what belongs to them.
//!
//! A partitioned table has no rows of its own: naming it brings its partitions, too. What belongs to a table is
//! known by its rows' stream or, where it has none, by the table of contents' dependencies.

use std::collections::BTreeSet;

use crate::archive::{Archive, ArchiveHeader, MemberEntry, ReadAt, Section, Stream, StreamKind, TocEntry};
use crate::error::{Error, Kind, Result};
use crate::ident::{Ident, StreamId};
use crate::job::{Content, Selection, TableName};

use super::steps::{STATISTICS_KIND, Step, TABLE_KINDS, describe};

/// The part of one archive that the user asked for.
#[derive(Clone, Debug)]
pub struct Chosen {
    content: Content,
    /// `None`: every table.
    tables: Option<Picked>,
    /// Rows that others refer to may be missing.
    salvaged: bool,
    /// The archive itself holds some of a database's objects or rows.
    part: bool,
}

/// Some tables and what belongs to them.
#[derive(Clone, Debug, Default)]
struct Picked {
    streams: BTreeSet<StreamId>,
    /// Positions in the table of contents.
    entries: BTreeSet<u32>,
}

/// Of a table restored alone, of an archive of a part or of a salvaged one, these may need what is not there; what
/// fails is listed.
const MAY_STAY_BEHIND: [&str; 11] = [
    "FK CONSTRAINT",
    "TRIGGER",
    "RULE",
    "POLICY",
    "PUBLICATION TABLE",
    "ACL",
    "TABLE ATTACH",
    "INDEX ATTACH",
    "INDEX",
    "STATISTICS",
    "COMMENT",
];

/// Kinds of entries that are part of one table, beside the table itself.
const PARTS: [&str; 12] = [
    "OWNER",
    "COMMENT",
    "ACL",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "INDEX",
    "INDEX ATTACH",
    "TABLE ATTACH",
    "STATISTICS",
    "ROW SECURITY",
    "PUBLICATION TABLE",
    STATISTICS_KIND,
];

/// The same, where the entry's name begins with the table's: a foreign key depends on two tables and is part of one.
const PARTS_NAMED_AFTER: [&str; 7] =
    ["DEFAULT", "CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", "TRIGGER", "RULE", "POLICY"];

/// Data, although they stand at the very end: the first fills a materialized view.
const LATE_DATA_KINDS: [&str; 2] = ["MATERIALIZED VIEW DATA", STATISTICS_KIND];

/// An archive that holds a part of a database is restored as that part, whatever was asked for.
pub fn effective(selection: &Selection, header: &ArchiveHeader, named: &str) -> Result<Selection> {
    let holds = |section: &str| header.sections.iter().any(|one| one == section);
    let content = match (holds("pre-data"), holds("data"), selection.content) {
        (true, true, asked) => asked,
        (true, false, Content::All | Content::SchemaOnly) => Content::SchemaOnly,
        (false, true, Content::All | Content::DataOnly) => Content::DataOnly,
        (_, _, asked) => {
            let (has, lacks) = match asked {
                Content::DataOnly => ("definitions", "rows"),
                _ => ("rows", "definitions"),
            };
            return Err(Error::new(Kind::Usage, format!("{named} holds no {lacks}, only {has}"))
                .hint("`miyabi-backup list` shows the backups that are there"));
        }
    };
    Ok(Selection { content, ..selection.clone() })
}

impl Chosen {
    pub fn of<R: ReadAt>(archive: &Archive<R>, selection: &Selection) -> Result<Self> {
        let tables = match selection.tables.as_slice() {
            [] => None,
            names => Some(Picked::of(archive.streams(), archive.toc(), names)?),
        };
        let header = archive.header();
        let (salvaged, part) = (header.is_salvaged(), header.part().is_some());
        Ok(Chosen { content: selection.content, tables, salvaged, part })
    }

    /// Only a whole archive may replace a database.
    pub fn is_whole(&self) -> bool {
        self.content == Content::All && self.tables.is_none() && !self.part
    }

    pub fn content(&self) -> Content {
        self.content
    }

    pub fn has_tables(&self) -> bool {
        self.tables.is_some()
    }

    pub fn wants(&self, position: u32, entry: &TocEntry) -> bool {
        let section = match self.content {
            Content::All => true,
            Content::SchemaOnly => entry.section != Section::Data && !LATE_DATA_KINDS.contains(&entry.kind.as_str()),
            Content::DataOnly => entry.section == Section::Data,
        };
        section && self.tables.as_ref().is_none_or(|picked| picked.entries.contains(&position))
    }

    /// The step as this part is restored: what may stay behind, and whether rows come.
    pub fn fit(&self, mut step: Step) -> Step {
        let is_part = self.tables.is_some() || self.salvaged || self.part;
        step.optional |= is_part && MAY_STAY_BEHIND.contains(&step.kind.as_str());
        step.rows = step.rows.filter(|_| self.content != Content::SchemaOnly);
        step
    }

    /// The tables whose rows are wanted, largest first, so that the last one to finish is a small one.
    pub fn row_streams<'a>(&self, streams: &'a [Stream]) -> Vec<&'a Stream> {
        let mut wanted: Vec<&Stream> = self.tables_in(streams);
        wanted.retain(|_| self.content != Content::SchemaOnly);
        wanted.sort_by_key(|stream| std::cmp::Reverse(stream.raw));
        wanted
    }

    /// The tables that are created or filled, as far as they have rows of their own.
    pub fn tables_in<'a>(&self, streams: &'a [Stream]) -> Vec<&'a Stream> {
        streams
            .iter()
            .filter(|stream| stream.spec.kind == StreamKind::Rows)
            .filter(|stream| self.tables.as_ref().is_none_or(|picked| picked.streams.contains(&stream.id)))
            .collect()
    }

    /// Schema and name of every relation with rows that would be created; partitioned ones are among them.
    pub fn created_tables<'a, R: ReadAt>(
        &'a self,
        archive: &'a Archive<R>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let wanted = positions(archive.toc()).filter(|(at, entry)| self.wants(*at, entry));
        let tables = wanted.filter(|(_, entry)| TABLE_KINDS.contains(&entry.kind.as_str()));
        tables.map(|(_, entry)| (entry.schema.as_str(), entry.name.as_str()))
    }

    /// Members of the wanted tables, table by table.
    pub fn row_members<R: ReadAt>(&self, archive: &Archive<R>) -> Vec<MemberEntry> {
        self.row_streams(archive.streams()).into_iter().flat_map(|stream| archive.members_of(stream.id)).collect()
    }

    /// Objects that hang on the tables but belong to none of them.
    pub fn not_brought(&self, toc: &[TocEntry]) -> Vec<String> {
        let Some(picked) = self.tables.as_ref().filter(|_| self.content != Content::DataOnly) else {
            return Vec::new();
        };
        let is_table = |at: &u32| entry_at(toc, *at).is_some_and(|entry| TABLE_KINDS.contains(&entry.kind.as_str()));
        let left = positions(toc).filter(|(at, entry)| {
            !picked.entries.contains(at)
                && entry.depends.iter().any(|on| picked.entries.contains(on) && is_table(on))
                && !["OWNER", "COMMENT", "ACL"].contains(&entry.kind.as_str())
        });
        left.map(|(_, entry)| describe(entry)).collect()
    }

    /// Objects of the archive that the tables need and that have to stand in the target.
    pub fn needs(&self, toc: &[TocEntry]) -> Vec<String> {
        let Some(picked) = &self.tables else { return Vec::new() };
        let needed: BTreeSet<u32> = picked
            .entries
            .iter()
            .filter_map(|at| entry_at(toc, *at))
            .flat_map(|entry| entry.depends.iter().copied())
            .filter(|on| !picked.entries.contains(on))
            .collect();
        needed.into_iter().filter_map(|at| entry_at(toc, at)).map(describe).collect()
    }
}

fn positions(toc: &[TocEntry]) -> impl Iterator<Item = (u32, &TocEntry)> {
    (0_u32..).zip(toc)
}

fn entry_at(toc: &[TocEntry], position: u32) -> Option<&TocEntry> {
    toc.get(usize::try_from(position).ok()?)
}

impl Picked {
    fn of(streams: &[Stream], toc: &[TocEntry], names: &[TableName]) -> Result<Self> {
        let known = known_tables(streams, toc);
        let mut wanted = BTreeSet::new();
        for name in names {
            wanted.insert(find_table(&known, name)?);
        }
        let mut picked = Picked::default();
        picked.take_tables(toc, &mut wanted);
        let rows = streams.iter().filter(|stream| stream.spec.kind == StreamKind::Rows);
        let named = rows.filter(|one| wanted.contains(&(one.spec.schema.as_str(), one.spec.name.as_str())));
        picked.streams = named.map(|stream| stream.id).collect();
        picked.take_parts(toc, &wanted);
        Ok(picked)
    }

    /// The tables themselves, and the partitions of those that are partitioned.
    fn take_tables<'a>(&mut self, toc: &'a [TocEntry], wanted: &mut BTreeSet<(&'a str, &'a str)>) {
        let attached: Vec<&TocEntry> = toc.iter().filter(|entry| entry.kind == "TABLE ATTACH").collect();
        loop {
            let named = |entry: &TocEntry| wanted.contains(&(entry.schema.as_str(), entry.name.as_str()));
            let tables = positions(toc).filter(|(_, entry)| TABLE_KINDS.contains(&entry.kind.as_str()));
            self.entries.extend(tables.filter(|(_, entry)| named(entry)).map(|(at, _)| at));
            // An ATTACH bears the partition's name and depends on both tables.
            let of_wanted = attached.iter().filter(|entry| entry.depends.iter().any(|on| self.entries.contains(on)));
            let partitions: Vec<(&str, &str)> =
                of_wanted.map(|entry| (entry.schema.as_str(), entry.name.as_str())).collect();
            let before = wanted.len();
            wanted.extend(partitions);
            if wanted.len() == before {
                return;
            }
        }
    }

    /// What belongs to the tables. Entries mostly follow what they depend on; a few passes find the rest.
    fn take_parts(&mut self, toc: &[TocEntry], wanted: &BTreeSet<(&str, &str)>) {
        loop {
            let before = self.entries.len();
            for (at, entry) in positions(toc) {
                if self.is_part(toc, entry, wanted) {
                    self.entries.insert(at);
                }
            }
            if self.entries.len() == before {
                return;
            }
        }
    }

    fn is_part(&self, toc: &[TocEntry], entry: &TocEntry, wanted: &BTreeSet<(&str, &str)>) -> bool {
        if let Some(table) = entry.table {
            return self.streams.contains(&table);
        }
        let kind = entry.kind.as_str();
        if kind == "SEQUENCE SET" {
            let mut sequences = self.entries.iter().filter_map(|at| entry_at(toc, *at));
            return sequences
                .any(|one| one.kind == "SEQUENCE" && (&one.schema, &one.name) == (&entry.schema, &entry.name));
        }
        let depends = || entry.depends.iter().any(|on| self.entries.contains(on));
        let named_after = || {
            let tables = wanted.iter().filter(|(schema, _)| entry.schema == *schema);
            let mut rests = tables.filter_map(|(_, table)| entry.name.strip_prefix(table));
            rests.any(|rest| rest.starts_with(' '))
        };
        (PARTS.contains(&kind) && depends()) || (PARTS_NAMED_AFTER.contains(&kind) && depends() && named_after())
    }
}

/// Schema and name of each table, those without rows of their own included.
fn known_tables<'a>(streams: &'a [Stream], toc: &'a [TocEntry]) -> BTreeSet<(&'a str, &'a str)> {
    let rows = streams.iter().filter(|stream| stream.spec.kind == StreamKind::Rows);
    let with_rows = rows.map(|stream| (stream.spec.schema.as_str(), stream.spec.name.as_str()));
    let entries = toc.iter().filter(|entry| TABLE_KINDS.contains(&entry.kind.as_str()));
    with_rows.chain(entries.map(|entry| (entry.schema.as_str(), entry.name.as_str()))).collect()
}

/// The table that is meant; a name without a schema must be the only one.
fn find_table<'a>(known: &BTreeSet<(&'a str, &'a str)>, wanted: &TableName) -> Result<(&'a str, &'a str)> {
    let found: Vec<(&str, &str)> = known.iter().copied().filter(|(schema, name)| wanted.is(schema, name)).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Error::new(Kind::Usage, format!("the archive has no table {wanted}")).hint(nearest(known, wanted))),
        several => {
            let names: Vec<String> = several.iter().map(shown).collect();
            Err(Error::new(Kind::Usage, format!("table {wanted} stands in {} schemas", names.len()))
                .hint(format!("name one of: {}", names.join(", "))))
        }
    }
}

/// As `--table` takes it: quoted where a name holds a dot or a quote.
fn shown((schema, name): &(&str, &str)) -> String {
    let part = |name: &str| match name.contains(['.', '"']) {
        true => Ident::new(name).to_string(),
        false => name.to_owned(),
    };
    format!("{}.{}", part(schema), part(name))
}

fn nearest(known: &BTreeSet<(&str, &str)>, wanted: &TableName) -> String {
    let likeness = |(schema, name): &(&str, &str)| {
        let table = strsim::jaro(&wanted.name, name);
        wanted.schema.as_ref().map_or(table, |wanted| table + strsim::jaro(wanted, schema))
    };
    match known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(nearest) => format!("did you mean {}? `miyabi-backup inspect` lists all tables", shown(nearest)),
        None => "the archive holds no tables at all".to_owned(),
    }
}

#[cfg(test)]
#[path = "select/tests.rs"]
mod tests;
