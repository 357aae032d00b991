//! What a database contains, read from `pg_catalog`: one set-wise query a kind, never one an object.
//!
//! Each kind has a file with its struct and `load(&Session) -> Result<Vec<…>>`; `pg::ddl` has the file of the same
//! name that turns it into statements. Queries name everything with `pg_catalog.` and rely on nothing in the path.

pub mod column;
pub mod comment;
pub mod constraint;
pub mod extension;
pub mod index;
pub mod inheritance;
pub mod local;
pub mod object;
pub mod policy;
pub mod relation;
pub mod rule;
pub mod schema;
pub mod sequence;
pub mod statistics;
pub mod trigger;
pub mod types;
pub mod view;
