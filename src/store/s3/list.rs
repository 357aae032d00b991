//! What stands below a prefix, and what of it can never be finished.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;

use crate::store::{Entry, EntryKind, Name, Noncurrent};

use super::answer::{self, Begun, Objects, Parts, Uploads, Versions};
use super::client::Call;
use super::fault::{Class, Fault};
use super::place::Place;

impl Place {
    /// Every object whose key begins like this.
    pub(super) async fn objects(&self, prefix: &str) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut call = Call::new(Method::GET, "").query("list-type", "2").query("prefix", prefix);
            if let Some(token) = next.take() {
                call = call.query("continuation-token", token);
            }
            let page: Objects = answer::parse(&self.client.send(&call).await.map_err(of_bucket)?.body)?;
            entries.extend(page.contents.into_iter().filter_map(|object| {
                let path = self.location.path(&object.key)?;
                // Some tools mark folders by empty objects; dot-files are nothing of ours.
                let is_file =
                    !path.is_empty() && !path.ends_with('/') && !path.split('/').any(|part| part.starts_with('.'));
                is_file.then(|| Entry {
                    name: Name::found(path.to_owned()),
                    kind: EntryKind::File,
                    size: object.size,
                    modified: object.last_modified,
                })
            }));
            match page.next_continuation_token.filter(|_| page.is_truncated) {
                Some(token) => next = Some(token),
                None => break,
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Versions below a prefix that are not the newest of their key, or whose key is hidden by a marker.
    pub(super) async fn noncurrent(&self, prefix: &str) -> Result<Noncurrent, Fault> {
        let mut sum = Noncurrent::default();
        let mut marker: Option<(String, String)> = None;
        loop {
            let mut call = Call::new(Method::GET, "").query("versions", "").query("prefix", prefix);
            if let Some((key, version)) = marker.take() {
                call = call.query("key-marker", key).query("version-id-marker", version);
            }
            let page: Versions = answer::parse(&self.client.send(&call).await.map_err(of_bucket)?.body)?;
            for version in page.versions.iter().filter(|version| !version.is_latest) {
                sum.versions += 1;
                sum.bytes = sum.bytes.saturating_add(version.size);
            }
            match (page.is_truncated, page.next_key_marker) {
                (true, Some(key)) => marker = Some((key, page.next_version_id_marker.unwrap_or_default())),
                _ => return Ok(sum),
            }
        }
    }

    /// Uploads of ours below the place in which nothing has happened for long are aborted; their paths.
    pub(super) async fn sweep(&self, stale: &[Begun]) -> Result<Vec<String>, Fault> {
        let mut removed = Vec::new();
        for begun in stale {
            match self.abort(&begun.key, &begun.upload_id).await {
                Ok(()) => {}
                // Another key's to do.
                Err(fault) if fault.class == Class::Denied => continue,
                Err(fault) => return Err(fault),
            }
            removed.extend(self.location.path(&begun.key).map(str::to_owned));
        }
        removed.sort();
        removed.dedup();
        Ok(removed)
    }

    /// The time is the store's own: clocks of two machines need not agree.
    pub(super) async fn uploads(&self, prefix: &str) -> Result<(Vec<Begun>, Option<Timestamp>), Fault> {
        let mut begun = Vec::new();
        let mut marker: Option<(String, String)> = None;
        loop {
            let mut call = Call::new(Method::GET, "").query("uploads", "").query("prefix", prefix);
            if let Some((key, upload)) = marker.take() {
                call = call.query("key-marker", key).query("upload-id-marker", upload);
            }
            let answer = self.client.send(&call).await.map_err(of_bucket)?;
            let page: Uploads = answer::parse(&answer.body)?;
            begun.extend(page.uploads);
            match (page.is_truncated, page.next_key_marker, page.next_upload_id_marker) {
                (true, Some(key), Some(upload)) => marker = Some((key, upload)),
                _ => return Ok((begun, time_of(answer.header("date")))),
            }
        }
    }

    /// Whether neither the upload nor a part of it is younger than this.
    pub(super) async fn is_stale(&self, begun: &Begun, now: Timestamp, age: Duration) -> Result<bool, Fault> {
        let is_old = |at: Timestamp| now.duration_since(at).as_secs_f64() >= age.as_secs_f64();
        if !is_old(begun.initiated) {
            return Ok(false);
        }
        let mut marker: Option<String> = None;
        loop {
            let mut call = Call::new(Method::GET, begun.key.as_str()).query("uploadId", begun.upload_id.as_str());
            if let Some(marker) = marker.take() {
                call = call.query("part-number-marker", marker);
            }
            let page: Parts = match self.client.send(&call).await {
                Ok(answer) => answer::parse(&answer.body)?,
                Err(fault) if matches!(fault.class, Class::NoUpload | Class::NoKey) => return Ok(false),
                Err(fault) => return Err(fault),
            };
            if !page.parts.iter().all(|part| is_old(part.last_modified)) {
                return Ok(false);
            }
            match page.next_part_number_marker.filter(|_| page.is_truncated) {
                Some(next) => marker = Some(next),
                None => return Ok(true),
            }
        }
    }
}

/// A list is asked of the bucket: what is not there is the bucket.
fn of_bucket(mut fault: Fault) -> Fault {
    if fault.class == Class::NoKey {
        fault.class = Class::NoBucket;
    }
    fault
}

/// As HTTP writes it: `Sun, 29 Nov 2026 02:00:42 GMT`.
fn time_of(header: Option<&str>) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(header?).ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_clock_is_read() {
        let at = time_of(Some("Sun, 29 Nov 2026 02:00:42 GMT")).unwrap();
        assert_eq!(at.to_string(), "2026-11-29T02:00:42Z");
        assert_eq!(time_of(Some("yesterday")), None);
    }
}
