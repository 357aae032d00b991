//! CREATE AGGREGATE.

use crate::error::Result;
use crate::ident::Literal;
use crate::pg::catalog::aggregate::{Aggregate, AggregateKind, Transition};
use crate::pg::ddl::acl::{self, AclKind};
use crate::pg::ddl::text::{self, full_name};

/// An aggregate without arguments is written `(*)`, except in GRANT.
fn starred(arguments: &str) -> &str {
    if arguments.is_empty() { "*" } else { arguments }
}

pub fn identity(aggregate: &Aggregate) -> String {
    format!("AGGREGATE {}({})", full_name(&aggregate.base), starred(&aggregate.identity_arguments))
}

/// pg_dump's name for it in its table of contents.
pub fn tag(aggregate: &Aggregate) -> String {
    format!("{}({})", aggregate.base.name, starred(&aggregate.argument_types.join(", ")))
}

pub fn create(aggregate: &Aggregate) -> String {
    let mut clauses = transition(&aggregate.transition, aggregate.kind, "");
    let functions = [
        ("COMBINEFUNC", &aggregate.combine),
        ("SERIALFUNC", &aggregate.serialize),
        ("DESERIALFUNC", &aggregate.deserialize),
        ("MINVFUNC", &aggregate.inverse),
    ];
    for (word, name) in functions {
        clauses.extend(name.as_ref().map(|name| format!("{word} = {name}")));
    }
    if let Some(moving) = &aggregate.moving {
        clauses.extend(transition(moving, aggregate.kind, "M"));
    }
    clauses.extend(aggregate.sort_operator.as_ref().map(|operator| format!("SORTOP = {operator}")));
    if aggregate.kind == AggregateKind::Hypothetical {
        clauses.push("HYPOTHETICAL".to_owned());
    }
    match aggregate.parallel {
        's' => clauses.push("PARALLEL = SAFE".to_owned()),
        'r' => clauses.push("PARALLEL = RESTRICTED".to_owned()),
        _ => {}
    }
    let name = full_name(&aggregate.base);
    format!("CREATE AGGREGATE {name}({}) (\n    {}\n);\n", starred(&aggregate.arguments), clauses.join(",\n    "))
}

fn transition(one: &Transition, kind: AggregateKind, m: &str) -> Vec<String> {
    let mut clauses = vec![format!("{m}SFUNC = {}", one.function), format!("{m}STYPE = {}", one.state_type)];
    if one.space != 0 {
        clauses.push(format!("{m}SSPACE = {}", one.space));
    }
    if let Some(initial) = &one.initial {
        clauses.push(format!("{m}INITCOND = {}", Literal(initial)));
    }
    if let Some(last) = &one.last {
        clauses.push(format!("{m}FINALFUNC = {last}"));
        if one.last_extra {
            clauses.push(format!("{m}FINALFUNC_EXTRA"));
        }
        let usual = if kind == AggregateKind::Normal { 'r' } else { 'w' };
        let modify = match one.last_modify {
            'r' => "READ_ONLY",
            's' => "SHAREABLE",
            _ => "READ_WRITE",
        };
        if one.last_modify != usual {
            clauses.push(format!("{m}FINALFUNC_MODIFY = {modify}"));
        }
    }
    clauses
}

pub fn alter_owner(aggregate: &Aggregate) -> String {
    text::alter_owner(&identity(aggregate), &aggregate.base)
}

pub fn acl(aggregate: &Aggregate) -> Result<String> {
    let name = format!("{}({})", full_name(&aggregate.base), aggregate.identity_arguments);
    acl::of_object(&aggregate.base, AclKind::Function, &name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn every_clause_is_written() {
        let plain = Transition {
            function: "s.add".into(),
            state_type: "text".into(),
            space: 64,
            initial: Some("it's:".into()),
            last: Some("s.fin".into()),
            last_extra: true,
            last_modify: 's',
        };
        let moving = Transition { space: 0, initial: None, last: None, last_extra: false, ..plain.clone() };
        let mut aggregate = Aggregate {
            base: base(class::PG_PROC, Some("s"), "all"),
            arguments: String::new(),
            identity_arguments: String::new(),
            argument_types: Vec::new(),
            kind: AggregateKind::Normal,
            transition: plain,
            moving: Some(moving),
            combine: Some("s.comb".into()),
            serialize: None,
            deserialize: None,
            inverse: Some("s.inv".into()),
            sort_operator: Some("OPERATOR(pg_catalog.<)".into()),
            parallel: 's',
        };
        assert_eq!(
            create(&aggregate).replace("\n    ", " "),
            "CREATE AGGREGATE \"s\".\"all\"(*) ( SFUNC = s.add, STYPE = text, SSPACE = 64, INITCOND = 'it''s:', \
             FINALFUNC = s.fin, FINALFUNC_EXTRA, FINALFUNC_MODIFY = SHAREABLE, COMBINEFUNC = s.comb, \
             MINVFUNC = s.inv, MSFUNC = s.add, MSTYPE = text, SORTOP = OPERATOR(pg_catalog.<), PARALLEL = SAFE\n);\n"
        );
        assert_eq!(identity(&aggregate), "AGGREGATE \"s\".\"all\"(*)");
        assert_eq!(tag(&aggregate), "all(*)");
        aggregate.base.default_acl = ["=X/own".into()].into();
        aggregate.base.acl = Some(Default::default());
        assert_eq!(acl(&aggregate).unwrap(), "REVOKE ALL ON FUNCTION \"s\".\"all\"() FROM PUBLIC;\n");
    }
}
