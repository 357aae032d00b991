//! Requests to one bucket: built, signed, sent, tried again by the class of what went wrong.
//!
//! `object_store` signs and speaks HTTP. Its own store type is not used: it can neither complete an upload under a
//! condition nor list uploads or versions, it tries again without fetching credentials anew, and it hides status and
//! code of an answer in text.

use std::error::Error as StdError;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method, Request};
use object_store::ClientOptions;
use object_store::aws::AwsAuthorizer;
use object_store::client::{Certificate, HttpClient, HttpConnector, HttpRequestBody, HttpResponse, ReqwestConnector};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::cancel::Cancel;
use crate::checksum::Sha256;

use super::answer;
use super::fault::{Class, Fault};
use super::login::Keys;
use super::settings::{Encryption, Patience, Settings};

const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: AsciiSet = PLAIN.remove(b'/');
const REGION: &str = "us-east-1";
const CONNECT: Duration = Duration::from_secs(10);
const FIRST_CONTACT: Duration = Duration::from_secs(15);
/// The slowest line on which a part is still expected to arrive, in bytes a second.
const PACE_MIN: u64 = 32 << 10;
/// An answer that is not an object is XML of some kilobytes; a list of 1000 keys has less than this.
const ANSWER_BYTES_MAX: usize = 16 << 20;

pub(super) struct Client {
    http: HttpClient,
    keys: Keys,
    /// Scheme and host, and the bucket where it belongs to the path.
    base: String,
    region: String,
    bucket: String,
    made_with: Vec<(&'static str, String)>,
    patience: Patience,
    /// All requests rest until then when one was told to slow down.
    rest: Mutex<Option<Instant>>,
    /// The store has answered once: its address is right.
    reached: AtomicBool,
}

/// One request, the same at every attempt.
#[derive(Clone)]
pub(super) struct Call {
    method: Method,
    key: String,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

/// Bytes and their digest, which is worked out by whoever has a thread to spare for it.
#[derive(Clone)]
pub(super) struct Body {
    bytes: Bytes,
    sha256: [u8; 32],
}

impl Body {
    pub(super) fn of(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let sha256 = Sha256::digest(&bytes);
        Body { bytes, sha256 }
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// As `x-amz-checksum-sha256` has it, which requests about locked objects must have.
    pub(super) fn checksum(&self) -> String {
        BASE64_STANDARD.encode(self.sha256)
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// More than one attempt may have been done, and all but the last be lost.
    pub(super) attempts: u32,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Call {
    pub(super) fn new(method: Method, key: impl Into<String>) -> Self {
        let body = Body::of(Bytes::new());
        Call { method, key: key.into(), query: Vec::new(), headers: Vec::new(), body }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

impl Client {
    pub(super) async fn connect(bucket: &str, settings: &Settings) -> Result<Self, Fault> {
        // Whoever was first decides for the process, and everybody here uses this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut options =
            ClientOptions::new().with_allow_http(true).with_connect_timeout(CONNECT).with_timeout_disabled();
        if let Some(pem) = &settings.ca {
            let wrong = |cause| {
                Fault::local(Class::Refused, "the certificates of the store's CA cannot be read").because(cause)
            };
            for certificate in Certificate::from_pem_bundle(pem).map_err(wrong)? {
                options = options.with_root_certificate(certificate);
            }
        }
        let wrong = |cause| Fault::local(Class::Refused, "the HTTP client cannot be made").because(cause);
        let http = ReqwestConnector::default().connect(&options).map_err(wrong)?;
        let (keys, found) = Keys::of(&settings.login).await;
        let region = settings.region.clone().or(found).unwrap_or_else(|| REGION.to_owned());
        Ok(Client {
            http,
            keys,
            base: base(bucket, &region, settings),
            region,
            bucket: bucket.to_owned(),
            made_with: made_with(settings),
            patience: settings.patience,
            rest: Mutex::new(None),
            reached: AtomicBool::new(false),
        })
    }

    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// With the headers that every new object gets.
    pub(super) fn making(&self, call: Call) -> Call {
        self.made_with.iter().fold(call, |call, (name, value)| call.header(name, value.clone()))
    }

    /// Sends until it succeeds, cannot succeed, or the patience ends.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, Fault> {
        self.persist(call, self.patience.total).await
    }

    /// For cleaning up behind an error: nobody waits long for that.
    pub(super) async fn send_briefly(&self, call: &Call, limit: Duration) -> Result<Answer, Fault> {
        match timeout(limit, self.persist(call, limit)).await {
            Ok(done) => done,
            Err(_) => Err(Fault::local(Class::Passing, "the store does not answer")),
        }
    }

    /// A range of an object. A broken answer is taken up where it stopped.
    pub(super) async fn read(&self, key: &str, from: u64, len: u64, version: Option<&str>) -> Result<Vec<u8>, Fault> {
        let mut got = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let before = got.len();
            let Err(mut fault) = self.read_on(key, from, len, version, &mut got).await else { return Ok(got) };
            // Progress is not failure: only attempts that brought nothing use up the patience.
            tries = if got.len() > before { 1 } else { tries + 1 };
            fault.attempts = tries;
            if !self.may_try_again(&fault, tries, begun, self.patience.total).await {
                return Err(fault);
            }
        }
    }

    async fn read_on(
        &self,
        key: &str,
        from: u64,
        len: u64,
        version: Option<&str>,
        got: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let (first, last) = (from + got.len() as u64, from + len - 1);
        let mut call = Call::new(Method::GET, key).header("range", format!("bytes={first}-{last}"));
        if let Some(version) = version {
            call = call.header("if-match", version);
        }
        let limit = self.limit(len);
        let response = self.open(&call, limit).await?;
        if response.status().as_u16() != 206 && first != 0 {
            return Err(Fault::local(
                Class::Unsupported,
                "the store sends the whole object where a range was asked for",
            ));
        }
        let mut stream = response.into_body().bytes_stream();
        let reading = async {
            while (got.len() as u64) < len {
                let lost = |cause| Fault::local(Class::Passing, "the answer broke off").because(innermost(&cause));
                let piece =
                    stream.next().await.ok_or_else(|| Fault::local(Class::Passing, "the answer ended early"))?;
                let piece = piece.map_err(lost)?;
                let room = usize::try_from(len).unwrap_or(usize::MAX) - got.len();
                got.extend_from_slice(piece.get(..room).unwrap_or(&piece));
            }
            Ok(())
        };
        timeout(limit, reading).await.unwrap_or_else(|_| Err(Fault::local(Class::Passing, "the answer stalled")))
    }

    async fn persist(&self, call: &Call, total: Duration) -> Result<Answer, Fault> {
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            match self.attempt(call).await {
                Ok(answer) => return Ok(Answer { attempts: tries, ..answer }),
                Err(mut fault) => {
                    fault.attempts = tries;
                    if !self.may_try_again(&fault, tries, begun, total).await {
                        return Err(fault);
                    }
                }
            }
        }
    }

    /// Waits as long as the class of the fault asks for; false if there is no sense in another attempt.
    async fn may_try_again(&self, fault: &Fault, tries: u32, begun: Instant, total: Duration) -> bool {
        if fault.class == Class::Expired {
            return tries <= 2 && self.keys.renew().await;
        }
        // Whoever has never answered is more likely a wrong address than a store in trouble.
        let total = if self.reached.load(Ordering::Relaxed) { total } else { total.min(FIRST_CONTACT) };
        if !fault.class.is_passing() || begun.elapsed() >= total {
            return false;
        }
        let doubled = self.patience.pause.saturating_mul(1 << tries.clamp(1, 16) >> 1);
        let pause = jittered(doubled.min(self.patience.pause_max));
        if fault.class == Class::Throttled {
            let until = Instant::now() + pause;
            let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
            *rest = Some(rest.map_or(until, |other| other.max(until)));
        } else {
            sleep(pause).await;
        }
        true
    }

    /// One attempt, with its answer read to the end.
    async fn attempt(&self, call: &Call) -> Result<Answer, Fault> {
        let limit = self.limit(call.body.len());
        let response = self.open(call, limit).await?;
        let (parts, body) = response.into_parts();
        let body = match call.method {
            Method::HEAD => Bytes::new(),
            _ => {
                let lost = |cause| Fault::local(Class::Passing, "the answer broke off").because(innermost(&cause));
                let stalled = |_| Fault::local(Class::Passing, "the answer stalled");
                timeout(limit, body.bytes()).await.map_err(stalled)?.map_err(lost)?
            }
        };
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Fault::local(Class::Refused, "the answer is far too long"));
        }
        // Complete and copies answer 200 before they are done, and say how it went in the body.
        match answer::error_in(&body) {
            Some((code, message)) => Err(Fault::answered(parts.status.as_u16(), &code, &message)),
            None => Ok(Answer { headers: parts.headers, body, attempts: 1 }),
        }
    }

    /// Sends it once; what comes back is a success whose body is still on its way.
    async fn open(&self, call: &Call, limit: Duration) -> Result<HttpResponse, Fault> {
        let until = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            sleep_until(until).await;
        }
        let request = self.signed(call).await?;
        let stalled = |_| Fault::local(Class::Passing, "the store does not answer");
        let lost = |cause| Fault::local(Class::Passing, "there was no answer").because(innermost(&cause));
        let response = timeout(limit, self.http.execute(request)).await.map_err(stalled)?.map_err(lost)?;
        self.reached.store(true, Ordering::Relaxed);
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let text = match timeout(limit, body.bytes()).await {
            Ok(Ok(body)) => body,
            _ => Bytes::new(),
        };
        let (code, message) = answer::error_in(&text).unwrap_or_default();
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let region =
            header("x-amz-bucket-region").or_else(|| answer::region_in(&text)).filter(|one| *one != self.region);
        Err(Fault::answered(parts.status.as_u16(), &code, &message).beside(region, header("date")))
    }

    async fn signed(&self, call: &Call) -> Result<Request<HttpRequestBody>, Fault> {
        let keys = self.keys.get().await?;
        let wrong = |cause: http::Error| Fault::local(Class::Refused, "the request cannot be made").because(cause);
        let mut builder = Request::builder().method(call.method.clone()).uri(self.url(call));
        for (name, value) in &call.headers {
            builder = builder.header(*name, value);
        }
        let mut request = builder.body(HttpRequestBody::from(call.body.bytes.clone())).map_err(wrong)?;
        let unsigned = |cause| Fault::local(Class::Refused, "the request cannot be signed").because(cause);
        AwsAuthorizer::new(&keys, "s3", &self.region)
            .try_authorize(&mut request, Some(&call.body.sha256))
            .map_err(unsigned)?;
        Ok(request)
    }

    fn url(&self, call: &Call) -> String {
        let mut url = format!("{}/{}", self.base, encoded_key(&call.key));
        for (at, (name, value)) in call.query.iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, &PLAIN));
        }
        url
    }

    fn limit(&self, bytes: u64) -> Duration {
        self.patience.attempt + Duration::from_secs(bytes / PACE_MIN)
    }
}

/// The layers around it say that a request was sent, each in its own words.
fn innermost(cause: &(dyn StdError + 'static)) -> io::Error {
    let mut cause = cause;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    io::Error::other(cause.to_string())
}

/// As a header names the source of a copy.
pub(super) fn encoded_key(key: &str) -> String {
    utf8_percent_encode(key, &PATH).to_string()
}

fn base(bucket: &str, region: &str, settings: &Settings) -> String {
    let given = settings.endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/'));
    let endpoint = given.map_or_else(|| format!("https://s3.{region}.amazonaws.com"), str::to_owned);
    // A dot in the bucket's name would leave the certificate's wildcard; other stores rarely have names for buckets.
    let by_path = settings.path_style.unwrap_or(given.is_some() || bucket.contains('.'));
    match endpoint.split_once("://") {
        Some((scheme, host)) if !by_path => format!("{scheme}://{bucket}.{host}"),
        _ => format!("{endpoint}/{bucket}"),
    }
}

fn made_with(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    if let Some(class) = &settings.storage_class {
        headers.push(("x-amz-storage-class", class.clone()));
    }
    match &settings.encryption {
        None => {}
        Some(Encryption::Store) => headers.push(("x-amz-server-side-encryption", "AES256".to_owned())),
        Some(Encryption::Kms { key }) => {
            headers.push(("x-amz-server-side-encryption", "aws:kms".to_owned()));
            headers.extend(key.iter().map(|key| ("x-amz-server-side-encryption-aws-kms-key-id", key.clone())));
        }
    }
    headers
}

/// Between half of it and all of it, so that those who were refused together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 1];
    let drawn = getrandom::fill(&mut random).is_ok();
    let share = if drawn { u32::from(random[0]) } else { 255 };
    pause / 2 + pause / 2 * share / 255
}

/// Runs requests for a caller that blocks. Has threads of its own, so that it serves callers inside of any runtime.
pub(super) struct Io {
    runtime: Option<tokio::runtime::Runtime>,
    cancel: Cancel,
}

impl Io {
    pub(super) fn start(cancel: &Cancel) -> std::io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("s3").enable_all().build()?;
        Ok(Io { runtime: Some(runtime), cancel: cancel.clone() })
    }

    pub(super) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<tokio::task::JoinHandle<T>> {
        self.runtime.as_ref().map(|runtime| runtime.spawn(work))
    }

    /// Blocks until it is done; `None` if the run is stopped before.
    pub(super) fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let cancel = self.cancel.clone();
        self.finish(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => None,
                done = work => Some(done),
            }
        })
        .flatten()
    }

    /// Blocks until it is done, whoever asked the run to stop: what is left behind otherwise costs money.
    pub(super) fn finish<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.spawn(async move {
            // Nobody is left to take it if the caller is gone.
            let _ = sender.send(work.await);
        })?;
        receiver.recv().ok()
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_reached_as_their_store_wants() {
        let mut settings = Settings::usual();
        assert_eq!(base("shop", "eu-west-3", &settings), "https://shop.s3.eu-west-3.amazonaws.com");
        assert_eq!(base("a.b", "eu-west-3", &settings), "https://s3.eu-west-3.amazonaws.com/a.b");
        settings.path_style = Some(true);
        assert_eq!(base("shop", "eu-west-3", &settings), "https://s3.eu-west-3.amazonaws.com/shop");
        settings.endpoint = Some("http://127.0.0.1:9000/".into());
        settings.path_style = None;
        assert_eq!(base("shop", "x", &settings), "http://127.0.0.1:9000/shop");
        settings.path_style = Some(false);
        assert_eq!(base("shop", "x", &settings), "http://shop.127.0.0.1:9000");
    }

    #[test]
    fn pauses_grow_within_their_bounds() {
        for _ in 0..100 {
            let pause = jittered(Duration::from_millis(100));
            assert!(pause >= Duration::from_millis(50) && pause <= Duration::from_millis(100), "{pause:?}");
        }
    }
}
