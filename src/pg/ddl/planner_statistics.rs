//! Planner statistics as a statement: `pg_restore_relation_stats`, `pg_restore_attribute_stats`.
//!
//! Servers that lack the functions pass the statement over, and so do those whose functions read a value of a
//! multirange wrongly (CVE-2026-16238): there ANALYZE finds out again what is lost.

use std::fmt::Write;

use crate::ident::Literal;
use crate::pg::catalog::planner_statistics::{Argument, RelationStatistics, StatisticsColumn};
use crate::pg::ddl::text::dollar_quoted;
use crate::pg::version::{FIRST_TO_TAKE_STATISTICS, ServerVersion};

/// `source` is the server that they come from: a later one may have to read them differently.
pub fn restore(one: &RelationStatistics, source: ServerVersion) -> String {
    let mut body = format!(
        "BEGIN\nIF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= {FIRST_TO_TAKE_STATISTICS} THEN\n"
    );
    let relation = format!(
        "'version', {}::pg_catalog.int4, 'schemaname', {}, 'relname', {}",
        source.num(),
        Literal(&one.schema),
        Literal(&one.name)
    );
    call(&mut body, "pg_restore_relation_stats", &relation, &one.known);
    for column in &one.columns {
        let column_of = match &column.column {
            StatisticsColumn::Name(name) => format!("{relation}, 'attname', {}", Literal(name)),
            StatisticsColumn::Number(number) => format!("{relation}, 'attnum', {number}::pg_catalog.int2"),
        };
        call(&mut body, "pg_restore_attribute_stats", &column_of, &column.known);
    }
    body.push_str("END IF;\nEND");
    format!("DO {};\n", dollar_quoted(&body))
}

fn call(body: &mut String, function: &str, first: &str, known: &[Argument]) {
    let _ = write!(body, "PERFORM pg_catalog.{function}({first}");
    for Argument { name, value, type_name } in known {
        let _ = write!(body, ", '{name}', {}::pg_catalog.{type_name}", Literal(value));
    }
    body.push_str(");\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::planner_statistics::ColumnStatistics;
    use crate::script::check_single_statement;

    #[test]
    fn values_cannot_leave_their_literals() {
        let known =
            |value: &str| vec![Argument { name: "most_common_vals", value: value.to_owned(), type_name: "text" }];
        let one = RelationStatistics {
            oid: 1,
            schema: "s".to_owned(),
            name: "it's".to_owned(),
            known: Vec::new(),
            columns: vec![ColumnStatistics {
                column: StatisticsColumn::Number(2),
                known: known("{$$'; DROP TABLE x}"),
            }],
        };
        let sql = restore(&one, ServerVersion::from_num(180_006));
        assert!(sql.contains("'relname', 'it''s'") && sql.contains("'attnum', 2::pg_catalog.int2"), "{sql}");
        assert!(sql.contains("'most_common_vals', '{$$''; DROP TABLE x}'::pg_catalog.text"), "{sql}");
        assert!(!sql.starts_with("DO $$"), "the quotes must not occur in what they quote: {sql}");
        check_single_statement(sql.trim_end().trim_end_matches(';'), &["DO"]).unwrap();
    }
}
