//! What a run is given besides its job.

use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::progress::Progress;

#[derive(Clone)]
pub struct Context {
    pub clock: Clock,
    pub cancel: Cancel,
    pub progress: Progress,
    /// The machine's name, for `.meta` and run manifests.
    pub host: String,
}
