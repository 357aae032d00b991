//! A bucket of an S3-compatible store, with the same tree as a folder.
//!
//! What differs from a disk: an upload gets its name before it can be read again, so one that reads back wrong is
//! removed; there are no locks, so two machines may write one name, and the second to finish is refused; a key may be
//! let to write and not to read, delete or list.

mod answer;
mod client;
mod copy;
mod discard;
mod fault;
mod list;
mod lock;
mod login;
mod place;
mod plan;
mod read;
mod rights;
mod settings;
mod upload;

use std::sync::Arc;

use futures_util::StreamExt;
use jiff::Timestamp;

use crate::cancel::Cancel;
use crate::checksum::hex;
use crate::error::{Context as _, Error, Kind, Result};

use super::{Bytes, Entry, Excess, Leftovers, Lock, Name, Noncurrent, Space, Store, Upload, error, is_denied};

pub use settings::{Encryption, Location, Login, MEMORY, PARTS_MAX, Patience, Settings};

pub(super) use fault::Fault;

pub(super) use place::Connection;

use fault::Class;
use place::Place;
use plan::Plan;
use read::{Objects, Read};
use upload::BucketUpload;

/// Small objects that are read at once.
const SIDE_BY_SIDE: usize = 16;

pub struct BucketStore {
    place: Arc<Place>,
}

impl BucketStore {
    /// Finds credentials and region; asks the store nothing yet. Requests end early when `cancel` is pulled.
    pub fn open(location: Location, settings: Settings, cancel: &Cancel, left: &Leftovers) -> Result<Self> {
        let connection = Connection::open(&location.bucket, &settings, cancel)?;
        Ok(BucketStore::at(location, settings, connection, left))
    }

    /// By a connection that is open already.
    pub(super) fn at(location: Location, settings: Settings, connection: Connection, left: &Leftovers) -> Self {
        BucketStore { place: Arc::new(Place::at(location, settings, connection, left)) }
    }

    fn wait<T: Send + 'static>(
        &self,
        doing: impl FnOnce() -> String,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T> {
        match self.place.io.wait(work) {
            Some(done) => done.map_err(|fault| self.told(fault, doing)),
            None => Err(self.place.io.cancel().error()),
        }
    }

    /// Whoever cannot get in does not want to know what for.
    fn told(&self, fault: Fault, doing: impl FnOnce() -> String) -> Error {
        match fault.is_of_place() {
            true => fault.into_error(format!("cannot use {}", self.place.location)),
            false => fault.into_error(doing()),
        }
    }

    /// Refuses a name that stands, as far as this key may look.
    fn refuse_standing(&self, name: &Name) -> Result<()> {
        let (place, key) = (Arc::clone(&self.place), self.place.key(name.as_str()));
        let shown = self.place.shown(name.as_str());
        match self.place.io.wait(async move { place.head(&key).await }) {
            Some(Ok(_)) => Err(error::exists(&shown)),
            Some(Err(fault)) if matches!(fault.class, Class::NoKey | Class::Denied) => Ok(()),
            Some(Err(fault)) => Err(self.told(fault, || format!("cannot look for {shown}"))),
            None => Err(self.place.io.cancel().error()),
        }
    }
}

impl Store for BucketStore {
    fn describe(&self) -> String {
        self.place.location.to_string()
    }

    fn begin(&self, name: &Name) -> Result<Box<dyn Upload>> {
        self.begin_sized(name, None)
    }

    fn begin_sized(&self, name: &Name, expected: Option<u64>) -> Result<Box<dyn Upload>> {
        self.begin_one_of(name, expected, 1)
    }

    fn begin_one_of(&self, name: &Name, expected: Option<u64>, side_by_side: u32) -> Result<Box<dyn Upload>> {
        self.refuse_standing(name)?;
        if !self.place.claim(name) {
            let shown = self.place.shown(name.as_str());
            return Err(Error::new(Kind::Refused, format!("{shown} is being written by another process")));
        }
        let plan = Plan::shared(expected, &self.place.settings, side_by_side);
        match BucketUpload::begin(Arc::clone(&self.place), name, plan) {
            Ok(upload) => Ok(Box::new(upload)),
            Err(error) => {
                self.place.release(name);
                Err(error)
            }
        }
    }

    fn open(&self, name: &Name) -> Result<Box<dyn Bytes>> {
        let shown = self.place.shown(name.as_str());
        match Objects::open(&self.place, vec![self.place.key(name.as_str())]) {
            Ok(objects) => Ok(Box::new(Read::new(Arc::clone(&self.place), objects, shown))),
            Err(_) if self.place.io.cancel().is_cancelled() => Err(self.place.io.cancel().error()),
            Err(fault) if fault.class == Class::NoKey => {
                Err(Error::new(Kind::Nothing, format!("{shown} does not exist")))
            }
            Err(fault) => Err(self.told(fault, || format!("cannot open {shown}"))),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let folder = folder.trim_matches('/');
        let prefix = self.prefix_of(folder);
        let (place, shown) = (Arc::clone(&self.place), self.place.shown(folder));
        self.wait(
            || format!("cannot list {}", shown.trim_end_matches('/')),
            async move { place.objects(&prefix).await },
        )
    }

    fn read_all(&self, files: &[(Name, u64)]) -> Vec<Result<Vec<u8>>> {
        let wanted: Vec<_> = files.iter().map(|(name, size)| (self.place.key(name.as_str()), *size)).collect();
        let place = Arc::clone(&self.place);
        let reading = async move {
            let reads = wanted.into_iter().map(|(key, size)| {
                let place = Arc::clone(&place);
                async move { if size == 0 { Ok(Vec::new()) } else { place.client.read(&key, 0, size, None).await } }
            });
            futures_util::stream::iter(reads).buffered(SIDE_BY_SIDE).collect::<Vec<_>>().await
        };
        let told = |(fault, name): (Fault, &Name)| {
            fault.into_error(format!("cannot read {}", self.place.shown(name.as_str())))
        };
        match self.place.io.wait(reading) {
            Some(read) => {
                let named = read.into_iter().zip(files);
                named.map(|(bytes, (name, _))| bytes.map_err(|fault| told((fault, name)))).collect()
            }
            None => files.iter().map(|_| Err(self.place.io.cancel().error())).collect(),
        }
    }

    fn list_here(&self, prefix: &str) -> Result<Vec<Entry>> {
        let (place, shown) = (Arc::clone(&self.place), self.describe());
        let key = match (self.place.location.prefix.as_str(), prefix) {
            ("", prefix) => prefix.to_owned(),
            (folder, prefix) => format!("{folder}/{prefix}"),
        };
        let mut entries = self.wait(|| format!("cannot list {shown}"), async move { place.objects(&key).await })?;
        entries.retain(|entry| entry.name.folder().is_empty());
        Ok(entries)
    }

    fn link(&self, from: &Name, to: &Name) -> Result<()> {
        copy::link(&self.place, from, to)
    }

    fn retain(&self, name: &Name, lock: Lock, until: Timestamp) -> Result<()> {
        lock::retain(&self.place, name, lock, until)
    }

    fn delete(&self, name: &Name) -> Result<()> {
        let (place, key) = (Arc::clone(&self.place), self.place.key(name.as_str()));
        let shown = self.place.shown(name.as_str());
        let doing = || format!("cannot remove {shown}");
        let removed = self.wait(doing, async move {
            let version = match place.head(&key).await {
                Ok(standing) => standing.version,
                Err(fault) if fault.class == Class::NoKey => return Ok(()),
                // Who may delete and not look removes what a marker can hide.
                Err(fault) if fault.class == Class::Denied => None,
                Err(fault) => return Err(fault),
            };
            place.client.send(&discard::removal(&key, version.as_deref())).await.map(drop)
        });
        removed.map_err(|error| match is_denied(&error) {
            true => lock::explained(&self.place, name, error),
            false => error,
        })
    }

    fn sweep(&self, is_ours: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        let doing = || format!("cannot look for unfinished uploads in {}", self.place.location);
        let (place, prefix) = (Arc::clone(&self.place), self.prefix());
        let (begun, now) = match self.place.io.wait(async move { place.uploads(&prefix).await }) {
            Some(Ok(found)) => found,
            // Whoever may not list cannot sweep; another key's `prune` does it.
            Some(Err(fault)) if matches!(fault.class, Class::Denied | Class::Unsupported) => return Ok(Vec::new()),
            Some(Err(fault)) => return Err(self.told(fault, doing)),
            None => return Err(self.place.io.cancel().error()),
        };
        let ours: Vec<_> = begun
            .into_iter()
            .filter(|begun| self.place.location.path(&begun.key).is_some_and(|path| self.is_dead(path, is_ours)))
            .collect();
        let (place, age) = (Arc::clone(&self.place), self.place.settings.stale_after);
        self.wait(doing, async move {
            let mut stale = Vec::new();
            for begun in ours {
                match place.is_stale(&begun, now.unwrap_or(begun.initiated), age).await {
                    Ok(true) => stale.push(begun),
                    Ok(false) => {}
                    // A key may be let to list uploads and not their parts: then nothing says that one is dead.
                    Err(fault) if fault.class == Class::Denied => {}
                    Err(fault) => return Err(fault),
                }
            }
            place.sweep(&stale).await
        })
    }

    fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }

    fn noncurrent(&self) -> Result<Option<Noncurrent>> {
        let (place, prefix) = (Arc::clone(&self.place), self.prefix());
        let doing = || format!("cannot list versions in {}", self.place.location);
        match self.place.io.wait(async move { place.noncurrent(&prefix).await }) {
            Some(Ok(found)) => Ok(Some(found)),
            // A right of its own, and not every store has versions.
            Some(Err(fault)) if matches!(fault.class, Class::Denied | Class::Unsupported) => Ok(None),
            Some(Err(fault)) => Err(self.told(fault, doing)),
            None => Err(self.place.io.cancel().error()),
        }
    }

    fn excess(&self) -> Result<Vec<Excess>> {
        let (place, key) = (Arc::clone(&self.place), self.place.key(&format!("doctor-probe-{}", token()?)));
        let doing = || format!("cannot find out what this key may do in {}", self.place.location);
        self.wait(doing, async move { place.excess(&key).await })
    }
}

impl BucketStore {
    /// What all keys of this place begin with.
    fn prefix(&self) -> String {
        self.prefix_of("")
    }

    /// What all keys of a folder begin with.
    fn prefix_of(&self, folder: &str) -> String {
        match self.place.key(folder) {
            prefix if prefix.is_empty() => prefix,
            prefix => format!("{prefix}/"),
        }
    }

    /// Of ours, and not one that this process is writing.
    fn is_dead(&self, path: &str, is_ours: &dyn Fn(&str) -> bool) -> bool {
        let live = self.place.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_live = live.iter().any(|name| path.strip_prefix(name.as_str()).is_some_and(is_further));
        !is_live && is_ours(path)
    }
}

/// What follows an archive's name in the name of one of its files.
fn is_further(rest: &str) -> bool {
    rest.is_empty() || rest.strip_prefix('.').is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What tells one upload from any other of the same name.
fn token() -> Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).context(Kind::Bug, || "cannot draw random bytes".to_owned())?;
    Ok(hex(&random))
}
