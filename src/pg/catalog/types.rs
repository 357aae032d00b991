//! Types that were made by CREATE TYPE or CREATE DOMAIN; row types of tables, array and multirange types come with
//! what they belong to and are not read.

use std::collections::HashMap;

use crate::error::{Error, Kind, Result};
use crate::pg::catalog::object::{Base, BaseColumns, ObjectId, class};
use crate::pg::session::{Row, Session};
use crate::pg::version::{Capability, ServerVersion};

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Type {
    pub base: Base,
    pub kind: TypeKind,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TypeKind {
    Base(Box<BaseType>),
    Composite(Composite),
    Enum {
        labels: Vec<String>,
    },
    Range(Range),
    Domain(Domain),
    /// Announced and never defined.
    Shell,
}

/// Function names are as the server prints them: quoted, qualified unless in `pg_catalog`. None is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseType {
    pub length: i16,
    pub input: String,
    pub output: String,
    /// `RECEIVE`, `SEND`, `TYPMOD_IN`, `TYPMOD_OUT`, `ANALYZE`, `SUBSCRIPT` with their functions, where set.
    pub functions: Vec<(&'static str, String)>,
    pub collatable: bool,
    pub default: Option<Default>,
    pub element: Option<String>,
    pub category: char,
    pub preferred: bool,
    pub delimiter: char,
    pub alignment: char,
    pub storage: char,
    pub by_value: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Default {
    Expression(String),
    Literal(String),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Composite {
    /// The row in `pg_class` that comments on attributes belong to.
    pub relation: ObjectId,
    pub attributes: Vec<Attribute>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attribute {
    pub number: i16,
    pub name: String,
    pub data_type: String,
    /// Quoted, and only where it is not the type's own.
    pub collation: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Range {
    pub subtype: String,
    /// Quoted; where the server has multiranges.
    pub multirange: Option<String>,
    /// Quoted, and only where they are not the subtype's defaults.
    pub operator_class: Option<String>,
    pub collation: Option<String>,
    pub canonical: Option<String>,
    pub subtype_diff: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Domain {
    pub of: String,
    pub collation: Option<String>,
    pub default: Option<Default>,
    /// NOT NULL that is not in `constraints`: of majors where it has no name.
    pub not_null: bool,
    /// By name.
    pub constraints: Vec<DomainConstraint>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DomainConstraint {
    pub id: ObjectId,
    pub name: String,
    pub is_not_null: bool,
    pub validated: bool,
    /// `CHECK (…)` or `NOT NULL`, with NOT VALID where it is.
    pub definition: String,
}

const BASE: BaseColumns = BaseColumns {
    catalog: "pg_type",
    name: "typname",
    in_schema: true,
    owner: Some("typowner"),
    acl: Some(("typacl", "'T'")),
};

/// The user's types and those of the server and of extensions whose privileges were changed.
pub async fn load(session: &Session) -> Result<Vec<Type>> {
    let mut attributes = attributes(session).await?;
    let mut constraints = domain_constraints(session).await?;
    let mut ranges = ranges(session).await?;
    let mut types = Vec::new();
    for row in session.rows(&types_sql(session.version())).await? {
        let base = Base::read(&row, class::PG_TYPE)?;
        if (base.extension_member || base.in_system_schema) && (base.acl.is_none() || base.acl == base.init_acl) {
            continue;
        }
        let oid = base.id.oid;
        let kind = match (row.char("typtype")?, row.bool("typisdefined")?) {
            (_, false) => TypeKind::Shell,
            ('b', _) => TypeKind::Base(Box::new(base_type(&row)?)),
            ('e', _) => TypeKind::Enum { labels: row.text_array("labels")? },
            ('c', _) => {
                let relation = row.u32("typrelid")?;
                let attributes = attributes.remove(&relation).unwrap_or_default();
                TypeKind::Composite(Composite { relation: ObjectId::new(class::PG_CLASS, relation), attributes })
            }
            ('d', _) => TypeKind::Domain(domain(&row, constraints.remove(&oid).unwrap_or_default())?),
            ('r', _) => TypeKind::Range(ranges.remove(&oid).ok_or_else(|| vanished(&base))?),
            // The server's pseudo-types cannot be made, only granted.
            ('p', _) => continue,
            _ => {
                return Err(Error::new(
                    Kind::Unsupported,
                    format!("cannot read type {}: its kind is unknown", base.name),
                ));
            }
        };
        types.push(Type { base, kind });
    }
    Ok(types)
}

fn vanished(base: &Base) -> Error {
    Error::new(Kind::Source, format!("cannot read type {}: it is gone or half made", base.name))
}

fn types_sql(version: ServerVersion) -> String {
    let subscript = version.pick(Capability::Subscripting, "o.typsubscript::pg_catalog.text", "'-'");
    // NOT NULL has a name of its own on newer servers and then stands among the constraints.
    let not_null = version.pick(Capability::DomainNotNullConstraints, "false", "o.typnotnull");
    let base = BASE.sql();
    format!(
        "SELECT {base}, o.typtype, o.typisdefined, o.typrelid, o.typlen, o.typinput::pg_catalog.text, \
         o.typoutput::pg_catalog.text, o.typreceive::pg_catalog.text, o.typsend::pg_catalog.text, \
         o.typmodin::pg_catalog.text, o.typmodout::pg_catalog.text, o.typanalyze::pg_catalog.text, \
         {subscript} AS typsubscript, o.typcollation <> 0 AS collatable, o.typcategory, o.typispreferred, \
         o.typdelim, o.typalign, o.typstorage, o.typbyval, {not_null} AS not_null, o.typdefault, \
         pg_catalog.pg_get_expr(o.typdefaultbin, 'pg_catalog.pg_type'::pg_catalog.regclass) AS default_expression, \
         CASE WHEN o.typelem <> 0 THEN pg_catalog.format_type(o.typelem, NULL) END AS element, \
         pg_catalog.format_type(o.typbasetype, o.typtypmod) AS base_type, \
         (SELECT pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(c.collname) \
          FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace cn ON cn.oid = c.collnamespace \
          JOIN pg_catalog.pg_type b ON b.oid = o.typbasetype \
          WHERE c.oid = o.typcollation AND c.oid <> b.typcollation) AS collation, \
         ARRAY(SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = o.oid ORDER BY e.enumsortorder) AS labels \
         FROM pg_catalog.pg_type o JOIN pg_catalog.pg_namespace n ON n.oid = o.typnamespace \
         WHERE o.typtype <> 'm' AND n.nspname !~ '^(pg_toast|pg_temp|information_schema$)' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.oid = o.typelem AND e.typarray = o.oid) \
         AND (o.typrelid = 0 OR o.typrelid IN (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'c')) \
         ORDER BY n.nspname, o.typname"
    )
}

/// `-` is how the server prints no function.
pub(super) fn function(row: &Row, column: &str) -> Result<Option<String>> {
    Ok(Some(row.sql(column)?).filter(|name| name != "-"))
}

fn base_type(row: &Row) -> Result<BaseType> {
    let mut functions = Vec::new();
    for (clause, column) in [
        ("RECEIVE", "typreceive"),
        ("SEND", "typsend"),
        ("TYPMOD_IN", "typmodin"),
        ("TYPMOD_OUT", "typmodout"),
        ("ANALYZE", "typanalyze"),
        ("SUBSCRIPT", "typsubscript"),
    ] {
        functions.extend(function(row, column)?.map(|name| (clause, name)));
    }
    Ok(BaseType {
        length: row.i16("typlen")?,
        input: row.sql("typinput")?,
        output: row.sql("typoutput")?,
        functions,
        collatable: row.bool("collatable")?,
        default: default(row)?,
        element: row.opt_sql("element")?,
        category: row.char("typcategory")?,
        preferred: row.bool("typispreferred")?,
        delimiter: row.char("typdelim")?,
        alignment: row.char("typalign")?,
        storage: row.char("typstorage")?,
        by_value: row.bool("typbyval")?,
    })
}

fn default(row: &Row) -> Result<Option<Default>> {
    Ok(match row.opt_sql("default_expression")? {
        Some(expression) => Some(Default::Expression(expression)),
        None => row.opt_text("typdefault")?.map(Default::Literal),
    })
}

fn domain(row: &Row, constraints: Vec<DomainConstraint>) -> Result<Domain> {
    Ok(Domain {
        of: row.sql("base_type")?,
        collation: row.opt_sql("collation")?,
        default: default(row)?,
        not_null: row.bool("not_null")?,
        constraints,
    })
}

async fn attributes(session: &Session) -> Result<HashMap<u32, Vec<Attribute>>> {
    let sql = "SELECT a.attrelid, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) AS data_type, \
         (SELECT pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(l.collname) \
          FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace cn ON cn.oid = l.collnamespace \
          JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
          WHERE l.oid = a.attcollation AND l.oid <> t.typcollation) AS collation \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         WHERE c.relkind = 'c' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum";
    let mut found: HashMap<u32, Vec<Attribute>> = HashMap::new();
    for row in session.rows(sql).await? {
        found.entry(row.u32("attrelid")?).or_default().push(Attribute {
            number: row.i16("attnum")?,
            name: row.text("attname")?,
            data_type: row.sql("data_type")?,
            collation: row.opt_sql("collation")?,
        });
    }
    Ok(found)
}

async fn domain_constraints(session: &Session) -> Result<HashMap<u32, Vec<DomainConstraint>>> {
    let sql = "SELECT o.oid, o.contypid, o.conname, o.contype, o.convalidated, \
         pg_catalog.pg_get_constraintdef(o.oid) AS definition \
         FROM pg_catalog.pg_constraint o WHERE o.contypid <> 0 AND o.contype IN ('c', 'n') ORDER BY o.contypid, o.conname";
    let mut found: HashMap<u32, Vec<DomainConstraint>> = HashMap::new();
    for row in session.rows(sql).await? {
        found.entry(row.u32("contypid")?).or_default().push(DomainConstraint {
            id: ObjectId::new(class::PG_CONSTRAINT, row.u32("oid")?),
            name: row.text("conname")?,
            is_not_null: row.char("contype")? == 'n',
            validated: row.bool("convalidated")?,
            definition: row.sql("definition")?,
        });
    }
    Ok(found)
}

async fn ranges(session: &Session) -> Result<HashMap<u32, Range>> {
    let multirange = session.version().pick(
        Capability::Multiranges,
        "(SELECT pg_catalog.quote_ident(mn.nspname) || '.' || pg_catalog.quote_ident(m.typname) \
          FROM pg_catalog.pg_type m JOIN pg_catalog.pg_namespace mn ON mn.oid = m.typnamespace \
          WHERE m.oid = r.rngmultitypid)",
        "NULL::pg_catalog.text",
    );
    let sql = format!(
        "SELECT r.rngtypid, pg_catalog.format_type(r.rngsubtype, NULL) AS subtype, {multirange} AS multirange, \
         r.rngcanonical::pg_catalog.text, r.rngsubdiff::pg_catalog.text, \
         (SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.opcname) \
          FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_namespace n ON n.oid = c.opcnamespace \
          WHERE c.oid = r.rngsubopc AND NOT c.opcdefault) AS operator_class, \
         (SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(l.collname) \
          FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace \
          WHERE l.oid = r.rngcollation AND l.oid <> t.typcollation) AS collation \
         FROM pg_catalog.pg_range r JOIN pg_catalog.pg_type t ON t.oid = r.rngsubtype"
    );
    let mut found = HashMap::new();
    for row in session.rows(&sql).await? {
        let range = Range {
            subtype: row.sql("subtype")?,
            multirange: row.opt_sql("multirange")?,
            operator_class: row.opt_sql("operator_class")?,
            collation: row.opt_sql("collation")?,
            canonical: function(&row, "rngcanonical")?,
            subtype_diff: function(&row, "rngsubdiff")?,
        };
        found.insert(row.u32("rngtypid")?, range);
    }
    Ok(found)
}
