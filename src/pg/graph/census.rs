//! What the database holds and nobody read: objects that only `pg_depend` tells us of.
//!
//! Most of those are made along with others (array types, triggers of foreign keys, TOAST tables). What remains is of a
//! kind, or in a state, that this program does not know: it must be named, or it would be lost in silence.

use std::collections::HashSet;

use super::{Graph, NodeKind};
use crate::pg::catalog::depend::Dependency;
use crate::pg::catalog::object::{FIRST_NORMAL_OID, ObjectId, class};

/// Classes whose objects are made along with others.
const BY_THE_WAY: [u32; 8] = [
    class::PG_TYPE,
    class::PG_CLASS,
    class::PG_CONSTRAINT,
    class::PG_TRIGGER,
    class::PG_ATTRDEF,
    class::PG_REWRITE,
    class::PG_AMOP,
    class::PG_AMPROC,
];

/// `known` are those that were read and have no node of their own.
pub fn unread(graph: &Graph, dependencies: &[Dependency], known: &HashSet<ObjectId>) -> Vec<ObjectId> {
    // Members of extensions come with them, internal parts with their whole.
    let covered = dependencies.iter().filter(|one| matches!(one.kind, 'e' | 'i')).map(|one| one.object);
    // Objects of temporary schemas, which are no part of a backup: their schema was not read.
    let is_unread_schema = |id: ObjectId| {
        let node = graph.find(id).and_then(|node| graph.node(node));
        id.class == class::PG_NAMESPACE && node.is_none_or(|node| node.kind == NodeKind::Passive)
    };
    let temporary = dependencies.iter().filter(|one| is_unread_schema(one.on)).map(|one| one.object);
    let left_out: HashSet<ObjectId> = covered.chain(temporary).collect();
    let passive = graph.nodes.iter().filter(|node| node.kind == NodeKind::Passive);
    let mut unread: Vec<ObjectId> = passive
        .filter_map(|node| node.id)
        .filter(|id| id.oid >= FIRST_NORMAL_OID && id.class != class::PG_NAMESPACE)
        .filter(|id| !BY_THE_WAY.contains(&id.class) && !left_out.contains(id) && !known.contains(id))
        .collect();
    unread.sort();
    unread
}
