//! Rewrite rules, and whether they fire.

use std::fmt::Write;

use crate::ident::Ident;
use crate::pg::catalog::relation::Relation;
use crate::pg::catalog::rule::Rule;
use crate::pg::ddl::trigger::state;

pub fn create(rule: &Rule, definition: &str, relation: &Relation) -> String {
    let mut sql = format!("{definition};\n");
    if rule.enabled != 'O' {
        let name = Ident::new(rule.name.as_str());
        let _ = writeln!(sql, "ALTER TABLE {} {} RULE {name};", relation.qualified(), state(rule.enabled));
    }
    sql
}
