//! Scripts as psql reads them, cut at every byte.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, Eq, PartialEq)]
enum Owned {
    Statement(String),
    CopyIn(String),
    Rows(String),
    CopyEnd,
    Meta(String),
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Lexes in pieces of `piece` bytes; rows of one COPY are joined, since where they are cut is not promised.
fn lex_in_pieces(script: &[u8], piece: usize) -> Result<Vec<Owned>, ScriptError> {
    let mut lexer = Lexer::new();
    let mut items = Vec::new();
    let mut drain = |lexer: &mut Lexer| -> Result<(), ScriptError> {
        while let Some(item) = lexer.next()? {
            match (item, items.last_mut()) {
                (Item::CopyRows(rows), Some(Owned::Rows(before))) => before.push_str(&text(rows)),
                (Item::CopyRows(rows), _) => items.push(Owned::Rows(text(rows))),
                (Item::Statement(statement), _) => items.push(Owned::Statement(text(statement))),
                (Item::CopyIn { statement }, _) => items.push(Owned::CopyIn(text(statement))),
                (Item::CopyEnd, _) => items.push(Owned::CopyEnd),
                (Item::Meta(line), _) => items.push(Owned::Meta(text(line))),
            }
        }
        Ok(())
    };
    for part in script.chunks(piece.max(1)) {
        lexer.feed(part);
        drain(&mut lexer)?;
    }
    lexer.finish();
    drain(&mut lexer)?;
    Ok(items)
}

fn lex(script: &str) -> Result<Vec<Owned>, ScriptError> {
    let whole = lex_in_pieces(script.as_bytes(), script.len());
    for piece in [1, 2, 3, 7] {
        let pieces = lex_in_pieces(script.as_bytes(), piece);
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces, "in pieces of {piece}"),
            (Err(whole), Err(pieces)) => assert_eq!(whole.fault, pieces.fault, "in pieces of {piece}"),
            _ => panic!("{whole:?} but {pieces:?} in pieces of {piece}"),
        }
    }
    whole
}

fn statements(script: &str) -> Vec<String> {
    lex(script)
        .unwrap()
        .into_iter()
        .map(|item| match item {
            Owned::Statement(statement) => statement,
            other => panic!("expected a statement, found {other:?}"),
        })
        .collect()
}

fn fault(script: &str) -> Fault {
    lex(script).unwrap_err().fault
}

#[test]
fn semicolons_inside_quotes_do_not_split() {
    for one in [
        "SELECT 'a;b';",
        "SELECT 'it''s; fine';",
        r"SELECT 'c:\;';",
        r"SELECT E'\';' ;",
        r"SELECT e'\\';",
        "SELECT U&'d\\0061;t';",
        "SELECT \"a;\"\"b\";",
        "SELECT U&\"d;\";",
        "SELECT B'1;', x'ff;';",
        "SELECT $$a;b$$;",
        "SELECT $t$ $$;$u$; $t$;",
        "SELECT $t$ $t $$t$;",
        "SELECT $été$;$été$;",
        "SELECT 1 /* ; /* ; */ ; */ ;",
        "SELECT 1 -- ;\n;",
        "SELECT (1;2);",
        "SELECT a$b;",
        "SELECT $1;",
        "SELECT 1$$;$$;",
        "SELECT /*/ ; */ 1 /***;**/;",
        "SELECT 4 -/* ; */ - 1;",
    ] {
        assert_eq!(statements(one), [one], "{one}");
    }
}

#[test]
fn statements_are_split_and_what_is_between_is_dropped() {
    assert_eq!(
        statements("\u{feff}-- head\r\nSELECT 1;;SELECT 2; /* x /* y */ */ -- z\n\nSELECT '-- no';\n-- tail"),
        ["SELECT 1;", "SELECT 2;", "SELECT '-- no';"]
    );
    assert_eq!(statements("SELECT $a;$b;"), ["SELECT $a;", "$b;"], "an open tag is no dollar quote");
    assert_eq!(statements(""), Vec::<String>::new());
    assert_eq!(statements("--"), Vec::<String>::new());
}

#[test]
fn bodies_keep_their_semicolons() {
    let function =
        "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;";
    assert_eq!(statements(&format!("{function}SELECT 1;")), [function, "SELECT 1;"]);
    let procedure = "create procedure p(begin int) begin atomic insert into t values (1); end;";
    assert_eq!(statements(procedure), [procedure]);
    assert_eq!(statements("BEGIN; SELECT 1; END;"), ["BEGIN;", "SELECT 1;", "END;"]);
    let named = "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1';";
    assert_eq!(statements(&format!("{named}SELECT 1;")), [named, "SELECT 1;"], "a name is no body");
}

#[test]
fn copy_rows_are_not_read_as_sql() {
    let script = "COPY public.t (a, b) FROM stdin;\n1\t; DROP TABLE t; --\n'\t\\\\.\n\\.x\n\\.\nSELECT 1;\n";
    assert_eq!(
        lex(script).unwrap(),
        [
            Owned::CopyIn("COPY public.t (a, b) FROM stdin;".into()),
            Owned::Rows("1\t; DROP TABLE t; --\n'\t\\\\.\n\\.x\n".into()),
            Owned::CopyEnd,
            Owned::Statement("SELECT 1;".into()),
        ]
    );
    let empty = "COPY t FROM STDIN WITH (FORMAT csv); \r\n\\.\r\nCOPY u FROM stdin;\n\\.";
    assert_eq!(lex(empty).unwrap().len(), 4);
    let zero_columns = "COPY t FROM stdin;\n\n\n\\.\n";
    assert_eq!(lex(zero_columns).unwrap()[1], Owned::Rows("\n\n".into()));
}

#[test]
fn copy_that_reads_no_rows_here_is_a_statement() {
    for one in
        ["COPY t TO stdout;", "COPY t FROM 'stdin';", "COPY (SELECT 1 FROM stdin) TO stdout;", "SELECT 1 FROM stdin;"]
    {
        assert_eq!(statements(one), [one]);
    }
}

#[test]
fn a_row_longer_than_the_buffer_passes_in_pieces() {
    let row = "x".repeat(1 << 20);
    let script = format!("COPY t FROM stdin;\n{row}\n\\.\n");
    let mut lexer = Lexer::new();
    let mut seen = 0;
    for part in script.as_bytes().chunks(10_000) {
        lexer.feed(part);
        assert!(lexer.rest().len() < 2 * PIECE, "the row is not gathered");
        while let Some(item) = lexer.next().unwrap() {
            if let Item::CopyRows(rows) = item {
                seen += rows.len();
            }
        }
    }
    assert_eq!(seen, row.len() + 1);
    assert_eq!(lexer.state, State::Gap);
}

#[test]
fn a_script_that_ends_too_early_is_refused() {
    for script in [
        "SELECT 1",
        "SELECT 'a;",
        "SELECT $$;",
        "COPY t FROM stdin;",
        "COPY t FROM stdin;\n1\n",
        "COPY t FROM stdin;\n1",
        "/* never closed",
        "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1;",
    ] {
        assert_eq!(fault(script), Fault::Truncated, "{script}");
    }
    assert_eq!(lex("SELECT 1;\n\nSELECT (\n'x'").unwrap_err().line, 4);
}

#[test]
fn backslash_lines_are_items_and_never_part_of_a_statement() {
    assert_eq!(
        lex("\\restrict abc\r\nSELECT 1;\n\\unrestrict abc").unwrap(),
        [
            Owned::Meta("\\restrict abc".into()),
            Owned::Statement("SELECT 1;".into()),
            Owned::Meta("\\unrestrict abc".into()),
        ]
    );
    assert_eq!(fault("SELECT 1\n\\! touch /tmp/pwned\n;"), Fault::Backslash);
    assert_eq!(fault("SELECT 1 \\; SELECT 2;"), Fault::Backslash);
    assert_eq!(fault("COPY t FROM stdin; SELECT 1;\n\\.\n"), Fault::AfterCopy);
    assert_eq!(fault("SELECT '\0';"), Fault::Nul);
    assert_eq!(fault("SELECT \0;"), Fault::Nul);
}

#[test]
fn the_setting_of_the_script_decides_what_a_backslash_is() {
    let script = "SET standard_conforming_strings = off;\nSELECT 'it\\'s;';SET standard_conforming_strings TO 'on';SELECT 'a\\';";
    assert_eq!(statements(script).len(), 4);
    assert_eq!(statements(script)[1], "SELECT 'it\\'s;';");
}

#[test]
fn limits_hold() {
    let mut lexer = Lexer::with_limit(100);
    lexer.feed(format!("SELECT '{}", "x".repeat(200)).as_bytes());
    assert_eq!(lexer.next().unwrap_err().fault, Fault::TooLong);
    let mut lexer = Lexer::with_limit(100);
    lexer.feed(format!("/*{}*/ -- {}\n SELECT 1;", "x".repeat(99_999), "y".repeat(99_999)).as_bytes());
    assert_eq!(lexer.next(), Ok(Some(Item::Statement(b"SELECT 1;"))), "comments do not count");
    assert_eq!(fault(&format!("SELECT ${}$", "t".repeat(5000))), Fault::TooLong);
    assert_eq!(fault(&format!("\\{}", "t".repeat(50_000))), Fault::TooLong);
    assert_eq!(fault(&format!("\\{}\nSELECT 1;", "t".repeat(50_000))), Fault::TooLong);
}

#[test]
fn the_frame_of_pg_dump_is_noticed() {
    let mut lexer = Lexer::new();
    lexer.feed(b"--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n");
    while lexer.next().unwrap().is_some() {}
    assert_eq!(lexer.markers(), Markers { started: true, complete: false });
    lexer.feed(b"-- PostgreSQL database dump complete\n");
    lexer.finish();
    assert_eq!(lexer.next(), Ok(None));
    assert!(lexer.markers().complete);
}

/// Fragments that are interesting next to each other.
fn fragments() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "SELECT ",
        "'",
        "''",
        "\"",
        "E'",
        "\\",
        "$$",
        "$a$",
        "$",
        "--",
        "/*",
        "*/",
        "\n",
        "\r",
        ";",
        "(",
        ")",
        "COPY t FROM stdin",
        "\\.",
        "CREATE FUNCTION f() ",
        "BEGIN ATOMIC ",
        "CASE ",
        "END ",
        "1e",
        "é",
        "\0",
        " ",
        "U&",
        "x",
        "a",
        ".",
        ":",
        "-",
        "/",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn where_the_input_is_cut_changes_nothing(script in fragments(), piece in 1usize..9) {
        let whole = lex_in_pieces(script.as_bytes(), script.len());
        let pieces = lex_in_pieces(script.as_bytes(), piece);
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => prop_assert_eq!(whole, pieces),
            (Err(whole), Err(pieces)) => prop_assert_eq!(whole.fault, pieces.fault),
            (whole, pieces) => prop_assert!(false, "{:?} but {:?}", whole, pieces),
        }
    }

    #[test]
    fn quoted_text_never_splits(body in ".{0,60}", tag in "[a-z]{1,3}") {
        let body = body.replace('\0', "");
        let literal = format!("SELECT '{}';", body.replace('\'', "''"));
        let ident = format!("SELECT \"{}\";", body.replace('"', "\"\""));
        prop_assert_eq!(statements(&literal), [literal]);
        prop_assert_eq!(statements(&ident), [ident]);
        let close = format!("${tag}$");
        if !format!("{body}$").contains(&close) {
            let dollar = format!("SELECT {close}{body}{close};");
            prop_assert_eq!(statements(&dollar), [dollar]);
        }
    }
}
