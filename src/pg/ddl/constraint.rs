//! Constraints that ALTER TABLE adds after the rows.

use crate::ident::Ident;
use crate::pg::catalog::column::Column;
use crate::pg::catalog::constraint::{Constraint, ConstraintKind};
use crate::pg::catalog::index::Index;
use crate::pg::catalog::relation::{Relation, RelationKind};
use crate::pg::ddl::index::column_names;
use crate::pg::ddl::options;
use crate::pg::ddl::table::alter;

/// PRIMARY KEY, UNIQUE and EXCLUDE, which make their index.
pub fn add_key(relation: &Relation, constraint: &Constraint, index: &Index, columns: &[Column]) -> Option<String> {
    let head = format!("{} ONLY {}", alter(relation), relation.qualified());
    let body = match constraint.kind {
        ConstraintKind::Exclusion => constraint.definition.to_string(),
        _ => key(constraint, index, &column_names(index, columns)?),
    };
    Some(format!("{head}\n    ADD CONSTRAINT {} {body};\n", Ident::new(constraint.name.as_str())))
}

fn key(constraint: &Constraint, index: &Index, names: &[String]) -> String {
    let primary = constraint.kind == ConstraintKind::PrimaryKey;
    let mut body = if primary { "PRIMARY KEY" } else { "UNIQUE" }.to_owned();
    if index.nulls_not_distinct && !primary {
        body.push_str(" NULLS NOT DISTINCT");
    }
    let (key, included) = names.split_at_checked(index.key_columns).unwrap_or((names, &[]));
    let period = if constraint.period { " WITHOUT OVERLAPS" } else { "" };
    body.push_str(&format!(" ({}{period})", key.join(", ")));
    if !included.is_empty() {
        body.push_str(&format!(" INCLUDE ({})", included.join(", ")));
    }
    body.push_str(&options::with(&index.options, &[]));
    if constraint.deferrable {
        body.push_str(" DEFERRABLE");
    }
    if constraint.deferred {
        body.push_str(" INITIALLY DEFERRED");
    }
    body
}

/// A foreign key. That of a partitioned table goes to its partitions also.
pub fn add_foreign_key(relation: &Relation, constraint: &Constraint) -> String {
    let only = if relation.kind == RelationKind::Partitioned { "" } else { "ONLY " };
    add(relation, only, constraint, &constraint.definition)
}

/// A CHECK outside CREATE TABLE: it was never validated, or a loop in the dependencies forced it out. Children get it too.
pub fn add_check(relation: &Relation, constraint: &Constraint) -> String {
    add(relation, "", constraint, &constraint.definition)
}

/// A NOT NULL constraint that was never validated.
pub fn add_not_null(relation: &Relation, constraint: &Constraint, column: &Column) -> String {
    let no_inherit = if constraint.no_inherit { " NO INHERIT" } else { "" };
    let body = format!("NOT NULL {}{no_inherit} NOT VALID", Ident::new(column.name.as_str()));
    add(relation, "", constraint, &body)
}

fn add(relation: &Relation, only: &str, constraint: &Constraint, body: &str) -> String {
    let name = Ident::new(constraint.name.as_str());
    format!("{} {only}{}\n    ADD CONSTRAINT {name} {body};\n", alter(relation), relation.qualified())
}
