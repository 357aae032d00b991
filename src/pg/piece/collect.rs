//! Reads all kinds whose statements need nothing but themselves, and writes them.

use std::collections::{BTreeSet, HashMap};

use super::Piece;
use super::large_objects::LargeObjects;
use crate::error::Result;
use crate::pg::catalog::comment::Notes;
use crate::pg::catalog::object::Base;
use crate::pg::catalog::types::TypeKind;
use crate::pg::catalog::{
    Catalog, aggregate, cast, default_acl, extension, function, operator, publication, schema, types,
};
use crate::pg::ddl;
use crate::pg::filter::Switch;
use crate::pg::graph::NodeKind;
use crate::pg::selection::{Selection, Wanted};
use crate::pg::session::Session;
use crate::text::{List, Text};

mod rest;

#[derive(Debug, Default)]
pub struct Found {
    pub pieces: Vec<Piece>,
    /// `WHERE …` by configuration table or sequence of an extension.
    pub conditions: HashMap<u32, String>,
    /// Roles that statements name besides owners and those of privileges.
    pub roles: BTreeSet<String>,
    /// And what follows their bytes.
    pub large_objects: LargeObjects,
    pub warnings: Vec<String>,
}

/// By two sessions at once, or twice the same one: each kind is a short question, and there are thirty of them.
pub async fn collect(readers: (&Session, &Session), catalog: &Catalog) -> Result<Found> {
    let (mut found, rest) = tokio::try_join!(usual(readers.0, catalog), rest::load(readers.1, catalog))?;
    found.append(rest);
    Ok(found)
}

async fn usual(session: &Session, catalog: &Catalog) -> Result<Found> {
    let mut found = Found::default();
    let (notes, selection) = (&catalog.notes, &catalog.selection);
    found.add_schemas(schema::load(session).await?, catalog)?;
    found.add_extensions(extension::load(session).await?, catalog);
    found.add_types(types::load(session).await?, notes)?;
    found.add_functions(function::load(session).await?, notes)?;
    found.add_aggregates(aggregate::load(session).await?, notes)?;
    found.add_operators(operator::load(session).await?, notes);
    found.add_casts(cast::load(session).await?, notes);
    found.add_publications(session, catalog).await?;
    found.add_default_acls(default_acl::load(session).await?, selection)?;
    Ok(found)
}

/// The parts that differ from kind to kind; the rest comes from the base.
struct New {
    base: Base,
    node: NodeKind,
    kind: &'static str,
    tag: String,
    tie: String,
    identity: String,
    create: String,
}

impl New {
    fn named(base: &Base, node: NodeKind, kind: &'static str, identity: String, create: String) -> Self {
        New { base: base.clone(), node, kind, tag: base.name.to_string(), tie: String::new(), identity, create }
    }

    fn with(self, owner: String, notes: String, acl: String) -> Piece {
        let New { base, node, kind, tag, tie, identity, create } = self;
        let (of_type, parent, apart) = (None, None, false);
        Piece { base, node, tie, kind, tag, identity, create, owner, notes, acl, of_type, parent, apart }
    }
}

impl Found {
    /// What was found beside it, behind it: which loop of dependencies is repaired first follows the order.
    fn append(&mut self, other: Found) {
        let Found { pieces, conditions, roles, large_objects, warnings } = other;
        self.pieces.extend(pieces);
        self.conditions.extend(conditions);
        self.roles.extend(roles);
        // Only the rare kinds have them.
        self.large_objects = large_objects;
        self.warnings.extend(warnings);
    }

    fn add_schemas(&mut self, schemas: Vec<schema::Schema>, catalog: &Catalog) -> Result<()> {
        let notes = &catalog.notes;
        for one in schemas {
            let (identity, create) = (ddl::schema::identity(&one), ddl::schema::create(&one));
            let mut text = match catalog.selection.has(Switch::NoComments) {
                true => String::new(),
                false => ddl::schema::comment(&one, notes.comment(one.base.id, 0)),
            };
            for label in notes.labels(one.base.id, 0) {
                text.push_str(&ddl::comment::label(&identity, label));
            }
            let new = New::named(&one.base, NodeKind::Schema, "SCHEMA", identity, create);
            self.pieces.push(new.with(ddl::schema::alter_owner(&one), text, ddl::schema::acl(&one)?));
        }
        Ok(())
    }

    fn add_extensions(&mut self, extensions: Vec<extension::Extension>, catalog: &Catalog) {
        let is_in = |table: &extension::ConfigTable| {
            let relation = catalog.relation(table.relation);
            relation.is_some_and(|relation| catalog.selection.fills_configuration(relation))
        };
        for one in extensions {
            let (identity, create) = (ddl::extension::identity(&one), ddl::extension::create(&one));
            let text = ddl::comment::notes(&catalog.notes, one.base.id, 0, &identity);
            let new = New::named(&one.base, NodeKind::Extension, "EXTENSION", identity, create);
            self.pieces.push(new.with(String::new(), text, String::new()));
            for table in one.config_tables.into_iter().filter(is_in) {
                self.conditions.insert(table.relation, table.condition);
            }
        }
    }

    fn add_types(&mut self, all: Vec<types::Type>, notes: &Notes) -> Result<()> {
        for one in all {
            let kind = if matches!(one.kind, TypeKind::Domain(_)) { "DOMAIN" } else { "TYPE" };
            let (identity, create) = (ddl::types::identity(&one), ddl::types::create(&one, &[]));
            let text = ddl::types::notes(&one, notes);
            if let TypeKind::Domain(domain) = &one.kind {
                for constraint in &domain.constraints {
                    self.add_domain_constraint(&one, constraint, notes);
                }
            }
            let new = New::named(&one.base, NodeKind::Type, kind, identity, create);
            let mut piece = new.with(ddl::types::alter_owner(&one), text, ddl::types::acl(&one)?);
            piece.of_type = Some(one);
            self.pieces.push(piece);
        }
        Ok(())
    }

    fn add_domain_constraint(&mut self, domain: &types::Type, one: &types::DomainConstraint, notes: &Notes) {
        let identity = ddl::types::constraint_identity(domain, one);
        let text = ddl::comment::notes(notes, one.id, 0, &identity);
        let mut base = domain.base.clone();
        base.id = one.id;
        base.name = one.name.as_str().into();
        let kind = if one.is_not_null { "CONSTRAINT" } else { "CHECK CONSTRAINT" };
        let create = ddl::types::add_constraint(domain, one);
        let mut new = New::named(&base, NodeKind::DomainConstraint, kind, identity, create);
        new.tag = format!("{} {}", domain.base.name, one.name);
        let mut piece = new.with(String::new(), text, String::new());
        (piece.parent, piece.apart) = (Some(domain.base.id), !one.validated);
        self.pieces.push(piece);
    }

    fn add_functions(&mut self, functions: Vec<function::Function>, notes: &Notes) -> Result<()> {
        for one in functions {
            let is_procedure = one.kind == function::FunctionKind::Procedure;
            let kind = if is_procedure { "PROCEDURE" } else { "FUNCTION" };
            let (identity, create) = (ddl::function::identity(&one), ddl::function::create(&one)?);
            let text = ddl::comment::notes(notes, one.base.id, 0, &identity);
            let mut new = New::named(&one.base, NodeKind::Function, kind, identity, create);
            new.tag = ddl::function::tag(&one);
            new.tie = arguments(&one.argument_types);
            self.pieces.push(new.with(ddl::function::alter_owner(&one), text, ddl::function::acl(&one)?));
        }
        Ok(())
    }

    fn add_aggregates(&mut self, aggregates: Vec<aggregate::Aggregate>, notes: &Notes) -> Result<()> {
        for one in aggregates {
            let (identity, create) = (ddl::aggregate::identity(&one), ddl::aggregate::create(&one));
            let text = ddl::comment::notes(notes, one.base.id, 0, &identity);
            let mut new = New::named(&one.base, NodeKind::Aggregate, "AGGREGATE", identity, create);
            new.tag = ddl::aggregate::tag(&one);
            new.tie = arguments(&one.argument_types);
            self.pieces.push(new.with(ddl::aggregate::alter_owner(&one), text, ddl::aggregate::acl(&one)?));
        }
        Ok(())
    }

    fn add_operators(&mut self, operators: Vec<operator::Operator>, notes: &Notes) {
        for one in operators {
            let (identity, create) = (ddl::operator::identity(&one), ddl::operator::create(&one));
            let text = ddl::comment::notes(notes, one.base.id, 0, &identity);
            let mut new = New::named(&one.base, NodeKind::Operator, "OPERATOR", identity, create);
            new.tie = format!("{:?} {:?}", one.left, one.right);
            self.pieces.push(new.with(ddl::operator::alter_owner(&one), text, String::new()));
        }
    }

    fn add_casts(&mut self, casts: Vec<cast::Cast>, notes: &Notes) {
        for one in casts {
            let (identity, create) = (ddl::cast::identity(&one), ddl::cast::create(&one));
            let text = ddl::comment::notes(notes, one.base.id, 0, &identity);
            let new = New::named(&one.base, NodeKind::Cast, "CAST", identity, create);
            self.pieces.push(new.with(String::new(), text, String::new()));
        }
    }

    async fn add_publications(&mut self, session: &Session, catalog: &Catalog) -> Result<()> {
        let selection = &catalog.selection;
        for one in publication::load(session).await? {
            let (identity, create) = (ddl::publication::identity(&one), ddl::publication::create(&one));
            let text = ddl::comment::notes(&catalog.notes, one.base.id, 0, &identity);
            let new = New::named(&one.base, NodeKind::Publication, "PUBLICATION", identity, create);
            self.pieces.push(new.with(ddl::publication::alter_owner(&one), text, String::new()));
        }
        for one in publication::load_tables(session).await? {
            // A table that is left out is not there to be published.
            let table = catalog.relation(one.relation);
            let is_left_out = table.is_some_and(|table| selection.wanted(&table.base) == Wanted::Nothing);
            let create = if is_left_out { String::new() } else { ddl::publication::add_table(&one) };
            let kind = "PUBLICATION TABLE";
            let mut new = New::named(&one.base, NodeKind::PublicationTable, kind, String::new(), create);
            new.tag = ddl::publication::tag(&one.publication, one.table.name.as_str());
            self.pieces.push(new.with(String::new(), String::new(), String::new()));
        }
        for one in publication::load_schemas(session).await? {
            let is_left_out = selection.contents(&one.schema) == Wanted::Nothing;
            let create = if is_left_out { String::new() } else { ddl::publication::add_schema(&one) };
            let kind = "PUBLICATION TABLES IN SCHEMA";
            let mut new = New::named(&one.base, NodeKind::PublicationSchema, kind, String::new(), create);
            new.tag = ddl::publication::tag(&one.publication, &one.schema);
            self.pieces.push(new.with(String::new(), String::new(), String::new()));
        }
        Ok(())
    }

    fn add_default_acls(&mut self, all: Vec<default_acl::DefaultAcl>, selection: &Selection) -> Result<()> {
        for one in all {
            let tag = ddl::default_acl::tag(&one)?;
            let base = Base {
                id: one.id,
                schema: one.schema.as_deref().map(Text::from),
                name: tag.as_str().into(),
                owner: Some(Text::from(one.role.as_str())),
                acl: None,
                init_acl: None,
                default_acl: List::default(),
                extension_member: false,
                in_system_schema: false,
            };
            let create = ddl::default_acl::create(&one)?;
            if selection.defines(&base) && !selection.has(Switch::NoPrivileges) {
                self.roles.insert(one.role.clone());
                self.roles.extend(ddl::acl::roles(&one.acl));
            }
            let mut new = New::named(&base, NodeKind::DefaultAcl, "DEFAULT ACL", String::new(), create);
            new.tie.clone_from(&one.role);
            self.pieces.push(new.with(String::new(), String::new(), String::new()));
        }
        Ok(())
    }
}

/// Few arguments before many, then by type.
fn arguments(types: &[String]) -> String {
    format!("{:04} {}", types.len(), types.join(","))
}
