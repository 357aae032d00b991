//! The statements of each node, apart from where they stand in the script: nodes are drafted side by side.

use std::thread;

use super::{Draft, Parts, relation};
use crate::error::Result;
use crate::pg::catalog::object::ObjectId;
use crate::pg::ddl::types;
use crate::pg::filter::Switch;
use crate::pg::graph::{Node, NodeId, NodeKind, Ordered};
use crate::pg::piece::Piece;
use crate::pg::selection::Selection;

pub(super) struct Drafter<'a> {
    pub parts: &'a Parts<'a>,
    pub ordered: &'a Ordered,
    pub threads: usize,
}

/// Fewer nodes than this are not worth a thread.
const NODES_PER_THREAD: usize = 512;

impl Drafter<'_> {
    /// What `draft` says of each node, in their order.
    pub fn all(
        &self,
        nodes: &[NodeId],
        draft: impl Fn(&Self, NodeId) -> Result<Vec<Draft>> + Sync,
    ) -> Result<Vec<Vec<Draft>>> {
        let share = nodes.len().div_ceil(self.threads.max(1)).max(NODES_PER_THREAD);
        let some = |nodes: &[NodeId]| nodes.iter().map(|id| draft(self, *id)).collect::<Result<Vec<_>>>();
        let Some((own, others)) = nodes.split_at_checked(share) else { return some(nodes) };
        thread::scope(|scope| {
            let some = &some;
            let others: Vec<_> = others.chunks(share).map(|nodes| scope.spawn(move || some(nodes))).collect();
            let mut drafted = some(own)?;
            for other in others {
                drafted.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(drafted)
        })
    }

    /// What makes the node's object.
    pub fn definition(&self, id: NodeId) -> Result<Vec<Draft>> {
        let mut drafts = match self.piece(id) {
            Some(piece) => self.piece_drafts(id, piece),
            None => relation::drafts(self.parts.catalog, self.ordered, id)?,
        };
        if self.selection().has(Switch::NoOwner) {
            drafts.retain(|draft| draft.kind != "OWNER");
        }
        Ok(drafts)
    }

    pub fn privileges(&self, id: NodeId) -> Result<Vec<Draft>> {
        match self.piece(id) {
            Some(_) if self.ordered.node(id).is_some_and(|node| node.kind == NodeKind::ShellType) => Ok(Vec::new()),
            Some(piece) if self.selection().grants(&piece.base) => Ok(piece_privileges(piece)),
            Some(_) => Ok(Vec::new()),
            None => relation::privileges(self.parts.catalog, self.ordered, id),
        }
    }

    fn selection(&self) -> &Selection {
        &self.parts.catalog.selection
    }

    fn piece(&self, id: NodeId) -> Option<&Piece> {
        let node = self.ordered.node(id)?;
        let piece = node.pick(self.parts.pieces)?;
        let is_shell = node.kind == NodeKind::ShellType;
        (is_shell || node.id == Some(piece.base.id)).then_some(piece)
    }

    fn piece_drafts(&self, id: NodeId, piece: &Piece) -> Vec<Draft> {
        let Some(node) = self.ordered.node(id) else { return Vec::new() };
        let is_shell = node.kind == NodeKind::ShellType;
        let is_in = self.selection().defines(&piece.base)
            && !(node.kind == NodeKind::DefaultAcl && self.selection().has(Switch::NoPrivileges));
        if !is_in || node.is_inline() || (is_shell && !node.repair.shell) {
            return Vec::new();
        }
        if let (Some(of_type), true) = (&piece.of_type, is_shell) {
            return vec![piece.draft("SHELL TYPE", &types::shell(of_type))];
        }
        let mut parts = self.constraints_of(id);
        let apart: Vec<ObjectId> =
            parts.iter().filter(|(node, _)| !node.is_inline()).map(|(_, part)| part.base.id).collect();
        parts.retain(|(node, _)| node.is_inline());
        let create = match &piece.of_type {
            Some(of_type) if !apart.is_empty() => types::create(of_type, &apart),
            _ => piece.create.clone(),
        };
        let mut drafts: Vec<Draft> = [(piece.kind, &create), ("OWNER", &piece.owner), ("COMMENT", &piece.notes)]
            .into_iter()
            .filter(|(_, sql)| !sql.is_empty())
            .map(|(kind, sql)| piece.draft(kind, sql))
            .collect();
        let noted = parts.iter().filter(|(_, part)| !part.notes.is_empty());
        drafts.extend(noted.map(|(_, part)| part.draft("COMMENT", &part.notes)));
        drafts
    }

    /// The constraints of a domain.
    fn constraints_of(&self, id: NodeId) -> Vec<(&Node, &Piece)> {
        let of = |part: NodeId| {
            let node = self.ordered.node(part)?;
            (node.kind == NodeKind::DomainConstraint).then_some((node, self.piece(part)?))
        };
        self.ordered.parts_of(id).filter_map(of).collect()
    }
}

fn piece_privileges(piece: &Piece) -> Vec<Draft> {
    if piece.acl.is_empty() {
        return Vec::new();
    }
    let mut draft = piece.draft("ACL", &piece.acl);
    draft.name = format!("{} {}", piece.kind, piece.tag).into();
    vec![draft]
}

impl Piece {
    fn draft(&self, kind: &'static str, sql: &str) -> Draft {
        Draft {
            kind,
            schema: self.base.schema.clone().unwrap_or_default(),
            name: self.tag.as_str().into(),
            owner: self.base.owner.clone().unwrap_or_default(),
            sql: sql.to_owned(),
            table: None,
        }
    }
}
