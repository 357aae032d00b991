//! Extended statistics objects.

use std::fmt::Write;

use crate::ident::QualifiedName;
use crate::pg::catalog::statistics::Statistics;

pub fn create(statistics: &Statistics) -> String {
    let mut sql = format!("{};\n", statistics.definition);
    if let Some(target) = statistics.target.filter(|target| *target >= 0) {
        let schema = statistics.base.schema.as_deref().unwrap_or_default();
        let name = QualifiedName::new(schema, statistics.base.name.as_str());
        let _ = writeln!(sql, "ALTER STATISTICS {name} SET STATISTICS {target};");
    }
    sql
}
