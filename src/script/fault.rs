//! What can be wrong with a script, and on which line.

use std::error::Error;
use std::fmt;

/// Why a script or a statement is refused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The bytes end inside a statement, a quote, a comment or COPY rows.
    Truncated,
    /// A statement is longer than the lexer's limit.
    TooLong,
    /// A backslash outside of quotes: psql would run what follows as a command of its own.
    Backslash,
    /// A NUL byte, which no statement can hold.
    Nul,
    /// Text follows `COPY … FROM stdin;` on the same line.
    AfterCopy,
    /// A backslash line that is neither `\restrict` nor its matching `\unrestrict`.
    Command,
    /// A `;` splits the text into several statements.
    Several,
    /// A quote, a comment or a parenthesis is not closed, or a parenthesis is closed too often.
    Unbalanced,
    /// Versions of psql disagree where a string ends.
    Ambiguous,
    /// The statement does not begin with a verb that is expected here.
    Verb,
}

impl Fault {
    const fn text(self) -> &'static str {
        match self {
            Fault::Truncated => "the script ends inside a statement or COPY rows",
            Fault::TooLong => "a statement or a dollar quote's tag is too long",
            Fault::Backslash => "a backslash stands outside of quotes",
            Fault::Nul => "a NUL byte stands in a statement",
            Fault::AfterCopy => "text follows COPY … FROM stdin on the same line",
            Fault::Command => "a backslash command other than a matching \\restrict or \\unrestrict",
            Fault::Several => "more than one statement where one is expected",
            Fault::Unbalanced => "a quote, a comment or a parenthesis is not balanced",
            Fault::Ambiguous => "versions of psql disagree where a string ends",
            Fault::Verb => "the statement does not begin as expected",
        }
    }
}

/// A fault and the line, counted from 1, on which it was met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ScriptError {
    pub fault: Fault,
    pub line: u64,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault.text())
    }
}

impl Error for ScriptError {}
