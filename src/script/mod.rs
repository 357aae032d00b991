//! Splits SQL scripts as psql does, and checks that text from a server is one harmless statement.
//!
//! Pure and bounded: [`Lexer`] is fed bytes and holds at most one statement, so a script of any length can be
//! read from a pipe. [`check_single_statement`] is what stands between a hostile source server and whoever
//! restores the script with psql; [`check_fragment`] does the same for expressions. All run the same scanner. [`Tailoring`]
//! fits statements to another server. Nothing here executes anything.

mod check;
mod fault;
#[cfg(any(test, feature = "testkit"))]
mod fuzz;
mod lexer;
mod restrict;
mod scan;
mod tailor;
mod tokens;

pub use self::check::{check_fragment, check_single_statement, without_variables};
pub use self::fault::{Fault, ScriptError};
#[cfg(any(test, feature = "testkit"))]
pub use self::fuzz::fuzz_sql_framing;
pub use self::lexer::{Item, Lexer, Markers};
pub use self::restrict::Restrict;
pub use self::tailor::{Part, Tailoring, is_statistics, owner_of, roles_of, tablespace_of};
pub use self::tokens::{Kind as TokenKind, Tokens};
