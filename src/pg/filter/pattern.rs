//! Patterns for names, as psql and pg_dump read them, turned into regular expressions of the server.
//!
//! `*` is any text, `?` any character, letters outside of double quotes are folded to lower case, a dot separates
//! schema and name. All else outside of quotes means what it means in a regular expression, but `$` and `[]`, which
//! stand for themselves; inside of quotes everything does. The expression is anchored at both ends. It is matched in
//! the server, as a value: nothing of a pattern ever becomes a part of a statement.

use std::fmt;

use crate::error::{Error, Kind, Result};

/// A pattern as it was typed, and what it means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    text: String,
    /// One for each dotted part, at least one.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Part {
    /// Not anchored yet.
    expression: String,
    /// The same without any translation but quotes and folding: databases are named, not matched.
    plain: String,
}

/// What stands for itself only behind a backslash.
const SPECIAL: &str = "|*+?()[]{}.^$\\";

impl Pattern {
    /// `name` alone: a dot is an error.
    pub fn of_name(text: &str) -> Result<Self> {
        Pattern::parse(text, 1)
    }

    /// `name`, `schema.name` or `database.schema.name`.
    pub fn of_relation(text: &str) -> Result<Self> {
        Pattern::parse(text, 3)
    }

    fn parse(text: &str, parts_max: usize) -> Result<Self> {
        let parts = translate(text);
        match parts.len() <= parts_max {
            true => Ok(Pattern { text: text.to_owned(), parts }),
            false => Err(Error::new(Kind::Usage, format!("the pattern {text} has too many dots"))
                .hint("a dot that is part of a name stands in double quotes: '\"a.b\"'")),
        }
    }

    /// The regular expression for the name itself.
    pub fn name(&self) -> String {
        self.parts.last().map(Part::anchored).unwrap_or_default()
    }

    /// The one for its schema; `None` leaves it to the search path.
    pub fn schema(&self) -> Option<String> {
        self.part_before(1).map(Part::anchored)
    }

    /// The database that is named, as it is.
    pub fn database(&self) -> Option<&str> {
        self.part_before(2).map(|part| part.plain.as_str())
    }

    fn part_before(&self, before_name: usize) -> Option<&Part> {
        self.parts.iter().rev().nth(before_name)
    }
}

/// As it was typed.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Part {
    fn anchored(&self) -> String {
        format!("^({})$", self.expression)
    }

    fn wild(&mut self, typed: char, means: &str) {
        self.expression.push_str(means);
        self.plain.push(typed);
    }

    fn literal(&mut self, c: char) {
        if SPECIAL.contains(c) {
            self.expression.push('\\');
        }
        self.raw(c);
    }

    fn raw(&mut self, c: char) {
        self.expression.push(c);
        self.plain.push(c);
    }
}

fn translate(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut part = Part::default();
    let mut quoted = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.next_if_eq(&'"').is_some() => part.raw('"'),
            '"' => quoted = !quoted,
            c if quoted => part.literal(c),
            '.' => parts.push(std::mem::take(&mut part)),
            '*' => part.wild('*', ".*"),
            '?' => part.wild('?', "."),
            '$' => part.literal('$'),
            '[' if rest.peek() == Some(&']') => part.literal('['),
            c => part.raw(c.to_ascii_lowercase()),
        }
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (Option<String>, String) {
        let pattern = Pattern::of_relation(text).unwrap();
        (pattern.schema(), pattern.name())
    }

    /// The examples of psql's manual, and what its regression tests know.
    #[test]
    fn a_pattern_means_what_it_means_in_psql() {
        let name = |text: &str| Pattern::of_name(text).unwrap().name();
        assert_eq!(name("orders"), "^(orders)$");
        assert_eq!(name("ORDERS*"), "^(orders.*)$");
        assert_eq!(name("o?d"), "^(o.d)$");
        assert_eq!(name("\"Orders*\""), "^(Orders\\*)$");
        assert_eq!(name("FOO\"FOO\"BAR"), "^(fooFOObar)$");
        assert_eq!(name("\"a\"\"b\""), "^(a\"b)$");
        assert_eq!(name("\"a.b\""), "^(a\\.b)$");
        assert_eq!(name("a$b"), "^(a\\$b)$");
        assert_eq!(name("\"a$b\""), "^(a\\$b)$");
        assert_eq!(name("[a-c]x|y+"), "^([a-c]x|y+)$");
        assert_eq!(name("int[]"), "^(int\\[])$");
        assert_eq!(name("Ä*"), "^(Ä.*)$", "the server folds ASCII letters only");
        assert_eq!(name("\"open"), "^(open)$");
        assert_eq!(name(""), "^()$");
    }

    #[test]
    fn dots_separate() {
        assert_eq!(parts("T"), (None, "^(t)$".to_owned()));
        assert_eq!(parts("s*.T?"), (Some("^(s.*)$".to_owned()), "^(t.)$".to_owned()));
        assert_eq!(parts("\"s.x\".t"), (Some("^(s\\.x)$".to_owned()), "^(t)$".to_owned()));
        let pattern = Pattern::of_relation("Shop.*.\"T\"").unwrap();
        assert_eq!(pattern.database(), Some("shop"));
        assert_eq!((pattern.schema().as_deref(), pattern.name().as_str()), (Some("^(.*)$"), "^(T)$"));
        assert_eq!(Pattern::of_relation("a.b").unwrap().database(), None);
        for wrong in [Pattern::of_name("a.b"), Pattern::of_relation("a.b.c.d")] {
            assert_eq!(wrong.map_err(|error| error.kind()).unwrap_err(), Kind::Usage);
        }
    }

    /// What an expression without wild parts matches.
    fn only_match(expression: &str) -> Option<String> {
        let inner = expression.strip_prefix("^(")?.strip_suffix(")$")?;
        let mut name = String::new();
        let mut rest = inner.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => name.push(rest.next()?),
                c if SPECIAL.contains(c) => return None,
                c => name.push(c),
            }
        }
        Some(name)
    }

    proptest! {
        #[test]
        fn a_quoted_name_matches_itself_alone(schema in any::<String>(), name in any::<String>()) {
            let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
            let text = format!("{}.{}", quoted(&schema), quoted(&name));
            let pattern = Pattern::of_relation(&text).unwrap();
            prop_assert_eq!(pattern.schema().as_deref().and_then(only_match), Some(schema));
            prop_assert_eq!(only_match(&pattern.name()), Some(name));
            prop_assert_eq!(pattern.to_string(), text);
        }

        #[test]
        fn any_text_is_a_pattern_or_has_too_many_dots(text in any::<String>()) {
            if let Ok(pattern) = Pattern::of_relation(&text) {
                prop_assert!(pattern.name().starts_with("^(") && pattern.name().ends_with(")$"));
            } else {
                prop_assert!(text.matches('.').count() > 2);
            }
        }
    }
}
