//! Statements that make objects again: pure text from the structs of `pg::catalog`.
//!
//! Names print through `ident::Ident`, values through `ident::Literal`; no name ever stands in a comment.
pub mod access_method;
pub mod acl;
pub mod collation;
pub mod comment;
pub mod constraint;
pub mod conversion;
pub mod event_trigger;
pub mod foreign;
pub mod index;
pub mod language;
pub mod large_object;
pub mod operator_class;
pub mod options;
pub mod planner_statistics;
pub mod policy;
pub mod rule;
pub mod sequence;
pub mod statistics;
pub mod subscription;
pub mod table;
pub mod text;
pub mod text_search;
pub mod transform;
pub mod trigger;
pub mod view;

pub mod aggregate;
pub mod cast;
pub mod default_acl;
pub mod extension;
pub mod function;
pub mod operator;
pub mod publication;
pub mod schema;
#[cfg(test)]
pub(super) mod testing;
pub mod types;
