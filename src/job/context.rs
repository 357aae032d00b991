//! What a run is given besides its job.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::progress::Progress;
use crate::seal::{Keys, Verifier};
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
    /// What opens sealed archives.
    pub keys: Arc<Keys>,
    /// Whose signature a `.meta` must have.
    pub signed_by: Option<Verifier>,
    /// Where a SQLite file out of a bucket is unpacked if nothing else says where.
    pub scratch: PathBuf,
}
