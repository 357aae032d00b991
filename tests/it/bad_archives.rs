//! The kit of bad archives in `tests/fixtures/bad`: each file's name begins with the kind of error that it must give.
//! One walk takes every file through every reader; a file that is added is covered by being there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use miyabi_backup::archive::{self, Archive, ArchiveId, Framing, PipeReader, SalvageOptions, testkit};
use miyabi_backup::error::{Kind, Result};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad")
}

fn kit() -> Vec<(String, Vec<u8>)> {
    let mut kit: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    kit.sort();
    kit
}

fn expected(name: &str) -> Kind {
    match name.split_once('-').unwrap().0 {
        "damaged" => Kind::Damaged,
        "unsupported" => Kind::Unsupported,
        other => panic!("{name}: no kind of error is called {other}"),
    }
}

/// Whether its objects are kept or passed is the same to what is wrong.
fn open(bytes: &[u8]) -> Result<Archive<&[u8]>> {
    let (kept, passed) = (Archive::open(bytes), Archive::open_for_members(bytes));
    let said = |opened: &Result<Archive<&[u8]>>| opened.as_ref().err().map(miyabi_backup::error::Error::chain);
    assert_eq!(said(&kept), said(&passed));
    if let (Ok(kept), Ok(passed)) = (&kept, &passed) {
        assert!(passed.toc().is_empty());
        assert_eq!((kept.streams(), kept.properties()), (passed.streams(), passed.properties()));
        assert!(kept.members().eq(passed.members()));
    }
    kept
}

fn open_and_read(bytes: &[u8]) -> Result<()> {
    let archive = open(bytes)?;
    let mut raw = Vec::new();
    for stream in archive.streams() {
        let mut digest = miyabi_backup::checksum::RowDigest::default();
        for member in archive.members_of(stream.id) {
            digest.merge(archive.read_member(&member, &mut raw)?);
        }
        if digest != stream.digest {
            return Err(miyabi_backup::error::Error::new(Kind::Damaged, "the digest differs"));
        }
    }
    Ok(())
}

fn pipe(bytes: &[u8]) -> Result<()> {
    let mut reader = PipeReader::open(bytes)?;
    let mut raw = Vec::new();
    while reader.next_member(&mut raw)?.is_some() {}
    reader.finish().map(drop)
}

fn options() -> SalvageOptions {
    SalvageOptions {
        id: ArchiveId([0xab; 16]),
        now: jiff::Timestamp::UNIX_EPOCH,
        tool_version: "0.1.0".to_owned(),
        keep_torn_pages: false,
    }
}

#[test]
fn every_reader_rejects_every_bad_archive() {
    let kit = kit();
    assert!(kit.len() > 50, "the kit has only {} archives", kit.len());
    let zstd = testkit::bad_archives(Framing::Zstd).into_iter().map(|(name, bytes)| (format!("{name} (zstd)"), bytes));
    for (name, bytes) in kit.into_iter().chain(zstd) {
        let kind = expected(&name);
        let error = open_and_read(&bytes).expect_err(&name);
        assert_eq!(error.kind(), kind, "{name}: open: {error:?}");
        let error = pipe(&bytes).expect_err(&name);
        assert_eq!(error.kind(), kind, "{name}: pipe: {error:?}");
        let report = archive::check(bytes.as_slice(), &mut |_| {});
        assert_eq!(report.kind(), Some(kind), "{name}: check: {:?}", report.findings);
        let mut salvaged = Vec::new();
        match archive::salvage(bytes.as_slice(), &mut salvaged, &options()) {
            Err(error) => assert_eq!(error.kind(), kind, "{name}: salvage: {error:?}"),
            Ok(report) => {
                assert_eq!(kind, Kind::Damaged, "{name} was salvaged");
                assert!(!report.damage.is_sound(), "{name}: nothing was found");
                let after = archive::check(salvaged.as_slice(), &mut |_| {});
                assert!(after.is_sound(), "{name}: the salvaged archive is bad: {:?}", after.findings);
                open_and_read(&salvaged).unwrap();
            }
        }
    }
}

#[test]
fn the_kit_is_what_its_builder_makes() {
    let built: BTreeSet<String> =
        testkit::bad_archives(Framing::Gzip).iter().map(|(name, _)| (*name).to_owned()).collect();
    let stored: BTreeSet<String> = kit().into_iter().map(|(name, _)| name).collect();
    assert_eq!(stored, built, "run `cargo run --example fixtures`");
}

#[test]
fn what_a_file_is_instead_is_said() {
    let says = |name: &str| {
        let bytes = fs::read(folder().join(format!("{name}.gz"))).unwrap();
        Archive::open(bytes).expect_err(name).chain()
    };
    assert!(says("unsupported-plain-gzip").contains("a plain gzip file"));
    assert!(says("unsupported-zstd").contains("a zstd file"));
    assert!(says("unsupported-sql-script").contains("an uncompressed SQL script"));
    assert!(says("unsupported-sqlite-file-with-an-archive-in-it").contains("an uncompressed SQLite database"));
    assert!(says("unsupported-age-file").contains("encrypted by age"));
    assert!(says("unsupported-newer-version").contains("written by a newer version"));
    assert!(says("unsupported-newer-required-flag").contains("written by a newer version"));
    assert!(says("damaged-empty").contains("the file is empty"));
    assert!(says("damaged-cut-before-the-footer").contains("truncated or still being written"));
    assert!(says("damaged-trailing-text").contains("the footer is followed by 12 bytes"));
}
