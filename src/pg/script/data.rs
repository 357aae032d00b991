//! Statements of the data section besides rows: values of sequences; owners, notes and privileges of large objects,
//! whose bytes stand before them.

use std::collections::HashMap;

use super::{Draft, Entry, Parts, Section};
use crate::error::Result;
use crate::ident::QualifiedName;
use crate::pg::catalog::Catalog;
use crate::pg::catalog::relation::{Relation, RelationKind};
use crate::pg::catalog::sequence::{self, SequenceValue};
use crate::pg::piece::large_objects::Said;
use crate::pg::session::Session;
use crate::text::Text;

/// The values of the sequences that are wanted, by OID, in the order of the script. `conditions` has sequences of extensions
/// that hold the user's values.
pub async fn values(
    session: &Session,
    catalog: &Catalog,
    conditions: &HashMap<u32, String>,
    warnings: &mut Vec<String>,
) -> Result<Vec<(u32, SequenceValue)>> {
    let is_wanted = |relation: &&Relation| {
        let config = conditions.contains_key(&relation.oid());
        relation.kind == RelationKind::Sequence && (catalog.selection.fills(relation) || config)
    };
    let mut wanted: Vec<&Relation> = catalog.relations.iter().filter(is_wanted).collect();
    wanted.sort_by(|a, b| (&a.base.schema, &a.base.name).cmp(&(&b.base.schema, &b.base.name)));
    let names: Vec<(u32, QualifiedName)> = wanted.iter().map(|one| (one.oid(), one.qualified())).collect();
    let values = sequence::values(session, &names).await?;
    let mut known = Vec::with_capacity(values.len());
    for ((oid, name), (_, value)) in names.into_iter().zip(values) {
        match value {
            Some(value) => known.push((oid, value)),
            None => {
                warnings.push(format!("the value of sequence {} cannot be read; it is not in the backup", name.plain()))
            }
        }
    }
    Ok(known)
}

pub(super) fn of_sequences(parts: &Parts) -> impl Iterator<Item = Draft> {
    parts.values.iter().filter_map(|(sequence, value)| of_sequence(parts.catalog, *sequence, *value))
}

fn of_sequence(catalog: &Catalog, sequence: u32, value: SequenceValue) -> Option<Draft> {
    let relation = catalog.relation(sequence)?;
    let owner = catalog.sequences.get(&sequence).and_then(|sequence| sequence.owned_by.as_ref());
    Some(Draft {
        kind: "SEQUENCE SET",
        schema: relation.base.schema.clone().unwrap_or_default(),
        name: relation.base.name.clone(),
        owner: relation.base.owner.clone().unwrap_or_default(),
        sql: sequence::set(&relation.qualified(), value),
        table: owner.map(|owner| owner.table),
    })
}

pub(super) fn of_large_objects(said: &Said) -> Entry {
    Entry {
        section: Section::Data,
        kind: said.kind,
        schema: Text::default(),
        name: said.name.clone(),
        owner: said.owner.clone(),
        sql: said.sql,
        table: None,
        depends: Box::default(),
        may_fail: false,
    }
}
