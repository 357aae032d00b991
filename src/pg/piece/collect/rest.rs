//! The kinds that few databases have.

use super::{Found, New};
use crate::error::Result;
use crate::pg::catalog::comment::Notes;
use crate::pg::catalog::object::Base;
use crate::pg::catalog::{
    Catalog, access_method, collation, conversion, event_trigger, foreign, language, large_object, operator_class,
    subscription, text_search, transform,
};
use crate::pg::ddl;
use crate::pg::ddl::text_search::Part;
use crate::pg::filter::Switch;
use crate::pg::graph::NodeKind;
use crate::pg::session::Session;

/// What a kind's own code gives.
struct Statements {
    identity: String,
    create: String,
    owner: String,
    acl: String,
}

pub(super) async fn load(session: &Session, catalog: &Catalog) -> Result<Found> {
    let mut found = Found::default();
    let notes = &catalog.notes;
    found.add_languages(session, notes).await?;
    found.add_operator_classes(session, notes).await?;
    found.add_text_search(session, notes).await?;
    found.add_foreign(session, catalog).await?;
    found.add_simple(session, notes).await?;
    found.add_subscriptions(session, catalog).await?;
    if catalog.selection.has_large_objects() {
        found.add_large_objects(session, catalog).await?;
    }
    Ok(found)
}

impl Found {
    async fn add_large_objects(&mut self, session: &Session, catalog: &Catalog) -> Result<()> {
        let Found { roles, large_objects, .. } = self;
        let grants = !catalog.selection.has(Switch::NoPrivileges);
        large_object::each(session, |one| {
            if grants {
                roles.extend(ddl::acl::named_of_object(&one.base));
            }
            large_objects.add(&one, &catalog.notes, &catalog.selection)
        })
        .await?;
        large_objects.close()
    }

    fn add(&mut self, base: &Base, node: NodeKind, kind: &'static str, notes: &Notes, text: Statements) {
        let noted = ddl::comment::notes(notes, base.id, 0, &text.identity);
        let new = New::named(base, node, kind, text.identity, text.create);
        self.pieces.push(new.with(text.owner, noted, text.acl));
    }

    async fn add_languages(&mut self, session: &Session, notes: &Notes) -> Result<()> {
        for one in language::load(session).await? {
            let text = Statements {
                identity: ddl::language::identity(&one),
                create: ddl::language::create(&one),
                owner: ddl::language::alter_owner(&one),
                acl: ddl::language::acl(&one)?,
            };
            self.add(&one.base, NodeKind::Language, "PROCEDURAL LANGUAGE", notes, text);
        }
        for one in transform::load(session).await? {
            let (identity, create) = (ddl::transform::identity(&one), ddl::transform::create(&one));
            let text = Statements { identity, create, owner: String::new(), acl: String::new() };
            self.add(&one.base, NodeKind::Transform, "TRANSFORM", notes, text);
        }
        Ok(())
    }

    async fn add_operator_classes(&mut self, session: &Session, notes: &Notes) -> Result<()> {
        for one in operator_class::load_classes(session).await? {
            let text = Statements {
                identity: ddl::operator_class::class_identity(&one),
                create: ddl::operator_class::create_class(&one),
                owner: ddl::operator_class::alter_class_owner(&one),
                acl: String::new(),
            };
            self.add(&one.base, NodeKind::OperatorClass, "OPERATOR CLASS", notes, text);
            self.tie(&one.access_method);
        }
        for one in operator_class::load_families(session).await? {
            let text = Statements {
                identity: ddl::operator_class::family_identity(&one),
                create: ddl::operator_class::create_family(&one) + &ddl::operator_class::add_members(&one),
                owner: ddl::operator_class::alter_family_owner(&one),
                acl: String::new(),
            };
            self.add(&one.base, NodeKind::OperatorFamily, "OPERATOR FAMILY", notes, text);
            self.tie(&one.access_method);
        }
        Ok(())
    }

    fn tie(&mut self, tie: &str) {
        if let Some(piece) = self.pieces.last_mut() {
            tie.clone_into(&mut piece.tie);
        }
    }

    async fn add_text_search(&mut self, session: &Session, notes: &Notes) -> Result<()> {
        let text = |part, base: &Base, create| Statements {
            identity: ddl::text_search::identity(part, base),
            create,
            owner: ddl::text::alter_owner(&ddl::text_search::identity(part, base), base),
            acl: String::new(),
        };
        for one in text_search::load_parsers(session).await? {
            let text = text(Part::Parser, &one.base, ddl::text_search::create_parser(&one));
            self.add(&one.base, NodeKind::TextSearchParser, "TEXT SEARCH PARSER", notes, text);
        }
        for one in text_search::load_templates(session).await? {
            let text = text(Part::Template, &one.base, ddl::text_search::create_template(&one));
            self.add(&one.base, NodeKind::TextSearchTemplate, "TEXT SEARCH TEMPLATE", notes, text);
        }
        for one in text_search::load_dictionaries(session).await? {
            let text = text(Part::Dictionary, &one.base, ddl::text_search::create_dictionary(&one));
            self.add(&one.base, NodeKind::TextSearchDictionary, "TEXT SEARCH DICTIONARY", notes, text);
        }
        for one in text_search::load_configurations(session).await? {
            let text = text(Part::Configuration, &one.base, ddl::text_search::create_configuration(&one));
            self.add(&one.base, NodeKind::TextSearchConfiguration, "TEXT SEARCH CONFIGURATION", notes, text);
        }
        Ok(())
    }

    async fn add_foreign(&mut self, session: &Session, catalog: &Catalog) -> Result<()> {
        let notes = &catalog.notes;
        for one in foreign::load_wrappers(session).await? {
            let text = Statements {
                identity: ddl::foreign::wrapper_identity(&one),
                create: ddl::foreign::create_wrapper(&one),
                owner: ddl::foreign::alter_wrapper_owner(&one),
                acl: ddl::foreign::wrapper_acl(&one)?,
            };
            self.add(&one.base, NodeKind::ForeignDataWrapper, "FOREIGN DATA WRAPPER", notes, text);
        }
        for one in foreign::load_servers(session).await? {
            let text = Statements {
                identity: ddl::foreign::server_identity(&one),
                create: ddl::foreign::create_server(&one),
                owner: ddl::foreign::alter_server_owner(&one),
                acl: ddl::foreign::server_acl(&one)?,
            };
            self.add(&one.base, NodeKind::Server, "SERVER", notes, text);
        }
        for one in foreign::load_user_mappings(session).await? {
            if catalog.selection.defines(&one.base) {
                self.roles.extend(one.user.clone());
            }
            let create = ddl::foreign::create_user_mapping(&one);
            let new = New::named(&one.base, NodeKind::UserMapping, "USER MAPPING", String::new(), create);
            self.pieces.push(new.with(String::new(), String::new(), String::new()));
        }
        Ok(())
    }

    /// Kinds of one statement each.
    async fn add_simple(&mut self, session: &Session, notes: &Notes) -> Result<()> {
        for one in access_method::load(session).await? {
            let (identity, create) = (ddl::access_method::identity(&one), ddl::access_method::create(&one));
            let text = Statements { identity, create, owner: String::new(), acl: String::new() };
            self.add(&one.base, NodeKind::AccessMethod, "ACCESS METHOD", notes, text);
        }
        for one in collation::load(session).await? {
            let (identity, create) = (ddl::collation::identity(&one), ddl::collation::create(&one));
            let text = Statements { identity, create, owner: ddl::collation::alter_owner(&one), acl: String::new() };
            self.add(&one.base, NodeKind::Collation, "COLLATION", notes, text);
        }
        for one in conversion::load(session).await? {
            let (identity, create) = (ddl::conversion::identity(&one), ddl::conversion::create(&one));
            let text = Statements { identity, create, owner: ddl::conversion::alter_owner(&one), acl: String::new() };
            self.add(&one.base, NodeKind::Conversion, "CONVERSION", notes, text);
        }
        for one in event_trigger::load(session).await? {
            let (identity, create) = (ddl::event_trigger::identity(&one), ddl::event_trigger::create(&one));
            let text =
                Statements { identity, create, owner: ddl::event_trigger::alter_owner(&one), acl: String::new() };
            self.add(&one.base, NodeKind::EventTrigger, "EVENT TRIGGER", notes, text);
        }
        Ok(())
    }

    async fn add_subscriptions(&mut self, session: &Session, catalog: &Catalog) -> Result<()> {
        let notes = &catalog.notes;
        let subscriptions = subscription::load(session).await?;
        for one in &subscriptions.found {
            let (identity, create) = (ddl::subscription::identity(one), ddl::subscription::create(one));
            let text = Statements { identity, create, owner: ddl::subscription::alter_owner(one), acl: String::new() };
            self.add(&one.base, NodeKind::Subscription, "SUBSCRIPTION", notes, text);
        }
        if subscriptions.hidden > 0 && catalog.selection.has_subscriptions() {
            let count = subscriptions.hidden;
            self.warnings
                .push(format!("{count} subscription(s) are not in the backup: only a superuser may read them"));
        }
        Ok(())
    }
}
