//! Cleaning up: uploads are aborted and objects removed, within a bounded time, whoever asked the run to stop.
//!
//! What cannot be removed is named: it costs money, and only the next run or somebody else can find it.

use std::time::Duration;

use http::Method;

use super::client::Call;
use super::fault::{Class, Fault};
use super::place::Place;

/// A run that is asked to stop has about so long before somebody kills it.
const LIMIT: Duration = Duration::from_secs(15);

impl Place {
    /// Parts and all. An upload that is not there is aborted.
    pub(super) async fn abort(&self, key: &str, upload: &str) -> Result<(), Fault> {
        match self.client.send_briefly(&Call::new(Method::DELETE, key).query("uploadId", upload), LIMIT).await {
            Err(fault) if !matches!(fault.class, Class::NoUpload | Class::NoKey) => Err(fault),
            _ => Ok(()),
        }
    }

    /// An upload whose completion may or may not have gone through: whatever there is goes away.
    pub(super) async fn undo(&self, key: &str, upload: &str, token: &str, size: u64) -> Result<(), Fault> {
        self.abort(key, upload).await?;
        self.undo_put(key, token, size).await
    }

    /// The name stands, so no other upload of it can be completed any more: those of lost answers go away.
    pub(super) async fn abort_twins(&self, key: &str) -> Result<(), Fault> {
        let (begun, _) = self.uploads(key).await?;
        for twin in begun.iter().filter(|twin| twin.key == key) {
            self.abort(&twin.key, &twin.upload_id).await?;
        }
        Ok(())
    }

    /// An object that may or may not have been put.
    pub(super) async fn undo_put(&self, key: &str, token: &str, size: u64) -> Result<(), Fault> {
        match tokio::time::timeout(LIMIT, self.is_ours(key, token, size)).await {
            Ok(Ok(Some(found))) => self.remove_briefly(key, found.version.as_deref()).await,
            Ok(Ok(None)) => Ok(()),
            // Who may not look could not have been told that it stands, either.
            Ok(Err(fault)) if fault.class == Class::Denied => Ok(()),
            Ok(Err(fault)) => Err(fault),
            Err(_) => Err(Fault::local(Class::Passing, "the store does not answer")),
        }
    }

    pub(super) async fn remove_briefly(&self, key: &str, version: Option<&str>) -> Result<(), Fault> {
        self.client.send_briefly(&removal(key, version), LIMIT).await.map(drop)
    }
}

/// By its version where the bucket keeps versions: a marker would only hide the bytes.
pub(super) fn removal(key: &str, version: Option<&str>) -> Call {
    let call = Call::new(Method::DELETE, key);
    match version {
        Some(version) => call.query("versionId", version),
        None => call,
    }
}
