//! Nodes for what the catalog holds, edges from `pg_depend` and those that it does not know.

use std::collections::HashMap;

use super::{Graph, Names, Node, NodeId, NodeKind};
use crate::pg::catalog::Catalog;
use crate::pg::catalog::constraint::{Constraint, ConstraintKind};
use crate::pg::catalog::depend::Dependency;
use crate::pg::catalog::local::DefaultPlan;
use crate::pg::catalog::object::{ObjectId, class};
use crate::pg::catalog::relation::{Relation, RelationKind};
use crate::pg::piece::Piece;
use crate::text::Text;

pub fn build(catalog: &Catalog, pieces: &[Piece]) -> Graph {
    let mut builder = Builder { graph: Graph::new(), catalog };
    let known =
        [catalog.relations.len(), catalog.constraints.len(), catalog.indexes.len(), catalog.defaults(), pieces.len()];
    let known: usize = known.iter().sum();
    // And some that only dependencies name.
    builder.graph.reserve(known + known / 4);
    builder.add_relations();
    builder.add_pieces(pieces);
    builder.add_defaults();
    builder.add_constraints();
    builder.add_indexes();
    builder.add_attachments();
    builder.add_rules();
    builder.add_others();
    builder.add_dependencies();
    builder.add_foreign_key_attachments();
    builder.add_refreshes();
    builder.graph
}

/// A node of something that belongs to a relation.
struct Part {
    node: Node,
    names: Names,
}

struct Builder<'a> {
    graph: Graph,
    catalog: &'a Catalog,
}

fn relation_id(oid: u32) -> ObjectId {
    ObjectId::new(class::PG_CLASS, oid)
}

impl<'a> Builder<'a> {
    fn add_pieces(&mut self, pieces: &[Piece]) {
        for (about, piece) in pieces.iter().enumerate() {
            let names = Names::new(piece.base.schema.as_ref(), &piece.base.name);
            let tied = Names { tie: piece.tie.as_str().into(), ..names.clone() };
            let id = self.graph.add(Node::new(piece.node, Some(piece.base.id), about), tied);
            if piece.node == NodeKind::Type && self.catalog.selection.defines(&piece.base) {
                let shell = Node { owner: Some(id), ..Node::new(NodeKind::ShellType, None, about) };
                self.graph.add(shell, names);
            }
        }
        for piece in pieces {
            let Some(owner) = piece.parent.and_then(|parent| self.graph.find(parent)) else { continue };
            let Some(id) = self.graph.find(piece.base.id) else { continue };
            if let Some(node) = self.graph.node_mut(id) {
                node.owner = Some(owner);
                node.repair.separate = piece.apart;
            }
            if piece.apart {
                self.graph.depend(id, owner);
            } else {
                self.graph.depend(owner, id);
            }
        }
    }

    fn add_relations(&mut self) {
        for (about, relation) in self.catalog.relations.iter().enumerate() {
            if relation.base.in_system_schema {
                continue;
            }
            let kind = match relation.kind {
                RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign => NodeKind::Table,
                RelationKind::View => NodeKind::View,
                RelationKind::MaterializedView => NodeKind::MaterializedView,
                RelationKind::Sequence | RelationKind::Composite => NodeKind::OtherRelation,
            };
            let names = Names::new(relation.base.schema.as_ref(), &relation.base.name);
            self.graph.add(Node::new(kind, Some(relation.base.id), about), names);
        }
    }

    /// A node that belongs to a relation: it carries the relation's schema, and the tie is its own name.
    fn part(&self, kind: NodeKind, id: Option<ObjectId>, relation: &Relation, name: &Text, about: usize) -> Part {
        let names = Names::new(relation.base.schema.as_ref(), name);
        Part {
            node: Node { owner: self.graph.find(relation.base.id), ..Node::new(kind, id, about) },
            names: Names { tie: relation.base.name.clone(), ..names },
        }
    }

    /// Adds a part that is made after its relation.
    fn add_after(&mut self, part: Part) -> NodeId {
        let owner = part.node.owner;
        let id = self.graph.add(part.node, part.names);
        if let Some(owner) = owner {
            self.graph.depend(id, owner);
        }
        id
    }

    /// Adds a part that stands inside its relation's CREATE statement, which waits for all that the part needs.
    fn add_inside(&mut self, part: Part) {
        let owner = part.node.owner;
        let id = self.graph.add(part.node, part.names);
        if let Some(owner) = owner {
            self.graph.depend(owner, id);
        }
    }

    fn defined_relations(&self) -> impl Iterator<Item = (usize, &'a Relation)> + use<'a> {
        let catalog = self.catalog;
        let all = catalog.relations.iter().enumerate();
        all.filter(|(_, relation)| catalog.selection.defines(&relation.base))
    }

    fn add_defaults(&mut self) {
        for (about, relation) in self.defined_relations() {
            let columns = self.catalog.columns_of(relation.oid()).iter();
            for (column, plan) in columns.zip(self.catalog.plan_columns(relation)) {
                let (oid, separate) = match &plan.default {
                    DefaultPlan::None | DefaultPlan::Inline { oid: 0, .. } => continue,
                    DefaultPlan::Inline { oid, .. } => (*oid, false),
                    DefaultPlan::Separate { oid, .. } => (*oid, true),
                };
                let id = (oid != 0).then_some(ObjectId::new(class::PG_ATTRDEF, oid));
                let mut part = self.part(NodeKind::Default, id, relation, &column.name, about);
                part.node.repair.separate = separate;
                if separate {
                    self.add_after(part);
                } else {
                    self.add_inside(part);
                }
            }
        }
    }

    fn add_constraints(&mut self) {
        for (about, constraint) in self.catalog.constraints.iter().enumerate() {
            let Some(relation) = self.catalog.defined_relation(constraint.relation) else { continue };
            let id = Some(ObjectId::new(class::PG_CONSTRAINT, constraint.oid));
            match constraint.kind {
                ConstraintKind::Check if constraint.validated && (constraint.is_local || relation.is_partition) => {
                    self.add_inside(self.part(NodeKind::Check, id, relation, &constraint.name, about));
                }
                ConstraintKind::Check if !constraint.validated && constraint.is_local => {
                    let mut part = self.part(NodeKind::Check, id, relation, &constraint.name, about);
                    part.node.repair.separate = true;
                    self.add_after(part);
                }
                ConstraintKind::NotNull if !constraint.validated && constraint.is_local => {
                    self.add_after(self.part(NodeKind::Constraint, id, relation, &constraint.name, about));
                }
                ConstraintKind::PrimaryKey | ConstraintKind::Unique | ConstraintKind::Exclusion => {
                    self.add_after(self.part(NodeKind::Constraint, id, relation, &constraint.name, about));
                }
                ConstraintKind::ForeignKey => {
                    self.add_after(self.part(NodeKind::ForeignKey, id, relation, &constraint.name, about));
                }
                ConstraintKind::Check | ConstraintKind::NotNull => {}
            }
        }
    }

    fn add_indexes(&mut self) {
        for (about, index) in self.catalog.indexes.iter().enumerate() {
            let Some(relation) = self.catalog.defined_relation(index.table) else { continue };
            let mut part = self.part(NodeKind::Index, Some(relation_id(index.oid)), relation, &index.name, about);
            let table = part.node.owner.take();
            let id = self.graph.add(part.node, part.names);
            if let Some(table) = table {
                self.graph.depend(id, table);
            }
        }
        for (about, index) in self.catalog.indexes.iter().enumerate() {
            let (Some(child), Some(parent)) =
                (self.graph.find(relation_id(index.oid)), self.graph.find(relation_id(index.parent)))
            else {
                continue;
            };
            if let Some(node) = self.graph.node_mut(child) {
                node.owner = Some(parent);
            }
            let names = Names::new(Some(&index.schema), &index.name);
            let attach = self.graph.add(Node::new(NodeKind::AttachIndex, None, about), names);
            self.graph.depend(attach, child);
            self.graph.depend(attach, parent);
        }
    }

    fn add_attachments(&mut self) {
        for (about, relation) in self.catalog.relations.iter().enumerate() {
            if !relation.is_partition || !self.catalog.selection.defines(&relation.base) {
                continue;
            }
            // A partition whose parent stays where it is becomes a table of its own.
            let parent = self.catalog.inheritance.parents_of(relation.oid()).first();
            let parent = parent.filter(|parent| self.catalog.defined_relation(**parent).is_some());
            let Some(parent) = parent.and_then(|parent| self.graph.find(relation_id(*parent))) else { continue };
            let attach = self.part(NodeKind::AttachPartition, None, relation, &relation.base.name, about);
            let attach = self.add_after(attach);
            self.graph.depend(attach, parent);
        }
    }

    fn add_rules(&mut self) {
        for (about, rule) in self.catalog.rules.iter().enumerate() {
            let Some(relation) = self.catalog.defined_relation(rule.relation) else { continue };
            let id = Some(ObjectId::new(class::PG_REWRITE, rule.oid));
            if rule.definition.is_none() {
                self.add_inside(self.part(NodeKind::ReturnRule, id, relation, &rule.name, about));
            } else {
                self.add_after(self.part(NodeKind::Rule, id, relation, &rule.name, about));
            }
        }
    }

    fn add_others(&mut self) {
        for (about, trigger) in self.catalog.triggers.iter().enumerate() {
            let Some(relation) = self.catalog.defined_relation(trigger.table) else { continue };
            let id = Some(ObjectId::new(class::PG_TRIGGER, trigger.oid));
            self.add_after(self.part(NodeKind::Trigger, id, relation, &trigger.name, about));
        }
        for (about, policy) in self.catalog.policies.iter().enumerate() {
            let Some(relation) = self.catalog.defined_relation(policy.table) else { continue };
            let id = Some(ObjectId::new(class::PG_POLICY, policy.oid));
            self.add_after(self.part(NodeKind::Policy, id, relation, &policy.name, about));
        }
        // ENABLE ROW LEVEL SECURITY is a policy without an identity.
        for (about, relation) in self.defined_relations().filter(|(_, relation)| relation.row_security) {
            self.add_after(self.part(NodeKind::Policy, None, relation, &Text::default(), about));
        }
        for (about, statistics) in self.catalog.statistics.iter().enumerate() {
            let base = &statistics.base;
            if !self.catalog.selection.defines(base) || self.catalog.defined_relation(statistics.table).is_none() {
                continue;
            }
            let names = Names::new(base.schema.as_ref(), &base.name);
            self.graph.add(Node::new(NodeKind::Statistics, Some(base.id), about), names);
        }
    }

    /// The node of an object that has none of its own only passes dependencies on.
    fn find_or_pass(&mut self, object: ObjectId) -> NodeId {
        match self.graph.find(object) {
            Some(node) => node,
            None => self.graph.add(Node::new(NodeKind::Passive, Some(object), 0), Names::default()),
        }
    }

    fn add_dependencies(&mut self) {
        for Dependency { object, on, kind } in &self.catalog.dependencies {
            let (node, needs) = (self.find_or_pass(*object), self.find_or_pass(*on));
            // A composite type's relation is part of the type, but its columns' types hang on the relation.
            let composite = *kind == 'i'
                && on.class == class::PG_TYPE
                && self.catalog.relation(object.oid).is_some_and(|relation| relation.kind == RelationKind::Composite)
                && object.class == class::PG_CLASS;
            if composite {
                self.graph.depend(needs, node);
            } else if node != needs {
                self.graph.depend(node, needs);
            }
        }
        let shells: Vec<(NodeId, NodeId)> = self
            .graph
            .each()
            .filter_map(|(id, node)| (node.kind == NodeKind::ShellType).then_some((id, node.owner?)))
            .collect();
        for (shell, of) in shells {
            let schema = self.graph.node(of).into_iter().flat_map(|node| &node.depends).copied();
            let schema = schema.filter(|on| self.graph.node(*on).is_some_and(|node| node.kind == NodeKind::Schema));
            for schema in schema.collect::<Vec<_>>() {
                self.graph.depend(shell, schema);
            }
        }
    }

    /// A foreign key that refers to a partitioned table needs its index complete: all parts attached.
    fn add_foreign_key_attachments(&mut self) {
        let mut attachments: HashMap<u32, Vec<(u32, NodeId)>> = HashMap::new();
        for (id, node) in self.graph.each() {
            if node.kind == NodeKind::AttachIndex
                && let Some(index) = node.pick(&self.catalog.indexes)
            {
                attachments.entry(index.parent).or_default().push((index.oid, id));
            }
        }
        let is_foreign_key = |constraint: &&Constraint| constraint.kind == ConstraintKind::ForeignKey;
        for constraint in self.catalog.constraints.iter().filter(is_foreign_key) {
            let id = ObjectId::new(class::PG_CONSTRAINT, constraint.oid);
            let Some(foreign_key) = self.graph.find(id) else { continue };
            let mut pending = vec![constraint.index];
            while let Some(index) = pending.pop() {
                for (child, attach) in attachments.get(&index).into_iter().flatten() {
                    self.graph.depend(foreign_key, *attach);
                    pending.push(*child);
                }
            }
        }
    }

    /// A materialized view is filled after those that it reads, also through views, and only if all of them are filled.
    fn add_refreshes(&mut self) {
        let mut reads: HashMap<u32, Vec<u32>> = HashMap::new();
        let of_rule: HashMap<u32, u32> = self.catalog.rules.iter().map(|rule| (rule.oid, rule.relation)).collect();
        for Dependency { object, on, .. } in &self.catalog.dependencies {
            if object.class == class::PG_REWRITE
                && on.class == class::PG_CLASS
                && let Some(relation) = of_rule.get(&object.oid)
                && *relation != on.oid
            {
                reads.entry(*relation).or_default().push(on.oid);
            }
        }
        let mut refreshes = HashMap::new();
        for (about, relation) in self.catalog.relations.iter().enumerate() {
            if relation.kind != RelationKind::MaterializedView || !self.catalog.selection.fills(relation) {
                continue;
            }
            let below = self.materialized_below(relation.oid(), &reads);
            let filled = |oid: &u32| self.catalog.relation(*oid).is_some_and(|view| view.is_populated);
            if relation.is_populated && below.iter().all(filled) {
                let node = self.part(NodeKind::Refresh, None, relation, &relation.base.name, about);
                refreshes.insert(relation.oid(), (self.add_after(node), below));
            }
        }
        for (refresh, below) in refreshes.values() {
            for (earlier, _) in below.iter().filter_map(|oid| refreshes.get(oid)) {
                self.graph.depend(*refresh, *earlier);
            }
        }
    }

    fn materialized_below(&self, view: u32, reads: &HashMap<u32, Vec<u32>>) -> Vec<u32> {
        let (mut found, mut seen, mut pending) = (Vec::new(), vec![view], vec![view]);
        while let Some(at) = pending.pop() {
            for oid in reads.get(&at).into_iter().flatten() {
                if seen.contains(oid) {
                    continue;
                }
                seen.push(*oid);
                match self.catalog.relation(*oid).map(|relation| relation.kind) {
                    Some(RelationKind::MaterializedView) => found.push(*oid),
                    Some(RelationKind::View) => {}
                    _ => continue,
                }
                pending.push(*oid);
            }
        }
        found
    }
}
