//! From the place as people write it to its store: `/srv/backups`, `s3://bucket/prefix`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cancel::Cancel;
use crate::error::Result;

use super::s3::{BucketStore, Connection, Location, Settings};
use super::{Leftovers, LocalStore, Store};

/// How every place of a run is reached. Clones share the connections to buckets.
#[derive(Clone)]
pub struct Places {
    settings: Settings,
    cancel: Cancel,
    left: Leftovers,
    connections: Arc<Mutex<BTreeMap<String, Connection>>>,
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Places {
    /// Requests to buckets end when `cancel` is pulled.
    pub fn new(settings: Settings, cancel: &Cancel) -> Self {
        Places { settings, cancel: cancel.clone(), left: Leftovers::default(), connections: Arc::default() }
    }

    /// The bucket and prefix, if the place is not a folder.
    pub fn bucket(place: &Path) -> Option<Result<Location>> {
        let text = place.to_str().filter(|text| Location::is_one(text))?;
        Some(Location::parse(text))
    }

    pub fn open(&self, place: &Path) -> Result<Arc<dyn Store>> {
        match Places::bucket(place) {
            Some(location) => self.open_bucket(location?),
            None => Ok(Arc::new(LocalStore::new(place))),
        }
    }

    pub fn open_bucket(&self, location: Location) -> Result<Arc<dyn Store>> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match connections.get(&location.bucket) {
            Some(connection) => connection.clone(),
            None => {
                let opened = Connection::open(&location.bucket, &self.settings, &self.cancel)?;
                connections.insert(location.bucket.clone(), opened.clone());
                opened
            }
        };
        Ok(Arc::new(BucketStore::at(location, self.settings.clone(), connection, &self.left)))
    }

    /// What stores of this run could not remove.
    pub fn left_behind(&self) -> Vec<String> {
        self.left.take()
    }
}
