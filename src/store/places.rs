//! From the place as people write it to its store: `/srv/backups`, `s3://bucket/prefix`.

use std::path::Path;
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::error::Result;

use super::s3::{BucketStore, Location, Settings};
use super::{Leftovers, LocalStore, Store};

/// How every place of a run is reached.
#[derive(Clone, Debug)]
pub struct Places {
    settings: Settings,
    cancel: Cancel,
    left: Leftovers,
}

impl Places {
    /// Requests to buckets end when `cancel` is pulled.
    pub fn new(settings: Settings, cancel: &Cancel) -> Self {
        Places { settings, cancel: cancel.clone(), left: Leftovers::default() }
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
        Ok(Arc::new(BucketStore::open(location, self.settings.clone(), &self.cancel, &self.left)?))
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What stores of this run could not remove.
    pub fn left_behind(&self) -> Vec<String> {
        self.left.take()
    }
}
