//! Who signs: keys that were given, or what the AWS configuration finds, kept until shortly before they end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

use super::fault::{Class, Fault};
use super::settings::Login;

/// Keys that end sooner than this are fetched again: an attempt may take a while.
const SPARE: Duration = Duration::from_secs(120);

pub(super) struct Keys {
    source: Source,
    held: Mutex<Option<Held>>,
}

enum Source {
    Given(Arc<AwsCredential>),
    /// Named: the profile that was asked for.
    Found {
        provider: SharedCredentialsProvider,
        profile: Option<String>,
    },
    Nothing,
}

struct Held {
    keys: Arc<AwsCredential>,
    ends: Option<SystemTime>,
}

impl Keys {
    /// And the region that the same configuration names.
    pub(super) async fn of(login: &Login) -> (Self, Option<String>) {
        match login {
            Login::Keys { key, secret, token } => {
                let keys = AwsCredential { key_id: key.clone(), secret_key: secret.clone(), token: token.clone() };
                (Keys::from(Source::Given(Arc::new(keys))), None)
            }
            Login::Found { profile } => {
                let tls = Provider::Rustls(CryptoMode::Ring);
                let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
                let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
                let loader = match profile {
                    Some(profile) => loader.profile_name(profile),
                    None => loader,
                };
                let config = loader.load().await;
                let found = |provider| Source::Found { provider, profile: profile.clone() };
                let source = config.credentials_provider().map_or(Source::Nothing, found);
                (Keys::from(source), config.region().map(Region::to_string))
            }
        }
    }

    fn from(source: Source) -> Self {
        Keys { source, held: Mutex::new(None) }
    }

    /// `now` is the time by which the held keys are judged; asked for by the request that needs them.
    pub(super) async fn get(&self) -> Result<Arc<AwsCredential>, Fault> {
        let (provider, profile) = match &self.source {
            Source::Given(keys) => return Ok(Arc::clone(keys)),
            Source::Nothing => return Err(nothing(None)),
            Source::Found { provider, profile } => (provider, profile),
        };
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| held.lasts()) {
            return Ok(Arc::clone(&held.keys));
        }
        let found = provider.provide_credentials().await.map_err(|cause| nothing(profile.as_deref()).because(cause))?;
        let keys = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        });
        *held = Some(Held { keys: Arc::clone(&keys), ends: found.expiry() });
        Ok(keys)
    }

    /// The store refused them as expired. False if there are no others to be had.
    pub(super) async fn renew(&self) -> bool {
        *self.held.lock().await = None;
        matches!(self.source, Source::Found { .. })
    }
}

/// What the cause says is about the last place that was looked at, which is rarely the one that was meant.
fn nothing(profile: Option<&str>) -> Fault {
    let what = match profile {
        Some(profile) => format!("there are no credentials in the profile `{profile}`, nor elsewhere"),
        None => {
            "there are no credentials in the environment, in .env, in ~/.aws, nor from this machine's role".to_owned()
        }
    };
    Fault::local(Class::NoLogin, what)
}

impl Held {
    fn lasts(&self) -> bool {
        // `elapsed` of a time in the future is an error that says how far in the future.
        let left = self.ends.map(|ends| ends.elapsed().err().map(|left| left.duration()).unwrap_or_default());
        left.is_none_or(|left| left > SPARE)
    }
}
