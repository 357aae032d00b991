//! CREATE TABLE and CREATE FOREIGN TABLE with what ALTER TABLE must add, and attaching partitions.

use std::fmt::Write;

use crate::ident::{Ident, QualifiedName};
use crate::pg::catalog::column::Column;
use crate::pg::catalog::constraint::Constraint;
use crate::pg::catalog::local::{ColumnPlan, DefaultPlan, NotNullPlan};
use crate::pg::catalog::relation::{Relation, RelationKind};
use crate::pg::ddl::options;

/// A table with everything that its CREATE statement needs.
pub struct Table<'a> {
    pub relation: &'a Relation,
    pub columns: &'a [Column],
    pub plans: &'a [ColumnPlan],
    /// CHECK constraints that stand inside CREATE TABLE.
    pub checks: &'a [&'a Constraint],
    pub parents: &'a [QualifiedName],
    pub partition_key: Option<&'a str>,
    /// OIDs of defaults that a loop in the dependencies forced out of CREATE TABLE.
    pub separate_defaults: &'a [u32],
    /// CREATE UNLOGGED TABLE … PARTITION BY is refused by newer servers.
    pub unlogged_allowed: bool,
}

pub fn create(table: &Table) -> String {
    let relation = table.relation;
    let mut sql = String::from("CREATE ");
    if relation.unlogged && table.unlogged_allowed {
        sql.push_str("UNLOGGED ");
    }
    if relation.kind == RelationKind::Foreign {
        sql.push_str("FOREIGN ");
    }
    // Writing to a String cannot fail.
    let _ = write!(sql, "TABLE {}", relation.qualified());
    if let Some(of_type) = &relation.of_type {
        let _ = write!(sql, " OF {of_type}");
    }
    let elements = elements(table);
    if !elements.is_empty() {
        let _ = write!(sql, " (\n    {}\n)", elements.join(",\n    "));
    } else if relation.of_type.is_none() {
        sql.push_str(" (\n)");
    }
    if !table.parents.is_empty() && !relation.is_partition {
        let parents: Vec<String> = table.parents.iter().map(ToString::to_string).collect();
        let _ = write!(sql, "\nINHERITS ({})", parents.join(", "));
    }
    if let Some(key) = table.partition_key {
        let _ = write!(sql, "\nPARTITION BY {key}");
    }
    if let Some(foreign) = &relation.foreign {
        let _ = write!(sql, "\nSERVER {}", Ident::new(foreign.server.as_str()));
    }
    sql.push_str(&options::with(&relation.options, &relation.toast_options));
    if let Some(foreign) = &relation.foreign {
        sql.push_str(&options::foreign(&foreign.options));
    }
    sql.push_str(";\n");
    sql
}

fn elements(table: &Table) -> Vec<String> {
    let mut elements = Vec::new();
    for (column, plan) in table.columns.iter().zip(table.plans) {
        elements.extend(if plan.print { column_definition(table, column, plan) } else { own_not_null(column, plan) });
    }
    for check in table.checks {
        elements.push(format!("CONSTRAINT {} {}", Ident::new(check.name.as_str()), check.definition));
    }
    elements
}

fn column_definition(table: &Table, column: &Column, plan: &ColumnPlan) -> Option<String> {
    let default = match &plan.default {
        DefaultPlan::Inline { oid, expression } if *oid == 0 || !table.separate_defaults.contains(oid) => {
            Some(expression)
        }
        _ => None,
    };
    let not_null = not_null_clause(plan);
    let mut text = Ident::new(column.name.as_str()).to_string();
    if table.relation.of_type.is_none() {
        let _ = write!(text, " {}", column.type_name);
    } else if default.is_none() && not_null.is_none() {
        return None;
    }
    if let Some(expression) = default {
        let _ = match column.generated {
            's' => write!(text, " GENERATED ALWAYS AS ({expression}) STORED"),
            'v' => write!(text, " GENERATED ALWAYS AS ({expression}) VIRTUAL"),
            _ => write!(text, " DEFAULT {expression}"),
        };
    }
    if let Some(not_null) = not_null {
        let _ = write!(text, " {not_null}");
    }
    if let (Some(collation), None) = (&column.extras().collation, &table.relation.of_type) {
        let _ = write!(text, " COLLATE {collation}");
    }
    Some(text)
}

fn not_null_clause(plan: &ColumnPlan) -> Option<String> {
    let NotNullPlan::Inline { name, no_inherit } = &plan.not_null else { return None };
    let name = name.as_ref().map_or(String::new(), |name| format!("CONSTRAINT {} ", Ident::new(name.as_str())));
    Some(format!("{name}NOT NULL{}", if *no_inherit { " NO INHERIT" } else { "" }))
}

/// NOT NULL of an inherited column that the child declared itself.
fn own_not_null(column: &Column, plan: &ColumnPlan) -> Option<String> {
    let NotNullPlan::Inline { name, no_inherit } = &plan.not_null else { return None };
    let name = name.as_ref().map_or(String::new(), |name| format!("CONSTRAINT {} ", Ident::new(name.as_str())));
    let suffix = if *no_inherit { " NO INHERIT" } else { "" };
    Some(format!("{name}NOT NULL {}{suffix}", Ident::new(column.name.as_str())))
}

/// `ALTER TABLE` or `ALTER FOREIGN TABLE`.
pub fn alter(relation: &Relation) -> &'static str {
    if relation.kind == RelationKind::Foreign { "ALTER FOREIGN TABLE" } else { "ALTER TABLE" }
}

/// What CREATE has no words for: per-column settings, replica identity, access method, forced row security.
pub fn settings(relation: &Relation, columns: &[Column]) -> String {
    let (alter, name) = (alter(relation), relation.qualified());
    let mut sql = String::new();
    if let (RelationKind::Partitioned, Some(method)) = (relation.kind, &relation.access_method) {
        let _ = writeln!(sql, "{alter} {name} SET ACCESS METHOD {};", Ident::new(method.as_str()));
    }
    for column in columns {
        for change in column_settings(column) {
            let _ = writeln!(sql, "{alter} ONLY {name} ALTER COLUMN {} {change};", Ident::new(column.name.as_str()));
        }
    }
    // A foreign table has `n` in its catalog row, and no statement to say so.
    match relation.replica_identity {
        _ if relation.kind == RelationKind::Foreign => {}
        'n' => _ = writeln!(sql, "{alter} ONLY {name} REPLICA IDENTITY NOTHING;"),
        'f' => _ = writeln!(sql, "{alter} ONLY {name} REPLICA IDENTITY FULL;"),
        _ => {}
    }
    if relation.force_row_security {
        let _ = writeln!(sql, "{alter} ONLY {name} FORCE ROW LEVEL SECURITY;");
    }
    sql
}

fn column_settings(column: &Column) -> Vec<String> {
    let mut changes = Vec::new();
    if let Some(target) = column.statistics.filter(|target| *target >= 0) {
        changes.push(format!("SET STATISTICS {target}"));
    }
    if column.storage != column.type_storage {
        let storage = match column.storage {
            'p' => "PLAIN",
            'e' => "EXTERNAL",
            'm' => "MAIN",
            _ => "EXTENDED",
        };
        changes.push(format!("SET STORAGE {storage}"));
    }
    match column.compression {
        'p' => changes.push("SET COMPRESSION pglz".to_owned()),
        'l' => changes.push("SET COMPRESSION lz4".to_owned()),
        _ => {}
    }
    let extras = column.extras();
    if !extras.options.is_empty() {
        changes.push(format!("SET ({})", options::list(&extras.options)));
    }
    if !extras.foreign_options.is_empty() {
        changes.push(format!("OPTIONS ({})", options::foreign_list(&extras.foreign_options)));
    }
    changes
}

/// A default that is not part of CREATE TABLE.
pub fn set_default(relation: &Relation, column: &str, expression: &str) -> String {
    let (alter, name) = (alter(relation), relation.qualified());
    format!("{alter} ONLY {name} ALTER COLUMN {} SET DEFAULT {expression};\n", Ident::new(column))
}

pub fn attach_partition(parent: &Relation, partition: &Relation, bound: &str) -> String {
    let (parent, partition) = (parent.qualified(), partition.qualified());
    format!("ALTER TABLE ONLY {parent} ATTACH PARTITION {partition} {bound};\n")
}

pub fn enable_row_security(relation: &Relation) -> String {
    format!("{} {} ENABLE ROW LEVEL SECURITY;\n", alter(relation), relation.qualified())
}

#[cfg(test)]
mod tests;
