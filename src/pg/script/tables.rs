//! Which tables' rows are copied, and by which statements.

use std::collections::{HashMap, HashSet};

use super::TableData;
use crate::ident::Ident;
use crate::pg::catalog::Catalog;
use crate::pg::catalog::relation::{Relation, RelationKind};
use crate::pg::copy_out::Rows;
use crate::pg::encoding::Codec;
use crate::pg::filter::Switch;
use crate::pg::version::Capability;

/// What a table takes on the server's disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableSize {
    /// TOAST included.
    pub bytes: u64,
    /// Of the heap alone.
    pub pages: u64,
}

/// The tables that are wanted, and those of extensions that hold the user's rows. `conditions` has the latter's
/// `WHERE …`.
pub fn plan(
    catalog: &Catalog,
    codec: Codec,
    conditions: &HashMap<u32, String>,
    sizes: &HashMap<u32, TableSize>,
    in_recovery: bool,
    warnings: &mut Vec<String>,
) -> Vec<TableData> {
    let mut wanted: Vec<&Relation> = catalog
        .relations
        .iter()
        .filter(|relation| relation.kind == RelationKind::Table)
        .filter(|relation| catalog.selection.fills(relation) || conditions.contains_key(&relation.oid()))
        .collect();
    wanted.sort_by(|a, b| (&a.base.schema, &a.base.name).cmp(&(&b.base.schema, &b.base.name)));
    if in_recovery {
        // A standby has no rows of unlogged tables, and says so by an error.
        for table in wanted.extract_if(.., |table| table.unlogged) {
            warnings.push(format!("rows of unlogged table {} cannot be read on a standby", table.qualified().plain()));
        }
    }
    let escapes = !catalog.version.has(Capability::EscapedCharType) && !codec.has_single_bytes();
    let tables = wanted.into_iter().map(|relation| {
        let escaped = if escapes { char_columns(catalog, relation, warnings) } else { HashSet::new() };
        table(catalog, relation, &escaped, conditions, sizes)
    });
    tables.collect()
}

/// Columns of type `"char"` on a server that prints their bytes as they are, which need be no text.
fn char_columns<'a>(catalog: &'a Catalog, relation: &Relation, warnings: &mut Vec<String>) -> HashSet<&'a str> {
    let columns = catalog.columns_of(relation.oid()).iter().filter(|column| column.type_name == "\"char\"");
    let found: HashSet<&str> = columns.map(|column| column.name.as_str()).collect();
    if !found.is_empty() {
        warnings.push(format!(
            "table {} has a column of type \"char\": values beyond ASCII come back on PostgreSQL 15 and newer alone, \
             older ones take them for a backslash",
            relation.qualified().plain()
        ));
    }
    found
}

/// The value of a `"char"` column as PostgreSQL 15 prints it.
fn escaped(column: &Ident) -> String {
    let byte = format!("({column}::pg_catalog.int4 + 256)");
    let digit = |of: &str| format!("({byte}{of})::pg_catalog.text");
    format!(
        "CASE WHEN {column}::pg_catalog.int4 < 0 THEN '\\' || {} || {} || {} ELSE {column}::pg_catalog.text END",
        digit(" / 64"),
        digit(" / 8 % 8"),
        digit(" % 8")
    )
}

fn table(
    catalog: &Catalog,
    relation: &Relation,
    escapes: &HashSet<&str>,
    conditions: &HashMap<u32, String>,
    sizes: &HashMap<u32, TableSize>,
) -> TableData {
    let oid = relation.oid();
    let name = relation.qualified();
    let copied = catalog.columns_of(oid).iter().filter(|column| column.number > 0 && !column.is_generated());
    let columns: Box<[Ident]> = copied.map(|column| Ident::new(&column.name)).collect();
    let condition = conditions.get(&oid).filter(|condition| !condition.is_empty());
    let select = (condition.is_some() || !escapes.is_empty()).then(|| {
        let value = |column: &Ident| match escapes.contains(column.as_str()) {
            true => escaped(column),
            false => column.to_string(),
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let condition = condition.map_or("", String::as_str);
        format!("SELECT {} FROM ONLY {name} {condition}", values.join(", ")).into()
    });
    let made = |table| catalog.defined_relation(table).is_some();
    let root = catalog.inheritance.load_through(oid, made).and_then(|root| catalog.relation(root));
    let size = sizes.get(&oid).copied().unwrap_or_default();
    let is_heap = relation.access_method.as_deref() == Some("heap");
    let can_split =
        is_heap && select.is_none() && !columns.is_empty() && catalog.version.has(Capability::TidRangeScans);
    let rows = Rows {
        table: name,
        columns,
        select,
        into: root.map(|root| Box::new(root.qualified())),
        pages: can_split.then_some(size.pages),
    };
    TableData { oid, rows, bytes_estimate: size.bytes, filenode: relation.filenode, unlogged: relation.unlogged }
}

/// Relations whose planner statistics are wanted: tables whose definition is, and their indexes. Each with its table's
/// position in `tables`, where that has rows; sorted.
pub fn analysed(catalog: &Catalog, tables: &[TableData]) -> Vec<(u32, Option<u32>)> {
    if catalog.selection.has(Switch::NoStatistics) {
        return Vec::new();
    }
    let positions: HashMap<u32, u32> = tables.iter().zip(0..).map(|(table, at)| (table.oid, at)).collect();
    let of_table = |table: u32| positions.get(&table).copied();
    let fills = |relation: &&Relation| catalog.selection.fills(relation);
    let relations = catalog.relations.iter().filter(fills).map(|one| (one.oid(), of_table(one.oid())));
    let filled = |table: u32| catalog.relation(table).is_some_and(|relation| catalog.selection.fills(relation));
    let indexes = catalog.indexes.iter().filter(|index| filled(index.table));
    let mut all: Vec<(u32, Option<u32>)> =
        relations.chain(indexes.map(|index| (index.oid, of_table(index.table)))).collect();
    all.sort_unstable();
    all.shrink_to_fit();
    all
}
