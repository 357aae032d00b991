//! What a database contains, read from `pg_catalog`: one set-wise query a kind, never one an object.
//!
//! Each kind has a file with its struct and `load(&Session) -> Result<Vec<…>>`; `pg::ddl` has the file of the same
//! name that turns it into statements. Queries name everything with `pg_catalog.` and rely on nothing in the path.

pub mod aggregate;
pub mod cast;
pub mod comment;
pub mod default_acl;
pub mod extension;
pub mod function;
mod nameless;
pub mod object;
pub mod operator;
pub mod publication;
pub mod schema;
pub mod types;
