//! Indexes and what belongs to them whether or not a constraint made them.

use std::fmt::Write;

use crate::ident::Ident;
use crate::pg::catalog::index::Index;
use crate::pg::catalog::relation::Relation;

/// Nothing for the index of a constraint, which makes it.
pub fn create(index: &Index) -> String {
    index.definition.as_ref().map_or(String::new(), |definition| format!("{definition};\n"))
}

/// What neither CREATE INDEX nor ADD CONSTRAINT can say.
pub fn settings(index: &Index, table: &Relation) -> String {
    let (name, own, of) = (Ident::new(index.name.as_str()), index.qualified(), table.qualified());
    let mut sql = String::new();
    if index.clustered {
        let _ = writeln!(sql, "ALTER TABLE {of} CLUSTER ON {name};");
    }
    for (column, target) in &index.statistics {
        let _ = writeln!(sql, "ALTER INDEX {own} ALTER COLUMN {column} SET STATISTICS {target};");
    }
    if index.replica_identity {
        let _ = writeln!(sql, "ALTER TABLE ONLY {of} REPLICA IDENTITY USING INDEX {name};");
    }
    for extension in &index.extensions {
        let _ = writeln!(sql, "ALTER INDEX {own} DEPENDS ON EXTENSION {};", Ident::new(extension.as_str()));
    }
    sql
}

pub fn attach(parent: &Index, child: &Index) -> String {
    format!("ALTER INDEX {} ATTACH PARTITION {};\n", parent.qualified(), child.qualified())
}
