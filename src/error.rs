//! The one error shape: a kind, what we were doing on which object, the cause, a hint.
//!
//! Library code returns errors and never prints them. `Display` shows this layer only; `cli` walks
//! `source()` once. The first error wins: what goes wrong during cleanup is added as a note and never
//! replaces the cause.

use std::error::Error as StdError;
use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;
type BoxedError = Box<dyn StdError + Send + Sync + 'static>;

/// What a caller or a cron script can act on. Exit codes are documented and never reused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Kind {
    /// Command line or configuration is wrong.
    Usage,
    /// Some of several jobs failed, or a restore is complete but for parts that are listed.
    Partial,
    /// Nothing was done because it would have harmed: no confirmation, target exists, held by another.
    Refused,
    /// Nothing found, nothing configured, or a pattern that matches no file.
    Nothing,
    /// No connection, or the server refused the login.
    Connect,
    /// The database that is read: a query, a COPY, a lock, a page.
    Source,
    /// The place that is written to or read from: folder, file, bucket, disk space.
    Place,
    /// Stored bytes are not what was written.
    Damaged,
    /// Not one of our archives, or written by a newer version.
    Unsupported,
    /// The server or file that is restored into refused a statement or a row.
    Target,
    /// Stopped because another part of the run failed: never the error that is reported.
    Stopped,
    /// Stopped by a signal; holds its number.
    Signal(u8),
    /// A broken invariant of ours.
    Bug,
}

impl Kind {
    /// The process's exit code. An unknown code is a failure.
    pub const fn exit_code(self) -> u8 {
        match self {
            Kind::Usage => 2,
            Kind::Partial => 3,
            Kind::Refused => 4,
            Kind::Nothing => 5,
            Kind::Connect => 10,
            Kind::Source => 20,
            Kind::Place => 21,
            Kind::Damaged => 30,
            Kind::Unsupported => 31,
            Kind::Target | Kind::Stopped | Kind::Bug => 1,
            Kind::Signal(number) => 128u8.saturating_add(number),
        }
    }

    /// The word used in `--json` output.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Usage => "usage",
            Kind::Partial => "partial",
            Kind::Refused => "refused",
            Kind::Nothing => "nothing",
            Kind::Connect => "connect",
            Kind::Source => "source",
            Kind::Place => "place",
            Kind::Damaged => "damaged",
            Kind::Unsupported => "unsupported",
            Kind::Target => "target",
            Kind::Stopped => "stopped",
            Kind::Signal(_) => "signal",
            Kind::Bug => "bug",
        }
    }
}

/// One pointer wide, so that `Result<T>` stays small.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    doing: String,
    hint: Option<String>,
    notes: Vec<String>,
    source: Option<BoxedError>,
}

impl Error {
    /// `doing` is lower case, without a final stop, and names the object: `cannot read rows of public.orders`.
    pub fn new(kind: Kind, doing: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, doing: doing.into(), hint: None, notes: Vec::new(), source: None }))
    }

    pub fn because(mut self, source: impl Into<BoxedError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// A sentence or a question that helps somebody at 3 a.m.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Something that went wrong while cleaning up after this error.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.0.notes.push(note.into());
        self
    }

    /// Wraps this error in an outer layer of the same kind; the hint moves outward.
    pub fn while_doing(mut self, doing: impl Into<String>) -> Self {
        let hint = self.0.hint.take();
        let notes = std::mem::take(&mut self.0.notes);
        let kind = self.0.kind;
        let source = Some(BoxedError::from(self));
        Error(Box::new(Inner { kind, doing: doing.into(), hint, notes, source }))
    }

    /// The same error under another kind: a query fails as [`Kind::Target`] where it was to change the target.
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// All layers joined with `: `, outermost first.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(layer) = next {
            text.push_str(": ");
            text.push_str(&layer.to_string());
            next = layer.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.doing)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.chain())?;
        if let Some(hint) = self.hint_text() {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

/// Adds kind and context to a foreign error.
pub trait Context<T> {
    fn context(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<BoxedError>> Context<T> for std::result::Result<T, E> {
    fn context(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::new(kind, doing()).because(cause))
    }
}

/// The cause among the outcomes of parts that stop each other: the first error that is not [`Kind::Stopped`].
pub fn first_cause<T>(outcomes: impl IntoIterator<Item = Result<T>>) -> Result<Vec<T>> {
    let mut done = Vec::new();
    let mut stopped = None;
    let mut cause = None;
    for outcome in outcomes {
        match outcome {
            Ok(value) => done.push(value),
            Err(error) if error.kind() == Kind::Stopped => stopped = stopped.or(Some(error)),
            Err(error) => cause = cause.or(Some(error)),
        }
    }
    match cause.or(stopped) {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_prints_each_layer_once() {
        let io = std::io::Error::other("connection reset");
        let error = Error::new(Kind::Source, "cannot read rows of public.orders")
            .because(io)
            .hint("did the server restart?")
            .while_doing("cannot back up database shop");
        assert_eq!(error.chain(), "cannot back up database shop: cannot read rows of public.orders: connection reset");
        assert_eq!(error.hint_text(), Some("did the server restart?"));
        assert_eq!(error.kind().exit_code(), 20);
    }

    #[test]
    fn a_consequence_never_hides_the_cause() {
        let stopped = || Err::<(), _>(Error::new(Kind::Stopped, "stopped"));
        let cause = Err(Error::new(Kind::Place, "disk full"));
        assert_eq!(first_cause([stopped(), cause, stopped()]).unwrap_err().kind(), Kind::Place);
        assert_eq!(first_cause([stopped(), Ok(())]).unwrap_err().kind(), Kind::Stopped);
        assert!(first_cause([Ok(()), Ok(())]).is_ok());
    }

    #[test]
    fn signals_map_to_the_shells_codes() {
        assert_eq!(Kind::Signal(2).exit_code(), 130);
        assert_eq!(Kind::Signal(15).exit_code(), 143);
    }
}
