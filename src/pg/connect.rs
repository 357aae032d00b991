//! Opens connections: every host, address and kind of encryption that the [`Server`] allows, in libpq's order.
//!
//! A login that fails is final, but for two cases: pg_hba.conf has no entry for this kind of encryption (`prefer`
//! and `allow` then try the other), or the server is starting up or of the wrong role (the next host is tried).
//! Everything after the login — which database, which settings — is the same on every path.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::error::{Error, Kind, Result};

use super::fault::Failure;
use super::settings::{EMPTY_SEARCH_PATH, NO_TIMEOUT, Purpose, pin};
use super::stream::Stream;
use super::tls;

pub use super::params::Params;
pub use super::server::{ChannelBinding, Host, Place, RootCert, Secret, Server, SslMode, SslNegotiation, Target, Tls};
pub use super::tls::Verified;

mod control;
mod dial;
mod watched;

pub(super) use control::{CANCEL_TIMEOUT, pinned};
pub use control::{Control, Driver, cancel, client};
pub(super) use dial::{Dialler, Link, within};

/// How a session is guarded on its way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guard {
    Socket,
    Plain,
    Tls(Verified),
}

/// Which server answered, and how safe the way to it is.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The one host that answered, its address fixed: an exported snapshot lives on that server alone.
    pub server: Server,
    pub guard: Guard,
}

impl Reached {
    /// What deserves a warning: others could read or answer in the server's place.
    pub fn warning(&self) -> Option<String> {
        let host = self.server.hosts.first()?;
        let local = host.is_local();
        match self.guard {
            Guard::Plain if !local => {
                Some(format!("the connection to {host} is not encrypted (sslmode=verify-full would be)"))
            }
            Guard::Tls(Verified::No) if !local => Some(format!(
                "the connection to {host} is encrypted, but the server's certificate is not verified \
                 (sslmode=verify-full with sslrootcert does)"
            )),
            _ => None,
        }
    }
}
