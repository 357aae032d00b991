//! CREATE EVENT TRIGGER: the last thing of a restore, or it would fire on the rest of it.

use crate::ident::{Ident, Literal};
use crate::pg::catalog::event_trigger::EventTrigger;
use crate::pg::ddl::text;

pub fn identity(trigger: &EventTrigger) -> String {
    format!("EVENT TRIGGER {}", Ident::new(trigger.base.name.as_str()))
}

pub fn create(trigger: &EventTrigger) -> String {
    let on = identity(trigger);
    let mut sql = format!("CREATE {on} ON {}", Ident::new(trigger.event.as_str()));
    if !trigger.tags.is_empty() {
        let tags: Vec<String> = trigger.tags.iter().map(|tag| Literal(tag).to_string()).collect();
        sql.push_str(&format!(" WHEN TAG IN ({})", tags.join(", ")));
    }
    sql.push_str(&format!(" EXECUTE FUNCTION {}();\n", trigger.function));
    let state = match trigger.enabled {
        'D' => "DISABLE",
        'R' => "ENABLE REPLICA",
        'A' => "ENABLE ALWAYS",
        _ => return sql,
    };
    sql + &format!("ALTER {on} {state};\n")
}

pub fn alter_owner(trigger: &EventTrigger) -> String {
    text::alter_owner(&identity(trigger), &trigger.base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn tags_and_states() {
        let mut trigger = EventTrigger {
            base: base(class::PG_EVENT_TRIGGER, None, "e"),
            event: "ddl_command_end".into(),
            tags: vec!["CREATE TABLE".into(), "DROP TABLE".into()],
            function: "s.f".into(),
            enabled: 'A',
        };
        assert_eq!(
            create(&trigger),
            "CREATE EVENT TRIGGER \"e\" ON \"ddl_command_end\" WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') \
             EXECUTE FUNCTION s.f();\nALTER EVENT TRIGGER \"e\" ENABLE ALWAYS;\n"
        );
        (trigger.tags, trigger.enabled) = (Vec::new(), 'O');
        assert_eq!(create(&trigger), "CREATE EVENT TRIGGER \"e\" ON \"ddl_command_end\" EXECUTE FUNCTION s.f();\n");
    }
}
