//! The corpus of known attacks, and that our own quoting passes.

use proptest::prelude::*;

use super::*;

fn fault(sql: &str) -> Fault {
    check_single_statement(sql, &["CREATE VIEW", "CREATE FUNCTION", "ALTER TABLE", "SELECT"]).unwrap_err().fault
}

#[test]
fn text_as_servers_deparse_it_passes() {
    let good = [
        "CREATE VIEW \"a\nb\" AS SELECT 'x;\\! touch y', \"a;\"\"\\\", 1e10, 1.5, a[1:2] FROM t",
        "CREATE FUNCTION f(begin integer, \"end\" text DEFAULT 'x\\'::text) RETURNS int LANGUAGE sql AS $_$ ; \\ $$ $_$",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 ELSE 2 END; END",
        "ALTER TABLE t ADD CONSTRAINT c CHECK ((x ~ '^[^@\\s]+$'::text))",
        "select E'\\\\x'",
        "SELECT /* closed */ 1 -- closed\n",
    ];
    for sql in good {
        let verbs = ["CREATE VIEW", "CREATE FUNCTION", "ALTER TABLE", "SELECT"];
        assert_eq!(check_single_statement(sql, &verbs), Ok(()), "{sql}");
    }
}

#[test]
fn each_known_attack_is_refused() {
    let attacks = [
        ("SELECT 1; DROP TABLE t", Fault::Several),
        ("SELECT 1;", Fault::Several),
        ("SELECT (1; DROP TABLE t)", Fault::Several),
        ("SELECT EXTRACT(year FROM now()); DROP TABLE t; --", Fault::Several),
        ("SELECT 1\n\\! touch /tmp/pwned", Fault::Backslash),
        ("SELECT 1 \\g /tmp/pwned", Fault::Backslash),
        ("CREATE VIEW v AS SELECT 'a", Fault::Unbalanced),
        ("CREATE VIEW \"v AS SELECT 1", Fault::Unbalanced),
        ("SELECT $a$ ", Fault::Unbalanced),
        ("SELECT (1", Fault::Unbalanced),
        ("SELECT 1)", Fault::Unbalanced),
        ("SELECT 1)(", Fault::Unbalanced),
        ("SELECT 1 /* open", Fault::Unbalanced),
        ("SELECT 1 /* /* */", Fault::Unbalanced),
        ("SELECT 1 -- swallows the end", Fault::Unbalanced),
        ("SELECT '\0'", Fault::Nul),
        ("SELECT 1e'\\' '", Fault::Ambiguous),
        ("SELECT $1e'x'", Fault::Ambiguous),
        ("SELECT E'a'\n'b'", Fault::Ambiguous),
        ("SELECT E'a' -- x\n 'b'", Fault::Ambiguous),
        ("CREATE FUNCTION f() RETURNS begin LANGUAGE sql AS 'x'", Fault::Unbalanced),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;", Fault::Unbalanced),
        ("DROP TABLE t", Fault::Verb),
        ("CREATE TABLE t ()", Fault::Verb),
        ("CREATE VIEWS", Fault::Verb),
        ("", Fault::Verb),
    ];
    for (sql, expected) in attacks {
        assert_eq!(fault(sql), expected, "{sql}");
    }
}

#[test]
fn only_rules_list_statements_in_parentheses() {
    let rule = "CREATE RULE r AS ON INSERT TO s.t DO ALSO ( INSERT INTO s.u VALUES (1); UPDATE s.u SET a = ';')";
    assert_eq!(check_single_statement(rule, &["CREATE RULE"]), Ok(()));
    assert_eq!(
        check_single_statement(&format!("{rule}; DROP TABLE t"), &["CREATE RULE"]).unwrap_err().fault,
        Fault::Several
    );
    assert_eq!(check_fragment("f(1; 2)").unwrap_err().fault, Fault::Several);
}

#[test]
fn fragments_cannot_end_their_statement() {
    for good in [
        "integer",
        "s.\"a;b\"",
        "(x > 1) AND (y ~ '^\\d;'::text)",
        "s.===(s.bt,integer)",
        "a text DEFAULT 'x', b int",
        "",
    ] {
        assert_eq!(check_fragment(good), Ok(()), "{good}");
    }
    for bad in ["x;", "x; DROP TABLE t", "x)", "(x", "'x", "x \\! id", "x --", "x /*", "E'a'\n'b'"] {
        assert!(check_fragment(bad).is_err(), "{bad}");
    }
    // Only at the start of a statement do these words begin a body that holds a `;`.
    let body = "CREATE FUNCTION f() BEGIN ATOMIC; DROP TABLE t; END";
    assert_eq!(check_fragment(body).unwrap_err().fault, Fault::Several);
}

#[test]
fn the_line_of_a_fault_is_named() {
    let error = check_single_statement("SELECT 1,\n2,\n\\! x", &["SELECT"]).unwrap_err();
    assert_eq!(error.to_string(), "line 3: a backslash stands outside of quotes");
}

#[test]
fn colons_that_psql_could_replace_get_a_blank() {
    let sql = "SELECT a[1:n], b[:'x'], c[x:\"HOST\"], d::text, e[1:2], ':x', f[lo: hi], g(h := 1)";
    assert_eq!(
        without_variables(sql),
        "SELECT a[1: n], b[: 'x'], c[x: \"HOST\"], d::text, e[1: 2], ':x', f[lo: hi], g(h := 1)"
    );
    assert_eq!(without_variables("SELECT a[1:b]; SELECT 'é', c[d:e];"), "SELECT a[1: b]; SELECT 'é', c[d: e];");
    assert!(matches!(without_variables("SELECT a::text"), Cow::Borrowed(_)));
}

proptest! {
    #[test]
    fn a_name_or_value_of_ours_is_always_harmless(name in "\\PC{0,30}|[\\r\\n\\\\!'\";$/*-]{0,30}") {
        let ident = name.replace('"', "\"\"");
        let value = name.replace('\'', "''");
        let sql = format!("ALTER TABLE \"{ident}\" ADD CHECK (x = '{value}')");
        prop_assert_eq!(check_single_statement(&sql, &["ALTER TABLE"]), Ok(()));
    }

    #[test]
    fn what_passes_is_one_statement_to_the_lexer(sql in "[a1 '\"$;\\\\/*()E\\n:-]{0,40}") {
        let sql = format!("SELECT {sql}");
        if check_single_statement(&sql, &["SELECT"]).is_ok() {
            let script = format!("{sql};");
            let mut lexer = super::super::Lexer::new();
            lexer.feed(script.as_bytes());
            lexer.finish();
            prop_assert_eq!(lexer.next(), Ok(Some(super::super::Item::Statement(script.as_bytes()))));
            prop_assert_eq!(lexer.next(), Ok(None));
        }
    }

    #[test]
    fn the_check_never_panics(sql in ".{0,80}") {
        let _ = check_single_statement(&sql, &["SELECT"]);
        let shielded = without_variables(&sql);
        let again = without_variables(&shielded);
        prop_assert_eq!(&again, &shielded);
    }
}
