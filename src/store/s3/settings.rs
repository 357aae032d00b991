//! How a bucket is reached and what objects are made like: decided by the caller, one value for all buckets of a run.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Kind, Result};

pub const SCHEME: &str = "s3://";

/// What Amazon takes; other stores take less.
pub const PARTS_MAX: u32 = 10_000;
/// The least that a part may have that is not the last.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// All parts of one upload that are filled or under way.
pub const MEMORY: u64 = 64 << 20;

#[derive(Clone, Debug)]
pub struct Settings {
    /// `https://s3.example.org`; `None` is Amazon's of the region.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// `endpoint/bucket/key` in the place of `bucket.endpoint/key`; `None` decides by the endpoint.
    pub path_style: Option<bool>,
    /// Certificates in PEM that are trusted beside the system's.
    pub ca: Option<Vec<u8>>,
    pub login: Login,
    /// Parts that one object may have.
    pub parts_max: u32,
    pub part_bytes_min: u64,
    /// Bytes that all parts of one upload may hold in memory at once.
    pub memory: u64,
    /// Such as `STANDARD_IA`; `None` leaves it to the bucket.
    pub storage_class: Option<String>,
    pub encryption: Option<Encryption>,
    pub patience: Patience,
    /// An upload of ours in which nothing has happened for so long belongs to a run that died.
    pub stale_after: Duration,
}

/// Who we are to the store.
#[derive(Clone)]
pub enum Login {
    /// What every AWS tool finds: environment, profiles, SSO, web identity, the machine's own role.
    Found {
        profile: Option<String>,
    },
    Keys {
        key: String,
        secret: String,
        token: Option<String>,
    },
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Login::Found { profile } => f.debug_struct("Found").field("profile", profile).finish(),
            Login::Keys { key, .. } => f.debug_struct("Keys").field("key", key).finish_non_exhaustive(),
        }
    }
}

/// By the store itself, with keys that it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Encryption {
    /// `AES256`
    Store,
    /// `aws:kms`, with this key or the bucket's.
    Kms { key: Option<String> },
}

/// How long a request is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first attempt on.
    pub total: Duration,
    /// After the first failure; twice as long after each further one.
    pub pause: Duration,
    pub pause_max: Duration,
    /// What one attempt may take beside the time for its bytes.
    pub attempt: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            total: Duration::from_secs(300),
            pause: Duration::from_millis(200),
            pause_max: Duration::from_secs(20),
            attempt: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// Amazon's store with what every AWS tool would find.
    pub fn usual() -> Self {
        Settings {
            endpoint: None,
            region: None,
            path_style: None,
            ca: None,
            login: Login::Found { profile: None },
            parts_max: PARTS_MAX,
            part_bytes_min: PART_BYTES_MIN,
            memory: MEMORY,
            storage_class: None,
            encryption: None,
            patience: Patience::default(),
            stale_after: Duration::from_secs(6 * 3600),
        }
    }
}

/// `s3://bucket/prefix`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    pub bucket: String,
    /// Without slashes at its ends; may be empty.
    pub prefix: String,
}

impl Location {
    pub fn is_one(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| Err(Error::new(Kind::Usage, format!("cannot use `{text}`: {what}")));
        let Some(rest) = text.strip_prefix(SCHEME) else { return wrong("expected s3://bucket/prefix") };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if bucket.len() < 3 || bucket.len() > 63 || !bucket.bytes().all(is_name) {
            return wrong("a bucket's name has 3 to 63 letters, digits, dots and hyphens");
        }
        let parts: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| matches!(*part, "." | "..") || part.contains('\0')) {
            return wrong("a prefix does not lead out of its bucket");
        }
        Ok(Location { bucket: bucket.to_owned(), prefix: parts.join("/") })
    }

    /// The key of a path below the prefix.
    pub fn key(&self, path: &str) -> String {
        match (self.prefix.as_str(), path) {
            ("", path) => path.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, path) => format!("{prefix}/{path}"),
        }
    }

    /// The path of a key that lies below the prefix.
    pub fn path<'a>(&self, key: &'a str) -> Option<&'a str> {
        match self.prefix.as_str() {
            "" => Some(key),
            prefix => key.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }

    /// The folder above, and the last part of the path.
    pub fn split(&self) -> Option<(Location, &str)> {
        let (folder, leaf) = self.prefix.rsplit_once('/').unwrap_or(("", &self.prefix));
        (!leaf.is_empty()).then(|| (Location { bucket: self.bucket.clone(), prefix: folder.to_owned() }, leaf))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_everywhere() {
        let parse = |text: &str| Location::parse(text).map(|place| (place.bucket.clone(), place.to_string()));
        assert_eq!(parse("s3://shop").unwrap(), ("shop".into(), "s3://shop".into()));
        assert_eq!(parse("s3://shop/a//b/").unwrap(), ("shop".into(), "s3://shop/a/b".into()));
        for wrong in ["s3:/shop", "s3://", "s3://ab", "s3:///a", "s3://a b/c", "s3://shop/../x", "/srv"] {
            assert_eq!(parse(wrong).unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn keys_and_paths_are_each_other() {
        let place = Location::parse("s3://shop/miyabi").unwrap();
        assert_eq!(place.key("postgres/daily/x"), "miyabi/postgres/daily/x");
        assert_eq!(place.path("miyabi/postgres/daily/x"), Some("postgres/daily/x"));
        assert_eq!(place.path("miyabix/postgres"), None);
        let root = Location::parse("s3://shop").unwrap();
        assert_eq!((root.key("x").as_str(), root.path("x")), ("x", Some("x")));
        assert!(root.split().is_none());
        let (folder, leaf) = Location::parse("s3://shop/a/b/x.gz")
            .map(|file| {
                let (folder, leaf) = file.split().unwrap();
                (folder.to_string(), leaf.to_owned())
            })
            .unwrap();
        assert_eq!((folder.as_str(), leaf.as_str()), ("s3://shop/a/b", "x.gz"));
    }

    #[test]
    fn no_message_shows_a_secret() {
        let login = Login::Keys { key: "AKIA".into(), secret: "s3cret".into(), token: Some("t0ken".into()) };
        let shown = format!("{login:?}");
        assert!(shown.contains("AKIA") && !shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    }
}
