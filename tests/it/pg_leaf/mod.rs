//! Kinds of objects outside of relations, on every major: made by SQL, read, written, made again from what was
//! written; then our own reading and stock pg_dump must find the same in both databases.

use std::collections::HashMap;

use miyabi_backup::error::Kind;
use miyabi_backup::pg::catalog::comment::Notes;
use miyabi_backup::pg::catalog::function::Function;
use miyabi_backup::pg::catalog::object::Base;
use miyabi_backup::pg::catalog::types::{Type, TypeKind};
use miyabi_backup::pg::catalog::{self, large_object};
use miyabi_backup::pg::ddl;
use miyabi_backup::pg::ddl::text_search::Part;
use miyabi_backup::pg::filter::Filter;
use miyabi_backup::pg::selection::Selection;
use miyabi_backup::pg::session::Session;
use miyabi_backup::script::{Item, Lexer, Restrict};

use crate::util::{MAJORS, TestDatabase, admin_url, psql, psql_output, server_url, stock, unique};

/// A relation that publications need; relations are not what is tested here.
const TABLE: &str = "CREATE TABLE s.published (id int PRIMARY KEY, \"B c\" text);\n\
                     ALTER TABLE s.published REPLICA IDENTITY FULL;\n";

async fn session(major: u32, database: &str) -> Session {
    let url = format!("{}/{database}", server_url(major));
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the server runs");
    tokio::spawn(connection);
    Session::start(client).await.expect("a session starts")
}

/// Two roles, dropped when the databases are gone.
struct Roles {
    major: u32,
    owner: String,
    app: String,
}

impl Roles {
    fn new(major: u32) -> Self {
        let roles = Roles { major, owner: unique("leaf Owner"), app: unique("leaf\\app") };
        let sql = format!("CREATE ROLE \"{}\"; CREATE ROLE \"{}\"", roles.owner, roles.app);
        psql(major, &admin_url(major), &sql);
        roles
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        let sql = format!("DROP ROLE \"{}\", \"{}\"", self.owner, self.app);
        drop(psql_output(self.major, &admin_url(self.major), &sql));
    }
}

/// A database that may hold a subscription, which must go before the database can.
struct Database(TestDatabase);

impl Drop for Database {
    fn drop(&mut self) {
        let sql = "SELECT format('DROP SUBSCRIPTION %I', s.subname) FROM pg_subscription s \
                   JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database() \\gexec\n";
        drop(psql_output(self.0.major, &self.0.url(), sql));
    }
}

/// Everything as statements, in an order that the objects of these tests can be made in.
#[derive(Default)]
struct Rendered {
    made: String,
    owners: String,
    notes: String,
    acls: String,
    last: String,
}

impl Rendered {
    fn add(&mut self, base: &Base, create: &str, owner: &str, notes: &str, acl: &str) {
        if base.is_users() {
            self.made.push_str(create);
            self.owners.push_str(owner);
            self.notes.push_str(notes);
        }
        self.acls.push_str(acl);
    }

    fn all(&self, between: &str) -> String {
        let Rendered { made, owners, notes, acls, last } = self;
        let (before, publications) = made.split_once(BEFORE_PUBLICATIONS).expect("publications were rendered");
        format!("{before}{between}{publications}{owners}{notes}{acls}{last}")
    }
}

const BEFORE_PUBLICATIONS: &str = "SELECT 'tables';\n";

fn add_types(out: &mut Rendered, types: &[Type], notes: &Notes, wanted: fn(&TypeKind) -> bool) {
    for one in types.iter().filter(|one| wanted(&one.kind)) {
        // One constraint always stands apart, as in a loop with its function.
        let constraints = match &one.kind {
            TypeKind::Domain(domain) => domain.constraints.as_slice(),
            _ => &[],
        };
        let apart: Vec<_> = constraints.iter().filter(|one| !one.is_not_null).take(1).map(|one| one.id).collect();
        let mut create = ddl::types::create(one, &apart);
        let mut text = ddl::types::notes(one, notes);
        for constraint in constraints {
            if apart.contains(&constraint.id) || !constraint.validated {
                create.push_str(&ddl::types::add_constraint(one, constraint));
            }
            let on = ddl::types::constraint_identity(one, constraint);
            text.push_str(&ddl::comment::notes(notes, constraint.id, 0, &on));
        }
        out.add(&one.base, &create, &ddl::types::alter_owner(one), &text, &ddl::types::acl(one).unwrap());
    }
}

fn add_functions(out: &mut Rendered, functions: Vec<Function>, notes: &Notes) {
    for one in functions {
        let text = ddl::comment::notes(notes, one.base.id, 0, &ddl::function::identity(&one));
        let (create, acl) = (ddl::function::create(&one).unwrap(), ddl::function::acl(&one).unwrap());
        out.add(&one.base, &create, &ddl::function::alter_owner(&one), &text, &acl);
    }
}

async fn add_functions_and_what_they_need(out: &mut Rendered, session: &Session, notes: &Notes) {
    let about = |base: &Base, on: &str| ddl::comment::notes(notes, base.id, 0, on);
    for one in catalog::schema::load(session).await.unwrap() {
        let text = ddl::schema::comment(&one, notes.comment(one.base.id, 0));
        let acl = ddl::schema::acl(&one).unwrap();
        out.add(&one.base, &ddl::schema::create(&one), &ddl::schema::alter_owner(&one), &text, &acl);
    }
    for one in catalog::extension::load(session).await.unwrap() {
        let text = about(&one.base, &ddl::extension::identity(&one));
        out.add(&one.base, &ddl::extension::create(&one), "", &text, "");
    }
    for one in catalog::collation::load(session).await.unwrap() {
        let text = about(&one.base, &ddl::collation::identity(&one));
        out.add(&one.base, &ddl::collation::create(&one), &ddl::collation::alter_owner(&one), &text, "");
    }
    for one in catalog::transform::load(session).await.unwrap() {
        let text = about(&one.base, &ddl::transform::identity(&one));
        out.add(&one.base, &ddl::transform::create(&one), "", &text, "");
    }
    let types = catalog::types::load(session).await.unwrap();
    let needs_shell = |kind: &TypeKind| match kind {
        TypeKind::Base(_) => true,
        TypeKind::Range(range) => range.canonical.is_some(),
        _ => false,
    };
    for one in types.iter().filter(|one| one.base.is_users() && needs_shell(&one.kind)) {
        out.made.push_str(&ddl::types::shell(one));
    }
    let is_plain = |kind: &TypeKind| matches!(kind, TypeKind::Enum { .. } | TypeKind::Composite(_) | TypeKind::Shell);
    add_types(out, &types, notes, is_plain);
    // Functions in C may take a type that is only announced, and are what it is defined by; others may not.
    let (internal, others): (Vec<_>, Vec<_>) =
        catalog::function::load(session).await.unwrap().into_iter().partition(|one| one.language == "internal");
    add_functions(out, internal, notes);
    add_types(out, &types, notes, |kind| matches!(kind, TypeKind::Base(_) | TypeKind::Range(_)));
    add_functions(out, others, notes);
    add_types(out, &types, notes, |kind| matches!(kind, TypeKind::Domain(_)));
}

async fn add_languages_and_operators(out: &mut Rendered, session: &Session, notes: &Notes) {
    let about = |base: &Base, on: &str| ddl::comment::notes(notes, base.id, 0, on);
    for one in catalog::language::load(session).await.unwrap() {
        let text = about(&one.base, &ddl::language::identity(&one));
        let acl = ddl::language::acl(&one).unwrap();
        out.add(&one.base, &ddl::language::create(&one), &ddl::language::alter_owner(&one), &text, &acl);
    }
    for one in catalog::access_method::load(session).await.unwrap() {
        let text = about(&one.base, &ddl::access_method::identity(&one));
        out.add(&one.base, &ddl::access_method::create(&one), "", &text, "");
    }
    for one in catalog::aggregate::load(session).await.unwrap() {
        let text = about(&one.base, &ddl::aggregate::identity(&one));
        let acl = ddl::aggregate::acl(&one).unwrap();
        out.add(&one.base, &ddl::aggregate::create(&one), &ddl::aggregate::alter_owner(&one), &text, &acl);
    }
    for one in catalog::operator::load(session).await.unwrap() {
        let text = about(&one.base, &ddl::operator::identity(&one));
        out.add(&one.base, &ddl::operator::create(&one), &ddl::operator::alter_owner(&one), &text, "");
    }
    let families = catalog::operator_class::load_families(session).await.unwrap();
    for one in &families {
        let text = about(&one.base, &ddl::operator_class::family_identity(one));
        let create = ddl::operator_class::create_family(one);
        out.add(&one.base, &create, &ddl::operator_class::alter_family_owner(one), &text, "");
    }
    for one in catalog::operator_class::load_classes(session).await.unwrap() {
        let text = about(&one.base, &ddl::operator_class::class_identity(&one));
        let create = ddl::operator_class::create_class(&one);
        out.add(&one.base, &create, &ddl::operator_class::alter_class_owner(&one), &text, "");
    }
    for one in families.iter().filter(|one| one.base.is_users()) {
        out.made.push_str(&ddl::operator_class::add_members(one));
    }
    for one in catalog::cast::load(session).await.unwrap() {
        let text = about(&one.base, &ddl::cast::identity(&one));
        out.add(&one.base, &ddl::cast::create(&one), "", &text, "");
    }
    for one in catalog::conversion::load(session).await.unwrap() {
        let text = about(&one.base, &ddl::conversion::identity(&one));
        out.add(&one.base, &ddl::conversion::create(&one), &ddl::conversion::alter_owner(&one), &text, "");
    }
}

async fn add_text_search_and_foreign_data(out: &mut Rendered, session: &Session, notes: &Notes) {
    let mut add = |part: Part, base: &Base, create: String, owned: bool| {
        let on = ddl::text_search::identity(part, base);
        let owner = if owned { ddl::text::alter_owner(&on, base) } else { String::new() };
        out.add(base, &create, &owner, &ddl::comment::notes(notes, base.id, 0, &on), "");
    };
    for one in catalog::text_search::load_parsers(session).await.unwrap() {
        add(Part::Parser, &one.base, ddl::text_search::create_parser(&one), false);
    }
    for one in catalog::text_search::load_templates(session).await.unwrap() {
        add(Part::Template, &one.base, ddl::text_search::create_template(&one), false);
    }
    for one in catalog::text_search::load_dictionaries(session).await.unwrap() {
        add(Part::Dictionary, &one.base, ddl::text_search::create_dictionary(&one), true);
    }
    for one in catalog::text_search::load_configurations(session).await.unwrap() {
        add(Part::Configuration, &one.base, ddl::text_search::create_configuration(&one), true);
    }
    let about = |base: &Base, on: &str| ddl::comment::notes(notes, base.id, 0, on);
    for one in catalog::foreign::load_wrappers(session).await.unwrap() {
        let text = about(&one.base, &ddl::foreign::wrapper_identity(&one));
        let acl = ddl::foreign::wrapper_acl(&one).unwrap();
        out.add(&one.base, &ddl::foreign::create_wrapper(&one), &ddl::foreign::alter_wrapper_owner(&one), &text, &acl);
    }
    for one in catalog::foreign::load_servers(session).await.unwrap() {
        let text = about(&one.base, &ddl::foreign::server_identity(&one));
        let acl = ddl::foreign::server_acl(&one).unwrap();
        out.add(&one.base, &ddl::foreign::create_server(&one), &ddl::foreign::alter_server_owner(&one), &text, &acl);
    }
    for one in catalog::foreign::load_user_mappings(session).await.unwrap() {
        out.add(&one.base, &ddl::foreign::create_user_mapping(&one), "", "", "");
    }
}

async fn add_the_rest(out: &mut Rendered, session: &Session, notes: &Notes) {
    let about = |base: &Base, on: &str| ddl::comment::notes(notes, base.id, 0, on);
    out.made.push_str(BEFORE_PUBLICATIONS);
    for one in catalog::publication::load(session).await.unwrap() {
        let text = about(&one.base, &ddl::publication::identity(&one));
        out.add(&one.base, &ddl::publication::create(&one), &ddl::publication::alter_owner(&one), &text, "");
    }
    for one in catalog::publication::load_tables(session).await.unwrap() {
        out.add(&one.base, &ddl::publication::add_table(&one), "", "", "");
    }
    for one in catalog::publication::load_schemas(session).await.unwrap() {
        out.add(&one.base, &ddl::publication::add_schema(&one), "", "", "");
    }
    let subscriptions = catalog::subscription::load(session).await.unwrap();
    assert_eq!(subscriptions.hidden, 0);
    for one in subscriptions.found {
        let text = about(&one.base, &ddl::subscription::identity(&one));
        out.add(&one.base, &ddl::subscription::create(&one), &ddl::subscription::alter_owner(&one), &text, "");
    }
    let mut objects = Vec::new();
    let take = |one| {
        objects.push(one);
        Ok(())
    };
    large_object::each(session, take).await.unwrap();
    let mut reader = large_object::Reader::new(objects.iter().map(|one| one.base.id.oid).collect());
    loop {
        let pieces = reader.batch(session).await.unwrap();
        if pieces.is_empty() {
            break;
        }
        pieces.iter().for_each(|piece| out.made.push_str(&ddl::large_object::write(piece)));
    }
    for one in objects {
        let text = about(&one.base, &ddl::large_object::identity(&one));
        let acl = ddl::large_object::acl(&one).unwrap();
        out.add(&one.base, "", &ddl::large_object::alter_owner(&one), &text, &acl);
    }
    for one in catalog::default_acl::load(session).await.unwrap() {
        out.last.push_str(&ddl::default_acl::create(&one).unwrap());
    }
    for one in catalog::event_trigger::load(session).await.unwrap() {
        out.last.push_str(&ddl::event_trigger::create(&one));
        out.last.push_str(&about(&one.base, &ddl::event_trigger::identity(&one)));
    }
}

async fn render(session: &Session) -> Rendered {
    let notes = Notes::load(session, &Selection::of(&Filter::default(), None, &[], &HashMap::new())).await.unwrap();
    let mut out = Rendered::default();
    add_functions_and_what_they_need(&mut out, session, &notes).await;
    add_languages_and_operators(&mut out, session, &notes).await;
    add_text_search_and_foreign_data(&mut out, session, &notes).await;
    add_the_rest(&mut out, session, &notes).await;
    out
}

/// The SQL of this major and of those before it.
fn objects(major: u32, roles: &Roles) -> String {
    let mut sql = include_str!("objects.sql").replacen("CREATE PUBLICATION", &format!("{TABLE}CREATE PUBLICATION"), 1);
    let newer = [
        (14, include_str!("objects_14.sql")),
        (15, include_str!("objects_15.sql")),
        (17, include_str!("objects_17.sql")),
        (18, include_str!("objects_18.sql")),
    ];
    newer.iter().filter(|(since, _)| *since <= major).for_each(|(_, more)| sql.push_str(more));
    let mut out = String::new();
    for word in sql.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let (name, end) = word.split_at(word.len() - word.chars().next_back().map_or(0, char::len_utf8));
        match name {
            // `OWNER TO OWNER`: the syntax's own word is followed by TO.
            "APP" => out.push_str(&format!("\"{}\"", roles.app)),
            "ROLE_OWNER" => out.push_str(&format!("\"{}\"", roles.owner)),
            "sub_UNIQUE" => out.push_str(&format!("\"sub {}\"", roles.app)),
            _ => out.push_str(name),
        }
        out.push_str(end);
    }
    out
}

fn stock_dump(database: &TestDatabase) -> String {
    let output = stock(database.major, "pg_dump").args(["--schema-only", "-d", &database.url()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_foreign_script(&text);
    text.lines().filter(|line| !line.contains("restrict ")).map(|line| format!("{line}\n")).collect()
}

fn large_objects(database: &TestDatabase) -> String {
    database.psql(
        "SELECT oid, lomowner::regrole, lomacl, length(lo_get(oid)), md5(lo_get(oid)) \
                   FROM pg_largeobject_metadata ORDER BY oid",
    )
}

fn assert_same_lines(a: &str, b: &str, what: &str) {
    for (a, b) in a.lines().zip(b.lines()) {
        assert_eq!(a, b, "{what}");
    }
    assert_eq!(a.lines().count(), b.lines().count(), "{what}");
}

async fn round_trip(major: u32) {
    let roles = Roles::new(major);
    let (a, b) = (Database(TestDatabase::new(major, "leaf_a")), Database(TestDatabase::new(major, "leaf_b")));
    a.0.psql(&objects(major, &roles));
    let first = render(&session(major, &a.0.name).await).await;
    let script = first.all(TABLE);
    assert_statements_only(&script);
    // The template's own plpgsql would stay what it is: the server's, which nobody writes.
    b.0.psql(&format!(
        "DROP EXTENSION plpgsql; SET check_function_bodies = off; SET client_min_messages = error; {script}"
    ));
    let second = render(&session(major, &b.0.name).await).await;
    assert!(!script.contains("information_schema"), "{major}");
    assert_same_lines(&script, &second.all(TABLE), &format!("{major}: what is read again is what was written"));
    assert_same_lines(&stock_dump(&a.0), &stock_dump(&b.0), &format!("{major}: stock pg_dump sees no difference"));
    assert_eq!(large_objects(&a.0), large_objects(&b.0), "{major}");
}

/// What stock pg_dump writes is read to its end, and holds no backslash line but its own frame.
fn assert_foreign_script(script: &str) {
    let (mut lexer, mut restrict) = (Lexer::new(), Restrict::new());
    let mut statements = 0;
    for piece in script.as_bytes().chunks(1000) {
        lexer.feed(piece);
        while let Some(item) = lexer.next().unwrap() {
            match item {
                Item::Meta(line) => restrict.accept(line).unwrap(),
                _ => statements += 1,
            }
        }
    }
    lexer.finish();
    assert_eq!(lexer.next(), Ok(None));
    assert!(lexer.markers().started && lexer.markers().complete && restrict.is_closed());
    assert!(statements > 200, "{statements}");
}

/// psql and our own lexer must agree that nothing but statements is in it.
fn assert_statements_only(script: &str) {
    let mut lexer = Lexer::new();
    lexer.feed(script.as_bytes());
    lexer.finish();
    while let Some(item) = lexer.next().unwrap() {
        assert!(matches!(item, Item::Statement(_)), "{item:?}");
    }
}

#[tokio::test]
async fn objects_of_every_kind_come_back_on_every_major() {
    for major in MAJORS {
        round_trip(major).await;
    }
}

#[tokio::test]
async fn text_of_a_hostile_server_stops_the_capture_and_names_the_object() {
    let session = session(18, "postgres").await;
    let sql = "SELECT 's'::name AS nspname, 't'::name AS relname, d.text AS definition FROM (VALUES \
               ('EXTRACT(x FROM now()); DROP TABLE t'), (E'x\n\\\\! touch y'), ('CREATE VIEW v AS SELECT ''a'), \
               ('CREATE INDEX i ON t (a); SELECT 1')) d (text)";
    for row in session.rows(sql).await.unwrap() {
        let statement = row.statement("definition", &["CREATE INDEX"]).unwrap_err();
        for error in [row.sql("definition").unwrap_err(), statement, row.opt_sql_body("definition").unwrap_err()] {
            assert_eq!(error.kind(), Kind::Source);
            assert!(error.to_string().ends_with("`definition` of s.t"), "{error}");
        }
    }
    let sql = "SELECT 'CREATE INDEX i ON t ((a[1:\"HOST\"]))' AS definition, 'BEGIN ATOMIC SELECT 1; END' AS body";
    let row = session.row(sql).await.unwrap();
    let statement = row.statement("definition", &["CREATE INDEX"]).unwrap();
    assert_eq!(statement, "CREATE INDEX i ON t ((a[1: \"HOST\"]))", "psql would have put a variable there");
    assert_eq!(row.opt_sql_body("body").unwrap().as_deref(), Some("BEGIN ATOMIC SELECT 1; END"));
    assert!(row.sql("body").is_err());
}
