//! Statements as our script has them, cut and locked.

use super::*;
use crate::archive::{Section, Stream, StreamKind, StreamSpec, TocEntry};
use crate::checksum::RowDigest;
use crate::ident::StreamId;
use crate::units::{RawBytes, StoredBytes};

fn entry(kind: &str, name: &str, table: Option<u32>, depends: &[u32]) -> TocEntry {
    TocEntry {
        section: Section::PreData,
        kind: kind.into(),
        schema: "s".into(),
        name: name.into(),
        owner: "".into(),
        table: table.map(StreamId),
        stream: StreamId(0),
        offset: 0,
        len: 1,
        depends: depends.into(),
    }
}

fn stream(id: u32, name: &str, raw: u64) -> Stream {
    let spec = StreamSpec { kind: StreamKind::Rows, schema: "s".into(), name: name.into(), columns: Box::default() };
    let (raw, stored, digest) = (RawBytes(raw), StoredBytes(1), RowDigest::default());
    Stream { id: StreamId(id), spec, members: 1, rows: 1, raw, stored, digest }
}

/// Tables `a` and `b`, and the partitioned `p` with `p1`.
fn relations() -> Relations {
    let toc = [
        entry("TABLE", "a", Some(1), &[]),
        entry("TABLE", "b", Some(2), &[]),
        entry("TABLE", "p", None, &[]),
        entry("TABLE", "p1", Some(3), &[]),
        entry("TABLE ATTACH", "p1", Some(3), &[2, 3]),
    ];
    Relations::of(&toc, &[stream(1, "a", 10), stream(2, "b", 20), stream(3, "p1", 30)])
}

fn planned(kind: &str, sql: &str, may_fail: bool) -> Vec<(String, Locks, u64)> {
    planned_in(&mut relations(), kind, sql, may_fail)
}

fn planned_in(relations: &mut Relations, kind: &str, sql: &str, may_fail: bool) -> Vec<(String, Locks, u64)> {
    let step = Step { kind: kind.into(), ..Step::of_statement(sql.as_bytes(), 9) };
    let planned = plan(step, relations, may_fail);
    let text = |part: Part<Step>| (String::from_utf8(part.work.sql).unwrap(), part.locks, part.weight);
    planned.parts.into_iter().map(text).collect()
}

fn on(tables: &[(TableId, Mode)]) -> Locks {
    Locks::On { tables: tables.to_vec(), runs_code: false }
}

const A: TableId = 0;
const B: TableId = 1;
const P: TableId = 2;
const P1: TableId = 3;

#[test]
fn a_key_is_an_index_first() {
    let sql = "SET default_tablespace = \"fast\";\nALTER TABLE ONLY \"s\".\"a\"\n    ADD CONSTRAINT \"a k\" UNIQUE NULLS NOT DISTINCT (\"x\", \"WITHOUT\") INCLUDE (\"y\")\nWITH (\"fillfactor\"='70') DEFERRABLE INITIALLY DEFERRED;\nSET default_tablespace = '';\nALTER TABLE \"s\".\"a\" CLUSTER ON \"a k\";\n";
    let parts = planned("CONSTRAINT", sql, false);
    let [(create, share, weight), (add, exclusive, quick)] = parts.as_slice() else { panic!("{parts:?}") };
    assert_eq!(
        create,
        "SET default_tablespace = \"fast\";\nCREATE UNIQUE INDEX \"a k\" ON \"s\".\"a\" (\"x\", \"WITHOUT\") INCLUDE (\"y\") NULLS NOT DISTINCT WITH (\"fillfactor\"='70');\nSET default_tablespace = '';\n"
    );
    assert_eq!(
        add,
        "ALTER TABLE ONLY \"s\".\"a\"\n    ADD CONSTRAINT \"a k\" UNIQUE USING INDEX \"a k\" DEFERRABLE INITIALLY DEFERRED;\nALTER TABLE \"s\".\"a\" CLUSTER ON \"a k\";\n"
    );
    assert_eq!((share, exclusive), (&on(&[(A, Mode::Share)]), &on(&[(A, Mode::AccessExclusive)])));
    assert_eq!((*weight, *quick), (10, 0));
    let parts = planned("CONSTRAINT", sql, true);
    assert_eq!(parts, [(sql.to_owned(), on(&[(A, Mode::AccessExclusive)]), 10)], "half of it must not stay behind");
}

#[test]
fn what_plain_tables_alone_take_is_kept_from_others() {
    let period =
        "ALTER TABLE ONLY \"s\".\"a\"\n    ADD CONSTRAINT \"k\" PRIMARY KEY (\"x\", \"y\" WITHOUT OVERLAPS);\n";
    assert_eq!(planned("CONSTRAINT", period, false), [(period.to_owned(), on(&[(A, Mode::AccessExclusive)]), 10)]);
    let parent = "ALTER TABLE ONLY \"s\".\"p\"\n    ADD CONSTRAINT \"p_pkey\" PRIMARY KEY (\"x\");\n";
    let tree = on(&[(P, Mode::AccessExclusive), (P1, Mode::AccessExclusive)]);
    assert_eq!(planned("CONSTRAINT", parent, false), [(parent.to_owned(), tree.clone(), 0)]);
    let exclude = "ALTER TABLE ONLY \"s\".\"a\"\n    ADD CONSTRAINT \"e\" EXCLUDE USING gist (r WITH &&);\n";
    let coded = Locks::On { tables: vec![(A, Mode::AccessExclusive)], runs_code: true };
    assert_eq!(planned("CONSTRAINT", exclude, false), [(exclude.to_owned(), coded, 10)]);
    let not_null = "ALTER TABLE \"s\".\"a\"\n    ADD CONSTRAINT \"n\" NOT NULL \"x\" NOT VALID;\n";
    assert_eq!(planned("CONSTRAINT", not_null, false), [(not_null.to_owned(), Locks::Alone, 0)]);
    let to_parent = "ALTER TABLE ONLY \"s\".\"a\"\n    ADD CONSTRAINT \"f\" FOREIGN KEY (x) REFERENCES s.p(x);\n";
    let found = planned("FK CONSTRAINT", to_parent, false);
    let Locks::On { tables, .. } = &found[0].1 else { panic!("{found:?}") };
    assert_eq!(
        tables.as_slice(),
        [(A, Mode::AccessExclusive), (P, Mode::AccessExclusive), (P1, Mode::AccessExclusive)]
    );
    assert_eq!((found.len(), found[0].0.as_str()), (1, to_parent));
}

#[test]
fn a_foreign_key_is_added_and_then_looked_at() {
    let sql = "ALTER TABLE ONLY \"s\".\"a\"\n    ADD CONSTRAINT \"f\" FOREIGN KEY (x) REFERENCES s.b(x) ON DELETE CASCADE DEFERRABLE;\n";
    let parts = planned("FK CONSTRAINT", sql, false);
    let add = "ALTER TABLE ONLY \"s\".\"a\"\n    ADD CONSTRAINT \"f\" FOREIGN KEY (x) REFERENCES s.b(x) ON DELETE CASCADE DEFERRABLE NOT VALID;";
    let both = on(&[(A, Mode::ShareRowExclusive), (B, Mode::ShareRowExclusive)]);
    let weak = on(&[(A, Mode::ShareUpdateExclusive), (B, Mode::Read)]);
    let validate = "ALTER TABLE ONLY \"s\".\"a\" VALIDATE CONSTRAINT \"f\";";
    assert_eq!(parts, [(add.to_owned(), both.clone(), 0), (validate.to_owned(), weak, 30)]);
    let unchecked = add.replace("NOT VALID;", "NOT VALID;\n");
    assert_eq!(planned("FK CONSTRAINT", &unchecked, false), [(unchecked.clone(), both, 0)], "it stays unchecked");
    let unknown = sql.replace("s.b(x)", "other.b(x)");
    assert_eq!(planned("FK CONSTRAINT", &unknown, false), [(unknown.clone(), Locks::Alone, 0)]);
}

#[test]
fn indexes_of_a_tree_are_known_by_their_tables() {
    let mut relations = relations();
    let sql = "CREATE INDEX \"p_x\" ON ONLY \"s\".\"p\" USING \"btree\" (\"x\");\n";
    let parts = planned_in(&mut relations, "INDEX", sql, false);
    assert_eq!(parts, [(sql.to_owned(), on(&[(P, Mode::Share), (P1, Mode::Share)]), 0)]);
    let sql = "CREATE INDEX p1_x ON s.p1 USING btree (lower(x));\nALTER INDEX \"s\".\"p1_x\" ALTER COLUMN 1 SET STATISTICS 9;\n";
    let parts = planned_in(&mut relations, "INDEX", sql, false);
    assert_eq!(parts[0].1, on(&[(P1, Mode::Share), (P, Mode::Read)]));
    assert_eq!(parts[1].1, on(&[(P1, Mode::AccessExclusive), (P, Mode::Read)]));
    let sql = "ALTER INDEX \"s\".\"p_x\" ATTACH PARTITION \"s\".\"p1_x\";\n";
    let parts = planned_in(&mut relations, "INDEX ATTACH", sql, false);
    assert!(matches!(parts[0].1, Locks::On { .. }), "{parts:?}");
    let sql = sql.replace("p1_x", "p9_x");
    assert_eq!(planned_in(&mut relations, "INDEX ATTACH", &sql, false)[0].1, Locks::Alone);
}
