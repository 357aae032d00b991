//! Table by table: what the archive recorded at the dump against what the restored database gives back.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::{LargeObjectFacts, TableFacts};
use crate::sqlite::Table;
use crate::units::{human_bytes, human_count};

/// One finding for each table that is not the same. The order of rows does not count: digests do not depend on it.
pub fn tables(recorded: &[TableFacts], restored: &[TableFacts]) -> Vec<String> {
    let key = |table: &TableFacts| (table.schema.clone(), table.name.clone());
    let mut found: BTreeMap<_, &TableFacts> = restored.iter().map(|table| (key(table), table)).collect();
    let mut findings = Vec::new();
    for table in recorded {
        let name = format!("{}.{}", table.schema, table.name);
        match found.remove(&key(table)) {
            None => findings.push(format!("table {name} is missing in the restored database")),
            Some(other) if other.rows != table.rows => findings.push(format!(
                "table {name} has {} rows, {} were dumped",
                human_count(other.rows),
                human_count(table.rows)
            )),
            Some(other) if other.digest != table.digest => {
                findings.push(format!("rows of table {name} are not those that were dumped"));
            }
            Some(_) => {}
        }
    }
    findings.extend(found.into_keys().map(|(schema, name)| format!("table {schema}.{name} was not in the archive")));
    findings
}

/// Rows of a SQLite file's tables, as they were counted at the backup and in the restored file; both count within a bound, and
/// what either did not count is not compared. Every page is compared apart from this.
pub fn sqlite_tables(recorded: &Value, restored: &[Table]) -> Vec<String> {
    let recorded = recorded.get("sqlite").and_then(|copied| copied.get("tables")).cloned().unwrap_or_default();
    let recorded: Vec<Table> = serde_json::from_value(recorded).unwrap_or_default();
    let rows = |all: &[Table], name: &str| all.iter().find(|table| table.name == name).map(|table| table.rows);
    let compared = recorded.iter().filter_map(|table| match (table.rows, rows(restored, &table.name)) {
        (_, None) => Some(format!("table {} is missing in the restored file", table.name)),
        (Some(dumped), Some(Some(found))) if dumped != found => Some(format!(
            "table {} has {} rows, {} were backed up",
            table.name,
            human_count(found),
            human_count(dumped)
        )),
        _ => None,
    });
    let new = restored.iter().filter(|table| rows(&recorded, &table.name).is_none());
    compared.chain(new.map(|table| format!("table {} was not in the archive", table.name))).collect()
}

/// A finding if they are not the same. Backups of versions that did not count them leave nothing to compare with.
pub fn large_objects(recorded: Option<&LargeObjectFacts>, restored: &LargeObjectFacts) -> Option<String> {
    let recorded = recorded?;
    let told = |facts: &LargeObjectFacts| {
        format!("{} large objects of {}", human_count(facts.count), human_bytes(facts.raw_bytes.0))
    };
    match () {
        () if recorded == restored => None,
        () if (recorded.count, recorded.raw_bytes) == (restored.count, restored.raw_bytes) => {
            Some(format!("bytes of the {} are not those that were dumped", told(recorded)))
        }
        () => Some(format!("{} came back, {} were dumped", told(restored), told(recorded))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::RowDigest;
    use crate::units::RawBytes;

    #[test]
    fn every_difference_names_its_table() {
        let table = |name: &str, rows: u64, digest: &str| TableFacts {
            schema: "public".into(),
            name: name.into(),
            rows,
            raw_bytes: RawBytes(0),
            digest: serde_json::from_value::<RowDigest>(digest.into()).unwrap(),
        };
        let (one, other) = ("0".repeat(32), format!("{}1", "0".repeat(31)));
        let recorded =
            [table("same", 1, &one), table("fewer", 1200, &one), table("altered", 2, &one), table("gone", 0, &one)];
        let restored =
            [table("new", 0, &one), table("altered", 2, &other), table("fewer", 3, &one), table("same", 1, &one)];
        assert_eq!(
            tables(&recorded, &restored),
            [
                "table public.fewer has 3 rows, 1,200 were dumped",
                "rows of table public.altered are not those that were dumped",
                "table public.gone is missing in the restored database",
                "table public.new was not in the archive",
            ]
        );
        assert!(tables(&recorded, &recorded).is_empty());
    }
}
