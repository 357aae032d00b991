//! `[alerts]`: where alerts go. Their URLs are secrets as much as passwords are.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use super::{machine, values};
use crate::cli::config::{Config, Setting};
use crate::error::{Context as _, Error, Kind, Result};
use crate::ops::alert::{Channels, Email, Webhook, WebhookFormat};
use crate::pg::connect::Secret;

const REMIND_EVERY: Duration = Duration::from_secs(24 * 3600);

pub fn alerts(config: &Config, host: &str) -> Result<Channels> {
    let text = |key: &str| config.get(key).map(|setting| setting.value.clone()).filter(|value| !value.is_empty());
    let remind = values::duration(config, "alerts.remind_every", REMIND_EVERY)?;
    let webhook = match text("alerts.webhook") {
        Some(url) => Some(Webhook { url, format: format(config)? }),
        None => None,
    };
    Ok(Channels {
        webhook,
        email: email(config)?,
        command: text("alerts.command"),
        ping: text("alerts.ping"),
        ca: ca(config)?,
        remind_every: SignedDuration::try_from(remind).unwrap_or(SignedDuration::MAX),
        host: host.to_owned(),
        state_dir: machine::state_dir(config)?,
    })
}

fn ca(config: &Config) -> Result<Option<Vec<u8>>> {
    let Some(setting) = config.get("alerts.ca") else { return Ok(None) };
    let path = config.path(setting);
    let read = std::fs::read(&path);
    read.map(Some).context(Kind::Usage, || format!("cannot read {} of {}", path.display(), setting.origin))
}

fn format(config: &Config) -> Result<WebhookFormat> {
    let Some(Setting { value, origin }) = config.get("alerts.webhook_format") else {
        return Ok(WebhookFormat::default());
    };
    let format = WebhookFormat::ALL.into_iter().find(|format| format.name() == value);
    format.ok_or_else(|| values::unusable(origin, &WebhookFormat::ALL.map(WebhookFormat::name).join(", "), value))
}

fn email(config: &Config) -> Result<Option<Email>> {
    let text = |key: &str| config.get(key).map(|setting| setting.value.clone());
    let Some(to) = text("alerts.email_to") else { return Ok(None) };
    let missing = |key: &str| {
        Error::new(Kind::Usage, format!("`email_to` of [alerts] needs `{key}` as well"))
            .hint("for example smtp = \"smtps://mail.example:465\", email_from = \"backup@example.com\"")
    };
    let password = match config.get("alerts.smtp_password_file") {
        Some(setting) => {
            let path = machine::credential(config, &config.path(setting));
            let read = std::fs::read_to_string(&path);
            let read = read.context(Kind::Usage, || format!("cannot read {} of {}", path.display(), setting.origin))?;
            Some(Secret::new(read.lines().next().unwrap_or_default()))
        }
        None => None,
    };
    Ok(Some(Email {
        server: text("alerts.smtp").ok_or_else(|| missing("smtp"))?,
        user: text("alerts.smtp_user"),
        password,
        from: text("alerts.email_from").ok_or_else(|| missing("email_from"))?,
        to: to.split(',').map(|one| one.trim().to_owned()).collect(),
    }))
}

/// The textfile for node_exporter, if one is configured.
pub fn textfile(config: &Config) -> Option<PathBuf> {
    config.get("alerts.metrics_file").map(|setting| config.path(setting))
}
