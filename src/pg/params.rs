//! libpq's connection parameters by name, before they are a [`Server`].
//!
//! Levels of configuration fill gaps with [`Params::set_default`]. A parameter that we do not know is an error that
//! names the nearest known one; one that libpq knows and that would make a connection *safer* than we can is refused,
//! never ignored. No error holds a password.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Kind, Result};

use super::server::{
    ChannelBinding, Host, Place, RootCert, SOCKET_FOLDERS, Secret, Server, SslMode, SslNegotiation, Target, Tls,
};

const USED: [&str; 20] = [
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "passfile",
    "dbname",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "channel_binding",
    "connect_timeout",
    "application_name",
    "fallback_application_name",
    "options",
    "target_session_attrs",
    "gssencmode",
    "client_encoding",
];

/// Known to libpq, without effect on what is read or who may read it.
const WITHOUT_EFFECT: [&str; 10] = [
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslcompression",
    "sslsni",
    "krbsrvname",
    "gsslib",
    "load_balance_hosts",
];

/// Known to libpq; to ignore them would connect where libpq refuses.
const REFUSED: [&str; 11] = [
    "requirepeer",
    "require_auth",
    "sslcrl",
    "sslcrldir",
    "sslpassword",
    "sslcertmode",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "gssdelegation",
    "replication",
    "service",
];

const DEFAULT_PORT: u16 = 5432;

/// libpq waits for ever; a nightly run must not. `connect_timeout=0` does.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Params {
    given: BTreeMap<&'static str, String>,
    password: Option<Secret>,
}

impl Params {
    pub fn new() -> Self {
        Params::default()
    }

    /// A libpq URI.
    pub fn from_url(url: &str) -> Result<Params> {
        super::url::parse(url)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Sets one parameter by libpq's name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> Result<()> {
        let value = value.into();
        if name == "password" {
            self.password = Some(Secret::new(value));
            return Ok(());
        }
        let Some(known) = USED.iter().chain(&WITHOUT_EFFECT).find(|known| **known == name) else {
            return Err(unknown(name));
        };
        self.given.insert(known, value);
        Ok(())
    }

    /// Sets a parameter that a stronger level left open.
    pub fn set_default(&mut self, name: &str, value: impl Into<String>) -> Result<()> {
        let is_open = if name == "password" { self.password.is_none() } else { self.get(name).is_none() };
        if is_open { self.set(name, value) } else { Ok(()) }
    }

    /// Takes from a weaker level whatever is still open here, the password included.
    pub fn fill_from(&mut self, weaker: &Params) {
        for (name, value) in &weaker.given {
            self.given.entry(name).or_insert_with(|| value.clone());
        }
        if self.password.is_none() {
            self.password.clone_from(&weaker.password);
        }
    }

    /// Checks every value and fills libpq's defaults. The user has none here: whoever reads the environment gives it.
    pub fn server(&self) -> Result<Server> {
        let user = self.text("user").ok_or_else(|| {
            Error::new(Kind::Usage, "no PostgreSQL user is given").hint("write it as postgres://USER@host/database")
        })?;
        if self.text("gssencmode").is_some_and(|mode| mode == "require") {
            return Err(refused("gssencmode=require"));
        }
        if let Some(encoding) = self.text("client_encoding").filter(|name| !name.eq_ignore_ascii_case("utf8")) {
            return Err(Error::new(Kind::Usage, format!("connection parameter client_encoding is {encoding}"))
                .hint("leave it out: the encoding follows the database"));
        }
        Ok(Server {
            hosts: self.hosts()?,
            password: self.password.clone(),
            passfile: self.path("passfile"),
            database: self.text("dbname").unwrap_or(user).to_owned(),
            user: user.to_owned(),
            tls: self.tls()?,
            channel_binding: self.choice("channel_binding", &CHANNEL_BINDINGS)?,
            connect_timeout: self.connect_timeout()?,
            application_name: self
                .text("application_name")
                .or_else(|| self.text("fallback_application_name"))
                .unwrap_or("miyabi-backup")
                .to_owned(),
            options: self.text("options").map(str::to_owned),
            target: self.choice("target_session_attrs", &TARGETS)?,
        })
    }

    /// An empty value means "not given", as in libpq.
    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    fn choice<T: Copy + Default>(&self, name: &str, words: &[(&str, T)]) -> Result<T> {
        let Some(value) = self.text(name) else { return Ok(T::default()) };
        words.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Error::new(Kind::Usage, format!("connection parameter {name} is `{value}`"))
                .hint(format!("it can be {}", known.join(", ")))
        })
    }

    fn connect_timeout(&self) -> Result<Option<Duration>> {
        let Some(value) = self.text("connect_timeout") else { return Ok(Some(DEFAULT_CONNECT_TIMEOUT)) };
        let seconds: i64 = value
            .trim()
            .parse()
            .map_err(|_| Error::new(Kind::Usage, format!("connect_timeout is `{value}`, expected whole seconds")))?;
        Ok(u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs))
    }

    fn tls(&self) -> Result<Tls> {
        let root = self.text("sslrootcert").map(|value| match value {
            "system" => RootCert::System,
            file => RootCert::File(PathBuf::from(file)),
        });
        let mode = match (self.text("sslmode"), &root) {
            (None, Some(RootCert::System)) => SslMode::VerifyFull,
            _ => self.choice("sslmode", &SSL_MODES)?,
        };
        if root == Some(RootCert::System) && mode != SslMode::VerifyFull {
            return Err(Error::new(Kind::Usage, "sslrootcert=system needs sslmode=verify-full")
                .hint("anyone can get a certificate that the system trusts; only the host name tells them apart"));
        }
        let negotiation = self.choice("sslnegotiation", &NEGOTIATIONS)?;
        if negotiation == SslNegotiation::Direct && mode < SslMode::Require {
            return Err(Error::new(Kind::Usage, "sslnegotiation=direct needs sslmode=require or stronger"));
        }
        Ok(Tls { mode, negotiation, root, cert: self.path("sslcert"), key: self.path("sslkey") })
    }

    fn hosts(&self) -> Result<Vec<Host>> {
        let names = self.list("host");
        let addresses = self.list("hostaddr");
        if names.is_empty() && addresses.is_empty() {
            return self.default_hosts();
        }
        let count = if addresses.is_empty() { names.len() } else { addresses.len() };
        if !names.is_empty() && names.len() != count {
            let doing = format!("{} host names for {count} hostaddr values", names.len());
            return Err(Error::new(Kind::Usage, doing));
        }
        let ports = self.ports(count)?;
        let mut hosts = Vec::with_capacity(count);
        for (at, port) in ports.into_iter().enumerate() {
            let address = addresses.get(at).copied().filter(|text| !text.is_empty());
            let name = names.get(at).copied().filter(|text| !text.is_empty());
            let parsed: Option<IpAddr> = address
                .map(|text| {
                    text.parse().map_err(|_| Error::new(Kind::Usage, format!("hostaddr `{text}` is no IP address")))
                })
                .transpose()?;
            match name.or(address) {
                Some(folder) if folder.starts_with('/') && parsed.is_none() => {
                    hosts.push(Host { place: Place::Socket(folder.into()), address: None, port });
                }
                Some(name) if name.starts_with('@') => {
                    return Err(Error::new(Kind::Usage, format!("abstract socket {name} is not supported")));
                }
                Some(name) => hosts.push(Host { place: Place::Tcp(name.to_owned()), address: parsed, port }),
                None => hosts.extend(default_places().map(|place| Host { place, address: None, port })),
            }
        }
        Ok(hosts)
    }

    fn default_hosts(&self) -> Result<Vec<Host>> {
        let port = self.ports(1)?.first().copied().unwrap_or(DEFAULT_PORT);
        Ok(default_places().map(|place| Host { place, address: None, port }).collect())
    }

    fn list(&self, name: &str) -> Vec<&str> {
        self.text(name).map(|value| value.split(',').map(str::trim).collect()).unwrap_or_default()
    }

    /// One port for all hosts, or one for each.
    fn ports(&self, hosts: usize) -> Result<Vec<u16>> {
        let given = self.list("port");
        if given.len() > 1 && given.len() != hosts {
            return Err(Error::new(Kind::Usage, format!("{} ports for {hosts} hosts", given.len())));
        }
        let mut ports = Vec::with_capacity(hosts);
        for at in 0..hosts {
            let text = given.get(at).or(given.first()).copied().unwrap_or("");
            let port = match text {
                "" => DEFAULT_PORT,
                text => text.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
                    // Its text is not shown: in a URL with an unescaped password it may be a piece of that.
                    Error::new(Kind::Usage, "a port is no number from 1 to 65535")
                })?,
            };
            ports.push(port);
        }
        Ok(ports)
    }
}

/// Without a host libpq uses the socket folder it was compiled with; we try the usual two, then TCP.
fn default_places() -> impl Iterator<Item = Place> {
    SOCKET_FOLDERS.iter().map(|folder| Place::Socket(folder.into())).chain([Place::Tcp("localhost".into())])
}

const SSL_MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

const NEGOTIATIONS: [(&str, SslNegotiation); 2] =
    [("postgres", SslNegotiation::Postgres), ("direct", SslNegotiation::Direct)];

const CHANNEL_BINDINGS: [(&str, ChannelBinding); 3] =
    [("disable", ChannelBinding::Disable), ("prefer", ChannelBinding::Prefer), ("require", ChannelBinding::Require)];

const TARGETS: [(&str, Target); 6] = [
    ("any", Target::Any),
    ("read-write", Target::ReadWrite),
    ("read-only", Target::ReadOnly),
    ("primary", Target::Primary),
    ("standby", Target::Standby),
    ("prefer-standby", Target::PreferStandby),
];

fn unknown(name: &str) -> Error {
    if REFUSED.contains(&name) {
        return refused(name);
    }
    let nearest = USED
        .iter()
        .chain(&["password"])
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .min()
        .filter(|(distance, known)| distance.saturating_mul(2) <= known.len());
    let error = Error::new(Kind::Usage, format!("unknown connection parameter `{name}`"));
    match nearest {
        Some((_, known)) => error.hint(format!("did you mean `{known}`?")),
        None => error.hint(format!("known parameters: {}", USED.join(", "))),
    }
}

fn refused(what: &str) -> Error {
    Error::new(Kind::Usage, format!("connection parameter {what} is not supported"))
        .hint("it would be ignored, and a connection made that libpq refuses")
}
