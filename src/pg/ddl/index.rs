//! Indexes and what belongs to them whether or not a constraint made them.

use std::fmt::Write;

use crate::ident::Ident;
use crate::pg::catalog::column::Column;
use crate::pg::catalog::index::{Index, Made, Names, PlainIndex};
use crate::pg::catalog::relation::Relation;

/// CREATE INDEX; nothing for the index of a constraint, which makes it. None if a column or a name is not there.
pub fn create(index: &Index, table: &Relation, columns: &[Column], names: &Names) -> Option<String> {
    match &index.made {
        Made::ByConstraint => Some(String::new()),
        Made::Deparsed(definition) => Some(format!("{definition};\n")),
        Made::Plain(plain) => create_plain(index, plain, table, columns, names),
    }
}

/// Operator classes and collations are said in full, where the server would leave out those that it would choose.
fn create_plain(
    index: &Index,
    plain: &PlainIndex,
    table: &Relation,
    columns: &[Column],
    names: &Names,
) -> Option<String> {
    let all = column_names(index, columns)?;
    let (keys, included) = all.split_at_checked(index.key_columns)?;
    let mut parts = Vec::with_capacity(keys.len());
    for (at, key) in keys.iter().enumerate() {
        let mut part = key.clone();
        match *plain.collations.get(at)? {
            0 => {}
            collation => part.push_str(&format!(" COLLATE {}", names.collations.get(&collation)?)),
        }
        part.push_str(&format!(" {}", names.classes.get(plain.classes.get(at)?)?));
        part.push_str(match *plain.options.get(at)? & 3 {
            0 => "",
            1 => " DESC NULLS LAST",
            2 => " NULLS FIRST",
            _ => " DESC",
        });
        parts.push(part);
    }
    let (unique, only) = (if plain.unique { "UNIQUE " } else { "" }, if index.is_partitioned { "ONLY " } else { "" });
    let mut sql = format!(
        "CREATE {unique}INDEX {} ON {only}{} USING {} ({})",
        Ident::new(index.name.as_str()),
        table.qualified(),
        Ident::new(plain.method.as_str()),
        parts.join(", ")
    );
    if !included.is_empty() {
        let _ = write!(sql, " INCLUDE ({})", included.join(", "));
    }
    if index.nulls_not_distinct {
        sql.push_str(" NULLS NOT DISTINCT");
    }
    Some(sql + ";\n")
}

/// Quoted, key columns first. None if the index has an expression.
pub fn column_names(index: &Index, columns: &[Column]) -> Option<Vec<String>> {
    let name = |number: &i16| {
        let column = columns.iter().find(|column| column.number == *number)?;
        Some(Ident::new(column.name.as_str()).to_string())
    };
    index.columns.iter().map(name).collect()
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
    for extension in index.extensions.iter() {
        let _ = writeln!(sql, "ALTER INDEX {own} DEPENDS ON EXTENSION {};", Ident::new(extension.as_str()));
    }
    sql
}

pub fn attach(parent: &Index, child: &Index) -> String {
    format!("ALTER INDEX {} ATTACH PARTITION {};\n", parent.qualified(), child.qualified())
}
