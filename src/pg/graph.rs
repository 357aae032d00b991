//! The order in which objects are made: dependencies, repaired where they run in circles.
//!
//! Nodes are sorted by kind, schema and name first; the topological sort then disturbs that order as little as it can.
//! It fills the result from its end, always taking the last node that nothing unplaced still needs. What is left when
//! it gets stuck lies on loops or before them; each loop found is repaired by the first rule that fits (`repair`), and
//! the sort starts again. Repairs never guess silently: a loop that no rule knows is broken anywhere and listed.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use crate::error::Result;
use crate::pg::catalog::object::ObjectId;
use crate::text::Text;

pub mod build;
pub mod census;
mod repair;

/// A position in [`Graph::nodes`].
pub type NodeId = u32;

/// In the order in which unrelated objects are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum NodeKind {
    Schema,
    Language,
    Collation,
    Transform,
    Extension,
    /// `CREATE TYPE x;`: only made when a loop needs it.
    ShellType,
    Type,
    Cast,
    Function,
    Aggregate,
    AccessMethod,
    Operator,
    OperatorFamily,
    OperatorClass,
    Conversion,
    TextSearchParser,
    TextSearchTemplate,
    TextSearchDictionary,
    TextSearchConfiguration,
    ForeignDataWrapper,
    Server,
    UserMapping,
    Table,
    View,
    MaterializedView,
    /// Sequences, composite types' relations: nothing to repair.
    OtherRelation,
    AttachPartition,
    /// Something that is made by the way (an array type, an internal trigger): carries dependencies only.
    Passive,
    /// A default outside CREATE TABLE, or inside.
    Default,
    PreDataEnd,
    PostDataBegin,
    /// CHECK of a table.
    Check,
    /// CHECK or NOT NULL of a domain.
    DomainConstraint,
    /// PRIMARY KEY, UNIQUE, EXCLUDE, and NOT NULL outside CREATE TABLE.
    Constraint,
    Index,
    AttachIndex,
    Statistics,
    /// The rule that makes a relation a view.
    ReturnRule,
    Rule,
    Trigger,
    ForeignKey,
    Policy,
    Publication,
    PublicationTable,
    PublicationSchema,
    Subscription,
    DefaultAcl,
    EventTrigger,
    Refresh,
}

/// Where a node stands unless a repair moves it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    PreData,
    PostData,
    /// With its owner (a CHECK inside CREATE TABLE), or nowhere.
    Free,
}

impl NodeKind {
    /// Kinds of relations sort among each other by name.
    fn priority(self) -> NodeKind {
        match self {
            NodeKind::View | NodeKind::MaterializedView | NodeKind::OtherRelation => NodeKind::Table,
            NodeKind::ShellType => NodeKind::Type,
            NodeKind::Check | NodeKind::DomainConstraint => NodeKind::Constraint,
            NodeKind::ReturnRule => NodeKind::Rule,
            kind => kind,
        }
    }

    fn place(self) -> Place {
        use NodeKind::*;
        match self {
            Passive | PreDataEnd | PostDataBegin | Check | DomainConstraint | ReturnRule => Place::Free,
            kind if kind < PreDataEnd => Place::PreData,
            _ => Place::PostData,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Node {
    pub kind: NodeKind,
    pub id: Option<ObjectId>,
    /// Which one of its kind: an index into the list of the catalog that holds them.
    pub about: u32,
    /// The table of a check, default or rule; the domain of a constraint; the type of a shell; the parent of an index.
    pub owner: Option<NodeId>,
    pub depends: Vec<NodeId>,
    pub repair: Repaired,
}

/// By what nodes of one kind are put in order.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub schema: Option<Text>,
    pub name: Text,
    /// Breaks ties between nodes of one kind, schema and name: argument types, the table of a part.
    pub tie: Text,
}

/// What the repair of a loop asks of whoever writes the node's statements.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Repaired {
    /// Shell type: make it.
    pub shell: bool,
    /// View: make a stand-in; its return rule replaces it later.
    pub stand_in: bool,
    /// Check, default, domain constraint, return rule: by a statement of its own.
    pub separate: bool,
    /// Materialized view, function: belongs to post-data.
    pub postponed: bool,
}

impl Node {
    /// `about`: which one of its kind.
    pub fn new(kind: NodeKind, id: Option<ObjectId>, about: usize) -> Self {
        // There are no more of a kind than a catalog has OIDs.
        let about = u32::try_from(about).unwrap_or(u32::MAX);
        Node { kind, id, about, owner: None, depends: Vec::new(), repair: Repaired::default() }
    }

    /// The one of its kind.
    pub fn pick<'a, T>(&self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.about as usize)
    }

    /// Stands in CREATE of its owner unless a repair says otherwise.
    pub fn is_inline(&self) -> bool {
        use NodeKind::*;
        matches!(self.kind, Check | Default | DomainConstraint | ReturnRule) && !self.repair.separate
    }
}

impl Names {
    pub fn new(schema: Option<&Text>, name: impl Into<Text>) -> Self {
        Names { schema: schema.cloned(), name: name.into(), tie: Text::default() }
    }

    /// What is in no schema comes last.
    fn order(&self, other: &Names) -> Ordering {
        let schema = match (&self.schema, &other.schema) {
            (Some(mine), Some(theirs)) => mine.cmp(theirs),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        schema.then_with(|| self.name.cmp(&other.name)).then_with(|| self.tie.cmp(&other.tie))
    }
}

#[derive(Debug)]
pub struct Graph {
    pub nodes: Vec<Node>,
    /// Those of the nodes, until their order is found.
    names: Vec<Names>,
    by_id: HashMap<ObjectId, NodeId>,
    pre_data_end: NodeId,
    post_data_begin: NodeId,
}

/// Nodes in the order in which they are made.
#[derive(Debug)]
pub struct Ordered {
    pub nodes: Vec<Node>,
    pub order: Vec<NodeId>,
    /// Owners and what belongs to them, such as the checks and defaults of a table; sorted.
    parts: Vec<(NodeId, NodeId)>,
    /// Loops that no rule knew, by the names of their nodes.
    pub broken: Vec<String>,
}

impl Ordered {
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    /// What belongs to a node.
    pub fn parts_of(&self, owner: NodeId) -> impl Iterator<Item = NodeId> {
        let first = self.parts.partition_point(|(other, _)| *other < owner);
        let parts = self.parts.get(first..).unwrap_or_default().iter();
        parts.take_while(move |(other, _)| *other == owner).map(|(_, part)| *part)
    }
}

impl Default for Graph {
    fn default() -> Self {
        Graph::new()
    }
}

impl Graph {
    pub fn new() -> Self {
        let nodes = vec![Node::new(NodeKind::PreDataEnd, None, 0), Node::new(NodeKind::PostDataBegin, None, 0)];
        let names = vec![Names::new(None, "pre-data"), Names::new(None, "post-data")];
        Graph { nodes, names, by_id: HashMap::new(), pre_data_end: 0, post_data_begin: 1 }
    }

    /// Makes room for so many nodes.
    pub fn reserve(&mut self, nodes: usize) {
        self.nodes.reserve(nodes);
        self.names.reserve(nodes);
        self.by_id.reserve(nodes);
    }

    pub fn add(&mut self, node: Node, names: Names) -> NodeId {
        let known = self.nodes.len();
        let id = NodeId::try_from(known).unwrap_or(NodeId::MAX);
        if let Some(object) = node.id {
            self.by_id.insert(object, id);
        }
        self.nodes.push(node);
        self.names.push(names);
        id
    }

    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    pub fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(id as usize)
    }

    fn needs(&self, id: NodeId) -> &[NodeId] {
        self.node(id).map_or(&[], |node| &node.depends)
    }

    fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map_while(|id| NodeId::try_from(id).ok())
    }

    pub fn each(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.ids().zip(&self.nodes)
    }

    pub fn find(&self, object: ObjectId) -> Option<NodeId> {
        self.by_id.get(&object).copied()
    }

    /// `node` is made after `on`.
    pub fn depend(&mut self, node: NodeId, on: NodeId) {
        if let Some(node) = self.node_mut(node)
            && !node.depends.contains(&on)
        {
            node.depends.push(on);
        }
    }

    fn forget(&mut self, node: NodeId, on: NodeId) {
        if let Some(node) = self.node_mut(node) {
            node.depends.retain(|other| *other != on);
        }
    }

    /// Pre-data before the boundary, post-data behind it.
    fn add_boundaries(&mut self) {
        self.depend(self.post_data_begin, self.pre_data_end);
        let mut before = Vec::new();
        for id in self.ids() {
            let Some(node) = self.node(id) else { continue };
            let place = if node.repair.separate && node.kind != NodeKind::Default {
                Place::PostData
            } else {
                node.kind.place()
            };
            match place {
                Place::PreData => before.push(id),
                Place::PostData => self.depend(id, self.post_data_begin),
                Place::Free => {}
            }
        }
        if let Some(node) = self.node_mut(self.pre_data_end) {
            node.depends = before;
        }
    }

    /// What stands inside its owner's statement needs no owner before it. These loops of two are always the first to be
    /// repaired, and a table of a thousand defaults has a thousand of them.
    fn settle_inline(&mut self) {
        let inline = |(id, node): (NodeId, &Node)| node.is_inline().then_some((id, node.owner?));
        let pairs: Vec<(NodeId, NodeId)> = self.each().filter_map(inline).collect();
        for (part, owner) in pairs {
            self.forget(part, owner);
        }
    }

    pub fn order(mut self) -> Result<Ordered> {
        self.settle_inline();
        self.add_boundaries();
        let mut sorted: Vec<NodeId> = self.ids().collect();
        sorted.sort_unstable_by(|a, b| self.compare(*a, *b));
        self.by_id = HashMap::new();
        let mut broken = Vec::new();
        loop {
            match self.sort(&sorted) {
                Ok(order) => return Ok(self.finish(order, broken)),
                Err(stuck) => repair::loops(&mut self, &stuck, &mut broken)?,
            }
        }
    }

    fn compare(&self, one: NodeId, other: NodeId) -> Ordering {
        let (Some(a), Some(b)) = (self.node(one), self.node(other)) else { return Ordering::Equal };
        let kind = a.kind.priority().cmp(&b.kind.priority());
        let names = || match (self.names.get(one as usize), self.names.get(other as usize)) {
            (Some(a), Some(b)) => a.order(b),
            _ => Ordering::Equal,
        };
        kind.then_with(names).then_with(|| a.id.cmp(&b.id)).then(one.cmp(&other))
    }

    fn finish(self, order: Vec<NodeId>, broken: Vec<String>) -> Ordered {
        let owned = |(id, node): (NodeId, &Node)| Some((node.owner?, id));
        let mut parts: Vec<(NodeId, NodeId)> = self.each().filter_map(owned).collect();
        parts.sort_unstable();
        Ordered { nodes: self.nodes, order, parts, broken }
    }

    /// The order, or the nodes that no order has room for.
    fn sort(&self, sorted: &[NodeId]) -> std::result::Result<Vec<NodeId>, Vec<NodeId>> {
        let mut position = vec![0_u32; self.nodes.len()];
        for (index, id) in (0..).zip(sorted) {
            if let Some(slot) = position.get_mut(*id as usize) {
                *slot = index;
            }
        }
        let mut needed_by = vec![0_u32; self.nodes.len()];
        for on in self.nodes.iter().flat_map(|node| &node.depends) {
            if let Some(count) = needed_by.get_mut(*on as usize) {
                *count += 1;
            }
        }
        let free = |needed_by: &[u32], id: NodeId| needed_by.get(id as usize) == Some(&0);
        let place = |id: NodeId| (position.get(id as usize).copied().unwrap_or(0), id);
        let mut heap: BinaryHeap<(u32, NodeId)> =
            sorted.iter().filter(|id| free(&needed_by, **id)).map(|id| place(*id)).collect();
        let mut backwards = Vec::with_capacity(sorted.len());
        while let Some((_, id)) = heap.pop() {
            backwards.push(id);
            for on in self.needs(id) {
                if let Some(count) = needed_by.get_mut(*on as usize) {
                    *count -= 1;
                    if *count == 0 {
                        heap.push(place(*on));
                    }
                }
            }
        }
        if backwards.len() == sorted.len() {
            backwards.reverse();
            return Ok(backwards);
        }
        // In the order in which they were added, boundaries last: which node of a loop is looked at first decides which
        // one is repaired, and one view low in a stack is better than every view above it.
        let boundaries = [self.pre_data_end, self.post_data_begin];
        let others = self.ids().filter(|id| !boundaries.contains(id));
        Err(others.chain(boundaries).filter(|id| !free(&needed_by, *id)).collect())
    }
}

#[cfg(test)]
mod tests;
