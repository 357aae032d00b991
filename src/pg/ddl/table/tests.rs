use super::*;
use crate::pg::catalog::column::Extras;
use crate::pg::catalog::constraint::ConstraintKind;
use crate::pg::catalog::object::class;
use crate::pg::ddl::testing::base;
use crate::text::List;

fn relation(kind: RelationKind) -> Relation {
    Relation {
        base: base(class::PG_CLASS, Some("s"), "t"),
        kind,
        unlogged: false,
        row_type: 0,
        of_type: None,
        options: List::default(),
        toast_options: List::default(),
        tablespace: None,
        access_method: None,
        replica_identity: 'd',
        row_security: false,
        force_row_security: false,
        is_partition: false,
        is_populated: true,
        filenode: 1,
        foreign: None,
    }
}

fn column(name: &str) -> Column {
    Column {
        number: 1,
        name: name.into(),
        type_name: "integer".into(),
        not_null: false,
        is_local: true,
        identity: '\0',
        generated: '\0',
        statistics: None,
        storage: 'p',
        type_storage: 'p',
        compression: '\0',
        extras: None,
        default: None,
    }
}

fn plan(default: DefaultPlan, not_null: NotNullPlan) -> ColumnPlan {
    ColumnPlan { print: true, default, not_null }
}

fn inline(oid: u32, expression: &str) -> DefaultPlan {
    DefaultPlan::Inline { oid, expression: expression.into() }
}

fn table<'a>(relation: &'a Relation, columns: &'a [Column], plans: &'a [ColumnPlan]) -> Table<'a> {
    Table {
        relation,
        columns,
        plans,
        checks: &[],
        parents: &[],
        partition_key: None,
        separate_defaults: &[],
        unlogged_allowed: true,
    }
}

#[test]
fn columns_say_default_not_null_and_collation() {
    let relation = relation(RelationKind::Table);
    let mut columns = [column("a"), column("b\"c"), column("d"), column("e")];
    let collation = Some(QualifiedName::new("pg_catalog", "C"));
    columns[1].extras = Some(Box::new(Extras { collation, ..Extras::default() }));
    columns[2].generated = 's';
    columns[3].generated = 'v';
    let named = NotNullPlan::Inline { name: Some("nn".into()), no_inherit: true };
    let plans = [
        plan(inline(7, "1"), NotNullPlan::Inline { name: None, no_inherit: false }),
        plan(DefaultPlan::None, named),
        plan(inline(8, "(a + 1)"), NotNullPlan::None),
        plan(inline(9, "(a + 2)"), NotNullPlan::None),
    ];
    assert_eq!(
        create(&table(&relation, &columns, &plans)),
        "CREATE TABLE \"s\".\"t\" (\n    \"a\" integer DEFAULT 1 NOT NULL,\n    \
         \"b\"\"c\" integer CONSTRAINT \"nn\" NOT NULL NO INHERIT COLLATE \"pg_catalog\".\"C\",\n    \
         \"d\" integer GENERATED ALWAYS AS ((a + 1)) STORED,\n    \
         \"e\" integer GENERATED ALWAYS AS ((a + 2)) VIRTUAL\n);\n"
    );
    let without = Table { separate_defaults: &[7], ..table(&relation, &columns[..1], &plans[..1]) };
    assert_eq!(create(&without), "CREATE TABLE \"s\".\"t\" (\n    \"a\" integer NOT NULL\n);\n");
}

#[test]
fn a_child_names_only_what_is_its_own() {
    let relation = relation(RelationKind::Table);
    let columns = [column("inherited"), column("own")];
    let not_null = NotNullPlan::Inline { name: Some("nn".into()), no_inherit: false };
    let plans =
        [ColumnPlan { print: false, default: DefaultPlan::None, not_null }, plan(DefaultPlan::None, NotNullPlan::None)];
    let check = Constraint {
        oid: 1,
        kind: ConstraintKind::Check,
        name: "pos".into(),
        relation: 1,
        definition: "CHECK ((own > 0))".into(),
        is_local: true,
        validated: true,
        no_inherit: false,
        deferrable: false,
        deferred: false,
        period: false,
        index: 0,
        referenced: 0,
        key: Box::default(),
    };
    let parents = [QualifiedName::new("s", "p1"), QualifiedName::new("s", "p2")];
    let table = Table { checks: &[&check], parents: &parents, ..table(&relation, &columns, &plans) };
    assert_eq!(
        create(&table),
        "CREATE TABLE \"s\".\"t\" (\n    CONSTRAINT \"nn\" NOT NULL \"inherited\",\n    \"own\" integer,\n    \
         CONSTRAINT \"pos\" CHECK ((own > 0))\n)\nINHERITS (\"s\".\"p1\", \"s\".\"p2\");\n"
    );
}

#[test]
fn tables_without_columns_and_typed_tables() {
    let mut relation = relation(RelationKind::Partitioned);
    relation.unlogged = true;
    let mut empty = table(&relation, &[], &[]);
    empty.partition_key = Some("LIST (a)");
    empty.unlogged_allowed = false;
    assert_eq!(create(&empty), "CREATE TABLE \"s\".\"t\" (\n)\nPARTITION BY LIST (a);\n");
    let mut typed = relation.clone();
    (typed.of_type, typed.kind) = (Some("s.row".into()), RelationKind::Table);
    let columns = [column("a"), column("b")];
    let plans = [plan(DefaultPlan::None, NotNullPlan::None), plan(inline(3, "5"), NotNullPlan::None)];
    let made = create(&table(&typed, &columns, &plans));
    assert_eq!(made, "CREATE UNLOGGED TABLE \"s\".\"t\" OF s.row (\n    \"b\" DEFAULT 5\n);\n");
}

#[test]
fn settings_are_only_those_that_differ() {
    let mut relation = relation(RelationKind::Table);
    assert_eq!(settings(&relation, &[column("a")]), "");
    (relation.replica_identity, relation.force_row_security) = ('f', true);
    let mut set = column("a");
    (set.statistics, set.storage, set.compression) = (Some(0), 'e', 'l');
    set.extras = Some(Box::new(Extras { options: vec!["n_distinct=-1".to_owned()], ..Extras::default() }));
    assert_eq!(
        settings(&relation, &[set]),
        "ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"a\" SET STATISTICS 0;\n\
         ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"a\" SET STORAGE EXTERNAL;\n\
         ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"a\" SET COMPRESSION lz4;\n\
         ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"a\" SET (\"n_distinct\"='-1');\n\
         ALTER TABLE ONLY \"s\".\"t\" REPLICA IDENTITY FULL;\n\
         ALTER TABLE ONLY \"s\".\"t\" FORCE ROW LEVEL SECURITY;\n"
    );
    let mut foreign = relation.clone();
    (foreign.kind, foreign.replica_identity, foreign.force_row_security) = (RelationKind::Foreign, 'n', false);
    assert_eq!(settings(&foreign, &[]), "");
}
