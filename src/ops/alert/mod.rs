//! Tells people what changed: to a webhook, by e-mail, by a command; and tells a dead-man's switch that all is well.
//!
//! What is to be told is decided by `policy::alerts`, from the findings of a status. A channel that fails is reported
//! and fails nothing else; if all of them fail, nothing counts as told, and the next run tries again.

mod command;
mod email;
mod message;
mod webhook;

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Kind, Result};
use crate::ops::status::Status;
use crate::ops::status::outcome::About;
use crate::policy::alerts::{Change, Condition, Memory, Notice, Told, decide};
use crate::state::alerts::AlertMemory;

pub use email::Email;
pub use webhook::{Webhook, WebhookFormat};

/// Where alerts go.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    pub webhook: Option<Webhook>,
    pub email: Option<Email>,
    /// Run by the shell, with the notices as JSON on its standard input.
    pub command: Option<String>,
    /// Asked for after every successful backup: whoever watches it hears of silence.
    pub ping: Option<String>,
    /// Certificates in PEM that vouch for the servers of all channels, beside those of the system.
    pub ca: Option<Vec<u8>>,
    pub remind_every: SignedDuration,
    pub host: String,
    pub state_dir: PathBuf,
}

/// How long one channel may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct Outcome {
    pub told: Vec<Notice>,
    pub delivered: Vec<&'static str>,
    pub failed: Vec<(&'static str, Error)>,
}

impl Outcome {
    fn failures(&self) -> Vec<(String, Option<String>)> {
        let well = self.delivered.iter().map(|channel| ((*channel).to_owned(), None));
        well.chain(self.failed.iter().map(|(channel, error)| ((*channel).to_owned(), Some(why(error))))).collect()
    }
}

/// Whoever notes it says already that it is about an alert and which channel it was.
fn why(error: &Error) -> String {
    let chain = error.chain();
    chain.strip_prefix(&format!("{error}: ")).map_or_else(|| chain.clone(), str::to_owned)
}

impl Channels {
    pub fn has_any(&self) -> bool {
        self.webhook.is_some() || self.email.is_some() || self.command.is_some()
    }

    /// Tells what changed since the last time.
    pub async fn tell(&self, status: &Status) -> Result<Outcome> {
        let state_dir = self.state_dir.clone();
        let memory = tokio::task::spawn_blocking(move || AlertMemory::lock(&state_dir));
        let memory = memory.await.map_err(|cause| Error::new(Kind::Bug, "a lock died").because(cause))??;
        let before = memory.read()?;
        let mut conditions = conditions(status);
        conditions.extend(unseen(status, &before));
        let (after, notices) = decide(&before, status.at.instant(), self.remind_every, &conditions);
        if notices.is_empty() {
            memory.write(&after)?;
            return Ok(Outcome::default());
        }
        let outcome = self.deliver(notices).await;
        if !outcome.delivered.is_empty() {
            memory.write(&after)?;
        }
        memory.note_failures(&outcome.failures(), status.at.instant())?;
        Ok(outcome)
    }

    /// One of each kind, to every channel. What fails, or works again, is noted for `status`.
    pub async fn test(&self, now: Timestamp) -> Result<Outcome> {
        let outcome = self.try_all(now).await;
        let state_dir = self.state_dir.clone();
        let failures = outcome.failures();
        let noted = tokio::task::spawn_blocking(move || AlertMemory::lock(&state_dir)?.note_failures(&failures, now));
        noted.await.map_err(|cause| Error::new(Kind::Bug, "a lock died").because(cause))??;
        Ok(outcome)
    }

    async fn try_all(&self, now: Timestamp) -> Outcome {
        const KINDS: [&str; 6] = ["failed", "stale", "size", "space", "damaged", "drill"];
        let about = |code: &str, level: u8| Told {
            subject: "alert test".to_owned(),
            code: code.to_owned(),
            level,
            message: "this is only a test, nothing is wrong".to_owned(),
            since: now,
            told: now,
        };
        let mut notices: Vec<Notice> =
            KINDS.iter().map(|code| Notice { change: Change::Raised, about: about(code, 2) }).collect();
        notices.push(Notice { change: Change::Recovered, about: about("stale", 1) });
        let mut outcome = self.deliver(notices).await;
        if self.ping.is_some() {
            match self.ping().await {
                Ok(()) => outcome.delivered.push("ping"),
                Err(error) => outcome.failed.push(("ping", error)),
            }
        }
        outcome
    }

    async fn deliver(&self, notices: Vec<Notice>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut note = |channel: &'static str, done: Result<()>| match done {
            Ok(()) => outcome.delivered.push(channel),
            Err(error) => {
                let error = error.while_doing(format!("an alert could not be delivered by {channel}"));
                outcome.failed.push((channel, error));
            }
        };
        if let Some(webhook) = &self.webhook {
            note("webhook", in_time(webhook.send(&notices, &self.host, self.ca.as_deref())).await);
        }
        if let Some(email) = &self.email {
            note("e-mail", in_time(email.send(&notices, &self.host, self.ca.as_deref())).await);
        }
        if let Some(line) = &self.command {
            note("command", command::run(line, &notices, &self.host, PATIENCE).await);
        }
        outcome.told = notices;
        outcome
    }

    /// Tells the dead-man's switch that a backup succeeded.
    pub async fn ping(&self) -> Result<()> {
        match &self.ping {
            Some(url) => in_time(webhook::get(url, self.ca.as_deref())).await,
            None => Ok(()),
        }
    }
}

async fn in_time(work: impl Future<Output = Result<()>>) -> Result<()> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(Error::new(Kind::Connect, format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// What was told of the backups in a place that cannot be looked at now: that is not over.
fn unseen(status: &Status, before: &Memory) -> Vec<Condition> {
    let is_unseen = |told: &&Told| {
        let of_first = !status.place.readable && told.subject.ends_with(')');
        let mut further = status.further_places.iter().filter(|one| !one.place.readable);
        of_first || further.any(|one| told.subject.ends_with(&format!(") in {}", one.place.place)))
    };
    let condition = |told: &Told| Condition {
        subject: told.subject.clone(),
        code: told.code.clone(),
        level: told.level,
        message: told.message.clone(),
    };
    before.values().filter(is_unseen).map(condition).collect()
}

/// Every finding as a condition. What is not configured is nobody's to be told of.
fn conditions(status: &Status) -> Vec<Condition> {
    let condition = |about: About<'_>| Condition {
        subject: about.subject,
        code: about.finding.code.name().to_owned(),
        level: about.finding.level as u8,
        message: about.finding.message.clone(),
    };
    status.findings().into_iter().filter(|about| about.configured).map(condition).collect()
}
