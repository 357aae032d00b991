//! Statements of the data section besides rows: values of sequences; owners, notes and privileges of large objects,
//! whose bytes stand before them.

use std::collections::HashMap;

use super::{Entry, Section, TableData};
use crate::error::Result;
use crate::ident::QualifiedName;
use crate::pg::catalog::relation::{Relation, RelationKind};
use crate::pg::catalog::{Catalog, sequence};
use crate::pg::filter::Switch;
use crate::pg::piece::collect::{Found, LargeObjectTexts};
use crate::pg::selection::Selection;
use crate::pg::session::Session;
use crate::text::Text;

pub async fn entries(
    session: &Session,
    catalog: &Catalog,
    found: &Found,
    tables: &[TableData],
    warnings: &mut Vec<String>,
) -> Result<Vec<Entry>> {
    let is_wanted = |relation: &&Relation| {
        let config = found.conditions.contains_key(&relation.oid());
        relation.kind == RelationKind::Sequence && (catalog.selection.fills(relation) || config)
    };
    let mut wanted: Vec<&Relation> = catalog.relations.iter().filter(is_wanted).collect();
    wanted.sort_by(|a, b| (&a.base.schema, &a.base.name).cmp(&(&b.base.schema, &b.base.name)));
    let names: Vec<(u32, QualifiedName)> = wanted.iter().map(|one| (one.oid(), one.qualified())).collect();
    let values = sequence::values(session, &names).await?;
    let mut entries = large_objects(found, &catalog.selection);
    let positions: HashMap<u32, usize> = tables.iter().enumerate().map(|(at, table)| (table.oid, at)).collect();
    for (relation, (_, value)) in wanted.into_iter().zip(values) {
        let name = relation.qualified();
        let Some(value) = value else {
            warnings.push(format!("the value of sequence {} cannot be read; it is not in the backup", name.plain()));
            continue;
        };
        let owner = catalog.sequences.get(&relation.oid()).and_then(|sequence| sequence.owned_by.as_ref());
        entries.push(Entry {
            section: Section::Data,
            kind: "SEQUENCE SET",
            schema: relation.base.schema.clone().unwrap_or_default(),
            name: relation.base.name.clone(),
            owner: relation.base.owner.clone().unwrap_or_default(),
            sql: sequence::set(&name, value),
            table: owner.and_then(|owner| positions.get(&owner.table).copied()),
            depends: Vec::new(),
            may_fail: false,
        });
    }
    Ok(entries)
}

fn large_objects(found: &Found, selection: &Selection) -> Vec<Entry> {
    let is_in = |kind: &str| match kind {
        "OWNER" => !selection.has(Switch::NoOwner),
        "ACL" => !selection.has(Switch::NoPrivileges),
        _ => true,
    };
    let texts = |one: &LargeObjectTexts| {
        let made = [("OWNER", one.owner.clone()), ("COMMENT", one.notes.clone()), ("ACL", one.acl.clone())];
        let base = one.base.clone();
        made.into_iter().filter(|(kind, sql)| !sql.is_empty() && is_in(kind)).map(move |(kind, sql)| Entry {
            section: Section::Data,
            kind,
            schema: Text::default(),
            name: format!("LARGE OBJECT {}", base.name),
            owner: base.owner.clone().unwrap_or_default(),
            sql,
            table: None,
            depends: Vec::new(),
            may_fail: false,
        })
    };
    found.large_objects.iter().flat_map(texts).collect()
}
