//! CREATE OPERATOR FAMILY and CLASS. A class always names its family, or it would make one of its own name.

use crate::ident::Ident;
use crate::pg::catalog::object::Base;
use crate::pg::catalog::operator_class::{Member, OperatorClass, OperatorFamily};
use crate::pg::ddl::text::{self, full_name};

fn using(word: &str, base: &Base, access_method: &str) -> String {
    format!("OPERATOR {word} {} USING {}", full_name(base), Ident::new(access_method))
}

pub fn class_identity(class: &OperatorClass) -> String {
    using("CLASS", &class.base, &class.access_method)
}

pub fn family_identity(family: &OperatorFamily) -> String {
    using("FAMILY", &family.base, &family.access_method)
}

pub fn create_class(class: &OperatorClass) -> String {
    let default = if class.is_default { "DEFAULT " } else { "" };
    let mut items: Vec<String> = class.storage.iter().map(|storage| format!("STORAGE {storage}")).collect();
    items.extend(class.members.iter().map(member));
    if items.is_empty() {
        // The syntax wants something: this says what holds anyway.
        items.push(format!("STORAGE {}", class.data_type));
    }
    format!(
        "CREATE OPERATOR CLASS {}\n    {default}FOR TYPE {} USING {} FAMILY {} AS\n    {};\n",
        full_name(&class.base),
        class.data_type,
        Ident::new(class.access_method.as_str()),
        class.family,
        items.join(",\n    ")
    )
}

/// Without members.
pub fn create_family(family: &OperatorFamily) -> String {
    format!("CREATE {};\n", family_identity(family))
}

/// The members that belong to no class.
pub fn add_members(family: &OperatorFamily) -> String {
    if family.members.is_empty() {
        return String::new();
    }
    let items: Vec<String> = family.members.iter().map(member).collect();
    format!("ALTER {} ADD\n    {};\n", family_identity(family), items.join(",\n    "))
}

fn member(member: &Member) -> String {
    match member {
        Member::Operator { strategy, operator, order_by } => {
            let order = order_by.as_ref().map(|family| format!(" FOR ORDER BY {family}")).unwrap_or_default();
            format!("OPERATOR {strategy} {operator}{order}")
        }
        Member::Function { number, left, right, function } => {
            format!("FUNCTION {number} ({left}, {right}) {function}")
        }
    }
}

pub fn alter_class_owner(class: &OperatorClass) -> String {
    text::alter_owner(&class_identity(class), &class.base)
}

pub fn alter_family_owner(family: &OperatorFamily) -> String {
    text::alter_owner(&family_identity(family), &family.base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn classes_and_families() {
        let members = vec![
            Member::Operator { strategy: 1, operator: "s.<(s.t,s.t)".into(), order_by: None },
            Member::Operator {
                strategy: 15,
                operator: "<->(point,point)".into(),
                order_by: Some("pg_catalog.float_ops".into()),
            },
            Member::Function { number: 1, left: "s.t".into(), right: "s.t".into(), function: "s.cmp(s.t,s.t)".into() },
        ];
        let mut one = OperatorClass {
            base: base(class::PG_OPCLASS, Some("s"), "c"),
            access_method: "btree".into(),
            is_default: true,
            data_type: "s.t".into(),
            family: "s.f".into(),
            storage: None,
            members: members.clone(),
        };
        assert_eq!(
            create_class(&one),
            "CREATE OPERATOR CLASS \"s\".\"c\"\n    DEFAULT FOR TYPE s.t USING \"btree\" FAMILY s.f AS\n    \
             OPERATOR 1 s.<(s.t,s.t),\n    OPERATOR 15 <->(point,point) FOR ORDER BY pg_catalog.float_ops,\n    \
             FUNCTION 1 (s.t, s.t) s.cmp(s.t,s.t);\n"
        );
        one.members.clear();
        assert!(create_class(&one).ends_with("AS\n    STORAGE s.t;\n"));
        let family =
            OperatorFamily { base: base(class::PG_OPFAMILY, Some("s"), "f"), access_method: "btree".into(), members };
        assert_eq!(create_family(&family), "CREATE OPERATOR FAMILY \"s\".\"f\" USING \"btree\";\n");
        assert!(
            add_members(&family)
                .starts_with("ALTER OPERATOR FAMILY \"s\".\"f\" USING \"btree\" ADD\n    OPERATOR 1 s.<(s.t,s.t),")
        );
        assert_eq!(
            alter_family_owner(&family),
            "ALTER OPERATOR FAMILY \"s\".\"f\" USING \"btree\" OWNER TO \"own\";\n"
        );
    }
}
