//! The rows of a table, and the statements that read them and take them back.

use super::range::Range;
use crate::ident::{Ident, QualifiedName};

/// What is copied of one table. Its statements are made when they are needed: in a large schema there are a hundred thousand
/// tables.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rows {
    pub table: QualifiedName,
    /// Without generated columns.
    pub columns: Box<[Ident]>,
    /// `SELECT …`, where plain COPY would read other rows, or print them in another way.
    pub select: Option<Box<str>>,
    /// The root of the partition tree where rows may move to another part.
    pub into: Option<Box<QualifiedName>>,
    /// Pages of the heap when its size was asked for, where the server reads ranges of `ctid` without reading all.
    pub pages: Option<u64>,
}

impl Rows {
    fn names(&self) -> String {
        self.columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    fn list(&self) -> String {
        if self.columns.is_empty() { String::new() } else { format!(" ({})", self.names()) }
    }

    /// `COPY … TO STDOUT`, without a semicolon; of all rows without a range.
    pub fn copy_to(&self, range: Option<Range>) -> String {
        match (range, &self.select) {
            (Some(range), None) => {
                format!("COPY (SELECT {} FROM ONLY {} WHERE {range}) TO STDOUT", self.names(), self.table)
            }
            (_, Some(select)) => format!("COPY ({select}) TO STDOUT"),
            (None, None) => format!("COPY {}{} TO STDOUT", self.table, self.list()),
        }
    }

    /// `COPY … FROM stdin;` and a newline.
    pub fn copy_from(&self) -> String {
        let into = self.into.as_deref().unwrap_or(&self.table);
        format!("COPY {into}{} FROM stdin;\n", self.list())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_columns_and_root() {
        let mut rows = Rows {
            table: QualifiedName::new("s", "t"),
            columns: [Ident::new("a"), Ident::new("b\"")].into(),
            select: None,
            into: None,
            pages: Some(1),
        };
        assert_eq!(rows.copy_to(None), r#"COPY "s"."t" ("a", "b""") TO STDOUT"#);
        assert_eq!(rows.copy_from(), "COPY \"s\".\"t\" (\"a\", \"b\"\"\") FROM stdin;\n");
        let range = whole();
        let condition = format!("WHERE {range}) TO STDOUT");
        let parted = rows.copy_to(Some(range));
        assert_eq!(parted, format!(r#"COPY (SELECT "a", "b""" FROM ONLY "s"."t" {condition}"#));
        rows.select = Some("SELECT 1".into());
        rows.into = Some(Box::new(QualifiedName::new("s", "root")));
        assert_eq!(rows.copy_to(None), "COPY (SELECT 1) TO STDOUT");
        assert_eq!(rows.copy_from(), "COPY \"s\".\"root\" (\"a\", \"b\"\"\") FROM stdin;\n");
        let bare = Rows { columns: Box::default(), select: None, into: None, ..rows };
        assert_eq!(
            (bare.copy_to(None), bare.copy_from()),
            ("COPY \"s\".\"t\" TO STDOUT".into(), "COPY \"s\".\"t\" FROM stdin;\n".into())
        );
    }

    fn whole() -> Range {
        super::super::range::Rest::whole(10, 10).range()
    }
}
