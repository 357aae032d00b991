//! The order in which hosts, addresses and encryption are tried, and when the next one is.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::*;
use crate::pg::pgpass::{self, Found};

/// A stream that is ready for a startup message.
pub(in super::super) struct Link {
    stream: Option<Stream>,
    pub host: Host,
    pub guard: Guard,
    pub password: Option<Secret>,
    /// Why there is no password, if a password file was passed over.
    pub password_note: Option<String>,
    pub deadline: Option<Instant>,
}

impl Link {
    pub fn take_stream(&mut self) -> Result<Stream, Failure> {
        self.stream.take().ok_or_else(|| Failure::protocol("the stream is in use"))
    }

    pub fn no_password(&self) -> Failure {
        Failure::Login {
            why: "the server asks for a password, and none is given".into(),
            hint: Some(
                self.password_note.clone().unwrap_or_else(|| {
                    "give DATABASE_PASSWORD or PGPASSWORD, or a line in ~/.pgpass (mode 0600)".into()
                }),
            ),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Plain,
    /// Ask for TLS; if the server has none, go on in plain text on the same stream.
    TlsOrPlain,
    Tls,
}

struct Attempt {
    host: Host,
    way: Way,
}

pub(in super::super) struct Dialler<'a> {
    server: &'a Server,
    tls: Option<tls::Client>,
    hosts_left: VecDeque<&'a Host>,
    attempts: VecDeque<Attempt>,
    current: Option<Attempt>,
    failed: Vec<(String, Failure)>,
}

impl<'a> Dialler<'a> {
    pub fn new(server: &'a Server) -> Self {
        Dialler {
            server,
            tls: None,
            hosts_left: server.hosts.iter().collect(),
            attempts: VecDeque::new(),
            current: None,
            failed: Vec::new(),
        }
    }

    /// The next stream that can be had; an error when nothing is left to try.
    pub async fn next(&mut self) -> Result<Link> {
        loop {
            let Some(attempt) = self.attempts.pop_front() else {
                let Some(host) = self.hosts_left.pop_front() else { return Err(self.give_up()) };
                self.resolve(host).await;
                continue;
            };
            if attempt.way != Way::Plain && self.tls.is_none() {
                self.tls = Some(tls::Client::new(&self.server.tls)?);
            }
            let deadline = self.server.connect_timeout.map(|limit| Instant::now() + limit);
            let opened = within(deadline, self.open(&attempt)).await;
            match opened {
                Ok((stream, guard)) => {
                    let link = self.link(stream, &attempt.host, guard, deadline);
                    self.current = Some(attempt);
                    return Ok(link);
                }
                // A certificate that is not accepted is an answer, not an obstacle to go around.
                Err(failure @ Failure::Tls { .. }) => return Err(self.final_error(&attempt.host, failure)),
                Err(failure) => {
                    let falls_back = attempt.way == Way::TlsOrPlain && handshake_failed(&failure);
                    self.failed.push((attempt.host.to_string(), failure));
                    if falls_back {
                        self.attempts.push_front(Attempt { way: Way::Plain, ..attempt });
                    }
                }
            }
        }
    }

    /// The login on the last stream failed: whether another one may do better.
    pub fn refused(&mut self, guard: Guard, failure: Failure) -> Result<()> {
        let Some(Attempt { host, .. }) = self.current.take() else {
            return Err(Error::new(Kind::Bug, "a login failed that was not begun"));
        };
        let other_way = match (self.server.tls.mode, guard) {
            (SslMode::Prefer, Guard::Tls(_)) => Some(Way::Plain),
            (SslMode::Allow, Guard::Plain) => Some(Way::Tls),
            _ => None,
        };
        match other_way {
            Some(way) if is_no_hba_entry(&failure) => {
                self.failed.push((host.to_string(), failure));
                self.attempts.push_front(Attempt { host, way });
                Ok(())
            }
            _ if self.has_more() && may_do_elsewhere(&failure) => {
                self.failed.push((host.to_string(), failure));
                Ok(())
            }
            _ => Err(self.final_error(&host, failure)),
        }
    }

    fn has_more(&self) -> bool {
        !self.attempts.is_empty() || !self.hosts_left.is_empty()
    }

    async fn resolve(&mut self, host: &Host) {
        let found = match (&host.place, host.address) {
            (Place::Socket(_), _) | (_, Some(_)) => vec![host.clone()],
            (Place::Tcp(name), None) => {
                let deadline = self.server.connect_timeout.map(|limit| Instant::now() + limit);
                let looked_up = within(deadline, async { Ok(lookup_host((name.as_str(), host.port)).await?) }).await;
                match looked_up {
                    Ok(addresses) => {
                        let at = |address: SocketAddr| Host { address: Some(address.ip()), ..host.clone() };
                        addresses.map(at).collect()
                    }
                    Err(Failure::TimedOut) => {
                        self.failed.push((host.to_string(), Failure::TimedOut));
                        return;
                    }
                    Err(cause) => {
                        let why = format!("host name `{name}` cannot be resolved: {cause}");
                        let hint = Some("is it spelt right, and does name resolution work here?".into());
                        self.failed.push((host.to_string(), Failure::Login { why, hint }));
                        return;
                    }
                }
            }
        };
        let way = match (&host.place, self.server.tls.mode) {
            (Place::Socket(_), _) | (_, SslMode::Disable | SslMode::Allow) => Way::Plain,
            (_, SslMode::Prefer) => Way::TlsOrPlain,
            _ => Way::Tls,
        };
        self.attempts.extend(found.into_iter().map(|host| Attempt { host, way }));
    }

    async fn open(&self, attempt: &Attempt) -> Result<(Stream, Guard), Failure> {
        let host = &attempt.host;
        let address = match (&host.place, host.address) {
            (Place::Socket(folder), _) => {
                let stream = UnixStream::connect(Host::socket_file(folder, host.port)).await?;
                return Ok((Stream::unix(stream), Guard::Socket));
            }
            (Place::Tcp(_), Some(address)) => SocketAddr::new(address, host.port),
            (Place::Tcp(_), None) => return Err(Failure::protocol("the host has no address yet")),
        };
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        let (Some(tls), false) = (&self.tls, attempt.way == Way::Plain) else {
            return Ok((Stream::tcp(stream), Guard::Plain));
        };
        let agreed = match self.server.tls.negotiation {
            SslNegotiation::Direct => true,
            SslNegotiation::Postgres => ask_for_tls(&mut stream).await?,
        };
        if agreed {
            let stream = tls.handshake(&host.place, stream).await?;
            return Ok((stream, Guard::Tls(tls.verified)));
        }
        if attempt.way == Way::TlsOrPlain {
            return Ok((Stream::tcp(stream), Guard::Plain));
        }
        Err(Failure::Tls {
            why: "the server does not offer TLS".into(),
            hint: Some("turn on ssl on the server, or use a weaker sslmode if the network is trusted".into()),
        })
    }

    fn link(&self, stream: Stream, host: &Host, guard: Guard, deadline: Option<Instant>) -> Link {
        let (mut password, mut password_note) = (self.server.password.clone(), None);
        if let (None, Some(file)) = (&password, &self.server.passfile) {
            match pgpass::read(file, host, &self.server.database, &self.server.user) {
                Found::Password(found) => password = Some(found),
                Found::Nothing => {}
                Found::Unusable(why) => password_note = Some(why),
            }
        }
        Link { stream: Some(stream), host: host.clone(), guard, password, password_note, deadline }
    }

    fn final_error(&mut self, host: &Host, failure: Failure) -> Error {
        if self.failed.is_empty() {
            return failure.while_doing(Kind::Connect, self.doing(&host.to_string()));
        }
        self.failed.push((host.to_string(), failure));
        self.give_up()
    }

    /// All that was tried, in order; the hint of the last failure, which got furthest down the list.
    fn give_up(&mut self) -> Error {
        let hosts = self.server.describe_hosts();
        let Some((last_host, last)) = self.failed.pop() else {
            return Error::new(Kind::Usage, "no host is given");
        };
        if self.failed.is_empty() {
            return last.while_doing(Kind::Connect, self.doing(&last_host));
        }
        let earlier: Vec<String> = self.failed.drain(..).map(|(host, why)| format!("{host}: {why}")).collect();
        let doing = self.doing(&hosts);
        let error = last.while_doing(Kind::Connect, format!("{last_host} refused"));
        let error = earlier.into_iter().rev().fold(error, |error, tried| error.while_doing(tried));
        error.while_doing(doing)
    }

    fn doing(&self, hosts: &str) -> String {
        format!("cannot connect to database {} on {hosts} as {}", self.server.database, self.server.user)
    }
}

/// One byte answers an SSLRequest. What follows it belongs to TLS: nothing is read ahead (CVE-2021-23222).
async fn ask_for_tls(stream: &mut TcpStream) -> Result<bool, Failure> {
    let mut request = bytes::BytesMut::new();
    postgres_protocol::message::frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    match stream.read_u8().await? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        other => Err(Failure::protocol(format!("it answered the request for TLS with byte 0x{other:02x}"))),
    }
}

/// A server that vanishes without a word must not leave a COPY waiting for ever.
fn keep_alive(stream: &TcpStream) -> Result<(), Failure> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(stream, Duration::from_secs(60)))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15)))
        .and_then(|()| sockopt::set_tcp_keepcnt(stream, 4))
        .map_err(|errno| Failure::Io(errno.into()))
}

pub(in super::super) async fn within<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.unwrap_or(Err(Failure::TimedOut)),
        None => work.await,
    }
}

/// The connection stood, TLS on it did not.
fn handshake_failed(failure: &Failure) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    match failure {
        Failure::Closed | Failure::Protocol(_) => true,
        Failure::Io(cause) => matches!(cause.kind(), InvalidData | InvalidInput),
        _ => false,
    }
}

/// pg_hba.conf has nothing for this kind of connection. Other refusals come after a password was sent.
fn is_no_hba_entry(failure: &Failure) -> bool {
    matches!(failure, Failure::Server(error)
        if error.code == "28000" && error.routine.as_deref() == Some("ClientAuthentication"))
}

/// The server is starting up or going down, or has the wrong role: the next host may serve.
fn may_do_elsewhere(failure: &Failure) -> bool {
    matches!(failure.code(), Some("57P03")) || matches!(failure, Failure::WrongRole(_) | Failure::TimedOut)
}
