//! A `.meta` for tests: of a nightly backup of one database. A test sets what it is about, and no other field.

use crate::units::{RawBytes, StoredBytes};

use super::meta::{BackupType, Content, Details, FORMAT_VERSION, Format, Meta, Readback, Source};
use super::moment::Moment;

pub fn sample_meta(label: &str, timestamp: Moment) -> Meta {
    Meta {
        timestamp,
        database: label.to_owned(),
        host: "db".to_owned(),
        port: "5432".to_owned(),
        backup_type: BackupType::Daily,
        size_bytes: StoredBytes(1),
        size_human: "1 B".to_owned(),
        compression: "gzip:5".to_owned(),
        format: Format::Sql,
        details: Some(sample_details(label)),
    }
}

pub fn sample_details(label: &str) -> Details {
    Details {
        format_version: FORMAT_VERSION,
        tool_version: "0.1.0".to_owned(),
        archive_id: "00".repeat(16),
        sha256: "00".repeat(32),
        raw_bytes: RawBytes(1),
        label: label.to_owned(),
        source: Source::Postgres { server: "db".to_owned(), port: "5432".to_owned(), database: label.to_owned() },
        server_version: "17.2".to_owned(),
        duration_seconds: 1.0,
        snapshot_lsn: None,
        readback: Readback::Checked,
        content: Content::All,
        part: None,
        without: None,
        encryption: None,
        files: None,
        signature: None,
        sqlite: None,
        warnings: Vec::new(),
        tables: Vec::new(),
        large_objects: None,
    }
}
