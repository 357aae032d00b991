//! The old system's file parses, ours reads back, and nothing half parses at all.

use proptest::prelude::*;

use super::*;

fn sample() -> Meta {
    Meta {
        timestamp: "2025-11-29T03:00:00+09:00".parse().unwrap(),
        database: "shop".to_owned(),
        host: "db1".to_owned(),
        port: "5433".to_owned(),
        backup_type: BackupType::Daily,
        size_bytes: StoredBytes(12_345_678),
        size_human: "12 MiB".to_owned(),
        compression: "gzip:6".to_owned(),
        format: Format::Sql,
        details: Some(Details {
            format_version: FORMAT_VERSION,
            tool_version: "0.1.0".to_owned(),
            archive_id: "00112233445566778899aabbccddeeff".to_owned(),
            sha256: "0f".repeat(32),
            raw_bytes: RawBytes(99_000_000),
            label: "shop".to_owned(),
            source: Source::Postgres { server: "db1".to_owned(), port: "5433".to_owned(), database: "shop".to_owned() },
            server_version: "15.4".to_owned(),
            duration_seconds: 1.5,
            snapshot_lsn: Some("0/16B3748".to_owned()),
            readback: Readback::Checked,
            content: Content::All,
            part: None,
            without: None,
            encryption: None,
            files: None,
            signature: None,
            sqlite: None,
            warnings: Vec::new(),
            tables: vec![TableFacts {
                schema: "public".to_owned(),
                name: "orders".to_owned(),
                rows: 3,
                raw_bytes: RawBytes(120),
                digest: RowDigest(7),
            }],
            large_objects: Some(LargeObjectFacts { count: 1, raw_bytes: RawBytes(9), digest: RowDigest(8) }),
        }),
    }
}

#[test]
fn ours_reads_back_with_the_fixed_names_first() {
    let json = sample().to_json();
    assert_eq!(Meta::parse(&json).unwrap(), sample());
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        &names[..10],
        [
            "timestamp",
            "database",
            "host",
            "port",
            "backup_type",
            "size_bytes",
            "size_human",
            "compression",
            "format",
            "format_version"
        ]
    );
    assert_eq!(value["timestamp"], "2025-11-29T03:00:00+09:00");
    assert_eq!(value["size_bytes"], 12_345_678);
    assert_eq!(value["source"]["kind"], "postgres");
}

#[test]
fn the_old_systems_file_parses() {
    let meta = Meta::parse(
        br#"{ "timestamp": "2024-02-03T04:05:06+00:00", "database": "inventory", "host": "localhost", "port": "5432",
              "backup_type": "weekly", "size_bytes": 4711, "size_human": "4.7K", "compression": "gzip -9",
              "format": "sql", "comment": {"anything": [1, 2]} }"#,
    )
    .unwrap();
    assert!(meta.is_foreign());
    assert_eq!((meta.label(), meta.size_bytes, meta.backup_type), ("inventory", StoredBytes(4711), BackupType::Weekly));
    assert_eq!(Meta::parse(&meta.to_json()).unwrap(), meta);
    let loose = br#"{"timestamp":"2024-02-03T04:05:06+00:00","database":"a","port":5432,"backup_type":"daily","size_bytes":"17","format":"sqlite"}"#;
    let meta = Meta::parse(loose).unwrap();
    assert_eq!((meta.port.as_str(), meta.size_bytes), ("5432", StoredBytes(17)));
    assert_eq!(meta.source(), Source::Sqlite { host: String::new(), path: "a".to_owned() });
}

#[test]
fn a_file_that_was_cut_is_never_taken_for_the_old_systems() {
    let json = sample().to_json();
    for end in 0..json.len() - 2 {
        assert_eq!(Meta::parse(&json[..end]).unwrap_err().kind(), Kind::Damaged, "cut at {end}");
    }
}

#[test]
fn a_field_of_ours_that_is_wrong_is_named() {
    let text = String::from_utf8(sample().to_json()).unwrap();
    for (from, to, word) in [
        (r#""raw_bytes": 99000000"#, r#""raw_bytes": "many""#, "many"),
        (r#""sha256": "0f"#, r#""sha256": "0F"#, "sha256"),
        (r#""archive_id": "00"#, r#""archive_id": ""#, "archive_id"),
        (r#""duration_seconds": 1.5"#, r#""duration_seconds": -1.5"#, "duration_seconds"),
        (r#""backup_type": "daily""#, r#""backup_type": "hourly""#, "hourly"),
        (r#""readback": "checked""#, r#""read_back": "checked""#, "readback"),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text, "the test replaces nothing: {from}");
        let error = Meta::parse(broken.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged);
        assert!(error.chain().contains(word), "{} does not name {word}", error.chain());
    }
}

#[test]
fn a_newer_version_is_said_to_be_one() {
    let text = String::from_utf8(sample().to_json()).unwrap();
    let newer = text.replacen(r#""format_version": 1"#, r#""format_version": 2"#, 1);
    assert_eq!(Meta::parse(newer.as_bytes()).unwrap_err().kind(), Kind::Unsupported);
    let minor = text.replacen('{', r#"{ "a_field_from_the_future": [1, {"x": null}],"#, 1);
    assert_eq!(Meta::parse(minor.as_bytes()).unwrap(), sample());
}

#[test]
fn tiers_differ_in_their_type_alone() {
    let weekly = sample().with_type(BackupType::Weekly);
    assert_eq!(weekly.backup_type, BackupType::Weekly);
    assert_eq!(weekly.with_type(BackupType::Daily), sample());
}

proptest! {
    #[test]
    fn what_is_accepted_reads_back_the_same(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0usize..1000,
        with in any::<u8>(),
    ) {
        let mut json = sample().to_json();
        let at = at % json.len();
        json[at] = with;
        for input in [bytes, json] {
            if let Ok(meta) = Meta::parse(&input) {
                prop_assert_eq!(Meta::parse(&meta.to_json()).unwrap(), meta);
            }
        }
    }
}
