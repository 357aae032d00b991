//! The name of a file within a store: a relative path that cannot leave it.

use std::fmt;

use crate::error::{Error, Kind, Result};

/// Folders and a file name, separated by `/`. No part is empty, `.` or `..`, begins with a dot (those are
/// unfinished files) or holds a NUL. Names that a listing finds are held to the same rules.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Name(String);

const PART_BYTES_MAX: usize = 255;

impl Name {
    pub fn new(path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        let part_is_fine = |part: &str| {
            !part.is_empty() && part.len() <= PART_BYTES_MAX && !part.starts_with('.') && !part.contains('\0')
        };
        if path.split('/').all(part_is_fine) {
            Ok(Name(path))
        } else {
            Err(Error::new(Kind::Refused, format!("`{}` is not a name for a file in a store", path.escape_debug())))
        }
    }

    /// What a listing found: a part of it may not be UTF-8, and is shown with replacement characters.
    pub(super) fn found(path: String) -> Self {
        Name(path)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.split().1
    }

    /// Everything before the last part, `""` at the root.
    pub fn folder(&self) -> &str {
        self.split().0
    }

    /// Another file in the same folder.
    pub fn sibling(&self, file_name: &str) -> Result<Name> {
        match self.folder() {
            "" => Name::new(file_name),
            folder => Name::new(format!("{folder}/{file_name}")),
        }
    }

    fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_store() {
        for path in ["", "/etc/passwd", "a//b", "a/", "../a", "a/../b", "./a", "a/.", ".hidden", "a/.b.partial", "a\0b"]
        {
            assert!(Name::new(path).is_err(), "{path:?}");
        }
        assert!(Name::new("x".repeat(256)).is_err());
        let name = Name::new("postgres/daily/x.sql.gz").unwrap();
        assert_eq!((name.folder(), name.file_name()), ("postgres/daily", "x.sql.gz"));
        assert_eq!(name.sibling("y").unwrap().as_str(), "postgres/daily/y");
        assert_eq!(Name::new("x").unwrap().sibling("y").unwrap().as_str(), "y");
    }
}
