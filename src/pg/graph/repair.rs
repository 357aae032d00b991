//! Breaks dependency loops, each class by its own rule, in the order in which stock tools try them.

use std::collections::{HashMap, HashSet};

use super::{Graph, Names, Node, NodeId, NodeKind};
use crate::error::{Error, Kind as ErrorKind, Result};

/// Finds and repairs loops among `stuck`; every call repairs at least one.
pub fn loops(graph: &mut Graph, stuck: &[NodeId], broken: &mut Vec<String>) -> Result<()> {
    let mut done = vec![false; graph.nodes.len()];
    let mut failed: HashMap<NodeId, NodeId> = HashMap::new();
    let mut repaired = false;
    for start in stuck {
        if done.get(*start as usize).copied().unwrap_or(true) {
            continue;
        }
        let found = find(graph, *start, &done, &mut failed);
        if found.is_empty() {
            mark(&mut done, *start);
            continue;
        }
        repair(graph, &found, broken)?;
        repaired = true;
        for node in found {
            mark(&mut done, node);
        }
    }
    if repaired { Ok(()) } else { Err(Error::new(ErrorKind::Bug, "cannot find the loop in the dependencies")) }
}

fn mark(done: &mut [bool], node: NodeId) {
    if let Some(slot) = done.get_mut(node as usize) {
        *slot = true;
    }
}

/// One frame of the search: a node and how many of its dependencies were tried.
struct Frame {
    node: NodeId,
    next: usize,
}

/// A path from `start` back to itself, or nothing. `failed` remembers from which start a node led nowhere.
fn find(graph: &Graph, start: NodeId, done: &[bool], failed: &mut HashMap<NodeId, NodeId>) -> Vec<NodeId> {
    let mut on_path = HashSet::from([start]);
    let mut path = vec![Frame { node: start, next: 0 }];
    while let Some(frame) = path.last_mut() {
        let node = frame.node;
        // The short way home is taken before any longer one.
        if frame.next == 0 && graph.needs(node).contains(&start) {
            return path.iter().map(|frame| frame.node).collect();
        }
        let Some(next) = graph.needs(node).get(frame.next).copied() else {
            failed.insert(node, start);
            on_path.remove(&node);
            path.pop();
            continue;
        };
        frame.next += 1;
        let skip = done.get(next as usize).copied().unwrap_or(true)
            || on_path.contains(&next)
            || failed.get(&next) == Some(&start);
        if !skip {
            on_path.insert(next);
            path.push(Frame { node: next, next: 0 });
        }
    }
    Vec::new()
}

/// A loop with its nodes' kinds, for the rules to look at.
struct Loop<'a> {
    ids: &'a [NodeId],
    nodes: Vec<Node>,
}

impl Loop<'_> {
    fn each(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.ids.iter().copied().zip(&self.nodes)
    }

    fn of_kind(&self, kind: NodeKind) -> impl Iterator<Item = (NodeId, &Node)> {
        self.each().filter(move |(_, node)| node.kind == kind)
    }

    /// A pair of an owner of one kind and its part of another, wherever they stand in the loop.
    fn owned(&self, owner: &[NodeKind], part: NodeKind) -> Option<(NodeId, NodeId)> {
        self.of_kind(part).find_map(|(id, node)| {
            let of = node.owner?;
            let fits = self.each().any(|(other, node)| other == of && owner.contains(&node.kind));
            fits.then_some((of, id))
        })
    }

    /// What the boundary depends on in this loop, when that is of this kind.
    fn before_boundary(&self, kind: NodeKind) -> Option<(NodeId, NodeId)> {
        let at = self.nodes.iter().position(|node| node.kind == NodeKind::PreDataEnd)?;
        let next = if at + 1 < self.ids.len() { at + 1 } else { 0 };
        let fits = self.nodes.get(next)?.kind == kind;
        if fits { Some((*self.ids.get(at)?, *self.ids.get(next)?)) } else { None }
    }
}

fn repair(graph: &mut Graph, ids: &[NodeId], broken: &mut Vec<String>) -> Result<()> {
    let nodes =
        ids.iter().map(|id| graph.node(*id).cloned().ok_or_else(|| unknown(*id))).collect::<Result<Vec<_>>>()?;
    let found = Loop { ids, nodes };
    let known = type_and_function(graph, &found)
        || view_and_rule(graph, &found)
        || before_boundary(graph, &found)
        || part_of_table(graph, &found, NodeKind::Check, &TABLES)
        || part_of_table(graph, &found, NodeKind::Default, &TABLES)
        || partitioned_index(graph, &found)
        || part_of_table(graph, &found, NodeKind::DomainConstraint, &[NodeKind::Type]);
    if known {
        return Ok(());
    }
    let (Some(first), Some(second)) = (ids.first(), ids.get(1).or(ids.first())) else { return Ok(()) };
    // An object that only depends on itself is no problem and no news; nor are those that nobody makes.
    if first != second && found.nodes.iter().any(|node| node.kind != NodeKind::Passive) {
        let names: Vec<String> = found.each().map(|(id, node)| describe(graph, id, node)).collect();
        broken.push(names.join(" → "));
    }
    graph.forget(*first, *second);
    Ok(())
}

const TABLES: [NodeKind; 2] = [NodeKind::Table, NodeKind::View];

fn unknown(node: NodeId) -> Error {
    Error::new(ErrorKind::Bug, format!("cannot find node {node} of the dependency graph"))
}

fn describe(graph: &Graph, id: NodeId, node: &Node) -> String {
    let Names { schema, name, .. } = graph.names.get(id as usize).cloned().unwrap_or_default();
    let schema = schema.map_or(String::new(), |schema| format!("{schema}."));
    format!("{:?} {schema}{name}", node.kind)
}

/// A type and its input, output or canonical function: the function only needs the shell.
fn type_and_function(graph: &mut Graph, found: &Loop) -> bool {
    if found.ids.len() != 2 {
        return false;
    }
    let (Some((of, _)), Some((function, _))) =
        (found.of_kind(NodeKind::Type).next(), found.of_kind(NodeKind::Function).next())
    else {
        return false;
    };
    let is_shell = |(_, node): &(NodeId, &Node)| node.kind == NodeKind::ShellType && node.owner == Some(of);
    let Some((shell, _)) = graph.each().find(is_shell) else { return false };
    graph.forget(function, of);
    graph.depend(function, shell);
    if let Some(node) = graph.node_mut(shell) {
        node.repair.shell = true;
    }
    true
}

/// A view and the rule that makes it one: alone they are one statement; in a longer loop a stand-in comes first.
fn view_and_rule(graph: &mut Graph, found: &Loop) -> bool {
    const VIEWS: [NodeKind; 2] = [NodeKind::View, NodeKind::MaterializedView];
    if found.ids.len() == 2
        && let Some((view, rule)) = found.owned(&VIEWS, NodeKind::ReturnRule)
    {
        graph.forget(rule, view);
        return true;
    }
    let Some((view, rule)) = found.owned(&[NodeKind::View], NodeKind::ReturnRule) else { return false };
    graph.forget(view, rule);
    if let Some(node) = graph.node_mut(view) {
        node.repair.stand_in = true;
    }
    separate(graph, rule, view);
    true
}

/// A materialized view or function that needs something of post-data moves there itself.
fn before_boundary(graph: &mut Graph, found: &Loop) -> bool {
    for kind in [NodeKind::MaterializedView, NodeKind::Function] {
        if let Some((boundary, object)) = found.before_boundary(kind) {
            graph.forget(boundary, object);
            if let Some(node) = graph.node_mut(object) {
                node.repair.postponed = true;
            }
            return true;
        }
    }
    false
}

/// A CHECK, default or domain constraint: inside CREATE when only its owner is in the loop, else a statement of its own.
fn part_of_table(graph: &mut Graph, found: &Loop, part: NodeKind, owners: &[NodeKind]) -> bool {
    let Some((owner, part)) = found.owned(owners, part) else { return false };
    if found.ids.len() == 2 {
        graph.forget(part, owner);
    } else {
        graph.forget(owner, part);
        separate(graph, part, owner);
    }
    true
}

fn separate(graph: &mut Graph, part: NodeId, owner: NodeId) {
    graph.depend(part, owner);
    let Some(node) = graph.node_mut(part) else { return };
    node.repair.separate = true;
    // A default stays in pre-data: rows may not need it, but COPY of a partition's rows through its root does.
    if node.kind != NodeKind::Default {
        graph.depend(part, graph.post_data_begin);
    }
}

/// A partitioned index and one of its parts: the parent does not need the part.
fn partitioned_index(graph: &mut Graph, found: &Loop) -> bool {
    if found.ids.len() != 2 {
        return false;
    }
    let Some((parent, child)) = found.owned(&[NodeKind::Index], NodeKind::Index) else { return false };
    graph.forget(parent, child);
    true
}
