//! `inspect` tells of every kind of file what there is to see, also of damaged ones.

use std::path::Path;

use miyabi_backup::archive::testkit::Sample;
use miyabi_backup::archive::{Archive, StreamKind, StreamSpec};
use miyabi_backup::error::Kind;
use miyabi_backup::inspect::{self, Inspected, Options, What};
use serde_json::json;

use crate::verify::{Tree, archive_of, context, database, gzip, meta_of};

fn look(path: &Path) -> Inspected {
    inspect::run(path, &Options { objects: true, properties_sql: true, staging: None }, &context()).unwrap()
}

const NAME: &str = "postgres/daily/postgres-shop-20251129-030000.sql.gz";

#[test]
fn an_archive_tells_streams_objects_properties_and_meta() {
    let tree = Tree::new();
    let mut sample = Sample::small();
    sample.trailer.properties =
        json!({ "database": { "owner": "shop", "connection_limit": 5 }, "settings": ["work_mem=8MB"] });
    let good = sample.archive();
    let path = tree.backup(NAME, &good, &meta_of(&good));
    let seen = look(&path);
    assert_eq!((seen.what, seen.foreign, seen.exit_code()), (What::Archive, false, 0), "{seen:?}");
    let orders = seen.streams.iter().find(|stream| stream.name == "orders").unwrap();
    assert_eq!((orders.kind, orders.rows, orders.members, orders.columns.len()), ("rows", 4, 2, 2));
    assert!(orders.raw_bytes > Some(0) && orders.stored_bytes > Some(0) && orders.digest.is_some());
    assert_eq!((seen.objects, seen.object_kinds["TABLE"], seen.object_kinds["CONSTRAINT"]), (4, 2, 1));
    assert_eq!(seen.object_list.as_ref().unwrap()[1].name, "notes");
    assert_eq!(seen.header.as_ref().unwrap().source["database"], "shop");
    assert_eq!(seen.meta, Some(meta_of(&good)));
    let sql = seen.properties_sql.as_ref().unwrap();
    assert!(sql.contains(&"ALTER DATABASE \"shop\" OWNER TO \"shop\"".to_owned()), "{sql:?}");
    assert!(sql.iter().any(|statement| statement.contains("work_mem")), "{sql:?}");
    let json = serde_json::to_value(&seen).unwrap();
    assert_eq!((&json["what"], &json["streams"][1]["rows"]), (&json!("archive"), &json!(4)));

    let plain = inspect::run(&path, &Options::default(), &context()).unwrap();
    assert!(plain.object_list.is_none() && plain.properties_sql.is_none());
}

#[test]
fn a_sqlite_archive_tells_the_facts_of_its_file() {
    let tree = Tree::new();
    let mut sample = Sample::pages();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    std::fs::write(&file, database(4096)).unwrap();
    let facts = miyabi_backup::sqlite::inspect::staged(&file).unwrap();
    sample.trailer.properties = json!({ "sqlite": facts });
    sample.streams = vec![StreamSpec { name: "shop".into(), ..sample.streams.remove(0) }];
    let seen = look(&tree.put("x.db.gz", &sample.archive()));
    assert_eq!(seen.sqlite, Some(facts));
    assert_eq!(seen.streams[0].kind, StreamKind::Pages.name());
}

#[test]
fn of_a_damaged_archive_what_is_readable_is_told() {
    let tree = Tree::new();
    let good = Sample::small().archive();
    let index_at = Archive::open(good.as_slice()).unwrap().index_at() as usize;
    let path = tree.backup(NAME, &good[..index_at], &meta_of(&good));
    let seen = look(&path);
    assert_eq!((seen.what, seen.exit_code()), (What::Archive, 30));
    assert!(seen.problems.iter().any(|problem| problem.contains("no footer")), "{:?}", seen.problems);
    let orders = seen.streams.iter().find(|stream| stream.label == "public.orders").unwrap();
    assert_eq!((orders.rows, orders.members), (4, 2));
    assert_eq!(seen.header.unwrap().source["database"], "shop");
}

#[test]
fn files_of_other_tools_tell_what_they_hold() {
    let tree = Tree::new();
    let script = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.t (id integer);\n\
        COPY public.t (id) FROM stdin;\n1\n2\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
    for (name, bytes) in [("a.sql.gz", gzip(script.as_bytes())), ("a.sql", script.as_bytes().to_vec())] {
        let seen = look(&tree.put(name, &bytes));
        assert_eq!((seen.what, seen.foreign, seen.exit_code()), (What::Script, true, 0), "{seen:?}");
        assert_eq!((seen.streams[0].label.as_str(), seen.streams[0].rows), ("public.t", 2));
    }
    for (name, bytes) in [("b.db.gz", gzip(&database(1024))), ("b.db", database(1024))] {
        let seen = look(&tree.put(name, &bytes));
        assert_eq!((seen.what, seen.foreign, seen.exit_code()), (What::Database, true, 0), "{seen:?}");
        let facts = seen.sqlite.unwrap();
        assert_eq!((facts.page_size, facts.tables[0].name.as_str()), (1024, "t"));
    }
    let cut = gzip(&script.as_bytes()[..script.len() - 60]);
    assert_eq!(look(&tree.put("c.sql.gz", &cut)).exit_code(), 30);
    let cut = gzip(&database(1024));
    assert_eq!(look(&tree.put("d.db.gz", &cut[..cut.len() / 2])).exit_code(), 30);
    let seen = look(&tree.put("e.sql.zst", b"\x28\xb5\x2f\xfd\0 rest"));
    assert_eq!((seen.what, seen.exit_code()), (What::Unknown, 31));
    let left: Vec<_> = std::fs::read_dir(tree.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("unpacked")), "{left:?}");
}

#[test]
fn a_folder_or_a_missing_file_is_an_error() {
    let tree = Tree::new();
    let archive = archive_of(&database(1024));
    tree.put("x.db.gz", &archive);
    let kind = |path: &Path| inspect::run(path, &Options::default(), &context()).unwrap_err().kind();
    assert_eq!(kind(tree.path()), Kind::Usage);
    assert_eq!(kind(&tree.path().join("y.db.gz")), Kind::Nothing);
}
