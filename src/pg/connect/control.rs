//! The control connection: a tokio-postgres client over a stream that we opened, for catalog queries and DDL.

use std::future::{Ready, ready};
use std::io;

use tokio_postgres::config::{ChannelBinding as ClientBinding, SslMode as ClientSslMode, SslNegotiation as Begin};
use tokio_postgres::tls::TlsConnect;
use tokio_postgres::{CancelToken, Config};

use super::dial::within;
use super::watched::Watched;
use super::*;

/// How long a request to cancel may take before the connection is simply dropped.
pub(in super::super) const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// A client whose session is pinned, with what is needed to keep it and to open more to the same server.
pub struct Control {
    pub client: Client,
    pub reached: Reached,
    pub driver: Driver,
}

/// The task that moves the client's bytes. It ends when the client is dropped; dropping it ends the session.
pub struct Driver {
    task: Option<JoinHandle<Result<(), Failure>>>,
}

impl Driver {
    /// Waits for the session's end, after the client was dropped, and says how it ended.
    pub async fn finish(mut self) -> Result<()> {
        let Some(task) = self.task.take() else { return Ok(()) };
        match task.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(failure.while_doing(Kind::Connect, "the control session ended with an error")),
            Err(panic) => Err(Error::new(Kind::Bug, "the task of the control session failed").because(panic)),
        }
    }

    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Opens a control session on the first host that serves.
pub async fn client(server: &Server, purpose: Purpose) -> Result<Control> {
    let control = if server.target == Target::PreferStandby {
        let standby = Server { target: Target::Standby, ..server.clone() };
        match login(&standby).await {
            Err(error) if error.kind() == Kind::Connect => login(&Server { target: Target::Any, ..standby }).await?,
            other => other?,
        }
    } else {
        login(server).await?
    };
    for sql in [NO_TIMEOUT, &pin(purpose)] {
        let set_up = control.client.batch_execute(sql).await;
        set_up.map_err(|cause| Failure::from(cause).while_doing(Kind::Connect, "cannot set up the session"))?;
    }
    Ok(control)
}

async fn login(server: &Server) -> Result<Control> {
    let mut dialler = Dialler::new(server);
    loop {
        let mut link = dialler.next().await?;
        let (guard, host, deadline) = (link.guard, link.host.clone(), link.deadline);
        match within(deadline, start(server, &mut link)).await {
            Ok((client, driver)) => {
                let reached = Reached { server: pinned(server, host), guard };
                return Ok(Control { client, reached, driver });
            }
            Err(failure) => dialler.refused(guard, failure)?,
        }
    }
}

/// The same login, to this one host.
pub(in super::super) fn pinned(server: &Server, host: Host) -> Server {
    Server { hosts: vec![host], target: Target::Any, ..server.clone() }
}

async fn start(server: &Server, link: &mut Link) -> Result<(Client, Driver), Failure> {
    let mut config = Config::new();
    config.user(&server.user).dbname(&server.database).application_name(&server.application_name);
    config.ssl_mode(ClientSslMode::Require).ssl_negotiation(Begin::Direct);
    config.channel_binding(match server.channel_binding {
        ChannelBinding::Disable => ClientBinding::Disable,
        ChannelBinding::Prefer => ClientBinding::Prefer,
        ChannelBinding::Require => ClientBinding::Require,
    });
    if let Some(options) = &server.options {
        config.options(options);
    }
    if let Some(password) = &link.password {
        config.password(password.reveal());
    }
    let no_password = link.no_password();
    let stream = link.take_stream()?;
    let (client, connection) = config.connect_raw(stream, Negotiated).await.map_err(|cause| {
        match (link.password.is_none(), Failure::from(cause)) {
            (true, Failure::Login { why, .. }) if why == "password missing" => no_password,
            (_, other) => other,
        }
    })?;
    let task = tokio::spawn(async move { connection.await.map_err(Failure::from) });
    let driver = Driver { task: Some(task) };
    client.batch_execute(EMPTY_SEARCH_PATH).await?;
    check_role(server.target, &client).await?;
    Ok((client, driver))
}

async fn check_role(target: Target, client: &Client) -> Result<(), Failure> {
    if target == Target::Any {
        return Ok(());
    }
    let sql = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only') = 'on'";
    let row = client.query_one(sql, &[]).await?;
    let (standby, read_only): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    let (fits, wanted) = match target {
        Target::Any | Target::PreferStandby => (true, "any"),
        Target::ReadWrite => (!read_only, "read-write"),
        Target::ReadOnly => (read_only, "read-only"),
        Target::Primary => (!standby, "primary"),
        Target::Standby => (standby, "standby"),
    };
    if fits { Ok(()) } else { Err(Failure::WrongRole(wanted)) }
}

/// The "connector" of a stream that was negotiated before the client saw it.
struct Negotiated;

impl TlsConnect<Stream> for Negotiated {
    type Stream = Watched;
    type Error = io::Error;
    type Future = Ready<io::Result<Watched>>;

    fn connect(self, stream: Stream) -> Self::Future {
        ready(Ok(Watched::new(stream)))
    }
}

/// Asks the server to stop what the client's session is doing, over a connection of its own.
pub async fn cancel(reached: &Reached, token: &CancelToken) -> Result<()> {
    let doing = || "cannot cancel the statement on the server".to_owned();
    let mut link = Dialler::new(&reached.server).next().await?;
    let stream = link.take_stream().map_err(|failure| failure.while_doing(Kind::Connect, doing()))?;
    match timeout(CANCEL_TIMEOUT, token.cancel_query_raw(stream, Negotiated)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => Err(Failure::from(cause).while_doing(Kind::Connect, doing())),
        Err(_) => Err(Failure::TimedOut.while_doing(Kind::Connect, doing())),
    }
}
