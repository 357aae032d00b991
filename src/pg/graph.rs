//! The order in which objects are made: dependencies, repaired where they run in circles.
//!
//! Nodes are sorted by kind, schema and name first; the topological sort then disturbs that order as little as it can.
//! It fills the result from its end, always taking the last node that nothing unplaced still needs. What is left when
//! it gets stuck lies on loops or before them; each loop found is repaired by the first rule that fits (`repair`), and
//! the sort starts again. Repairs never guess silently: a loop that no rule knows is broken anywhere and listed.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::pg::catalog::object::ObjectId;

pub mod build;
pub mod census;
mod repair;

pub type NodeId = usize;

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
    pub schema: Option<Arc<str>>,
    pub name: String,
    /// Breaks ties between nodes of one kind, schema and name: argument types, a column's number.
    pub tie: String,
    /// Which one of its kind: an index into the list of the catalog that holds them.
    pub about: usize,
    /// The table of a check, default or rule; the domain of a constraint; the type of a shell; the parent of an index.
    pub owner: Option<NodeId>,
    pub depends: Vec<NodeId>,
    pub repair: Repaired,
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
    pub fn new(kind: NodeKind, id: Option<ObjectId>, schema: Option<&str>, name: &str) -> Self {
        Node {
            kind,
            id,
            schema: schema.map(Arc::from),
            name: name.to_owned(),
            tie: String::new(),
            about: 0,
            owner: None,
            depends: Vec::new(),
            repair: Repaired::default(),
        }
    }

    /// Stands in CREATE of its owner unless a repair says otherwise.
    pub fn is_inline(&self) -> bool {
        use NodeKind::*;
        matches!(self.kind, Check | Default | DomainConstraint | ReturnRule) && !self.repair.separate
    }

    fn order(&self, other: &Node) -> Ordering {
        let schema = match (&self.schema, &other.schema) {
            (Some(mine), Some(theirs)) => mine.cmp(theirs),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        let kind = self.kind.priority().cmp(&other.kind.priority());
        kind.then(schema)
            .then_with(|| self.name.cmp(&other.name))
            .then_with(|| self.tie.cmp(&other.tie))
            .then_with(|| self.id.cmp(&other.id))
    }
}

#[derive(Debug)]
pub struct Graph {
    pub nodes: Vec<Node>,
    by_id: HashMap<ObjectId, NodeId>,
    /// Every schema's name once, however many nodes bear it.
    schemas: HashSet<Arc<str>>,
    pre_data_end: NodeId,
    post_data_begin: NodeId,
}

/// Nodes in the order in which they are made.
#[derive(Debug)]
pub struct Ordered {
    pub nodes: Vec<Node>,
    pub order: Vec<NodeId>,
    /// What belongs to a node: the checks and defaults of a table.
    pub parts: HashMap<NodeId, Vec<NodeId>>,
    /// Loops that no rule knew, by the names of their nodes.
    pub broken: Vec<String>,
}

impl Default for Graph {
    fn default() -> Self {
        Graph::new()
    }
}

impl Graph {
    pub fn new() -> Self {
        let nodes = vec![
            Node::new(NodeKind::PreDataEnd, None, None, "pre-data"),
            Node::new(NodeKind::PostDataBegin, None, None, "post-data"),
        ];
        Graph { nodes, by_id: HashMap::new(), schemas: HashSet::new(), pre_data_end: 0, post_data_begin: 1 }
    }

    pub fn add(&mut self, mut node: Node) -> NodeId {
        let id = self.nodes.len();
        node.schema = node.schema.map(|name| self.shared(name));
        if let Some(object) = node.id {
            self.by_id.insert(object, id);
        }
        // A node is large, and of a large database there are a million: doubling would take half of them for nothing.
        if id == self.nodes.capacity() {
            self.nodes.reserve_exact(id.div_ceil(8).max(64));
        }
        self.nodes.push(node);
        id
    }

    fn shared(&mut self, name: Arc<str>) -> Arc<str> {
        match self.schemas.get(&name) {
            Some(known) => Arc::clone(known),
            None => {
                self.schemas.insert(Arc::clone(&name));
                name
            }
        }
    }

    pub fn find(&self, object: ObjectId) -> Option<NodeId> {
        self.by_id.get(&object).copied()
    }

    /// `node` is made after `on`.
    pub fn depend(&mut self, node: NodeId, on: NodeId) {
        if let Some(node) = self.nodes.get_mut(node)
            && !node.depends.contains(&on)
        {
            node.depends.push(on);
        }
    }

    fn forget(&mut self, node: NodeId, on: NodeId) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.depends.retain(|other| *other != on);
        }
    }

    /// Pre-data before the boundary, post-data behind it.
    fn add_boundaries(&mut self) {
        self.depend(self.post_data_begin, self.pre_data_end);
        let mut before = Vec::new();
        for id in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(id) else { continue };
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
        if let Some(node) = self.nodes.get_mut(self.pre_data_end) {
            node.depends = before;
        }
    }

    /// What stands inside its owner's statement needs no owner before it. These loops of two are always the first to be
    /// repaired, and a table of a thousand defaults has a thousand of them.
    fn settle_inline(&mut self) {
        let inline = |(id, node): (NodeId, &Node)| node.is_inline().then_some((id, node.owner?));
        let pairs: Vec<(NodeId, NodeId)> = self.nodes.iter().enumerate().filter_map(inline).collect();
        for (part, owner) in pairs {
            self.forget(part, owner);
        }
    }

    pub fn order(mut self) -> Result<Ordered> {
        self.settle_inline();
        self.add_boundaries();
        let mut sorted: Vec<NodeId> = (0..self.nodes.len()).collect();
        sorted.sort_by(|a, b| match (self.nodes.get(*a), self.nodes.get(*b)) {
            (Some(a), Some(b)) => a.order(b),
            _ => Ordering::Equal,
        });
        let mut broken = Vec::new();
        loop {
            match self.sort(&sorted) {
                Ok(order) => return Ok(self.finish(order, broken)),
                Err(stuck) => repair::loops(&mut self, &stuck, &mut broken)?,
            }
        }
    }

    fn finish(self, order: Vec<NodeId>, broken: Vec<String>) -> Ordered {
        let mut parts: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
        for (id, node) in self.nodes.iter().enumerate() {
            if let Some(owner) = node.owner {
                parts.entry(owner).or_default().push(id);
            }
        }
        Ordered { nodes: self.nodes, order, parts, broken }
    }

    /// The order, or the nodes that no order has room for.
    fn sort(&self, sorted: &[NodeId]) -> std::result::Result<Vec<NodeId>, Vec<NodeId>> {
        let mut position = vec![0usize; self.nodes.len()];
        for (index, id) in sorted.iter().enumerate() {
            if let Some(slot) = position.get_mut(*id) {
                *slot = index;
            }
        }
        let mut needed_by = vec![0usize; self.nodes.len()];
        for on in self.nodes.iter().flat_map(|node| &node.depends) {
            if let Some(count) = needed_by.get_mut(*on) {
                *count += 1;
            }
        }
        let free = |needed_by: &[usize], id: NodeId| needed_by.get(id) == Some(&0);
        let place = |id: NodeId| (position.get(id).copied().unwrap_or(0), id);
        let mut heap: BinaryHeap<(usize, NodeId)> =
            sorted.iter().filter(|id| free(&needed_by, **id)).map(|id| place(*id)).collect();
        let mut backwards = Vec::with_capacity(sorted.len());
        while let Some((_, id)) = heap.pop() {
            backwards.push(id);
            for on in self.nodes.get(id).map_or(&[] as &[NodeId], |node| &node.depends) {
                if let Some(count) = needed_by.get_mut(*on) {
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
        let others = (0..self.nodes.len()).filter(|id| !boundaries.contains(id));
        Err(others.chain(boundaries).filter(|id| !free(&needed_by, *id)).collect())
    }

    fn node(&self, id: NodeId) -> Result<&Node> {
        let unknown = || Error::new(ErrorKind::Bug, format!("cannot find node {id} of the dependency graph"));
        self.nodes.get(id).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests;
