//! The tables of an archive as its table of contents has them: which belong to one tree, how large they are, whose rows
//! travel together, and which index belongs to which.

use std::collections::{BTreeSet, HashMap};

use crate::archive::{Stream, StreamKind, TocEntry};
use crate::ident::StreamId;
use crate::text::Text;

use super::locks::{Locks, Mode, TableId};

/// Kinds of entries that make something with rows.
const WITH_ROWS: [&str; 3] = ["TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW"];

#[derive(Debug, Default)]
struct Table {
    /// Raw bytes of its rows in the archive.
    bytes: u64,
    /// Has a stream of rows: it is no partitioned table.
    has_stream: bool,
    parents: Vec<TableId>,
    children: Vec<TableId>,
    /// The table that stands for all tables whose rows may be loaded through one another.
    group: TableId,
    /// It is a partition of something that was not found.
    is_lost: bool,
}

/// Tables by schema and name.
#[derive(Debug, Default)]
struct Names(HashMap<Text, HashMap<Text, TableId>>);

impl Names {
    fn find(&self, schema: &str, name: &str) -> Option<TableId> {
        self.0.get(schema)?.get(name).copied()
    }

    /// What stands under this name, which is `new` if nothing did.
    fn find_or_add(&mut self, schema: &Text, name: &Text, new: TableId) -> TableId {
        *self.0.entry(schema.clone()).or_default().entry(name.clone()).or_insert(new)
    }
}

#[derive(Debug, Default)]
pub struct Relations {
    tables: Vec<Table>,
    names: Names,
    streams: HashMap<StreamId, TableId>,
    indexes: Names,
}

impl Relations {
    pub fn of(toc: &[TocEntry], streams: &[Stream]) -> Self {
        let mut relations = Relations::default();
        let mut by_entry: HashMap<u32, TableId> = HashMap::new();
        for (at, entry) in (0_u32..).zip(toc).filter(|(_, entry)| WITH_ROWS.contains(&entry.kind.as_str())) {
            by_entry.insert(at, relations.named(&entry.schema, &entry.name));
        }
        for stream in streams.iter().filter(|stream| stream.spec.kind == StreamKind::Rows) {
            let table = relations.named(&stream.spec.schema, &stream.spec.name);
            relations.streams.insert(stream.id, table);
            if let Some(table) = relations.tables.get_mut(table) {
                (table.bytes, table.has_stream) = (stream.raw.0, true);
            }
        }
        for entry in toc {
            relations.add_family(entry, &by_entry);
        }
        relations
    }

    fn named(&mut self, schema: &Text, name: &Text) -> TableId {
        let next = self.tables.len();
        let id = self.names.find_or_add(schema, name, next);
        if id == next {
            self.tables.push(Table { group: id, ..Table::default() });
        }
        id
    }

    /// A partition is attached by an entry of its own; a table that inherits depends on its parents. Whatever else a
    /// table entry depends on that is a table is locked with it too often, never too seldom.
    fn add_family(&mut self, entry: &TocEntry, by_entry: &HashMap<u32, TableId>) {
        let is_attach = entry.kind == "TABLE ATTACH";
        if !is_attach && !WITH_ROWS.contains(&entry.kind.as_str()) {
            return;
        }
        let Some(child) = self.table(&entry.schema, &entry.name) else { return };
        let on = entry.depends.iter().filter_map(|on| by_entry.get(on).copied());
        let parents: BTreeSet<TableId> = on.filter(|parent| *parent != child).collect();
        if is_attach && parents.len() != 1 {
            self.each(child, |table| table.is_lost = true);
        }
        for parent in parents {
            self.each(child, |table| table.parents.push(parent));
            self.each(parent, |table| table.children.push(child));
            if is_attach {
                self.join(parent, child);
            }
        }
    }

    fn each(&mut self, table: TableId, change: impl FnOnce(&mut Table)) {
        if let Some(table) = self.tables.get_mut(table) {
            change(table);
        }
    }

    fn join(&mut self, one: TableId, other: TableId) {
        let (one, other) = (self.group(one), self.group(other));
        self.each(other, |table| table.group = one);
    }

    /// Rows of one partition may be loaded through the root of its tree and land in another.
    pub fn group(&self, table: TableId) -> TableId {
        let mut at = table;
        while let Some(next) = self.tables.get(at).map(|table| table.group).filter(|next| *next != at) {
            at = next;
        }
        at
    }

    pub fn table(&self, schema: &str, name: &str) -> Option<TableId> {
        self.names.find(schema, name)
    }

    pub fn of_stream(&self, stream: StreamId) -> Option<TableId> {
        self.streams.get(&stream).copied()
    }

    pub fn of_index(&self, schema: &str, name: &str) -> Option<TableId> {
        self.indexes.find(schema, name)
    }

    /// An index lies in its table's schema. Only one of a partitioned table or of a partition is ever attached.
    pub fn add_index(&mut self, schema: &str, name: &str, table: TableId) {
        if self.tables.get(table).is_some_and(|table| !table.parents.is_empty() || !table.children.is_empty()) {
            self.indexes.find_or_add(&schema.into(), &name.into(), table);
        }
    }

    pub fn bytes(&self, table: TableId) -> u64 {
        self.tables.get(table).map_or(0, |table| table.bytes)
    }

    /// An ordinary table, or a partition without partitions of its own.
    pub fn is_plain(&self, table: TableId) -> bool {
        self.tables.get(table).is_some_and(|table| table.has_stream && table.children.is_empty())
    }

    /// A statement on a table may go on to what inherits from it, and looks at what it inherits from.
    pub fn locks(&self, on: &[(TableId, Mode)]) -> Locks {
        let mut tables: Vec<(TableId, Mode)> = Vec::new();
        for (table, mode) in on {
            let below = self.reach(*table, |one| &one.children);
            let above = self.reach(*table, |one| &one.parents);
            if below.iter().chain(&above).any(|one| self.tables.get(*one).is_none_or(|one| one.is_lost)) {
                return Locks::Alone;
            }
            tables.extend(below.iter().map(|one| (*one, *mode)));
            tables.extend(above.iter().filter(|one| *one != table).map(|one| (*one, Mode::Read)));
        }
        Locks::On { tables, runs_code: false }
    }

    /// The table itself and all that can be reached from it.
    fn reach<'a>(&'a self, from: TableId, next: impl Fn(&'a Table) -> &'a Vec<TableId>) -> BTreeSet<TableId> {
        let mut found = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            let further = self.tables.get(at).map(&next).into_iter().flatten();
            open.extend(further.filter(|one| found.insert(**one)));
        }
        found
    }
}
