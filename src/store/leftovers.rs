//! What could not be removed while nobody was there to be told: noted on the error of the run that left it.

use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Debug, Default)]
pub struct Leftovers(Arc<Mutex<Vec<String>>>);

impl Leftovers {
    pub(super) fn add(&self, lines: Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(lines);
    }

    /// Everything since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
