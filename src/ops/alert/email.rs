//! Alerts by e-mail, over SMTP with TLS.

use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::error::{Context as _, Kind, Result};
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
    pub async fn send(&self, notices: &[Notice], host: &str) -> Result<()> {
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
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&self.server)
            .context(Kind::Usage, || "cannot use the SMTP server's URL".to_owned())?;
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            transport = transport.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
        }
        let sent = transport.build().send(message).await;
        sent.context(Kind::Connect, || "the mail server did not take the message".to_owned()).map(drop)
    }
}
