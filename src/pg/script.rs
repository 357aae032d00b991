//! The whole ordered script of a database: what is created before the rows, with them, and after them.
//!
//! Every entry stands alone: no session state is carried from one to the next, so a restore may run entries of one
//! section side by side as far as `depends` allows. Order: pre-data, data, post-data, privileges, and at the very end
//! what may fail without harm to what is in the script (`may_fail`): foreign keys that refer to tables that are left
//! out, event triggers, refreshes of materialized views.

use std::collections::{BTreeSet, HashMap};

use crate::error::Result;
use crate::pg::catalog::Catalog;
use crate::pg::catalog::column::Extras;
use crate::pg::catalog::sequence::SequenceValue;
use crate::pg::copy_out::Rows;
use crate::pg::ddl::acl;
use crate::pg::filter::Switch;
use crate::pg::graph::{Node, NodeId, NodeKind, Ordered};
use crate::pg::piece::Piece;
use crate::pg::piece::large_objects::Said;
use crate::pg::selection::Wanted;
use crate::pg::statements::{Sql, Statements};
use crate::text::Text;

mod column_acl;
pub mod data;
mod drafter;
pub mod preamble;
mod relation;
pub mod tables;

use drafter::Drafter;

#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Section {
    PreData,
    Data,
    PostData,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub section: Section,
    /// As tables of contents name it. `OWNER` entries are ours: a restore without owners leaves them out.
    pub kind: &'static str,
    pub schema: Text,
    /// The object's name there: `orders orders_pkey` for a constraint.
    pub name: Text,
    pub owner: Text,
    /// Whole statements, each ending in `;` and a newline: where they stand in `Script::statements`.
    pub sql: Sql,
    /// The table whose rows it belongs to, as a position in `Script::tables`.
    pub table: Option<u32>,
    /// Positions of the entries that must come before.
    pub depends: Box<[u32]>,
    /// A failure is listed and does not stop the restore.
    pub may_fail: bool,
}

/// The rows of one table.
#[derive(Clone, Debug)]
pub struct TableData {
    pub oid: u32,
    pub rows: Rows,
    /// On the server's disk, TOAST included.
    pub bytes_estimate: u64,
    /// `pg_class.relfilenode` as of the snapshot.
    pub filenode: u32,
    pub unlogged: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Script {
    pub preamble: String,
    pub entries: Vec<Entry>,
    /// The text of the entries.
    pub statements: Statements,
    pub tables: Vec<TableData>,
    /// Their bytes are read by `catalog::large_object::Reader` and stand before the entries of the data section.
    pub large_objects: Vec<u32>,
    /// Relations whose planner statistics are wanted, each with its table's position in `tables`. They are read by
    /// `catalog::planner_statistics::Reader` and stand behind the last entry. Sorted.
    pub analysed: Vec<(u32, Option<u32>)>,
    /// All roles that the entries name: the preamble asks for them.
    pub roles: BTreeSet<String>,
}

/// Stands before the first entry that may fail: psql goes on after an error from here. Nothing behind it has rows.
pub const LENIENT: &str = "\\set ON_ERROR_STOP off\n";

/// What the entries are made of.
pub struct Parts<'a> {
    pub catalog: &'a Catalog,
    pub pieces: &'a [Piece],
    pub tables: &'a [TableData],
    /// Of sequences, by OID.
    pub values: &'a [(u32, SequenceValue)],
    /// Of large objects; their text is among `entries`' statements already.
    pub said: &'a [Said],
}

/// So many nodes are drafted before the entries of the first of them are placed: a bound on memory.
const WINDOW: usize = 8192;

/// One entry without its place.
struct Draft {
    kind: &'static str,
    schema: Text,
    name: Text,
    owner: Text,
    sql: String,
    table: Option<u32>,
}

/// Written by `threads` threads; their order is the graph's. `statements` are those of [`Parts::said`].
pub fn entries(
    parts: &Parts,
    ordered: &Ordered,
    statements: Statements,
    threads: usize,
) -> Result<(Vec<Entry>, Statements)> {
    let tables = parts.tables.iter().zip(0..);
    let mut emitter = Emitter {
        parts,
        drafter: Drafter { parts, ordered, threads },
        ordered,
        table_positions: tables.map(|(table, position)| (table.oid, position)).collect(),
        // What is not used costs no memory; growing step by step would leave all the smaller ones behind.
        entries: Vec::with_capacity(ordered.nodes.len()),
        statements,
        made: vec![Made::default(); ordered.nodes.len()],
        section: Section::PreData,
    };
    emitter.run()?;
    if parts.catalog.selection.has(Switch::NoOwner) {
        emitter.entries.iter_mut().for_each(|entry| entry.owner = Text::default());
    }
    Ok((emitter.entries, emitter.statements))
}

/// Roles that the script names: owners, those of privileges and policies, and `others`.
pub fn roles(parts: &Parts, entries: &[Entry], others: &BTreeSet<String>) -> BTreeSet<String> {
    let (catalog, selection) = (parts.catalog, &parts.catalog.selection);
    let mut roles = others.clone();
    let owners: BTreeSet<&str> = entries.iter().map(|entry| entry.owner.as_str()).collect();
    roles.extend(owners.into_iter().filter(|owner| !owner.is_empty()).map(str::to_owned));
    let policies = catalog.policies.iter().filter(|policy| catalog.defined_relation(policy.table).is_some());
    roles.extend(policies.filter_map(|policy| policy.roles.clone()).flatten());
    let pieces = parts.pieces.iter().filter(|piece| !piece.acl.is_empty() && selection.grants(&piece.base));
    roles.extend(pieces.flat_map(|piece| acl::named_of_object(&piece.base)));
    for relation in catalog.relations.iter().filter(|relation| selection.grants(&relation.base)) {
        roles.extend(acl::named_of_object(&relation.base));
        for column in catalog.columns_of(relation.oid()) {
            let Extras { acl, init_acl, .. } = column.extras();
            let (initial, acl) = (init_acl.as_deref(), acl.as_deref());
            let owner = relation.base.owner.as_deref();
            roles.extend(acl::named(owner, initial.unwrap_or_default(), acl.unwrap_or_default()));
        }
    }
    roles
}

/// What to wait for when a node is needed: its entry, or those of the nodes that it passes on.
#[derive(Clone)]
enum Made {
    Entry(u32),
    Passes(Box<[u32]>),
}

impl Made {
    fn entries(&self) -> &[u32] {
        match self {
            Made::Entry(one) => std::slice::from_ref(one),
            Made::Passes(several) => several,
        }
    }
}

impl Default for Made {
    fn default() -> Self {
        Made::Passes(Box::default())
    }
}

struct Emitter<'a> {
    parts: &'a Parts<'a>,
    drafter: Drafter<'a>,
    ordered: &'a Ordered,
    table_positions: HashMap<u32, u32>,
    entries: Vec<Entry>,
    statements: Statements,
    made: Vec<Made>,
    section: Section,
}

impl Emitter<'_> {
    fn run(&mut self) -> Result<()> {
        for window in self.ordered.order.chunks(WINDOW) {
            let drafted = self.drafter.all(window, Drafter::definition)?;
            for (id, drafts) in window.iter().zip(drafted) {
                self.emit_in_turn(*id, drafts)?;
            }
        }
        for window in self.ordered.order.chunks(WINDOW) {
            let drafted = self.drafter.all(window, Drafter::privileges)?;
            for (id, drafts) in window.iter().zip(drafted) {
                self.emit_privileges(*id, drafts)?;
            }
        }
        self.emit_server_privileges()?;
        for kind in [NodeKind::DefaultAcl, NodeKind::ForeignKey, NodeKind::EventTrigger, NodeKind::Refresh] {
            for id in &self.ordered.order {
                let Some(node) = self.ordered.node(*id).filter(|node| node.kind == kind) else { continue };
                if kind == NodeKind::DefaultAcl || self.is_last(node) {
                    let drafts = self.drafter.definition(*id)?;
                    self.emit(*id, drafts, kind != NodeKind::DefaultAcl)?;
                }
            }
        }
        Ok(())
    }

    fn emit_in_turn(&mut self, id: NodeId, drafts: Vec<Draft>) -> Result<()> {
        let Some(node) = self.ordered.node(id) else { return Ok(()) };
        match node.kind {
            NodeKind::PostDataBegin => {
                self.section = Section::Data;
                self.entries.extend(self.parts.said.iter().map(data::of_large_objects));
                for draft in data::of_sequences(self.parts) {
                    self.push(draft, Box::default(), false)?;
                }
                self.section = Section::PostData;
                Ok(())
            }
            NodeKind::PreDataEnd | NodeKind::DefaultAcl => Ok(()),
            _ if self.is_last(node) => Ok(()),
            _ => self.emit(id, drafts, false),
        }
    }

    fn is_last(&self, node: &Node) -> bool {
        match node.kind {
            NodeKind::EventTrigger | NodeKind::Refresh => true,
            NodeKind::ForeignKey => self.refers_to_nothing(node),
            _ => false,
        }
    }

    /// A foreign key to a table that the script leaves out: it holds only where that table stands already.
    fn refers_to_nothing(&self, foreign_key: &Node) -> bool {
        let catalog = self.parts.catalog;
        let referenced = foreign_key.pick(&catalog.constraints).map(|constraint| constraint.referenced);
        let referenced = referenced.and_then(|table| catalog.relation(table));
        referenced.is_some_and(|table| self.parts.catalog.selection.wanted(&table.base) == Wanted::Nothing)
    }

    fn emit(&mut self, id: NodeId, drafts: Vec<Draft>, may_fail: bool) -> Result<()> {
        let needs = self.needs(id);
        let Some(first) = u32::try_from(self.entries.len()).ok().filter(|_| !drafts.is_empty()) else {
            if let Some(made) = self.made.get_mut(id as usize) {
                *made = Made::Passes(needs);
            }
            return Ok(());
        };
        for (index, draft) in drafts.into_iter().enumerate() {
            let depends = if index == 0 { needs.clone() } else { Box::new([first]) };
            self.push(draft, depends, may_fail)?;
        }
        if let Some(made) = self.made.get_mut(id as usize) {
            *made = Made::Entry(first);
        }
        Ok(())
    }

    fn push(&mut self, draft: Draft, depends: Box<[u32]>, may_fail: bool) -> Result<()> {
        let table = draft.table.and_then(|oid| self.table_positions.get(&oid).copied());
        let Draft { kind, schema, name, owner, sql, .. } = draft;
        let sql = self.statements.add(&sql)?;
        self.entries.push(Entry { section: self.section, kind, schema, name, owner, sql, table, depends, may_fail });
        Ok(())
    }

    /// Positions of the entries that a node waits for. The boundary of sections is not among them: it goes without saying.
    fn needs(&self, id: NodeId) -> Box<[u32]> {
        let depends = self.ordered.node(id).map_or(&[] as &[NodeId], |node| &node.depends);
        let boundary = |on: &NodeId| {
            let kind = self.ordered.node(*on).map(|node| node.kind);
            matches!(kind, Some(NodeKind::PreDataEnd | NodeKind::PostDataBegin))
        };
        let made = |on: &NodeId| self.made.get(*on as usize).map_or(&[] as &[u32], Made::entries);
        let mut needs: Vec<u32> = depends.iter().filter(|on| !boundary(on)).flat_map(made).copied().collect();
        needs.sort_unstable();
        needs.dedup();
        needs.into()
    }

    fn emit_privileges(&mut self, id: NodeId, drafts: Vec<Draft>) -> Result<()> {
        let needs: Box<[u32]> = self.made.get(id as usize).map_or(&[] as &[u32], Made::entries).into();
        for draft in drafts {
            self.push(draft, needs.clone(), false)?;
        }
        Ok(())
    }

    /// Changed privileges of the server's own relations. Those of other kinds are pieces.
    fn emit_server_privileges(&mut self) -> Result<()> {
        for relation in &self.parts.catalog.relations {
            if relation.base.schema.as_deref() == Some("pg_catalog") {
                for draft in relation::relation_privileges(self.parts.catalog, relation)? {
                    self.push(draft, Box::default(), false)?;
                }
            }
        }
        Ok(())
    }
}
