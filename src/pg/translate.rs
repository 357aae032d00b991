//! Statements of one major for a server of another: what can be said there in other words, or with less.
//!
//! Pure. Only what would cost much more than it is worth is translated: a virtual column must not cost a table its
//! rows. Whatever changes on the way is named in [`Translated::changes`], so that it can be listed; a change without a
//! name there changes no meaning. Nothing that guards rows or rights is loosened in silence: what has no translation here
//! goes to the server as it is, which refuses it.

use std::borrow::Cow;
use std::ops::Range;

use crate::script::{TokenKind, Tokens};

use super::version::{Capability, ServerVersion};

/// A statement in the target's words; empty if nothing of it is left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Translated<'a> {
    pub sql: Cow<'a, [u8]>,
    /// What the target has otherwise than the source had.
    pub changes: Vec<String>,
}

pub fn translate(sql: &[u8], target: ServerVersion) -> Translated<'_> {
    let tokens = Tokens::of(sql);
    let mut work = Work { tokens: &tokens, target, spans: Vec::new(), after: Vec::new(), changes: Vec::new() };
    let nothing_left = match () {
        () if tokens.is(0, "GRANT") || tokens.is(0, "REVOKE") => work.privileges(0),
        () if tokens.are(0, "ALTER DEFAULT PRIVILEGES") => {
            tokens.find(3, &["GRANT", "REVOKE"]).is_some_and(|verb| work.privileges(verb))
        }
        () if tokens.is(0, "CREATE") => {
            work.create();
            false
        }
        () => false,
    };
    let Work { spans, after, changes, .. } = work;
    let sql = match (nothing_left, spans.is_empty()) {
        (true, _) => Cow::Owned(Vec::new()),
        (false, true) => Cow::Borrowed(sql),
        (false, false) => {
            let mut sql = tokens.replaced(spans);
            sql.extend_from_slice(&after);
            Cow::Owned(sql)
        }
    };
    Translated { sql, changes }
}

/// A table without the defaults and checks of its columns: rows are worth more than an expression that the server cannot
/// take. `None` if it has neither, or is no table. Generated columns stay: their values are not in the rows.
pub fn without_expressions(sql: &[u8]) -> Option<Translated<'_>> {
    let tokens = Tokens::of(sql);
    let is_table = tokens.is(0, "CREATE") && (tokens.is(1, "TABLE") || tokens.is(2, "TABLE"));
    if !is_table {
        return None;
    }
    let target = ServerVersion::from_num(0);
    let mut work = Work { tokens: &tokens, target, spans: Vec::new(), after: Vec::new(), changes: Vec::new() };
    for element in work.elements() {
        work.strip(&element);
    }
    let Work { spans, changes, .. } = work;
    (!spans.is_empty()).then(|| Translated { sql: Cow::Owned(tokens.replaced(spans)), changes })
}

struct Work<'a> {
    tokens: &'a Tokens<'a>,
    target: ServerVersion,
    spans: Vec<(Range<usize>, String)>,
    /// Statements that follow.
    after: Vec<u8>,
    changes: Vec<String>,
}

impl Work<'_> {
    fn lacks(&self, capability: Capability) -> bool {
        !self.target.has(capability)
    }

    /// Takes MAINTAIN out of the list between verb and ON. Whether nothing else was granted.
    fn privileges(&mut self, verb: usize) -> bool {
        let Some(on) = self.tokens.find(verb, &["ON"]).filter(|_| self.lacks(Capability::Maintain)) else {
            return false;
        };
        let Some(at) = (verb + 1..on).find(|at| self.tokens.is(*at, "MAINTAIN")) else { return false };
        if self.tokens.is(verb, "GRANT") {
            self.changes.push("without MAINTAIN, which the server does not know".to_owned());
        }
        match (self.tokens.is_mark(at - 1, b','), self.tokens.is_mark(at + 1, b',')) {
            (true, _) => self.cut(at - 1, at),
            (false, true) => self.cut(at, at + 1),
            (false, false) => return true,
        }
        false
    }

    fn create(&mut self) {
        let tokens = self.tokens;
        match () {
            () if tokens.is(1, "TABLE") || tokens.are(1, "UNLOGGED TABLE") || tokens.are(1, "FOREIGN TABLE") => {
                self.table();
            }
            () if tokens.are(1, "UNLOGGED SEQUENCE") && self.lacks(Capability::UnloggedSequences) => self.cut(1, 1),
            () if tokens.is(1, "TYPE") && self.lacks(Capability::Multiranges) => {
                self.cut_clause("MULTIRANGE_TYPE_NAME", "without a multirange type, which the server does not know");
            }
            () if tokens.is(1, "PUBLICATION") && self.lacks(Capability::PublicationGeneratedColumns) => {
                let change = "does not publish generated columns, which the server cannot";
                self.cut_clause("publish_generated_columns", change);
            }
            () => {}
        }
    }

    fn cut(&mut self, first: usize, last: usize) {
        self.spans.push((self.tokens.span(first, last), String::new()));
    }

    /// Takes `word = …` out of the list in the outermost parentheses.
    fn cut_clause(&mut self, word: &str, change: &str) {
        for element in self.elements() {
            if self.tokens.is(element.start, word) && self.tokens.is_mark(element.start + 1, b'=') {
                self.cut_element(&element);
                self.changes.push(change.to_owned());
            }
        }
    }

    /// The parts between the commas of the first parentheses, as ranges of tokens.
    fn elements(&self) -> Vec<Range<usize>> {
        let all = 0..self.tokens.count();
        let Some(open) = all.clone().find(|at| self.tokens.depth(*at) == 0 && self.tokens.is_mark(*at, b'(')) else {
            return Vec::new();
        };
        let close = (open + 1..all.end).find(|at| self.tokens.depth(*at) == 0).unwrap_or(all.end);
        let mut elements = Vec::new();
        let mut start = open + 1;
        for at in open + 1..close {
            if self.tokens.depth(at) == 1 && self.tokens.is_mark(at, b',') {
                elements.push(start..at);
                start = at + 1;
            }
        }
        elements.push(start..close);
        elements.retain(|element| !element.is_empty());
        elements
    }

    /// With one of the commas beside it; several neighbours may go.
    fn cut_element(&mut self, element: &Range<usize>) {
        let taken = |spans: &[(Range<usize>, String)], at: usize, tokens: &Tokens<'_>| {
            let place = tokens.span(at, at).start;
            spans.iter().any(|(span, _)| span.contains(&place))
        };
        let before = element.start.saturating_sub(1);
        let has_before = self.tokens.is_mark(before, b',') && !taken(&self.spans, before, self.tokens);
        let has_after = self.tokens.is_mark(element.end, b',');
        match (has_before, has_after) {
            (true, _) => self.cut(before, element.end - 1),
            (false, true) => self.cut(element.start, element.end),
            (false, false) => self.cut(element.start, element.end - 1),
        }
    }

    fn table(&mut self) {
        if self.tokens.is(1, "UNLOGGED")
            && self.target.has(Capability::NoUnloggedPartitionedTables)
            && self.tokens.find(3, &["PARTITION"]).is_some_and(|at| self.tokens.is(at + 1, "BY"))
        {
            self.cut(1, 1);
        }
        for element in self.elements() {
            self.element(&element);
        }
    }

    /// A column or a constraint. The name of a column is always quoted, so that a word is a keyword.
    fn element(&mut self, element: &Range<usize>) {
        let tokens = self.tokens;
        let named = tokens.is(element.start, "CONSTRAINT");
        let body = if named { element.start + 2 } else { element.start };
        let shown = || match tokens.name(element.start + 1).filter(|_| named) {
            Some(name) => format!("constraint {name}"),
            None => "a constraint".to_owned(),
        };
        match () {
            () if tokens.is(body, "CHECK") && self.lacks(Capability::NotEnforced) => {
                if (element.end >= 2) && tokens.are(element.end - 2, "NOT ENFORCED") {
                    self.changes.push(format!("without {}, which was not enforced", shown()));
                    self.cut_element(element);
                }
            }
            () if tokens.are(body, "NOT NULL") && self.lacks(Capability::NotNullConstraints) => {
                self.table_not_null(element, body + 2);
            }
            () if tokens.get(element.start).is_some_and(|token| token.kind == TokenKind::Quoted) => {
                self.column(element);
            }
            () => {}
        }
    }

    /// `CONSTRAINT n NOT NULL "a"` among the table's constraints: older servers say it in a statement of its own.
    fn table_not_null(&mut self, element: &Range<usize>, column: usize) {
        let name = self.tokens.name(column).unwrap_or_default();
        self.cut_element(element);
        if self.tokens.are(column + 1, "NO INHERIT") {
            self.changes.push(format!("column {name} may be null: NOT NULL NO INHERIT is unknown to the server"));
            return;
        }
        let table = self.tokens.find(1, &["TABLE"]).map_or(0, |word| word + 1);
        let open = (table..self.tokens.count()).find(|at| self.tokens.is_mark(*at, b'(')).unwrap_or(table + 1);
        let last = (table..open).find(|at| self.tokens.is(*at, "OF")).unwrap_or(open).saturating_sub(1);
        let names = (table..=last).map(|at| self.tokens.text(at)).collect::<Vec<_>>().concat();
        let pieces: [&[u8]; 5] =
            [b"\nALTER TABLE ONLY ", &names, b" ALTER COLUMN ", self.tokens.text(column), b" SET NOT NULL;"];
        self.after.extend_from_slice(&pieces.concat());
    }

    /// `"a" type DEFAULT … NOT NULL COLLATE …`, or a CHECK.
    fn strip(&mut self, element: &Range<usize>) {
        let tokens = self.tokens;
        if tokens.is(element.start, "CONSTRAINT") && tokens.is(element.start + 2, "CHECK") {
            let name = tokens.name(element.start + 1).unwrap_or_default();
            self.cut_element(element);
            self.changes.push(format!("without constraint {name}"));
            return;
        }
        let mut outer = element.clone().filter(|at| tokens.depth(*at) == 1);
        let Some(default) = outer.find(|at| tokens.is(*at, "DEFAULT")) else { return };
        let ends =
            |at: &usize| tokens.is(*at, "CONSTRAINT") || tokens.are(*at, "NOT NULL") || tokens.is(*at, "COLLATE");
        let end = outer.find(ends).unwrap_or(element.end);
        self.cut(default, end - 1);
        let name = tokens.name(element.start).unwrap_or_default();
        self.changes.push(format!("column {name} without its default"));
    }

    fn column(&mut self, element: &Range<usize>) {
        let tokens = self.tokens;
        let name = tokens.name(element.start).unwrap_or_default();
        for at in element.clone().filter(|at| tokens.depth(*at) == 1) {
            let after_parentheses = tokens.is_mark(at.saturating_sub(1), b')');
            if tokens.is(at, "VIRTUAL") && after_parentheses && self.lacks(Capability::VirtualColumns) {
                self.spans.push((tokens.span(at, at), "STORED".to_owned()));
                self.changes.push(format!("column {name} is stored, not virtual"));
            }
            if tokens.are(at, "NOT NULL NO INHERIT") && self.lacks(Capability::NotNullConstraints) {
                let named = at >= 2 && tokens.is(at - 2, "CONSTRAINT");
                self.cut(if named { at - 2 } else { at }, at + 3);
                self.changes.push(format!("column {name} may be null: NOT NULL NO INHERIT is unknown to the server"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(major: u32, sql: &str) -> (String, Vec<String>) {
        let Translated { sql, changes } = translate(sql.as_bytes(), ServerVersion::from_num(major * 10_000));
        (String::from_utf8(sql.into_owned()).unwrap(), changes)
    }

    #[track_caller]
    fn becomes(major: u32, sql: &str, expected: &str, changes: usize) {
        let (found, listed) = to(major, sql);
        assert_eq!(found, expected);
        assert_eq!(listed.len(), changes, "{listed:?}");
    }

    #[track_caller]
    fn stays(major: u32, sql: &str) {
        becomes(major, sql, sql, 0);
    }

    #[test]
    fn maintain_is_taken_out_of_a_grant() {
        let grant = "GRANT SELECT, MAINTAIN ON TABLE \"s\".\"maintain\" TO \"maintain\";";
        becomes(16, grant, "GRANT SELECT ON TABLE \"s\".\"maintain\" TO \"maintain\";", 1);
        stays(17, grant);
        becomes(16, "GRANT MAINTAIN, SELECT ON t TO a;", "GRANT  SELECT ON t TO a;", 1);
        becomes(13, "GRANT MAINTAIN ON TABLE t TO a;", "", 1);
        becomes(13, "REVOKE MAINTAIN ON TABLE t FROM a;", "", 0);
        let default = "ALTER DEFAULT PRIVILEGES FOR ROLE \"o\" GRANT INSERT, MAINTAIN ON TABLES TO \"a\";";
        becomes(15, default, "ALTER DEFAULT PRIVILEGES FOR ROLE \"o\" GRANT INSERT ON TABLES TO \"a\";", 1);
        stays(13, "GRANT ALL ON TABLE t TO a;");
    }

    #[test]
    fn a_table_keeps_its_rows() {
        let virtual_column = "CREATE TABLE \"s\".\"t\" (\n    \"a\" integer CONSTRAINT \"n\" NOT NULL,\n    \"virtual\" integer GENERATED ALWAYS AS (((a) * 2)) VIRTUAL\n);";
        becomes(17, virtual_column, &virtual_column.replace(" VIRTUAL", " STORED"), 1);
        stays(18, virtual_column);
        becomes(
            13,
            "CREATE TABLE \"s\".\"t\" (\n    \"a\" integer,\n    CONSTRAINT \"c\" CHECK ((a > 0)) NOT ENFORCED,\n    CONSTRAINT \"d\" CHECK ((a > 1))\n);",
            "CREATE TABLE \"s\".\"t\" (\n    \"a\" integer,\n    CONSTRAINT \"d\" CHECK ((a > 1))\n);",
            1,
        );
        becomes(
            17,
            "CREATE TABLE \"s\".\"t\" (\n    CONSTRAINT \"n\" NOT NULL \"a\",\n    NOT NULL \"b\"\n)\nINHERITS (\"s\".\"p\");",
            "CREATE TABLE \"s\".\"t\" (\n    \n    \n)\nINHERITS (\"s\".\"p\");\nALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"a\" SET NOT NULL;\nALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"b\" SET NOT NULL;",
            0,
        );
        becomes(
            17,
            "CREATE TABLE \"t\" (\"a\" integer CONSTRAINT \"n\" NOT NULL NO INHERIT, \"b\" text DEFAULT 'NOT NULL NO INHERIT'::text);",
            "CREATE TABLE \"t\" (\"a\" integer , \"b\" text DEFAULT 'NOT NULL NO INHERIT'::text);",
            1,
        );
    }

    #[test]
    fn rows_are_worth_more_than_a_default() {
        let sql = "CREATE UNLOGGED TABLE \"t\" (\n    \"a\" integer DEFAULT f(1, 'x, y'::text) CONSTRAINT \"n\" NOT NULL,\n    \"b\" text DEFAULT g() COLLATE \"C\",\n    \"c\" integer GENERATED ALWAYS AS ((a + 1)) STORED,\n    CONSTRAINT \"k\" CHECK (f(a))\n);";
        let bare = without_expressions(sql.as_bytes()).unwrap();
        assert_eq!(
            std::str::from_utf8(&bare.sql).unwrap(),
            "CREATE UNLOGGED TABLE \"t\" (\n    \"a\" integer  CONSTRAINT \"n\" NOT NULL,\n    \"b\" text  COLLATE \"C\",\n    \"c\" integer GENERATED ALWAYS AS ((a + 1)) STORED\n);"
        );
        assert_eq!(
            bare.changes,
            ["column a without its default", "column b without its default", "without constraint k"]
        );
        assert_eq!(without_expressions(b"CREATE TABLE \"t\" (\"a\" integer);"), None);
        assert_eq!(without_expressions(b"CREATE VIEW \"t\" AS SELECT 1 AS \"default\";"), None);
    }

    #[test]
    fn words_that_others_do_not_know_are_left_out() {
        becomes(14, "CREATE UNLOGGED SEQUENCE \"s\".\"q\";", "CREATE  SEQUENCE \"s\".\"q\";", 0);
        stays(15, "CREATE UNLOGGED SEQUENCE \"s\".\"q\";");
        stays(13, "CREATE UNLOGGED TABLE \"s\".\"t\" (\"a\" integer);");
        let parted = "CREATE UNLOGGED TABLE \"s\".\"t\" (\"a\" integer)\nPARTITION BY RANGE (a);";
        becomes(18, parted, &parted.replace("UNLOGGED", ""), 0);
        stays(17, parted);
        becomes(
            13,
            "CREATE TYPE \"s\".\"r\" AS RANGE (\n    SUBTYPE = integer,\n    MULTIRANGE_TYPE_NAME = s.mr\n);",
            "CREATE TYPE \"s\".\"r\" AS RANGE (\n    SUBTYPE = integer\n);",
            1,
        );
        becomes(
            17,
            "CREATE PUBLICATION \"p\" WITH (publish = 'insert', publish_generated_columns = stored);",
            "CREATE PUBLICATION \"p\" WITH (publish = 'insert');",
            1,
        );
        becomes(
            17,
            "CREATE TYPE \"s\".\"e\" AS ENUM ('MULTIRANGE_TYPE_NAME = 1');",
            "CREATE TYPE \"s\".\"e\" AS ENUM ('MULTIRANGE_TYPE_NAME = 1');",
            0,
        );
    }

    #[test]
    fn what_guards_rows_or_rights_is_never_loosened() {
        for sql in [
            "CREATE VIEW \"s\".\"v\" WITH (\"security_invoker\" = 'true') AS SELECT 1;",
            "ALTER TABLE ONLY \"s\".\"t\" ADD CONSTRAINT \"u\" UNIQUE NULLS NOT DISTINCT (\"a\");",
            "CREATE POLICY \"p\" ON \"s\".\"t\" TO \"pg_maintain\";",
            "ALTER PUBLICATION \"p\" ADD TABLE ONLY \"s\".\"t\" (\"a\") WHERE ((a > 1));",
        ] {
            stays(13, sql);
        }
    }
}
