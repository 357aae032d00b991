//! Names are what they were in the old system, and every name that is built is parsed back.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Zoned {
    text.parse().unwrap()
}

fn shop(now: &str) -> ArchiveName {
    ArchiveName::new(ArchiveKind::Postgres, Label::encode("shop").unwrap(), &at(now), Compression::Gzip, None)
}

#[test]
fn the_tree_has_the_missions_names() {
    let name = shop("2025-11-29T03:00:00.9+09:00[Asia/Tokyo]");
    assert_eq!(name.path(Tier::Daily), "postgres/daily/postgres-shop-20251129-030000.sql.gz");
    assert_eq!(meta_name(&name.file_name()), "postgres-shop-20251129-030000.sql.gz.meta");
    let globals = ArchiveName {
        kind: ArchiveKind::Globals,
        compression: Compression::Zstd,
        seal: Some(Seal::Age),
        ..name.clone()
    };
    assert_eq!(globals.path(Tier::Monthly), "postgres/monthly/globals-shop-20251129-030000.sql.zst.age");
    let sqlite = ArchiveName { kind: ArchiveKind::Sqlite, part: Some(2), ..name };
    assert_eq!(sqlite.path(Tier::Weekly), "sqlite/weekly/sqlite-shop-20251129-030000.db.gz.002");
    assert_eq!(meta_name(&sqlite.file_name()), "sqlite-shop-20251129-030000.db.gz.meta");
    let manifest = ManifestName::new(&at("2025-11-29T03:00:00+00:00[UTC]"));
    assert_eq!(manifest.path(Tier::Daily), "sqlite/daily/manifest-20251129-030000.json");
    assert_eq!(ManifestName::parse(&manifest.file_name()), Some(manifest));
}

#[test]
fn what_is_not_ours_is_not_parsed() {
    for name in [
        "postgres-shop-20251129-030000.sql",
        "postgres-shop-20251129-030000.db.gz",
        "sqlite-shop-20251129-030000.sql.gz",
        "postgres-shop-20251329-030000.sql.gz",
        "postgres-shop-20250230-030000.sql.gz",
        "postgres-shop-20251129-250000.sql.gz",
        "postgres-shop-20251129-03000.sql.gz",
        "postgres-shop-2025112+-030000.sql.gz",
        "postgres--20251129-030000.sql.gz",
        "postgres-20251129-030000.sql.gz",
        "postgres-a%2fb-20251129-030000.sql.gz",
        "postgres-shop-20251129-030000.sql.gz.000",
        "postgres-shop-20251129-030000.sql.gz.meta",
        ".postgres-shop-20251129-030000.sql.gz.partial",
        "mysql-shop-20251129-030000.sql.gz",
        "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}.sql.gz",
        "",
    ] {
        assert_eq!(ArchiveName::parse(name), None, "{name}");
    }
}

#[test]
fn labels_may_look_like_dates() {
    let name = ArchiveName { label: Label::encode("20250101-000000").unwrap(), ..shop("2025-11-29T03:00:00Z[UTC]") };
    assert_eq!(ArchiveName::parse(&name.file_name()), Some(name));
}

#[test]
fn a_taken_second_gives_the_next_one() {
    let taken =
        BTreeSet::from(["postgres-shop-20251231-235959".to_owned(), "postgres-shop-20260101-000000".to_owned()]);
    let name = shop("2025-12-31T23:59:59+00:00[UTC]").first_free(|stem| taken.contains(stem)).unwrap();
    assert_eq!(name.stem(), "postgres-shop-20260101-000001");
    assert_eq!(shop("2025-12-31T23:59:59+00:00[UTC]").first_free(|_| true), None);
}

#[test]
fn the_repeated_hour_gets_a_name_of_its_own() {
    let summer = shop("2025-10-26T02:30:00+02:00[Europe/Berlin]");
    let winter = shop("2025-10-26T02:30:00+01:00[Europe/Berlin]");
    assert_eq!(summer.stem(), winter.stem());
    let winter = winter.first_free(|stem| stem == summer.stem()).unwrap();
    assert_eq!(winter.stem(), "postgres-shop-20251026-023001");
}

#[test]
fn any_archive_is_known_by_its_suffixes() {
    let (stem, suffixes) = Suffixes::split("before the move.sql.zst.age.013").unwrap();
    assert_eq!(stem, "before the move");
    assert_eq!(
        suffixes,
        Suffixes { is_database_file: false, compression: Compression::Zstd, seal: Some(Seal::Age), part: Some(13) }
    );
    assert!(Suffixes::split("photo.tar.gz").is_none());
    assert!(Suffixes::split(".sql.gz").is_none());
    assert_eq!(tier_of("sqlite/weekly/x.db.gz"), Some(Tier::Weekly));
    assert_eq!(tier_of("x.db.gz"), None);
}

#[test]
fn only_our_names_in_our_folders_are_ours() {
    for path in [
        "postgres/daily/postgres-shop-20251129-030000.sql.gz",
        "postgres/daily/postgres-shop-20251129-030000.sql.gz.meta",
        "postgres/weekly/globals-db1-20251129-030000.sql.zst.age",
        "postgres/monthly/postgres-shop-20251129-030000.sql.gz.gpg.002",
        "sqlite/monthly/sqlite-shop-20251129-030000.db.gz.001",
        "sqlite/daily/manifest-20251129-030000.json",
    ] {
        assert!(is_ours(path), "{path}");
    }
    for path in [
        "postgres-shop-20251129-030000.sql.gz",
        "daily/postgres-shop-20251129-030000.sql.gz",
        "elsewhere/postgres/daily/postgres-shop-20251129-030000.sql.gz",
        "sqlite/daily/postgres-shop-20251129-030000.sql.gz",
        "postgres/hourly/postgres-shop-20251129-030000.sql.gz",
        "postgres/daily/manifest-20251129-030000.json",
        "postgres/daily/video.mp4",
    ] {
        assert!(!is_ours(path), "{path}");
    }
}

proptest! {
    #[test]
    fn every_name_is_parsed_back(
        label in "\\PC{1,80}",
        kind in 0usize..3,
        second in 0i64..253_000_000_000,
        zstd: bool,
        seal in proptest::sample::select(vec![None, Some(Seal::Age), Some(Seal::Gpg)]),
        part in proptest::option::of(1u16..1000),
    ) {
        let now = jiff::Timestamp::from_second(second).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let compression = if zstd { Compression::Zstd } else { Compression::Gzip };
        let mut name = ArchiveName::new(ArchiveKind::ALL[kind], Label::encode(&label).unwrap(), &now, compression, seal);
        name.part = part;
        let file = name.file_name();
        prop_assert!(file.len() + ".meta".len() + "..partial".len() <= 255);
        prop_assert_eq!(ArchiveName::parse(&file), Some(name));
    }

    #[test]
    fn what_parses_is_built_back(file in "(postgres|sqlite|globals)-[a-z%0-9.-]{1,12}-[0-9]{8}-[0-9]{6}\\.(sql|db)\\.(gz|zst)(\\.age|\\.gpg)?(\\.[0-9]{3})?") {
        if let Some(name) = ArchiveName::parse(&file) {
            prop_assert_eq!(name.file_name(), file);
        }
    }
}

#[test]
fn what_a_dead_run_unpacked_is_known_by_its_name() {
    let archive = "sqlite-shop-20251129-030000.db.gz";
    assert_eq!(unpacked_from(&unpacked_name(archive, u64::MAX)), Some(archive));
    assert_eq!(unpacked_from(&unpacked_name(archive, 0)), Some(archive));
    for name in [archive, "shop.unpacked", "shop.xyz.unpacked", ".unpacked"] {
        assert_eq!(unpacked_from(name), None, "{name}");
    }
}
