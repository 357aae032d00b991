//! Stopping: one token that the signal handler, the first error and every worker share.
//!
//! Cancel points lie between blocks, so a run stops at most one block after it was asked to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Error, Kind, Result};

#[derive(Clone, Debug, Default)]
pub struct Cancel {
    token: CancellationToken,
    /// The signal that asked us to stop; 0 while none did.
    signal: Arc<AtomicU8>,
}

impl Cancel {
    pub fn new() -> Self {
        Cancel::default()
    }

    /// A token that is cancelled with this one, and can be cancelled without it: for one source of several.
    pub fn child(&self) -> Self {
        Cancel { token: self.token.child_token(), signal: Arc::clone(&self.signal) }
    }

    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Cancels when it is dropped.
    #[must_use = "it cancels at once"]
    pub fn drop_guard(self) -> DropGuard {
        self.token.drop_guard()
    }

    pub fn cancel_by_signal(&self, number: u8) {
        self.signal.store(number, Ordering::SeqCst);
        self.token.cancel();
    }

    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The signal that stopped the run, if one did.
    pub fn signal(&self) -> Option<u8> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            number => Some(number),
        }
    }

    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// A cancel point.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(self.error()) } else { Ok(()) }
    }

    /// Runs `work` until it is done or the token is cancelled.
    pub async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => Err(self.error()),
            done = work => done,
        }
    }

    /// What a cancelled worker returns. Without a signal another worker failed first, and its error is reported.
    pub fn error(&self) -> Error {
        match self.signal() {
            Some(number) => Error::new(Kind::Signal(number), format!("stopped by signal {number}")),
            None => Error::new(Kind::Stopped, "stopped because another part of the run failed"),
        }
    }
}
