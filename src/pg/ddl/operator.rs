//! CREATE OPERATOR. An operator's own name is made of symbols and is never quoted.

use crate::ident::Ident;
use crate::pg::catalog::operator::Operator;
use crate::pg::ddl::text;

fn name(operator: &Operator) -> String {
    let schema = Ident::new(operator.base.schema.as_deref().unwrap_or_default());
    format!("{schema}.{}", operator.base.name)
}

pub fn identity(operator: &Operator) -> String {
    let left = operator.left.as_deref().unwrap_or("NONE");
    let right = operator.right.as_deref().unwrap_or("NONE");
    format!("OPERATOR {} ({left}, {right})", name(operator))
}

pub fn create(operator: &Operator) -> String {
    let mut clauses = vec![format!("FUNCTION = {}", operator.function)];
    let values = [
        ("LEFTARG", &operator.left),
        ("RIGHTARG", &operator.right),
        ("COMMUTATOR", &operator.commutator),
        ("NEGATOR", &operator.negator),
        ("RESTRICT", &operator.restrict),
        ("JOIN", &operator.join),
    ];
    for (word, value) in values {
        clauses.extend(value.as_ref().map(|value| format!("{word} = {value}")));
    }
    if operator.merges {
        clauses.push("MERGES".to_owned());
    }
    if operator.hashes {
        clauses.push("HASHES".to_owned());
    }
    format!("CREATE OPERATOR {} (\n    {}\n);\n", name(operator), clauses.join(",\n    "))
}

pub fn alter_owner(operator: &Operator) -> String {
    text::alter_owner(&identity(operator), &operator.base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::ddl::testing::base;

    #[test]
    fn a_prefix_operator_has_no_left_side() {
        let operator = Operator {
            base: base(class::PG_OPERATOR, Some("s"), "<<<"),
            left: None,
            right: Some("s.t".into()),
            function: "s.less".into(),
            commutator: Some("OPERATOR(s.>>>)".into()),
            negator: None,
            merges: true,
            hashes: true,
            restrict: Some("scalarltsel".into()),
            join: None,
        };
        assert_eq!(identity(&operator), "OPERATOR \"s\".<<< (NONE, s.t)");
        assert_eq!(
            create(&operator).replace("\n    ", " "),
            "CREATE OPERATOR \"s\".<<< ( FUNCTION = s.less, RIGHTARG = s.t, COMMUTATOR = OPERATOR(s.>>>), \
             RESTRICT = scalarltsel, MERGES, HASHES\n);\n"
        );
    }
}
