//! Which server, as whom, how guarded: one value that every connection is made from.
//!
//! The environment is never read here; `cli` fills a [`Params`] and turns it into a [`Server`].
//! A password is a [`Secret`]: it cannot be printed, and no error of this module holds it.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;

use super::params::Params;

/// The folders in which a packaged server puts its socket; `localhost` in a password file means them.
pub const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Text that `Debug` and `Display` do not show.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself: for the authentication exchange only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Where one server listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    Tcp(String),
    /// The folder that holds `.s.PGSQL.<port>`.
    Socket(PathBuf),
}

/// The name or the folder alone: what `.meta` says of where a backup came from.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(name) => f.write_str(name),
            Place::Socket(folder) => write!(f, "{}", folder.display()),
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    pub place: Place,
    /// Connect here without asking a name server; the name stays what certificates are checked against.
    pub address: Option<IpAddr>,
    pub port: u16,
}

impl Host {
    pub fn is_local(&self) -> bool {
        match (&self.place, self.address) {
            (Place::Socket(_), _) => true,
            (Place::Tcp(_), Some(address)) => address.is_loopback(),
            (Place::Tcp(name), None) => {
                name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }

    pub fn socket_file(folder: &Path, port: u16) -> PathBuf {
        folder.join(format!(".s.PGSQL.{port}"))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Place::Tcp(name) => write!(f, "{name}:{}", self.port),
            Place::Socket(folder) => write!(f, "{}", Host::socket_file(folder, self.port).display()),
        }
    }
}

/// libpq's six, weakest first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub enum SslMode {
    Disable,
    Allow,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Whether TLS is asked for by libpq's SSLRequest, or begun at once (PostgreSQL 17 and later).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SslNegotiation {
    #[default]
    Postgres,
    Direct,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ChannelBinding {
    Disable,
    #[default]
    Prefer,
    Require,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RootCert {
    /// The system's own store; libpq allows it with `verify-full` only.
    System,
    File(PathBuf),
}

/// Which of several hosts will do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Target {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tls {
    pub mode: SslMode,
    pub negotiation: SslNegotiation,
    pub root: Option<RootCert>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// Tried in order; never empty.
    pub hosts: Vec<Host>,
    pub user: String,
    pub password: Option<Secret>,
    /// Looked into, host by host, when there is no password.
    pub passfile: Option<PathBuf>,
    pub database: String,
    pub tls: Tls,
    pub channel_binding: ChannelBinding,
    pub connect_timeout: Option<Duration>,
    pub application_name: String,
    pub options: Option<String>,
    pub target: Target,
}

impl Server {
    /// A libpq URI: `postgresql://user@host:5432/database?sslmode=verify-full`.
    pub fn from_url(url: &str) -> Result<Server> {
        Params::from_url(url)?.server()
    }

    /// The same server and login, another database.
    pub fn with_database(&self, database: &str) -> Server {
        Server { database: database.to_owned(), ..self.clone() }
    }

    /// `shop on db.example:5432`, for messages; never holds a password.
    pub fn describe(&self) -> String {
        format!("{} on {}", self.database, self.describe_hosts())
    }

    pub fn describe_hosts(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        hosts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let server = Server::from_url("postgres://ann:hunter2@db/shop").unwrap();
        assert_eq!(server.password.as_ref().map(Secret::reveal), Some("hunter2"));
        for shown in [format!("{server:?}"), server.describe(), format!("<{}>", Secret::new("hunter2"))] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn another_database_keeps_the_rest() {
        let server = Server::from_url("postgres://ann:pw@db:6000/shop?sslmode=require").unwrap();
        let other = server.with_database("other");
        assert_eq!(other.database, "other");
        assert_eq!(Server { database: "shop".into(), ..other }, server);
    }

    #[test]
    fn hosts_print_as_they_are_dialled() {
        let shown = |place, port| Host { place, address: None, port }.to_string();
        assert_eq!(shown(Place::Tcp("db".into()), 5432), "db:5432");
        assert_eq!(shown(Place::Tcp("::1".into()), 5432), "[::1]:5432");
        assert_eq!(shown(Place::Socket("/run/pg".into()), 5433), "/run/pg/.s.PGSQL.5433");
    }
}
