//! Alerts by e-mail, over SMTP with TLS.

use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use reqwest::Url;

use crate::error::{Context as _, Error, Kind, Result};
use crate::pg::connect::Secret;
use crate::policy::alerts::Notice;

use super::message;

#[derive(Clone, Debug)]
pub struct Email {
    /// `smtps://host:465`, or `smtp://host:587?tls=required`.
    pub server: String,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub from: String,
    pub to: Vec<String>,
}

impl Email {
    /// `ca` are certificates that vouch for the server beside the system's.
    pub async fn send(&self, notices: &[Notice], host: &str, ca: Option<&[u8]>) -> Result<()> {
        // Refused only if there is one already, which is then the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut message = Message::builder()
            .from(self.from.parse().context(Kind::Usage, || format!("`{}` is not an address", self.from))?)
            .subject(message::subject(notices, host))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.parse().context(Kind::Usage, || format!("`{to}` is not an address"))?);
        }
        let message = message
            .body(format!("{}\n", message::text(notices)))
            .context(Kind::Usage, || "cannot write the message".to_owned())?;
        let unusable = || "cannot use `smtp` of [alerts]".to_owned();
        let url = Url::parse(&self.server).context(Kind::Usage, unusable)?;
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(&self.server).context(Kind::Usage, unusable)?;
        let guarded = tls(&url, ca)?;
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            if guarded.is_none() && !is_here(&url) {
                let what = "`smtp_user` of [alerts] would send its password without TLS";
                return Err(
                    Error::new(Kind::Usage, what).hint("write smtps://host:465, or smtp://host:587?tls=required")
                );
            }
            transport = transport.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
        }
        if let Some(guarded) = guarded {
            transport = transport.tls(guarded);
        }
        let sent = transport.build().send(message).await;
        sent.context(Kind::Connect, || "the mail server did not take the message".to_owned()).map(drop)
    }
}

/// How the URL wants the connection to be guarded; `None` is in the open.
fn tls(url: &Url, ca: Option<&[u8]>) -> Result<Option<Tls>> {
    let wanted = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
    let wrap: fn(TlsParameters) -> Tls = match (url.scheme(), wanted.as_deref()) {
        ("smtps", _) => Tls::Wrapper,
        (_, Some("required")) => Tls::Required,
        _ => return Ok(None),
    };
    let unusable = || "cannot use `ca` of [alerts]".to_owned();
    let mut parameters = TlsParameters::builder(url.host_str().unwrap_or_default().to_owned());
    if let Some(pem) = ca {
        parameters = parameters.add_root_certificate(Certificate::from_pem(pem).context(Kind::Usage, unusable)?);
    }
    Ok(Some(wrap(parameters.build().context(Kind::Usage, unusable)?)))
}

/// Nobody listens between this machine and itself.
fn is_here(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "::1" | "[::1]"))
}
