//! How the statements of an archive are changed on their way into one target, and which refusals are listed instead
//! of ending the restore.
//!
//! Between servers of one major a refusal is a fault and ends the restore. Another major may lack a feature or have
//! dropped it: a statement that says so is listed with the server's reason. What is about rows, rights or the server's
//! health ends the restore everywhere. A drill passes over what its role may not make, and lists it apart.

use std::borrow::Cow;

use crate::error::{Error, Kind, Result};
use crate::job::Adaptation;
use crate::pg::fault::sqlstate;
use crate::pg::translate::{Translated, translate, without_expressions};
use crate::pg::version::ServerVersion;
use crate::script::{Item, Lexer, Tailoring};

#[derive(Clone, Debug, Default)]
pub struct Fitting {
    pub tailoring: Tailoring,
    /// The target's version, where its major is not the source's.
    other_major: Option<ServerVersion>,
    /// What the role has no right to make is listed, too.
    pass_over_rights: bool,
}

/// Why something is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The target's version does not have it.
    Feature,
    /// The role that restores may not make it.
    Rights,
}

/// One step's statements as they are to be run.
#[derive(Debug, Default)]
pub struct Fitted {
    pub statements: Vec<Vec<u8>>,
    /// What the target will have otherwise than the source had.
    pub changes: Vec<String>,
}

impl Fitted {
    /// All of it as one message: one transaction.
    pub fn batch(&self) -> Vec<u8> {
        self.statements.join(&b"\n"[..])
    }
}

impl Fitting {
    /// `source` is unknown where the script is another tool's: then a refusal is a fault.
    pub fn new(adaptation: &Adaptation, source: Option<ServerVersion>, target: ServerVersion) -> Self {
        let other_major = source.filter(|source| source.major() != target.major()).map(|_| target);
        let Adaptation { tailoring, pass_over_rights, .. } = adaptation;
        Fitting { tailoring: tailoring.clone(), other_major, pass_over_rights: *pass_over_rights }
    }

    /// Whether any statement may be refused without ending the restore.
    pub fn lists_refusals(&self) -> bool {
        self.other_major.is_some() || self.pass_over_rights
    }

    /// Whether the target is of another major than the source.
    pub fn other_major(&self) -> Option<ServerVersion> {
        self.other_major
    }

    /// Whether statements pass as they are.
    pub fn is_identity(&self) -> bool {
        self.tailoring.is_none() && self.other_major.is_none()
    }

    /// A statement that is left out has no place in the result.
    pub fn fit(&self, script: &[u8]) -> Result<Fitted> {
        if self.is_identity() {
            return Ok(Fitted { statements: vec![script.to_vec()], changes: Vec::new() });
        }
        self.fit_each(script)
    }

    /// The same, and always statement by statement.
    pub fn fit_each(&self, script: &[u8]) -> Result<Fitted> {
        let mut fitted = Fitted::default();
        let mut lexer = Lexer::new();
        lexer.feed(script);
        lexer.finish();
        while let Some(item) = lexer.next().map_err(|fault| unreadable().because(fault))? {
            let Item::Statement(sql) = item else { return Err(unreadable()) };
            self.add(sql, &mut fitted);
        }
        Ok(fitted)
    }

    fn add(&self, sql: &[u8], fitted: &mut Fitted) {
        let Some(tailored) = self.tailoring.apply(sql) else { return };
        let Translated { sql, changes } = match self.other_major {
            Some(target) => translate(&tailored, target),
            None => Translated { sql: Cow::Borrowed(tailored.as_ref()), changes: Vec::new() },
        };
        fitted.changes.extend(changes);
        if !sql.is_empty() {
            fitted.statements.push(sql.into_owned());
        }
    }

    /// The step's table without defaults and checks, where it has any and another major is what it goes to.
    pub fn bare(&self, fitted: &Fitted) -> Option<Fitted> {
        self.other_major?;
        let mut bare = Fitted { statements: Vec::new(), changes: fitted.changes.clone() };
        let mut changed = false;
        for sql in &fitted.statements {
            match without_expressions(sql) {
                Some(Translated { sql, changes }) => {
                    changed = true;
                    bare.statements.push(sql.into_owned());
                    bare.changes.extend(changes);
                }
                None => bare.statements.push(sql.clone()),
            }
        }
        changed.then_some(bare)
    }

    /// Whether a refusal is to be listed: of a feature, where another major is why it may be; in a drill of a right, and of
    /// what is not there once something `is_beyond_rights`: nobody keeps a list of what an extension brings.
    pub fn forgives(&self, error: &Error, is_beyond_rights: bool) -> Option<Refusal> {
        let code = sqlstate(error)?;
        match code {
            INSUFFICIENT_PRIVILEGE => self.pass_over_rights.then_some(Refusal::Rights),
            code if self.pass_over_rights && is_beyond_rights && UNDEFINED.contains(&code) => Some(Refusal::Rights),
            code => (self.other_major.is_some() && is_of_feature(code, error)).then_some(Refusal::Feature),
        }
    }
}

fn unreadable() -> Error {
    Error::new(Kind::Damaged, "an entry of the archive is no whole script")
}

const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Type, function, table, schema.
const UNDEFINED: [&str; 4] = ["42704", "42883", "42P01", "3F000"];

/// Syntax, names and options that the server does not know, and features that it says it lacks.
fn is_of_feature(code: &str, error: &Error) -> bool {
    const INVALID_PARAMETER: &str = "22023";
    const INVALID_SCHEMA: &str = "3F000";
    const NOT_IN_STATE: &str = "55000";
    const UNDEFINED_FILE: &str = "58P01";
    match code {
        INVALID_PARAMETER | INVALID_SCHEMA | NOT_IN_STATE => true,
        // A library of the other major; a lost file of the server's own is its health.
        UNDEFINED_FILE => error.chain().contains("could not access file"),
        _ => code.starts_with("42") || code.starts_with("0A"),
    }
}
