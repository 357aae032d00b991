//! What the fuzz target `sql_framing` asserts; the committed seeds run as a test, too.

use super::lexer::{LONGEST_LINE, PIECE};
use super::{Fault, Item, Lexer, ScriptError, check_fragment, check_single_statement, without_variables};

const VERBS: [&str; 8] = ["ALTER", "COMMENT", "CREATE", "DELETE", "GRANT", "INSERT", "SELECT", "UPDATE"];

#[derive(Debug, Eq, PartialEq)]
enum Part {
    Statement(Vec<u8>),
    CopyIn(Vec<u8>),
    Rows(Vec<u8>),
    CopyEnd,
    Meta(Vec<u8>),
}

/// First byte: how the script is cut. Second byte: the longest statement. The rest: a script, and a statement.
pub fn fuzz_sql_framing(data: &[u8]) {
    let Some(([cut, limit], script)) = data.split_first_chunk::<2>() else { return };
    let limit = match limit {
        0 => 1 << 20,
        limit => 16 + 8 * usize::from(*limit),
    };
    let (whole, ended) = lex(script, script.len(), limit);
    let (pieces, ended_in_pieces) = lex(script, 1 + usize::from(*cut), limit);
    match (&ended, &ended_in_pieces) {
        (Ok(()), Ok(())) => assert_eq!(whole, pieces),
        (Err(one), Err(other)) => {
            // A statement that is both too long and faulty is given up as soon as it is known to be either.
            let too_long = [one.fault, other.fault].contains(&Fault::TooLong);
            assert!(one.fault == other.fault || too_long, "{one:?}, in pieces {other:?}");
            assert_eq!(before_rows(&whole), before_rows(&pieces));
        }
        _ => panic!("{ended:?}, in pieces {ended_in_pieces:?}"),
    }
    for part in &whole {
        match part {
            Part::Statement(text) | Part::CopyIn(text) => {
                assert!(text.len() <= limit && text.ends_with(b";") && !text.contains(&0));
                check_text(text.strip_suffix(b";").unwrap_or(text));
            }
            Part::Rows(_) | Part::CopyEnd => {}
            Part::Meta(line) => assert!(line.starts_with(b"\\") && !line.contains(&b'\n')),
        }
    }
    check_text(script);
}

/// The items, rows of one COPY joined (where they are cut is not promised), and how the script ended.
fn lex(script: &[u8], piece: usize, limit: usize) -> (Vec<Part>, Result<(), ScriptError>) {
    let mut lexer = Lexer::with_limit(limit);
    let mut parts = Vec::new();
    let ended = script
        .chunks(piece.max(1))
        .try_for_each(|bytes| {
            lexer.feed(bytes);
            drain(&mut lexer, &mut parts)?;
            let in_rows = matches!(parts.last(), Some(Part::CopyIn(_) | Part::Rows(_)));
            let bound = if in_rows { PIECE } else { limit.max(LONGEST_LINE) };
            assert!(lexer.held() <= bound, "{} bytes are held, {bound} at most should be", lexer.held());
            Ok(())
        })
        .and_then(|()| {
            lexer.finish();
            drain(&mut lexer, &mut parts)?;
            assert_eq!(lexer.held(), 0, "a script is done, and not all of it was read");
            Ok(())
        });
    (parts, ended)
}

fn drain(lexer: &mut Lexer, parts: &mut Vec<Part>) -> Result<(), ScriptError> {
    while let Some(item) = lexer.next()? {
        match (item, parts.last_mut()) {
            (Item::CopyRows(rows), Some(Part::Rows(before))) => before.extend_from_slice(rows),
            (Item::CopyRows(rows), _) => parts.push(Part::Rows(rows.to_vec())),
            (Item::Statement(text), _) => parts.push(Part::Statement(text.to_vec())),
            (Item::CopyIn { statement }, _) => parts.push(Part::CopyIn(statement.to_vec())),
            (Item::CopyEnd, _) => parts.push(Part::CopyEnd),
            (Item::Meta(line), _) => parts.push(Part::Meta(line.to_vec())),
        }
    }
    Ok(())
}

/// Rows in front of a fault may come in part.
fn before_rows(parts: &[Part]) -> &[Part] {
    match parts {
        [before @ .., Part::Rows(_)] => before,
        all => all,
    }
}

/// What a check lets through is one statement to the lexer: the `;` that we add ends it, and nothing before does.
fn check_text(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if check_single_statement(text, &VERBS).is_ok() {
        assert_alone(text);
    }
    if check_fragment(text).is_ok() {
        assert_alone(&format!("SELECT {text}"));
    }
    let spaced = without_variables(text);
    assert_eq!(without_variables(&spaced), spaced, "a variable is left");
}

fn assert_alone(text: &str) {
    let script = format!("{text};\nSELECT 'next';\n");
    // Blanks before a statement are not part of it.
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let expected = [format!("{text};"), "SELECT 'next';".to_owned()].map(|text| Part::Statement(text.into_bytes()));
    let (parts, ended) = lex(script.as_bytes(), script.len(), usize::MAX);
    assert_eq!((parts.as_slice(), ended), (expected.as_slice(), Ok(())), "more than one statement was let through");
}
