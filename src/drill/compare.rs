//! Table by table: what the archive recorded at the dump against what the restored database gives back.

use std::collections::BTreeMap;

use crate::manifest::TableFacts;
use crate::units::human_count;

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
