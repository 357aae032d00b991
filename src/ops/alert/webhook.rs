//! Alerts over HTTP. URLs are secrets: they stand in no message.

use std::time::Duration;

use reqwest::{Certificate, Client, Response, StatusCode};
use serde_json::{Value, json};

use crate::error::{Context as _, Error, Kind, Result};
use crate::policy::alerts::Notice;

use super::message;

#[derive(Clone)]
pub struct Webhook {
    pub url: String,
    pub format: WebhookFormat,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("format", &self.format).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WebhookFormat {
    /// Ours, as docs/JSON.md describes it.
    #[default]
    Json,
    Slack,
    Discord,
}

impl WebhookFormat {
    pub const ALL: [WebhookFormat; 3] = [WebhookFormat::Json, WebhookFormat::Slack, WebhookFormat::Discord];

    pub const fn name(self) -> &'static str {
        match self {
            WebhookFormat::Json => "json",
            WebhookFormat::Slack => "slack",
            WebhookFormat::Discord => "discord",
        }
    }

    fn body(self, notices: &[Notice], host: &str) -> Value {
        let (subject, text) = (message::subject(notices, host), message::text(notices));
        match self {
            WebhookFormat::Json => message::as_json(notices, host),
            WebhookFormat::Slack => json!({ "text": slack(&subject, &text) }),
            // Whatever a table is called, it calls nobody.
            WebhookFormat::Discord => {
                json!({ "content": discord(&subject, &text), "allowed_mentions": { "parse": [] } })
            }
        }
    }
}

/// `&`, `<` and `>` are Slack's own: <https://api.slack.com/reference/surfaces/formatting#escaping>. More than 40,000 characters
/// are cut off by Slack.
fn slack(subject: &str, text: &str) -> String {
    const CHARS_MAX: usize = 39_000;
    let safe = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    shortened(&format!("*{}*\n{}", safe(subject), safe(text)), CHARS_MAX)
}

/// Discord refuses more than 2000 characters.
fn discord(subject: &str, text: &str) -> String {
    const CHARS_MAX: usize = 1990;
    shortened(&format!("**{subject}**\n{text}"), CHARS_MAX)
}

fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl Webhook {
    /// `ca` are certificates that vouch for the server beside the system's.
    pub async fn send(&self, notices: &[Notice], host: &str, ca: Option<&[u8]>) -> Result<()> {
        let body = self.format.body(notices, host).to_string();
        let request = client(ca)?.post(&self.url).header("content-type", "application/json").body(body);
        accepted(request.send().await)
    }
}

pub async fn get(url: &str, ca: Option<&[u8]>) -> Result<()> {
    accepted(client(ca)?.get(url).send().await)
}

fn client(ca: Option<&[u8]>) -> Result<Client> {
    const CONNECT: Duration = Duration::from_secs(10);
    // Refused only if there is one already, which is then the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let agent = concat!("miyabi-backup/", env!("CARGO_PKG_VERSION"));
    let own = ca.map_or(Ok(Vec::new()), Certificate::from_pem_bundle);
    let own = own.context(Kind::Usage, || "cannot use `ca` of [alerts]".to_owned())?;
    Client::builder()
        .tls_certs_merge(own)
        .user_agent(agent)
        .connect_timeout(CONNECT)
        .build()
        .context(Kind::Connect, || "cannot prepare a request".to_owned())
}

const REACH: &str = "is the address in [alerts] right, and may this machine reach it? then: miyabi-backup alert test";

fn accepted(answer: reqwest::Result<Response>) -> Result<()> {
    let answer =
        answer.map_err(|cause| Error::new(Kind::Connect, "no answer").because(cause.without_url()).hint(REACH))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        StatusCode::NOT_FOUND => Err(Error::new(Kind::Connect, "the answer is 404: is the URL still valid?")),
        status => Err(Error::new(Kind::Connect, format!("the answer is {status}"))),
    }
}
