//! `manifest-*.json`: one per SQLite run, written after the last `.meta`, never needed for a restore.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::units::StoredBytes;

use super::meta::{META_BYTES_MAX, pretty};
use super::moment::Moment;

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    pub timestamp: Moment,
    pub tool_version: String,
    pub host: String,
    pub files: Vec<RunFile>,
}

/// One SQLite file of the run. A file that failed has a name, a source and a result, and no archive.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    /// Its label.
    pub name: String,
    /// The path that was read.
    pub source: String,
    /// The archive's file name in the same folder.
    pub archive: Option<String>,
    pub size_bytes: Option<StoredBytes>,
    pub sha256: Option<String>,
    /// SQLite's own words: `ok`, or its first complaint.
    pub integrity_check: Option<String>,
    pub result: FileResult,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FileResult {
    Ok,
    /// The error's chain.
    Failed(String),
}

impl From<String> for FileResult {
    fn from(text: String) -> Self {
        if text == "ok" { FileResult::Ok } else { FileResult::Failed(text) }
    }
}

impl From<FileResult> for String {
    fn from(result: FileResult) -> Self {
        match result {
            FileResult::Ok => "ok".to_owned(),
            FileResult::Failed(why) => why,
        }
    }
}

impl RunManifest {
    pub fn parse(bytes: &[u8]) -> Result<RunManifest> {
        if bytes.len() > META_BYTES_MAX {
            let what = format!("run manifest has {} bytes, at most {META_BYTES_MAX} are read", bytes.len());
            return Err(Error::new(Kind::Damaged, what));
        }
        serde_json::from_slice(bytes)
            .map_err(|cause| Error::new(Kind::Damaged, "run manifest is not valid").because(cause))
    }

    pub fn to_json(&self) -> Vec<u8> {
        pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> RunManifest {
        RunManifest {
            timestamp: "2025-11-29T03:00:00+09:00".parse().unwrap(),
            tool_version: "0.1.0".to_owned(),
            host: "web1".to_owned(),
            files: vec![
                RunFile {
                    name: "miyabi".to_owned(),
                    source: "/srv/miyabi.db".to_owned(),
                    archive: Some("sqlite-miyabi-20251129-030000.db.gz".to_owned()),
                    size_bytes: Some(StoredBytes(4096)),
                    sha256: Some("ab".repeat(32)),
                    integrity_check: Some("ok".to_owned()),
                    result: FileResult::Ok,
                },
                RunFile {
                    name: "gone".to_owned(),
                    source: "/srv/gone.db".to_owned(),
                    archive: None,
                    size_bytes: None,
                    sha256: None,
                    integrity_check: None,
                    result: FileResult::Failed("cannot open /srv/gone.db: no such file".to_owned()),
                },
            ],
        }
    }

    #[test]
    fn a_manifest_reads_back() {
        let json = sample().to_json();
        assert_eq!(RunManifest::parse(&json).unwrap(), sample());
        let text = String::from_utf8(json).unwrap();
        assert!(text.contains(r#""result": "ok""#) && text.ends_with("}\n"), "{text}");
        assert!(text.contains(r#""size_bytes": 4096"#), "{text}");
    }

    #[test]
    fn a_cut_manifest_is_damaged() {
        let json = sample().to_json();
        for end in 0..json.len() - 2 {
            assert_eq!(RunManifest::parse(&json[..end]).unwrap_err().kind(), Kind::Damaged);
        }
    }
}
