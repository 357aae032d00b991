//! Row security policies.

use std::fmt::Write;

use crate::ident::Ident;
use crate::pg::catalog::policy::Policy;
use crate::pg::catalog::relation::Relation;

pub fn create(policy: &Policy, table: &Relation) -> String {
    let mut sql = format!("CREATE POLICY {} ON {}", Ident::new(policy.name.as_str()), table.qualified());
    if !policy.permissive {
        sql.push_str(" AS RESTRICTIVE");
    }
    sql.push_str(match policy.command {
        'r' => " FOR SELECT",
        'a' => " FOR INSERT",
        'w' => " FOR UPDATE",
        'd' => " FOR DELETE",
        _ => "",
    });
    if let Some(roles) = &policy.roles {
        let roles: Vec<String> = roles.iter().map(|role| Ident::new(role.as_str()).to_string()).collect();
        let _ = write!(sql, " TO {}", roles.join(", "));
    }
    if let Some(using) = &policy.using {
        let _ = write!(sql, " USING ({using})");
    }
    if let Some(check) = &policy.check {
        let _ = write!(sql, " WITH CHECK ({check})");
    }
    sql.push_str(";\n");
    sql
}
