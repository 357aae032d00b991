//! What a server or a socket said, turned into our error: what failed, on which object, why, and what helps.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind};

use tokio_postgres::error::DbError;

use crate::error::{Error, Kind};

/// An ErrorResponse. Text that is not UTF-8 is shown with replacement characters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerError {
    pub severity: String,
    /// SQLSTATE.
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// CONTEXT: for COPY FROM the table, the row and the column.
    pub where_: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
    /// The server's function that raised it.
    pub routine: Option<String>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        if let Some(place) = &self.where_ {
            write!(f, " [{place}]")?;
        }
        write!(f, " (SQLSTATE {})", self.code)
    }
}

impl std::error::Error for ServerError {}

impl From<&DbError> for ServerError {
    fn from(error: &DbError) -> Self {
        let own = |text: Option<&str>| text.map(str::to_owned);
        ServerError {
            severity: error.severity().to_owned(),
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: own(error.detail()),
            hint: own(error.hint()),
            where_: own(error.where_()),
            schema: own(error.schema()),
            table: own(error.table()),
            column: own(error.column()),
            constraint: own(error.constraint()),
            routine: own(error.routine()),
        }
    }
}

/// Why a request had no result; who asked says what it was about.
#[derive(Debug)]
pub enum Failure {
    Server(Box<ServerError>),
    Io(io::Error),
    /// The stream ended where an answer was due.
    Closed,
    /// The server answered outside the protocol.
    Protocol(String),
    /// The login cannot go on; the text says why, the hint what helps.
    Login {
        why: String,
        hint: Option<String>,
    },
    /// The server's certificate was not accepted, or TLS cannot be had.
    Tls {
        why: String,
        hint: Option<String>,
    },
    TimedOut,
    /// The server is not of the kind that `target_session_attrs` asks for, which this holds.
    WrongRole(&'static str),
}

impl Failure {
    pub fn protocol(what: impl Into<String>) -> Self {
        Failure::Protocol(what.into())
    }

    pub fn code(&self) -> Option<&str> {
        match self {
            Failure::Server(error) => Some(&error.code),
            _ => None,
        }
    }

    /// The error of this failure for what was being done.
    pub fn while_doing(self, kind: Kind, doing: impl Into<String>) -> Error {
        let hint = self.hint();
        let error = Error::new(kind, doing).because(self);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn hint(&self) -> Option<String> {
        let fixed = match self {
            Failure::Server(error) => return server_hint(error),
            Failure::Login { hint, .. } | Failure::Tls { hint, .. } => return hint.clone(),
            Failure::Closed => "did the server restart, or was this session terminated? its log says more",
            Failure::TimedOut => "is a firewall between here and the server? connect_timeout sets how long is waited",
            Failure::Protocol(_) => "is it really a PostgreSQL server that listens there?",
            Failure::WrongRole(_) => "target_session_attrs chooses among several hosts; `any` takes the first",
            Failure::Io(cause) => io_hint(cause)?,
        };
        Some(fixed.to_owned())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Server(error) => error.fmt(f),
            Failure::Io(cause) => cause.fmt(f),
            Failure::Closed => f.write_str("the server closed the connection"),
            Failure::Protocol(what) => write!(f, "the server answered outside the protocol: {what}"),
            Failure::Login { why, .. } | Failure::Tls { why, .. } => f.write_str(why),
            Failure::TimedOut => f.write_str("no answer in time"),
            Failure::WrongRole(wanted) => write!(f, "the server is not {wanted}"),
        }
    }
}

// The cause stands in Display; naming it as a source too would print it twice.
impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        match cause.kind() {
            ErrorKind::UnexpectedEof => Failure::Closed,
            _ => Failure::Io(cause),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    /// tokio-postgres prints its cause and returns it as a source too: only the cause is kept.
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            return Failure::Server(Box::new(db.into()));
        }
        if error.is_closed() {
            return Failure::Closed;
        }
        let text = error.to_string();
        match error.into_source().map(|source| source.downcast::<io::Error>()) {
            Some(Ok(cause)) => (*cause).into(),
            Some(Err(source)) => Failure::Login { why: source.to_string(), hint: None },
            None => Failure::Protocol(text),
        }
    }
}

/// The server's code for what failed, if a server said so.
pub fn sqlstate(error: &Error) -> Option<&str> {
    let mut next = error.source();
    while let Some(layer) = next {
        if let Some(failure) = layer.downcast_ref::<Failure>() {
            return failure.code();
        }
        next = layer.source();
    }
    None
}

fn io_hint(cause: &io::Error) -> Option<&'static str> {
    Some(match cause.kind() {
        ErrorKind::ConnectionRefused => "is the server running, and does it listen on this address and port?",
        ErrorKind::NotFound => "is the server running, and is this the folder of its socket and its port?",
        ErrorKind::PermissionDenied => "may this user open the server's socket?",
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "is the host up, and is a firewall between here and it?"
        }
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            "did the server restart, or was this session terminated? its log says more"
        }
        _ => return None,
    })
}

/// What helps, by SQLSTATE; the server's own hint where we know nothing better.
fn server_hint(error: &ServerError) -> Option<String> {
    let ours = match error.code.as_str() {
        "28P01" => "the password is wrong, or the role has none; a password file needs mode 0600 to be used",
        "28000" => "pg_hba.conf of the server decides who may log in from where, and with which sslmode",
        "3D000" => "list the server's databases with: psql -l",
        "53300" => "the server's max_connections is used up: run with fewer --jobs, or end idle sessions",
        // Raised because row_security = off: else the server would hide rows.
        "42501" if error.message.contains("row-level security") => RLS_HINT,
        "42501" => return Some(denied_hint(&error.message)),
        "55P03" => "another session waits for or holds a stronger lock: a migration, VACUUM FULL, TRUNCATE?",
        "53100" => "the server's disk is full",
        "53200" if error.message.contains("shared memory") => "raise max_locks_per_transaction on the server",
        "53200" => "the server is out of memory",
        "57P01" => "an administrator or a shutdown ended the session; the server's log says who",
        "57P02" | "57P04" => "the server's log says why",
        "57P03" => "the server is starting up or shutting down: try again in a moment",
        "57014" => "the statement was cancelled: by a person, or by a timeout that a pooler sets",
        "58030" | "58P01" | "XX001" | "XX002" => {
            "the server cannot read its own files: look at its log and its disk now"
        }
        "42704" if error.message.contains("role") => {
            "create the missing roles first, or restore with --role-map OLD=NEW, --no-owner or --no-privileges"
        }
        "40001" if error.message.contains("recovery") => {
            "the standby cancelled us to go on with recovery: raise max_standby_streaming_delay, or set hot_standby_feedback"
        }
        _ => return error.hint.clone(),
    };
    Some(ours.to_owned())
}

const RLS_HINT: &str = "row-level security would hide rows: back up as the table's owner or as a role with BYPASSRLS";

fn denied_hint(message: &str) -> String {
    let mut words = message.strip_prefix("permission denied for ").unwrap_or_default().splitn(2, ' ');
    let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let grant = match kind {
        "table" | "relation" | "view" => "SELECT ON TABLE",
        "sequence" => "SELECT ON SEQUENCE",
        "schema" => "USAGE ON SCHEMA",
        "database" => "CONNECT ON DATABASE",
        _ => return "the role lacks a right; pg_read_all_data has what a backup needs".to_owned(),
    };
    format!(
        "as its owner run: GRANT {grant} {name} TO the role that backs up; or GRANT pg_read_all_data (PostgreSQL 14+)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(code: &str, message: &str) -> String {
        let error = ServerError { code: code.into(), message: message.into(), ..ServerError::default() };
        let error = Failure::Server(Box::new(error)).while_doing(Kind::Source, "cannot read rows of s.t");
        assert_eq!(error.chain(), format!("cannot read rows of s.t: {message} (SQLSTATE {code})"));
        error.hint_text().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_known_state_says_what_helps() {
        assert!(hint("42501", "permission denied for table t").contains("GRANT SELECT ON TABLE t TO"));
        assert!(hint("42501", "permission denied for schema s").contains("GRANT USAGE ON SCHEMA s TO"));
        assert!(hint("42501", "permission denied for sequence q").contains("GRANT SELECT ON SEQUENCE q TO"));
        assert!(hint("42501", "must be owner of x").contains("pg_read_all_data"));
        assert!(hint("42501", "query would be affected by row-level security policy").contains("BYPASSRLS"));
        assert!(hint("53200", "out of shared memory").contains("max_locks_per_transaction"));
        assert!(hint("53100", "could not extend file").contains("disk is full"));
        assert!(hint("57P01", "terminating connection").contains("administrator"));
        assert!(hint("55P03", "could not obtain lock").contains("stronger lock"));
        assert_eq!(hint("22P02", "invalid input syntax"), "");
    }

    #[test]
    fn the_servers_own_hint_is_kept_where_we_know_nothing_better() {
        let error = ServerError { code: "22023".into(), hint: Some("try x".into()), ..ServerError::default() };
        let error = Failure::Server(Box::new(error)).while_doing(Kind::Target, "cannot run it");
        assert_eq!(error.hint_text(), Some("try x"));
    }

    #[test]
    fn a_cut_stream_is_told_apart_from_a_refusal() {
        let hint =
            |kind| Failure::from(io::Error::from(kind)).while_doing(Kind::Connect, "x").hint_text().map(str::to_owned);
        assert!(hint(ErrorKind::UnexpectedEof).unwrap().contains("restart"));
        assert!(hint(ErrorKind::ConnectionReset).unwrap().contains("restart"));
        assert!(hint(ErrorKind::ConnectionRefused).unwrap().contains("running"));
        assert!(matches!(Failure::from(io::Error::from(ErrorKind::UnexpectedEof)), Failure::Closed));
    }
}
