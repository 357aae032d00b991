//! Statements that make objects again: pure text from the structs of `pg::catalog`.
//!
//! Names print through `ident::Ident`, values through `ident::Literal`; no name ever stands in a comment.
