//! The S3 server that `scripts/s3.sh` started, and stores on prefixes of its buckets that nobody else uses.

use std::sync::Arc;
use std::time::Duration;

use miyabi_backup::cancel::Cancel;
use miyabi_backup::store::s3::{BucketStore, Location, Login, Patience, Settings};
use miyabi_backup::store::{Leftovers, Store};

use crate::util::{fact_of, unique};

/// A bucket that the ordinary key may read, write and list.
pub const BUCKET: &str = "backups";

pub fn url() -> String {
    fact_of("s3", "url", "scripts/s3.sh start")
}

pub fn keys(name: &str) -> Login {
    Login::Keys { key: format!("{name}key"), secret: format!("{name}secret"), token: None }
}

/// Patient for as long as a test may take, and quick to try again.
pub fn settings() -> Settings {
    Settings {
        endpoint: Some(url()),
        login: keys("test"),
        patience: Patience {
            total: Duration::from_secs(20),
            pause: Duration::from_millis(5),
            pause_max: Duration::from_millis(50),
            attempt: Duration::from_secs(10),
        },
        ..Settings::usual()
    }
}

/// `s3://backups/<of this test alone>`
pub fn place(label: &str) -> Location {
    Location::parse(&format!("s3://{BUCKET}/{}", unique(label))).unwrap()
}

pub fn open(location: &Location, settings: Settings) -> Arc<dyn Store> {
    Arc::new(BucketStore::open(location.clone(), settings, &Cancel::new(), &Leftovers::default()).unwrap())
}

/// A store with nothing in it.
pub fn store(label: &str) -> Arc<dyn Store> {
    open(&place(label), settings())
}
