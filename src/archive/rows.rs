//! Where the rows stand in a data member: one whole `COPY … FROM stdin;` statement, rows, `\.`. FORMAT.md §5.
//!
//! The statement's identifiers are always quoted, and a quoted name may hold a newline or a semicolon, so the end of
//! the statement is the first newline outside of double quotes.

use std::ops::Range;

use crate::checksum::RowDigest;
use crate::text::Text;

const END_OF_DATA: &[u8] = b"\\.\n";

/// The span of the rows, or nothing if `raw` is not one whole COPY statement.
pub fn row_span(raw: &[u8]) -> Option<Range<usize>> {
    let start = statement_len(raw)?;
    let end = raw.len().checked_sub(END_OF_DATA.len())?;
    let rows = raw.get(start..end)?;
    let whole = raw.ends_with(END_OF_DATA) && (rows.is_empty() || rows.ends_with(b"\n"));
    whole.then_some(start..end)
}

/// The length of the COPY statement with its newline.
fn statement_len(raw: &[u8]) -> Option<usize> {
    if !raw.starts_with(b"COPY ") {
        return None;
    }
    let mut quoted = false;
    for at in memchr::memchr2_iter(b'"', b'\n', raw) {
        match raw.get(at) {
            Some(b'"') => quoted = !quoted,
            _ if quoted => {}
            _ => return raw.get(..at)?.ends_with(b" FROM stdin;").then(|| at.saturating_add(1)),
        }
    }
    None
}

/// The rows' number and digest.
pub fn count_rows(rows: &[u8]) -> (u64, RowDigest) {
    let mut digest = RowDigest::default();
    let count = digest.add_lines(rows);
    (count, digest)
}

/// Schema, table and columns as the COPY statement names them: what a salvager knows of a stream without an index.
pub fn names(raw: &[u8]) -> Option<(Text, Text, Box<[Text]>)> {
    let statement = raw.get(b"COPY ".len()..statement_len(raw)?)?;
    let (schema, rest) = quoted_name(statement)?;
    let (table, rest) = quoted_name(rest.strip_prefix(b".")?)?;
    let mut columns = Vec::new();
    let mut rest = rest.trim_ascii_start();
    if let Some(list) = rest.strip_prefix(b"(") {
        rest = list;
        while let Some((column, after)) = quoted_name(rest) {
            columns.push(Text::from(column));
            rest = after.strip_prefix(b",").unwrap_or(after).trim_ascii_start();
        }
        rest.strip_prefix(b")")?;
    }
    Some((schema.into(), table.into(), columns.into()))
}

/// Takes one `"name"` off; doubled quotes become one.
fn quoted_name(text: &[u8]) -> Option<(String, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut name = Vec::new();
    loop {
        let at = memchr::memchr(b'"', rest)?;
        name.extend_from_slice(rest.get(..at)?);
        rest = rest.get(at.saturating_add(1)..)?;
        match rest.strip_prefix(b"\"") {
            Some(after) => {
                name.push(b'"');
                rest = after;
            }
            None => return Some((String::from_utf8_lossy(&name).into_owned(), rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_between_statement_and_end() {
        let raw = b"COPY \"s\".\"t\" (\"a\") FROM stdin;\n1\n2\n\\.\n";
        let span = row_span(raw).unwrap();
        assert_eq!(&raw[span.clone()], b"1\n2\n");
        assert_eq!(count_rows(&raw[span]).0, 2);
        assert_eq!(row_span(b"COPY \"s\".\"t\" FROM stdin;\n\\.\n"), Some(25..25));
    }

    #[test]
    fn a_name_may_hold_a_newline() {
        let raw = b"COPY \"s\".\"a\"\" FROM stdin;\nb\" (\"c;\n\") FROM stdin;\n1\n\\.\n";
        assert_eq!(&raw[row_span(raw).unwrap()], b"1\n");
        assert_eq!(names(raw), Some(("s".into(), "a\" FROM stdin;\nb".into(), ["c;\n".into()].into())));
    }

    #[test]
    fn anything_else_is_not_a_data_member() {
        for raw in [
            &b""[..],
            b"\\.\n",
            b"COPY \"s\".\"t\" FROM stdin;\n",
            b"COPY \"s\".\"t\" FROM stdin;\n1\\.\n",
            b"COPY \"s\".\"t\" FROM stdin;\n1\n",
            b"COPY \"s\".\"t\" FROM stdin\n1\n\\.\n",
            b"SELECT 1;\n\\.\n",
            b"COPY \"s\n\\.\n",
        ] {
            assert_eq!(row_span(raw), None, "{}", String::from_utf8_lossy(raw));
        }
    }
}
