//! Which tables' rows are copied, and by which statements.

use std::collections::HashMap;

use super::TableData;
use crate::ident::Ident;
use crate::pg::catalog::Catalog;
use crate::pg::catalog::relation::{Relation, RelationKind};

/// The tables that are wanted, and those of extensions that hold the user's rows. `conditions` has the latter's
/// `WHERE …`.
pub fn plan(
    catalog: &Catalog,
    conditions: &HashMap<u32, String>,
    bytes: &HashMap<u32, u64>,
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
    wanted.into_iter().map(|relation| table(catalog, relation, conditions, bytes)).collect()
}

fn table(
    catalog: &Catalog,
    relation: &Relation,
    conditions: &HashMap<u32, String>,
    bytes: &HashMap<u32, u64>,
) -> TableData {
    let oid = relation.oid();
    let name = relation.qualified();
    let copied = catalog.columns_of(oid).iter().filter(|column| column.number > 0 && !column.is_generated());
    let columns: Vec<Ident> = copied.map(|column| Ident::new(column.name.as_str())).collect();
    let names: Vec<String> = columns.iter().map(ToString::to_string).collect();
    let list = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let condition = conditions.get(&oid).filter(|condition| !condition.is_empty());
    let copy_to = match condition {
        Some(condition) => format!("COPY (SELECT {} FROM ONLY {name} {condition}) TO STDOUT", names.join(", ")),
        None => format!("COPY {name}{list} TO STDOUT"),
    };
    let made = |table| catalog.defined_relation(table).is_some();
    let root = catalog.inheritance.load_through(oid, made).and_then(|root| catalog.relation(root));
    let into = root.map_or(name.clone(), Relation::qualified);
    let is_heap = relation.access_method.as_deref() == Some("heap");
    TableData {
        oid,
        copy_from: format!("COPY {into}{list} FROM stdin;\n"),
        copy_to,
        bytes_estimate: bytes.get(&oid).copied().unwrap_or(0),
        filenode: relation.filenode,
        unlogged: relation.unlogged,
        can_split: is_heap && condition.is_none() && !columns.is_empty(),
        columns,
        name,
    }
}
