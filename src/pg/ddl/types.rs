//! CREATE TYPE and CREATE DOMAIN. A type can be announced as a shell first, and a domain's constraints can follow
//! on their own, for objects that need each other.

use crate::error::Result;
use crate::ident::{Ident, Literal};
use crate::pg::catalog::comment::Notes;
use crate::pg::catalog::object::ObjectId;
use crate::pg::catalog::types::{Attribute, BaseType, Default, Domain, DomainConstraint, Range, Type, TypeKind};
use crate::pg::ddl::acl::{self, AclKind};
use crate::pg::ddl::comment;
use crate::pg::ddl::text::{self, full_name};

pub fn identity(ty: &Type) -> String {
    let word = if matches!(ty.kind, TypeKind::Domain(_)) { "DOMAIN" } else { "TYPE" };
    format!("{word} {}", full_name(&ty.base))
}

/// `CREATE TYPE x;`: announces a type whose functions must be made before it.
pub fn shell(ty: &Type) -> String {
    format!("CREATE TYPE {};\n", full_name(&ty.base))
}

/// A domain is made without the constraints in `apart` and without those that are not validated.
pub fn create(ty: &Type, apart: &[ObjectId]) -> String {
    let name = full_name(&ty.base);
    match &ty.kind {
        TypeKind::Shell => shell(ty),
        TypeKind::Enum { labels } => {
            format!("CREATE TYPE {name} AS ENUM ({});\n", list(labels.iter().map(|label| Literal(label).to_string())))
        }
        TypeKind::Composite(composite) => {
            format!("CREATE TYPE {name} AS ({});\n", list(composite.attributes.iter().map(attribute)))
        }
        TypeKind::Range(range) => format!("CREATE TYPE {name} AS RANGE ({});\n", range_clauses(range)),
        TypeKind::Base(base) => format!("CREATE TYPE {name} ({});\n", base_clauses(base)),
        TypeKind::Domain(domain) => {
            let constraints = domain_constraints(ty, domain, apart);
            format!("CREATE DOMAIN {name} AS {}{};\n", domain_head(domain), constraints)
        }
    }
}

/// One domain constraint on its own.
pub fn add_constraint(ty: &Type, constraint: &DomainConstraint) -> String {
    let name = Ident::new(constraint.name.as_str());
    format!("ALTER DOMAIN {} ADD CONSTRAINT {name} {};\n", full_name(&ty.base), constraint.definition)
}

pub fn constraint_identity(ty: &Type, constraint: &DomainConstraint) -> String {
    format!("CONSTRAINT {} ON DOMAIN {}", Ident::new(constraint.name.as_str()), full_name(&ty.base))
}

pub fn alter_owner(ty: &Type) -> String {
    text::alter_owner(&identity(ty), &ty.base)
}

pub fn acl(ty: &Type) -> Result<String> {
    acl::of_object(&ty.base, AclKind::Type, &full_name(&ty.base))
}

/// Comments and labels of the type and, for a composite one, of its attributes.
pub fn notes(ty: &Type, notes: &Notes) -> String {
    let mut out = comment::notes(notes, ty.base.id, 0, &identity(ty));
    if let TypeKind::Composite(composite) = &ty.kind {
        for attribute in &composite.attributes {
            let on = format!("COLUMN {}.{}", full_name(&ty.base), Ident::new(attribute.name.as_str()));
            out.push_str(&comment::notes(notes, composite.relation, i32::from(attribute.number), &on));
        }
    }
    out
}

/// One clause a line, so that a difference between two archives is a line.
fn list(clauses: impl IntoIterator<Item = String>) -> String {
    let clauses: Vec<String> = clauses.into_iter().map(|clause| format!("\n    {clause}")).collect();
    if clauses.is_empty() { String::new() } else { clauses.join(",") + "\n" }
}

fn attribute(attribute: &Attribute) -> String {
    let collate = attribute.collation.as_ref().map(|name| format!(" COLLATE {name}")).unwrap_or_default();
    format!("{} {}{collate}", Ident::new(attribute.name.as_str()), attribute.data_type)
}

fn range_clauses(range: &Range) -> String {
    let clauses = [
        ("SUBTYPE", Some(&range.subtype)),
        ("MULTIRANGE_TYPE_NAME", range.multirange.as_ref()),
        ("SUBTYPE_OPCLASS", range.operator_class.as_ref()),
        ("COLLATION", range.collation.as_ref()),
        ("CANONICAL", range.canonical.as_ref()),
        ("SUBTYPE_DIFF", range.subtype_diff.as_ref()),
    ];
    list(clauses.into_iter().filter_map(|(word, value)| Some(format!("{word} = {}", value?))))
}

fn base_clauses(base: &BaseType) -> String {
    let length = if base.length < 0 { "VARIABLE".to_owned() } else { base.length.to_string() };
    let mut clauses = vec![
        format!("INTERNALLENGTH = {length}"),
        format!("INPUT = {}", base.input),
        format!("OUTPUT = {}", base.output),
    ];
    clauses.extend(base.functions.iter().map(|(word, name)| format!("{word} = {name}")));
    if base.collatable {
        clauses.push("COLLATABLE = true".to_owned());
    }
    if let Some(default) = &base.default {
        clauses.push(format!("DEFAULT = {}", default_value(default)));
    }
    clauses.extend(base.element.as_ref().map(|element| format!("ELEMENT = {element}")));
    if base.category != 'U' {
        clauses.push(format!("CATEGORY = {}", Literal(&base.category.to_string())));
    }
    if base.preferred {
        clauses.push("PREFERRED = true".to_owned());
    }
    if base.delimiter != ',' {
        clauses.push(format!("DELIMITER = {}", Literal(&base.delimiter.to_string())));
    }
    let alignment = match base.alignment {
        'c' => "char",
        's' => "int2",
        'd' => "double",
        _ => "int4",
    };
    let storage = match base.storage {
        'e' => "external",
        'x' => "extended",
        'm' => "main",
        _ => "plain",
    };
    clauses.push(format!("ALIGNMENT = {alignment}"));
    clauses.push(format!("STORAGE = {storage}"));
    if base.by_value {
        clauses.push("PASSEDBYVALUE".to_owned());
    }
    list(clauses)
}

fn default_value(default: &Default) -> String {
    match default {
        Default::Expression(expression) => expression.clone(),
        Default::Literal(value) => Literal(value).to_string(),
    }
}

fn domain_head(domain: &Domain) -> String {
    let mut head = domain.of.clone();
    if let Some(collation) = &domain.collation {
        head.push_str(&format!(" COLLATE {collation}"));
    }
    if domain.not_null {
        head.push_str(" NOT NULL");
    }
    if let Some(default) = &domain.default {
        head.push_str(&format!(" DEFAULT {}", default_value(default)));
    }
    head
}

fn domain_constraints(ty: &Type, domain: &Domain, apart: &[ObjectId]) -> String {
    let mut out = String::new();
    for constraint in domain.constraints.iter().filter(|one| one.validated && !apart.contains(&one.id)) {
        // Majors without names for NOT NULL would still take this one; its default name is left to the server.
        if constraint.is_not_null && constraint.name == format!("{}_not_null", ty.base.name) {
            out.push_str(" NOT NULL");
        } else {
            let name = Ident::new(constraint.name.as_str());
            out.push_str(&format!("\n    CONSTRAINT {name} {}", constraint.definition));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::catalog::types::Composite;
    use crate::pg::ddl::testing::base;

    fn ty(kind: TypeKind) -> Type {
        Type { base: base(class::PG_TYPE, Some("s"), "t"), kind }
    }

    #[test]
    fn enums_and_composites() {
        let labels = vec!["a'b".to_owned(), "再".to_owned()];
        assert_eq!(
            create(&ty(TypeKind::Enum { labels }), &[]),
            "CREATE TYPE \"s\".\"t\" AS ENUM (\n    'a''b',\n    '再'\n);\n"
        );
        assert_eq!(create(&ty(TypeKind::Enum { labels: vec![] }), &[]), "CREATE TYPE \"s\".\"t\" AS ENUM ();\n");
        assert_eq!(
            create(&ty(TypeKind::Composite(composite())), &[]),
            "CREATE TYPE \"s\".\"t\" AS (\n    \"x\" text COLLATE pg_catalog.\"C\",\n    \"y\" numeric(12,6)\n);\n"
        );
        assert_eq!(create(&ty(TypeKind::Shell), &[]), "CREATE TYPE \"s\".\"t\";\n");
    }

    fn composite() -> Composite {
        let attribute = |number, name: &str, data_type: &str, collation: Option<&str>| Attribute {
            number,
            name: name.into(),
            data_type: data_type.into(),
            collation: collation.map(str::to_owned),
        };
        Composite {
            relation: ObjectId::new(class::PG_CLASS, 1),
            attributes: vec![
                attribute(1, "x", "text", Some("pg_catalog.\"C\"")),
                attribute(3, "y", "numeric(12,6)", None),
            ],
        }
    }

    fn constraint(oid: u32, name: &str, definition: &str) -> DomainConstraint {
        DomainConstraint {
            id: ObjectId::new(class::PG_CONSTRAINT, oid),
            name: name.into(),
            is_not_null: definition.starts_with("NOT NULL"),
            validated: !definition.ends_with("NOT VALID"),
            definition: definition.into(),
        }
    }

    #[test]
    fn domain_constraints_can_stand_apart() {
        let domain = ty(TypeKind::Domain(Domain {
            of: "text".into(),
            collation: Some("pg_catalog.\"C\"".into()),
            default: Some(Default::Expression("'x'::text".into())),
            not_null: false,
            constraints: vec![
                constraint(1, "a", "CHECK (VALUE <> ''::text)"),
                constraint(2, "b", "CHECK (f(VALUE))"),
                constraint(3, "c", "CHECK (g(VALUE)) NOT VALID"),
                constraint(4, "t_not_null", "NOT NULL"),
            ],
        }));
        let TypeKind::Domain(inner) = &domain.kind else { panic!() };
        let apart = inner.constraints[1].id;
        assert_eq!(
            create(&domain, &[apart]),
            "CREATE DOMAIN \"s\".\"t\" AS text COLLATE pg_catalog.\"C\" DEFAULT 'x'::text\n    \
             CONSTRAINT \"a\" CHECK (VALUE <> ''::text) NOT NULL;\n"
        );
        assert_eq!(
            add_constraint(&domain, &inner.constraints[2]),
            "ALTER DOMAIN \"s\".\"t\" ADD CONSTRAINT \"c\" CHECK (g(VALUE)) NOT VALID;\n"
        );
        assert_eq!(identity(&domain), "DOMAIN \"s\".\"t\"");
        assert_eq!(constraint_identity(&domain, &inner.constraints[0]), "CONSTRAINT \"a\" ON DOMAIN \"s\".\"t\"");
    }

    #[test]
    fn base_types_spell_out_how_they_are_stored() {
        let base = BaseType {
            length: -1,
            input: "s.in".into(),
            output: "s.out".into(),
            functions: vec![("RECEIVE", "s.recv".into()), ("SUBSCRIPT", "s.sub".into())],
            collatable: true,
            default: Some(Default::Literal("it's".into())),
            element: Some("integer".into()),
            category: 'S',
            preferred: true,
            delimiter: ';',
            alignment: 'd',
            storage: 'x',
            by_value: false,
        };
        let text = create(&ty(TypeKind::Base(Box::new(base))), &[]);
        for clause in [
            "INTERNALLENGTH = VARIABLE,",
            "INPUT = s.in,",
            "RECEIVE = s.recv,",
            "SUBSCRIPT = s.sub,",
            "COLLATABLE = true,",
            "DEFAULT = 'it''s',",
            "ELEMENT = integer,",
            "CATEGORY = 'S',",
            "PREFERRED = true,",
            "DELIMITER = ';',",
            "ALIGNMENT = double,",
            "STORAGE = extended\n",
        ] {
            assert!(text.contains(clause), "{clause} is not in {text}");
        }
    }
}
