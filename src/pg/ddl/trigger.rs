//! Triggers, and whether they fire.

use std::fmt::Write;

use crate::ident::Ident;
use crate::pg::catalog::relation::Relation;
use crate::pg::catalog::trigger::Trigger;
use crate::pg::ddl::table::alter;

pub fn create(trigger: &Trigger, table: &Relation) -> String {
    let (name, of) = (Ident::new(trigger.name.as_str()), table.qualified());
    let mut sql = String::new();
    if let Some(definition) = &trigger.definition {
        let _ = writeln!(sql, "{definition};");
    }
    // A partition's copy is made enabled, whatever its parent's state is.
    if trigger.enabled != 'O' || trigger.definition.is_none() {
        let _ = writeln!(sql, "{} {of} {} TRIGGER {name};", alter(table), state(trigger.enabled));
    }
    for extension in &trigger.extensions {
        let _ = writeln!(sql, "ALTER TRIGGER {name} ON {of} DEPENDS ON EXTENSION {};", Ident::new(extension.as_str()));
    }
    sql
}

/// The words for `tgenabled`, `ev_enabled`, `evtenabled`.
pub fn state(enabled: char) -> &'static str {
    match enabled {
        'D' => "DISABLE",
        'R' => "ENABLE REPLICA",
        'A' => "ENABLE ALWAYS",
        _ => "ENABLE",
    }
}
