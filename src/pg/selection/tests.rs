use std::collections::HashSet;

use super::*;

fn base(class: u32, oid: u32, schema: Option<&str>, name: &str) -> Base {
    Base {
        id: ObjectId::new(class, oid),
        schema: schema.map(Into::into),
        name: name.into(),
        owner: None,
        acl: None,
        init_acl: None,
        default_acl: Default::default(),
        extension_member: false,
        in_system_schema: schema.is_some_and(|schema| schema.starts_with("pg_")),
    }
}

fn selection(matches: Matches) -> Selection {
    Selection { filter: Filter::default(), restricted: Some(Restricted { matches, relations: HashMap::new() }) }
}

fn set<T: Clone + Eq + std::hash::Hash>(all: &[T]) -> HashSet<T> {
    all.iter().cloned().collect()
}

const EXTENSION: u32 = 20_000;
const MEMBER: u32 = 20_001;

fn members() -> HashMap<ObjectId, u32> {
    [(ObjectId::new(class::PG_CLASS, MEMBER), EXTENSION), (ObjectId::new(class::PG_PROC, 7), 5)].into()
}

#[test]
fn without_patterns_everything_of_the_user_is_in() {
    let whole = Selection::of(&Filter::default(), None, &[], &HashMap::new());
    assert_eq!(whole.wanted(&base(class::PG_CAST, 20_000, None, "c")), Wanted::Everything);
    let member = Base { extension_member: true, ..base(class::PG_PROC, 20_000, Some("s"), "f") };
    assert_eq!(whole.wanted(&member), Wanted::Privileges);
    assert!(whole.has_large_objects() && whole.defined().is_none());
    let without = [Switch::NoPublications, Switch::NoLargeObjects, Switch::NoPrivileges].into();
    let without = Selection::of(&Filter::new(Vec::new(), without).unwrap(), None, &[], &HashMap::new());
    assert_eq!(without.wanted(&base(class::PG_PUBLICATION_REL, 20_000, None, "p")), Wanted::Nothing);
    assert!(!without.has_large_objects() && !without.grants(&member));
}

#[test]
fn a_schema_brings_what_stands_in_it_and_nothing_else() {
    let included = Matches { schemas: Some(set(&["s".to_owned()])), members: members(), ..Matches::default() };
    assert_eq!(included.relation(1, "s"), Wanted::Everything);
    assert_eq!(included.relation(1, "t"), Wanted::Nothing);
    assert_eq!(included.relation(1, "pg_catalog"), Wanted::Nothing);
    assert_eq!(included.relation(MEMBER, "s"), Wanted::Nothing, "its extension is not in");
    assert!(included.configuration(MEMBER, "s"), "but its rows are the user's");
    assert!(included.reads(MEMBER, "s") && !included.reads(MEMBER, "t"));
    let selection = selection(included);
    assert_eq!(selection.wanted(&base(class::PG_TYPE, 1, Some("s"), "x")), Wanted::Everything);
    assert_eq!(selection.wanted(&base(class::PG_NAMESPACE, 1, None, "s")), Wanted::Everything);
    assert_eq!(selection.wanted(&base(class::PG_NAMESPACE, 1, None, "t")), Wanted::Nothing);
    assert_eq!(selection.wanted(&base(class::PG_CAST, 1, None, "c")), Wanted::Nothing);
    assert_eq!(selection.wanted(&base(class::PG_EXTENSION, EXTENSION, None, "e")), Wanted::Nothing);
}

#[test]
fn a_table_brings_itself_alone() {
    let included = Matches {
        tables: Some(set(&[1, 2])),
        schemas: Some(set(&["s".to_owned()])),
        excluded_tables: set(&[2]),
        ..Matches::default()
    };
    assert_eq!(included.relation(1, "t"), Wanted::Everything);
    assert_eq!(included.relation(2, "s"), Wanted::Nothing, "an exclusion goes before an inclusion");
    assert_eq!(included.relation(3, "s"), Wanted::Nothing, "--schema says nothing beside --table");
    assert_eq!(included.schema("s"), Wanted::Nothing);
}

#[test]
fn what_is_excluded_takes_the_rest_of_the_database_nowhere() {
    let excluded = Matches {
        outside: true,
        excluded_schemas: set(&["s".to_owned()]),
        excluded_tables: set(&[4]),
        excluded_extensions: set(&[EXTENSION]),
        without_rows: set(&[5]),
        members: members(),
        ..Matches::default()
    };
    assert_eq!(excluded.relation(1, "s"), Wanted::Nothing);
    assert_eq!(excluded.relation(4, "t"), Wanted::Nothing);
    assert_eq!(excluded.relation(5, "t"), Wanted::Everything);
    assert!(excluded.leaves_rows_out(5));
    assert_eq!(excluded.relation(1, "pg_catalog"), Wanted::Privileges);
    assert_eq!(excluded.relation(1, "information_schema"), Wanted::Nothing);
    assert_eq!(excluded.extension(EXTENSION), Wanted::Nothing);
    assert!(!excluded.configuration(MEMBER, "t"));
    let selection = selection(excluded);
    assert_eq!(selection.wanted(&base(class::PG_CAST, 20_000, None, "c")), Wanted::Everything);
    let of_the_server = Base { in_system_schema: true, ..base(class::PG_LANGUAGE, 14, None, "sql") };
    assert_eq!(selection.wanted(&of_the_server), Wanted::Privileges);
}

#[test]
fn members_of_an_extension_come_with_it() {
    let listed = Matches { extensions: Some(set(&[EXTENSION])), members: members(), ..Matches::default() };
    assert_eq!(listed.extension(EXTENSION), Wanted::Everything);
    assert_eq!(listed.extension(EXTENSION + 1), Wanted::Nothing);
    assert_eq!(listed.relation(MEMBER, "s"), Wanted::Privileges);
    assert!(listed.configuration(MEMBER, "s"));
    assert_eq!(listed.relation(1, "s"), Wanted::Everything, "--extension alone leaves the schemas in");
    let member = Base { extension_member: true, ..base(class::PG_PROC, 7, Some("s"), "f") };
    assert_eq!(selection(listed).wanted(&member), Wanted::Privileges, "of an extension of the server itself");
}

#[test]
fn sequences_follow_the_tables_that_own_them() {
    use crate::pg::catalog::sequence::OwningColumn;
    let sequence = |oid, table, identity| {
        let owned_by = Some(OwningColumn { table, column: "c".into(), identity });
        let type_name = "bigint".into();
        let numbers = (1, 1, 1, 9, 1);
        let (start, increment, min, max, cache) = numbers;
        (oid, Sequence { oid, type_name, start, increment, min, max, cache, cycle: false, owned_by })
    };
    let sequences = [sequence(11, 1, 'a'), sequence(12, 1, '\0'), sequence(21, 2, 'd'), sequence(22, 2, '\0')].into();
    let (all, none) = (Wanted::Everything, Wanted::Nothing);
    let mut wanted = [(1, all), (11, none), (12, none), (2, none), (21, all), (22, all)].into();
    follow_owners(&mut wanted, &sequences);
    assert_eq!((wanted[&11], wanted[&12]), (all, all));
    assert_eq!((wanted[&21], wanted[&22]), (none, all), "an identity column's sequence is nothing without it");
}
