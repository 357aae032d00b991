//! Every value comes back bit by bit: the source and its copies compared by binary send and by text, each row of them.

use std::time::Duration;

use crate::hardening::{back_up, restore, restore_by_psql};
use crate::program::Sandbox;
use crate::util::{TestDatabase, unique};

/// A digest of each table's rows in an order of their own (of a partitioned one as a whole: rows that are hashed by
/// an enum's OIDs move to other partitions; the columns of a child of several parents may stand in another order): values of the server's types as they are sent in binary,
/// others as text; then sequences, and large objects with their pages.
const DIGESTS: &str = r#"
SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C';
SET search_path = pg_catalog; SET quote_all_identifiers = off; SET statement_timeout = 0; SET xmlbinary = base64; SET standard_conforming_strings = on;
SELECT format('SELECT %L, count(*), md5(string_agg(h, '','' ORDER BY h)) FROM (SELECT md5(%s) AS h FROM %s %s) r', c.oid::regclass,
    coalesce((SELECT string_agg(format(CASE WHEN t.typsend <> 0 AND t.oid < 16384 AND t.typelem = 0 AND t.typname !~ '^reg'
        THEN format('coalesce(encode(%s(%%1$I), ''hex''), ''N'')', t.typsend::oid::regproc) ELSE 'coalesce(quote_literal(%1$I::text), ''N'')' END, a.attname), ' || '','' || ' ORDER BY a.attname)
      FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), ''''''), CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY' END, c.oid::regclass)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_|^information_schema$' AND c.relnatts < 1000 ORDER BY c.oid::regclass::text \gexec
SELECT format('SELECT %L, count(*), md5(string_agg(h, '','' ORDER BY h)) FROM (SELECT md5(t::text) AS h FROM ONLY %s t) r', c.oid::regclass, c.oid::regclass)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND NOT c.relispartition AND n.nspname !~ '^pg_|^information_schema$' AND c.oid NOT IN (SELECT inhrelid FROM pg_inherits) ORDER BY c.oid::regclass::text \gexec
SELECT format('SELECT %L, last_value, is_called FROM %s', c.oid::regclass, c.oid::regclass) FROM pg_class c WHERE c.relkind = 'S' ORDER BY c.oid::regclass::text \gexec
SELECT m.oid, length(lo_get(m.oid)), md5(lo_get(m.oid)) FROM pg_largeobject_metadata m ORDER BY m.oid;
"#;

/// What roles and databases carry to change how values print, and what a session may do.
const HOSTILE: [&str; 18] = [
    "datestyle = 'German'",
    "intervalstyle = 'sql_standard'",
    "timezone = 'Asia/Kathmandu'",
    "bytea_output = 'escape'",
    "extra_float_digits = -15",
    "xmlbinary = 'hex'",
    "xmloption = 'document'",
    "search_path = 'e', 'public'",
    "standard_conforming_strings = off",
    "quote_all_identifiers = on",
    "statement_timeout = '300ms'",
    "lock_timeout = '1ms'",
    "default_transaction_isolation = 'serializable'",
    "array_nulls = off",
    "default_transaction_read_only = on",
    "idle_in_transaction_session_timeout = '200ms'",
    "lc_monetary = 'C.UTF-8'",
    "backslash_quote = off",
];

fn digests(database: &TestDatabase) -> String {
    database.psql(DIGESTS)
}

#[track_caller]
fn assert_exact(source: &TestDatabase, copy: &TestDatabase, way: &str) {
    let (expected, found) = (digests(source), digests(copy));
    let differs: Vec<_> = expected.lines().zip(found.lines()).filter(|(a, b)| a != b).collect();
    assert!(
        differs.is_empty() && expected.lines().count() == found.lines().count(),
        "{way} on {}: {differs:#?}",
        source.major
    );
    assert!(expected.lines().count() > 45, "{expected}");
}

fn every_value_comes_back(major: u32) {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "hard_exact");
    source.psql(include_str!("values.sql"));
    if major >= 14 {
        source.psql("SET search_path = e; CREATE TABLE multi (i int4multirange, n nummultirange, d datemultirange, s span_multirange); \
                     INSERT INTO multi VALUES ('{}', '{[1,2),(5.50,)}', '{(,2026-01-01),[2027-01-01,infinity]}', '{[-0,1e-300)}'), ('{[1,3),[5,9)}', '{(,)}', NULL, '{empty}'); \
                     ALTER TABLE numbers ADD inf numeric; UPDATE numbers SET inf = 'Infinity' WHERE s > 0; UPDATE numbers SET inf = '-Infinity' WHERE s < 0");
    }
    if major >= 17 {
        source.psql("SET search_path = e; CREATE TABLE endless (i interval); INSERT INTO endless VALUES ('infinity'), ('-infinity')");
    }
    if major >= 18 {
        source.psql("SET search_path = e; CREATE TABLE virtual (a int, v int GENERATED ALWAYS AS (a * 3) VIRTUAL); INSERT INTO virtual SELECT generate_series(1, 20)");
    }
    // Settings of the database, and of the role in it: each alone would do.
    for (at, setting) in HOSTILE.iter().enumerate() {
        let whom = if at % 2 == 0 {
            format!("DATABASE \"{}\"", source.name)
        } else {
            format!("ROLE postgres IN DATABASE \"{}\"", source.name)
        };
        let set = format!("ALTER {whom} SET {setting}");
        let quiet = crate::util::psql_output(major, &crate::util::admin_url(major), &set);
        assert!(
            quiet.status.success() || setting.starts_with("lc_monetary"),
            "{set}: {}",
            String::from_utf8_lossy(&quiet.stderr)
        );
    }
    let archive = back_up(&sandbox, &source);
    let (native, script) = (TestDatabase::planned(major, "hard_native"), TestDatabase::new(major, "hard_psql"));
    restore(&sandbox, &archive, &native);
    assert_exact(&source, &native, "native");
    restore_by_psql(&sandbox, &archive, &script);
    assert_exact(&source, &script, "psql");
    // A target that has settings of its own is restored into all the same.
    restore(&sandbox, &archive, &native);
    assert_exact(&source, &native, "replaced");
}

#[test]
fn every_value_comes_back_on_13() {
    every_value_comes_back(13);
}

#[test]
fn every_value_comes_back_on_15() {
    every_value_comes_back(15);
}

#[test]
fn every_value_comes_back_on_18() {
    every_value_comes_back(18);
}

/// A `"char"` beyond ASCII prints as a stray byte before 15, which no COPY takes back.
#[test]
fn a_char_beyond_ascii_stops_no_restore() {
    for major in [13, 14, 15, 18] {
        let sandbox = Sandbox::new();
        let source = TestDatabase::new(major, "hard_char");
        source.psql("CREATE TABLE flags (id int PRIMARY KEY, \"a \"\"b\" \"char\" DEFAULT 'x', note text); \
                     INSERT INTO flags SELECT g, (g - 128)::\"char\", '\\' FROM generate_series(0, 255) g; INSERT INTO flags VALUES (256, NULL, NULL), (257, '', '')");
        let archive = back_up(&sandbox, &source);
        let rows = "SELECT id, \"a \"\"b\"::int, note FROM flags WHERE id BETWEEN 128 AND 257 ORDER BY id";
        let high = "SELECT id, \"a \"\"b\"::int FROM flags WHERE id < 128 ORDER BY id";
        for (way, target_major) in [("same", major), ("newest", 18)] {
            let (native, script) =
                (TestDatabase::planned(target_major, "hard_native"), TestDatabase::new(target_major, "hard_psql"));
            restore(&sandbox, &archive, &native);
            restore_by_psql(&sandbox, &archive, &script);
            for copy in [&native, &script] {
                assert_eq!(copy.psql("SELECT count(*) FROM flags"), "258", "{major} {way}");
                assert_eq!(source.psql(rows), copy.psql(rows), "{major} {way}");
                if target_major >= 15 {
                    assert_eq!(source.psql(high), copy.psql(high), "{major} {way}");
                }
            }
        }
    }
}

/// Peak resident memory of a run of the program in KiB, which must succeed.
fn peak(sandbox: &Sandbox, arguments: &[&str]) -> u64 {
    let mut run = sandbox.start(arguments);
    let mut peak = 0;
    while !run.has_ended() {
        peak = peak.max(run.peak_kib());
        std::thread::sleep(Duration::from_millis(20));
    }
    run.wait().expect(0);
    assert!(peak > 0, "the memory of the run was never seen");
    peak
}

#[test]
fn a_field_of_200_megabytes_comes_back_within_the_bound() {
    const FIELD: u64 = 200_000_000;
    let major = 15;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "hard_wide");
    source.psql(&format!(
        "CREATE TABLE wide (id int, t text); ALTER TABLE wide ALTER t SET STORAGE EXTERNAL; \
         INSERT INTO wide VALUES (1, 'narrow'), (2, repeat('0123456789abcdefghi' || chr(10), {})), (3, 'narrow')",
        FIELD / 20
    ));
    // A line break is two bytes in COPY: the row is a twentieth longer than the field.
    let bound = (128 << 10) + 4 * FIELD * 21 / 20 / 1024;
    let copy = TestDatabase::planned(major, "hard_native");
    let backup =
        peak(&sandbox, &["backup", "postgres", "--url", &source.url(), "--output", "a.sql.gz", "--compress", "gzip:1"]);
    let restored = peak(&sandbox, &["restore", "--file", "a.sql.gz", "--url", &copy.url(), "--confirm"]);
    println!("peak of the backup {backup} KiB, of the restore {restored} KiB, bound {bound} KiB");
    assert!(backup <= bound && restored <= bound, "backup {backup} KiB, restore {restored} KiB, bound {bound} KiB");
    let digest = "SELECT id, length(t), md5(t) FROM wide ORDER BY id";
    assert_eq!(source.psql(digest), copy.psql(digest));
    let script = TestDatabase::new(major, "hard_psql");
    restore_by_psql(&sandbox, &sandbox.path("a.sql.gz"), &script);
    assert_eq!(source.psql(digest), script.psql(digest));
}

/// The rows are exact whoever reads them: a role whose settings and rights are not a superuser's.
#[test]
fn a_role_with_settings_of_its_own_reads_the_same() {
    let major = 17;
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(major, "hard_role");
    source.psql(include_str!("values.sql"));
    let role = unique("hard_reader");
    source.psql(&format!("CREATE ROLE {role} LOGIN IN ROLE pg_read_all_data"));
    for setting in HOSTILE.iter().filter(|setting| !setting.starts_with("lc_monetary")) {
        source.psql(&format!("ALTER ROLE {role} SET {setting}"));
    }
    let url = source.url().replace("postgres@", &format!("{role}@"));
    let outcome = sandbox.run(&["backup", "postgres", "--url", &url, "--output", "a.sql.gz"]);
    let copy = TestDatabase::planned(major, "hard_native");
    // Large objects are not pg_read_all_data's: either their grant, or an error that names one.
    if sandbox.files("a.sql.gz").is_empty() {
        drop(outcome.expect(20).says("large object"));
        source.psql(&format!(
            "SELECT format('GRANT SELECT ON LARGE OBJECT %s TO {role}', oid) FROM pg_largeobject_metadata \\gexec"
        ));
        sandbox.run(&["backup", "postgres", "--url", &url, "--output", "a.sql.gz"]).expect(0);
    }
    restore(&sandbox, &sandbox.path("a.sql.gz"), &copy);
    assert_exact(&source, &copy, "native");
    assert_eq!(copy.psql("SELECT count(*) FROM e.nothing"), "1234");
    drop(copy);
    source.psql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}
