//! SQL identifiers and literals: the only two ways in which a name or a value gets into a statement.
//!
//! An [`Ident`] prints quoted, always: which words are keywords differs between majors, quotes never do.
//! A [`Literal`] needs `standard_conforming_strings = on`, which every session of ours sets first.

use std::fmt;

use crate::text::Text;

/// One name, printed as `"name"`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Ident(Text);

impl Ident {
    pub fn new(name: impl Into<Text>) -> Self {
        Ident(name.into())
    }

    /// The bare name, for messages and comparisons, never for SQL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bare name, to be held elsewhere.
    pub fn text(&self) -> &Text {
        &self.0
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_doubled(f, &self.0, '"')
    }
}

/// `"schema"."name"`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct QualifiedName {
    pub schema: Ident,
    pub name: Ident,
}

impl QualifiedName {
    pub fn new(schema: impl Into<Text>, name: impl Into<Text>) -> Self {
        QualifiedName { schema: Ident::new(schema), name: Ident::new(name) }
    }

    /// `schema.name` for messages.
    pub fn plain(&self) -> String {
        format!("{}.{}", self.schema.as_str(), self.name.as_str())
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A string value, printed as `'value'`.
#[derive(Clone, Copy, Debug)]
pub struct Literal<'a>(pub &'a str);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_doubled(f, self.0, '\'')
    }
}

fn write_doubled(f: &mut fmt::Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    use fmt::Write;
    f.write_char(quote)?;
    for c in text.chars() {
        if c == quote {
            f.write_char(quote)?;
        }
        f.write_char(c)?;
    }
    f.write_char(quote)
}

/// The number of a stream within one archive: a table's rows, a section of the script, a database file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct StreamId(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_nothing_else_is_special() {
        assert_eq!(Ident::new(r#"a"; DROP TABLE x; --"#).to_string(), r#""a""; DROP TABLE x; --""#);
        assert_eq!(Literal(r"it's \n").to_string(), r"'it''s \n'");
        assert_eq!(QualifiedName::new("s", "t\n").to_string(), "\"s\".\"t\n\"");
    }
}
