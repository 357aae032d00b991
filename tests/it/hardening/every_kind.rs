//! Names, comments, bodies and expressions that look like commands to psql, on every kind of object.

use proptest::test_runner::{Config, TestRunner};

use super::{assert_no_file_appeared, assert_told_the_same, back_up, restore, restore_by_psql};
use crate::program::Sandbox;
use crate::util::{MAJORS, TestDatabase, psql_output, unique};

/// `{kind}` is a quoted name, `[text]` the hostile text as a literal. `{schema}` and `{role}` are names, too.
const OBJECTS: &str = r#"
SET check_function_bodies = off; SET client_min_messages = error;
CREATE TABLE victim (v text); INSERT INTO victim VALUES ('alive');
CREATE ROLE {role}; CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {role}; COMMENT ON SCHEMA {schema} IS [text];
SET search_path = {schema};
CREATE TABLE {table} ({col} int CONSTRAINT {not null} NOT NULL DEFAULT 1, {col 2} text DEFAULT [text], {col 3} int[],
  CONSTRAINT {pk} PRIMARY KEY ({col}), CONSTRAINT {ck} CHECK ({col 2} <> 'x' || [text]), CONSTRAINT {uq} UNIQUE ({col 2}));
COMMENT ON TABLE {table} IS [text]; COMMENT ON COLUMN {table}.{col} IS [text]; COMMENT ON CONSTRAINT {ck} ON {table} IS [text];
CREATE TABLE {table 2} ({col} int CONSTRAINT {fk} REFERENCES {table}, CONSTRAINT {ex} EXCLUDE USING btree ({col} WITH =));
CREATE TABLE {parted} ({col} text) PARTITION BY LIST ({col}); CREATE TABLE {part} PARTITION OF {parted} FOR VALUES IN ([text]);
CREATE TABLE {heir} ({col 4} text) INHERITS ({table});
INSERT INTO {table} VALUES (1, [text], '{1,2}'), (2, '\.', '{}'), (3, E'\n\\.\n' || [text], NULL); INSERT INTO {parted} VALUES ([text]);
CREATE SEQUENCE {seq}; COMMENT ON SEQUENCE {seq} IS [text]; SELECT nextval($q${seq}$q$::regclass);
CREATE INDEX {ix} ON {table} ({col}, lower({col 2} || [text])) WHERE {col 2} <> [text]; COMMENT ON INDEX {ix} IS [text];
CREATE FUNCTION {fn}({arg} int, {arg 2} text DEFAULT [text]) RETURNS int LANGUAGE plpgsql AS [text]; COMMENT ON FUNCTION {fn} IS [text];
CREATE FUNCTION {fn 2}(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE PROCEDURE {proc}() LANGUAGE sql AS [text]; COMMENT ON PROCEDURE {proc} IS [text];
CREATE AGGREGATE {agg}(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0'); COMMENT ON AGGREGATE {agg}(int) IS [text];
CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = {fn 2}); COMMENT ON OPERATOR ### (int, int) IS [text];
CREATE OPERATOR FAMILY {family} USING btree; COMMENT ON OPERATOR FAMILY {family} USING btree IS [text];
CREATE OPERATOR CLASS {class} FOR TYPE int USING btree FAMILY {family} AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
COMMENT ON OPERATOR CLASS {class} USING btree IS [text];
CREATE TYPE {enum} AS ENUM ([text], 'other'); COMMENT ON TYPE {enum} IS [text];
CREATE TABLE {labelled} ({col} {enum} DEFAULT [text]); INSERT INTO {labelled} VALUES ([text]), ('other');
CREATE TYPE {pair} AS ({attr} int, {attr 2} {enum}); COMMENT ON COLUMN {pair}.{attr} IS [text];
CREATE DOMAIN {domain} AS text DEFAULT [text] CONSTRAINT {limit} CHECK (VALUE <> [text]); COMMENT ON DOMAIN {domain} IS [text];
COMMENT ON CONSTRAINT {limit} ON DOMAIN {domain} IS [text];
CREATE TYPE {range} AS RANGE (SUBTYPE = float8); CREATE TYPE {shell};
CREATE CAST ({pair} AS {enum}) WITH INOUT; COMMENT ON CAST ({pair} AS {enum}) IS [text];
CREATE COLLATION {coll} (LC_COLLATE = 'C', LC_CTYPE = 'C'); COMMENT ON COLLATION {coll} IS [text];
CREATE CONVERSION {conv} FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; COMMENT ON CONVERSION {conv} IS [text];
CREATE TEXT SEARCH PARSER {parser} (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE {template} (LEXIZE = dsimple_lexize, INIT = dsimple_init);
CREATE TEXT SEARCH DICTIONARY {dict} (TEMPLATE = {template}); CREATE TEXT SEARCH CONFIGURATION {conf} (PARSER = {parser});
ALTER TEXT SEARCH CONFIGURATION {conf} ADD MAPPING FOR word WITH {dict}; COMMENT ON TEXT SEARCH CONFIGURATION {conf} IS [text];
CREATE STATISTICS {stat} ON {col}, {col 2} FROM {table}; COMMENT ON STATISTICS {stat} IS [text];
CREATE VIEW {view} AS SELECT {col} AS {vcol}, [text]::text AS {vcol 2}, {col 3}[1:{col}] AS {slice}, extract('hour' from now()) AS h FROM {table} WHERE {col 2} <> [text];
COMMENT ON VIEW {view} IS [text]; COMMENT ON COLUMN {view}.{vcol} IS [text];
CREATE MATERIALIZED VIEW {mat} AS SELECT {vcol 2} AS {mcol} FROM {view}; COMMENT ON MATERIALIZED VIEW {mat} IS [text];
CREATE FUNCTION {trigger fn}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} FOR EACH ROW WHEN (NEW.{col 2} <> [text]) EXECUTE FUNCTION {trigger fn}([text]); COMMENT ON TRIGGER {trigger} ON {table} IS [text];
CREATE RULE {rule} AS ON UPDATE TO {table 2} WHERE OLD.{col} = 7 DO ALSO (SELECT [text]; SELECT 2); COMMENT ON RULE {rule} ON {table 2} IS [text];
CREATE POLICY {policy} ON {table} FOR SELECT TO {role} USING ({col 2} <> [text]); COMMENT ON POLICY {policy} ON {table} IS [text];
GRANT SELECT ON {table} TO {role}; GRANT UPDATE ({col 2}) ON {table} TO {role}; GRANT EXECUTE ON FUNCTION {fn} TO {role};
ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role};
ALTER TABLE {table 2} OWNER TO {role};
CREATE PUBLICATION {pub} FOR TABLE {table}; COMMENT ON PUBLICATION {pub} IS [text];
CREATE SUBSCRIPTION {sub} CONNECTION 'host=127.0.0.1 port=1 dbname=none' PUBLICATION {pub} WITH (connect = false, slot_name = NONE); COMMENT ON SUBSCRIPTION {sub} IS [text];
CREATE FOREIGN DATA WRAPPER {fdw} OPTIONS (opt [text]); COMMENT ON FOREIGN DATA WRAPPER {fdw} IS [text];
CREATE SERVER {server} TYPE [text] VERSION [text] FOREIGN DATA WRAPPER {fdw} OPTIONS (opt [text]); COMMENT ON SERVER {server} IS [text];
CREATE USER MAPPING FOR {role} SERVER {server} OPTIONS ("user" [text]);
CREATE FOREIGN TABLE {foreign} ({col} int OPTIONS (opt [text])) SERVER {server} OPTIONS (opt [text]); COMMENT ON FOREIGN TABLE {foreign} IS [text];
CREATE LANGUAGE {lang} HANDLER plpgsql_call_handler; COMMENT ON LANGUAGE {lang} IS [text];
CREATE ACCESS METHOD {am} TYPE TABLE HANDLER heap_tableam_handler; COMMENT ON ACCESS METHOD {am} IS [text];
SELECT lo_from_bytea(4711, convert_to([text], 'UTF8')); COMMENT ON LARGE OBJECT 4711 IS [text]; GRANT SELECT ON LARGE OBJECT 4711 TO {role};
CREATE FUNCTION {event fn}() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER {event} ON ddl_command_end WHEN TAG IN ('CREATE CAST') EXECUTE FUNCTION {event fn}(); COMMENT ON EVENT TRIGGER {event} IS [text];
"#;

/// Since 14: bodies that the server deparses.
const SQL_BODIES: &str = r#"
CREATE FUNCTION {atomic}({arg} int) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT [text] AS t; SELECT CASE WHEN {arg} > 0 THEN [text] ELSE 'END; ' END AS u; END;
CREATE FUNCTION {returning}({arg} int, a int[]) RETURNS int[] LANGUAGE sql RETURN a[1:{arg}]; "#;

/// An in-place tablespace needs no folder of its own.
const TABLESPACE: &str = r#"
SET allow_in_place_tablespaces = on; CREATE TABLESPACE {space} LOCATION ''; COMMENT ON TABLESPACE {space} IS [text];
CREATE TABLE {spaced} ({col} int) TABLESPACE {space}; "#;

const NAME_BYTES: usize = 63;

/// The objects of this major with `hostile` in every name and text.
fn objects(major: u32, hostile: &str, stem: &str) -> String {
    let mut sql = OBJECTS.to_owned();
    if major >= 14 {
        sql.push_str(SQL_BODIES);
    }
    if major >= 18 {
        sql.push_str(TABLESPACE);
    }
    let name = |kind: &str| {
        // Roles and tablespaces are the whole server's.
        let own = if matches!(kind, "role" | "space" | "sub") { format!("{kind} {stem} ") } else { format!("{kind} ") };
        let mut name = format!("{own}{hostile}");
        while name.len() > NAME_BYTES {
            name.pop();
        }
        format!("\"{}\"", name.replace('"', "\"\""))
    };
    let mut text = hostile.to_owned();
    while text.len() > NAME_BYTES {
        text.pop();
    }
    let mut out = String::new();
    let mut rest = sql.as_str();
    while let Some(at) = rest.find(['{', '[']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let kind = from.strip_prefix('{').and_then(|kind| kind.split_once('}'));
        rest = match (from.strip_prefix("[text]"), kind) {
            (Some(after), _) => {
                out.push_str(&format!("'{}'", text.replace('\'', "''")));
                after
            }
            (None, Some((kind, after))) if kind.starts_with(|c: char| c.is_ascii_lowercase()) => {
                out.push_str(&name(kind));
                after
            }
            _ => {
                out.push_str(&from[..1]);
                &from[1..]
            }
        };
    }
    out + rest
}

/// A database with subscriptions cannot be dropped, nor a role that owns or may anything.
fn clean_away(databases: &[&TestDatabase], stem: &str) {
    for database in databases {
        let drops = "SELECT format('DROP SUBSCRIPTION %I', subname) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \\gexec\n";
        drop(psql_output(database.major, &database.url(), drops));
        drop(psql_output(
            database.major,
            &crate::util::admin_url(database.major),
            &format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)\n", database.name),
        ));
    }
    let admin = crate::util::admin_url(databases[0].major);
    for (catalog, column, kind) in [("pg_tablespace", "spcname", "TABLESPACE"), ("pg_roles", "rolname", "ROLE")] {
        let drops = format!(
            "SELECT format('DROP {kind} %I', {column}) FROM {catalog} WHERE strpos({column}, '{stem}') > 0 \\gexec\n"
        );
        drop(psql_output(databases[0].major, &admin, &drops));
    }
}

/// Everything named and filled with `hostile`, backed up, restored both ways: the same, and nothing ran.
fn comes_back_and_runs_nothing(major: u32, hostile: &str) {
    let sandbox = Sandbox::new();
    let stem = unique("hard");
    let source = TestDatabase::new(major, "hard_kinds");
    let (native, script) = (TestDatabase::planned(major, "hard_native"), TestDatabase::new(major, "hard_psql"));
    let outcome = std::panic::catch_unwind(|| {
        source.psql(&objects(major, hostile, &stem));
        let archive = back_up(&sandbox, &source);
        restore(&sandbox, &archive, &native);
        restore_by_psql(&sandbox, &archive, &script);
        for (copy, way) in [(&native, "native"), (&script, "psql")] {
            assert_eq!(copy.psql("SELECT v FROM public.victim"), "alive");
            assert_told_the_same(&source, copy, way);
        }
        assert_no_file_appeared(&sandbox);
    });
    clean_away(&[&source, &native, &script], &stem);
    if let Err(panic) = outcome {
        eprintln!("the hostile text was {hostile:?}");
        std::panic::resume_unwind(panic);
    }
}

/// Commands, ends of rows and statements, ends of quotes and comments, variables, line breaks of every kind.
const HOSTILE: [&str; 8] = [
    "\n\\! touch pwned\n\\echo x",
    "\r\\! touch pwned\r\n;DROP TABLE victim;--",
    "\"; DROP TABLE public.victim; --",
    "'; DROP TABLE public.victim; \\! touch pwned",
    "\u{2028}\u{85}\u{b}\\! touch pwned\u{2029}",
    ":HOME :'x' :\"n\" :{?HOST} ::name",
    "\\.\n\\copy (SELECT 1) TO 'pwned'\n\\.",
    "$$;*/ `touch pwned` /* \\gexec \\q %s$_$",
];

#[test]
fn text_that_looks_like_commands_runs_nothing_on_13() {
    HOSTILE.iter().step_by(2).for_each(|hostile| comes_back_and_runs_nothing(13, hostile));
}

#[test]
fn text_that_looks_like_commands_runs_nothing_on_15() {
    HOSTILE.iter().skip(1).step_by(2).for_each(|hostile| comes_back_and_runs_nothing(15, hostile));
}

#[test]
fn text_that_looks_like_commands_runs_nothing_on_18() {
    HOSTILE.iter().for_each(|hostile| comes_back_and_runs_nothing(18, hostile));
}

/// Whatever else people come up with: one database a run with all kinds in it.
#[test]
fn random_names_and_texts_come_back() {
    let letters = "[\\n\\r\\t\"'\\\\:;$`%{}()\\[\\]a-zA-Z0-9 _.,=*/\\-\u{a0}é雪\u{1f600}\u{2028}\u{feff}\u{301}]{1,40}";
    let config = Config { cases: 4, failure_persistence: None, ..Config::default() };
    let majors = std::cell::Cell::new(0);
    let runner = TestRunner::new(config).run(&proptest::string::string_regex(letters).unwrap(), |text| {
        let major = MAJORS[majors.get() % MAJORS.len()];
        majors.set(majors.get() + 1);
        // A label and a name may not be empty or end in what is cut.
        comes_back_and_runs_nothing(major, &text);
        Ok(())
    });
    runner.unwrap();
}
