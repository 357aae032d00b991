//! An object that needs no help from others to be written: its statements, ready, and where it belongs in the order.

use crate::pg::catalog::object::{Base, ObjectId};
use crate::pg::catalog::types::Type;
use crate::pg::graph::NodeKind;

pub mod collect;
pub mod large_objects;

#[derive(Clone, Debug)]
pub struct Piece {
    pub base: Base,
    pub node: NodeKind,
    /// Breaks ties in the order: argument types, the access method.
    pub tie: String,
    /// As tables of contents name it: `FUNCTION`.
    pub kind: &'static str,
    /// The object's name there: `f(integer)`.
    pub tag: String,
    /// Kind and quoted name, as COMMENT ON takes it: `FUNCTION "public"."f"(integer)`.
    pub identity: String,
    /// Empty for objects that are only changed.
    pub create: String,
    /// Empty for kinds without an owner.
    pub owner: String,
    /// COMMENT and SECURITY LABEL, those of its parts included.
    pub notes: String,
    /// GRANT and REVOKE.
    pub acl: String,
    /// Types: a loop in the dependencies can ask for a shell first, or for a domain without some of its constraints.
    pub of_type: Option<Type>,
    /// The domain of a constraint.
    pub parent: Option<ObjectId>,
    /// A domain's constraint that was never validated: it follows on its own.
    pub apart: bool,
}
