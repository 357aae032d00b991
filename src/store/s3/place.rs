//! One bucket and prefix as everything in this folder sees it: the requests, each named for what it is about.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::store::{Leftovers, Name};

use super::answer::{self, Initiated};
use super::client::{Answer, Body, Call, Client, Io};
use super::fault::{Class, Fault};
use super::settings::{Location, Settings};

/// Which run an object is from: written down with it, and asked for where an answer was lost.
pub(super) const TOKEN: &str = "x-amz-meta-miyabi-upload";

/// Sockets, credentials and threads for one bucket, whatever is done in it.
#[derive(Clone)]
pub(in crate::store) struct Connection {
    io: Arc<Io>,
    client: Arc<Client>,
}

impl Connection {
    pub(in crate::store) fn open(bucket: &str, settings: &Settings, cancel: &Cancel) -> Result<Self> {
        let doing = format!("cannot open s3://{bucket}");
        let io = Io::start(cancel).map_err(|cause| Error::new(Kind::Bug, doing.as_str()).because(cause))?;
        let (bucket, how) = (bucket.to_owned(), settings.clone());
        match io.wait(async move { Client::connect(&bucket, &how).await }) {
            Some(Ok(client)) => Ok(Connection { io: Arc::new(io), client: Arc::new(client) }),
            Some(Err(fault)) => Err(fault.into_error(doing)),
            None => Err(cancel.error()),
        }
    }
}

pub(super) struct Place {
    pub(super) io: Arc<Io>,
    pub(super) client: Arc<Client>,
    pub(super) location: Location,
    pub(super) settings: Settings,
    /// Names that this process is writing.
    pub(super) live: Mutex<BTreeSet<Name>>,
    pub(super) left: Leftovers,
}

/// What stands under a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Standing {
    pub(super) size: u64,
    pub(super) etag: Option<String>,
    pub(super) token: Option<String>,
    /// `None` where the bucket keeps no versions.
    pub(super) version: Option<String>,
}

impl Place {
    pub(super) fn at(location: Location, settings: Settings, connection: Connection, left: &Leftovers) -> Self {
        let Connection { io, client } = connection;
        Place { io, client, location, settings, live: Mutex::new(BTreeSet::new()), left: left.clone() }
    }

    /// For messages, and for programs that take such places.
    pub(super) fn shown(&self, path: &str) -> String {
        format!("{}/{path}", self.location)
    }

    pub(super) fn key(&self, path: &str) -> String {
        self.location.key(path)
    }

    pub(super) fn claim(&self, name: &Name) -> bool {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone())
    }

    pub(super) fn release(&self, name: &Name) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    pub(super) async fn head(&self, key: &str) -> Result<Standing, Fault> {
        let answer = self.client.send(&Call::new(Method::HEAD, key)).await?;
        let size = answer.header("content-length").and_then(|text| text.parse().ok());
        let size =
            size.ok_or_else(|| Fault::local(Class::Unsupported, "the store does not say how large the object is"))?;
        let text = |name: &str| answer.header(name).map(str::to_owned);
        Ok(Standing { size, etag: text("etag"), token: text(TOKEN), version: version_of(&answer) })
    }

    /// Whether the object there is the one of this token and size.
    pub(super) async fn is_ours(&self, key: &str, token: &str, size: u64) -> Result<Option<Standing>, Fault> {
        match self.head(key).await {
            Ok(found) if found.token.as_deref() == Some(token) && found.size == size => Ok(Some(found)),
            Ok(_) => Ok(None),
            Err(fault) if fault.class == Class::NoKey => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// A small object in one request, under a name that must be free.
    pub(super) async fn put(&self, key: &str, body: Body, token: &str) -> Result<Option<String>, Fault> {
        let size = body.len();
        let call = self.client.making(
            Call::new(Method::PUT, key)
                .header(TOKEN, token)
                .header("x-amz-checksum-sha256", body.checksum())
                .body(body),
        );
        let conditional = call.clone().header("if-none-match", "*");
        match self.client.send(&conditional).await {
            Ok(answer) => Ok(version_of(&answer)),
            Err(fault) if fault.class == Class::Unsupported => {
                self.must_be_free(key).await?;
                self.client.send(&call).await.map(|answer| version_of(&answer))
            }
            Err(fault) => self.settled(key, token, size, fault).await,
        }
    }

    pub(super) async fn create(&self, key: &str, token: &str) -> Result<Created, Fault> {
        let call = Call::new(Method::POST, key).query("uploads", "").header(TOKEN, token);
        let answer = self.client.send(&self.client.making(call)).await?;
        let begun: Initiated = answer::parse(&answer.body)?;
        Ok(Created { upload: begun.upload_id, has_twin: answer.attempts > 1 })
    }

    pub(super) async fn put_part(&self, key: &str, upload: &str, number: u32, body: Body) -> Result<String, Fault> {
        let call =
            Call::new(Method::PUT, key).query("partNumber", number.to_string()).query("uploadId", upload).body(body);
        let answer = self.client.send(&call).await?;
        let etag = answer.header("etag").map(str::to_owned);
        etag.ok_or_else(|| Fault::local(Class::Unsupported, "the store does not answer a part with its ETag"))
    }

    /// Gives the object its name, which must be free. The version, where the bucket keeps versions.
    pub(super) async fn complete(&self, object: &Finished<'_>) -> Result<Option<String>, Fault> {
        let body = Body::of(answer::completion(object.etags));
        let call = Call::new(Method::POST, object.key).query("uploadId", object.upload).body(body);
        let conditional = call.clone().header("if-none-match", "*");
        match self.client.send(&conditional).await {
            Ok(answer) => Ok(version_of(&answer)),
            Err(fault) if fault.class == Class::Unsupported => {
                self.must_be_free(object.key).await?;
                match self.client.send(&call).await {
                    Ok(answer) => Ok(version_of(&answer)),
                    Err(fault) => self.settled(object.key, object.token, object.size, fault).await,
                }
            }
            Err(fault) => self.settled(object.key, object.token, object.size, fault).await,
        }
    }

    /// The answer that would have said so may be lost: then the name stands all the same.
    async fn settled(&self, key: &str, token: &str, size: u64, fault: Fault) -> Result<Option<String>, Fault> {
        let may_be_done = matches!(fault.class, Class::Stands | Class::NoUpload) || fault.class.is_passing();
        if !may_be_done {
            return Err(fault);
        }
        match self.is_ours(key, token, size).await {
            Ok(Some(found)) => Ok(found.version),
            Ok(None) | Err(_) => Err(fault),
        }
    }

    /// For stores that know no conditions: another writer could still come in between.
    async fn must_be_free(&self, key: &str) -> Result<(), Fault> {
        match self.head(key).await {
            Ok(_) => Err(Fault::local(Class::Stands, "")),
            Err(fault) if matches!(fault.class, Class::NoKey | Class::Denied) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// An upload that has begun.
pub(super) struct Created {
    pub(super) upload: String,
    /// An earlier attempt may have begun another one, whose answer was lost.
    pub(super) has_twin: bool,
}

/// A multipart object of which every part has arrived.
pub(super) struct Finished<'a> {
    pub(super) key: &'a str,
    pub(super) upload: &'a str,
    pub(super) etags: &'a [String],
    pub(super) token: &'a str,
    pub(super) size: u64,
}

pub(super) fn version_of(answer: &Answer) -> Option<String> {
    answer.header("x-amz-version-id").filter(|version| *version != "null").map(str::to_owned)
}
