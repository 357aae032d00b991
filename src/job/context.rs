//! What a run is given besides its job.

use std::path::PathBuf;

use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::progress::Progress;
use crate::store::Places;

#[derive(Clone)]
pub struct Context {
    pub clock: Clock,
    pub cancel: Cancel,
    pub progress: Progress,
    /// The machine's name, for `.meta` and run manifests.
    pub host: String,
    /// How folders and buckets are reached.
    pub places: Places,
    /// Where a SQLite file out of a bucket is unpacked if nothing else says where.
    pub scratch: PathBuf,
}
