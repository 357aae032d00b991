//! Golden archives of format version 1. They must open for ever, and the writer must still write them.
//!
//! A change here needs a new version or flag in `docs/FORMAT.md` §8 in the same commit.

use std::fs;
use std::path::Path;

use miyabi_backup::archive::testkit::Sample;
use miyabi_backup::archive::{Archive, Codec, Libdeflate, PipeReader, Stored, Zstd, check};
use miyabi_backup::checksum::crc32;

fn golden(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1").join(name)).unwrap()
}

fn opens_as(bytes: &[u8], sample: &Sample) {
    assert!(check(bytes, &mut |_| {}).is_sound());
    let archive = Archive::open(bytes).unwrap();
    assert_eq!(archive.header(), &sample.header);
    assert_eq!(archive.toc(), sample.trailer.toc);
    assert_eq!(archive.properties(), &sample.trailer.properties);
    let specs: Vec<_> = archive.streams().iter().map(|stream| stream.spec.clone()).collect();
    assert_eq!(specs, sample.streams);
    let mut raw = Vec::new();
    assert_eq!(archive.members().count(), sample.blocks.len());
    for (member, block) in archive.members().zip(&sample.blocks) {
        archive.read_member(&member, &mut raw).unwrap();
        assert_eq!((member.stream, &raw), (block.stream, &block.raw));
    }
    let mut pipe = PipeReader::open(bytes).unwrap();
    for block in &sample.blocks {
        assert_eq!(pipe.next_member(&mut raw).unwrap().unwrap().stream, block.stream);
        assert_eq!(raw, block.raw);
    }
    assert_eq!(pipe.next_member(&mut raw).unwrap(), None);
    assert_eq!(pipe.finish().unwrap().streams, archive.streams());
}

#[test]
fn golden_archives_open() {
    opens_as(&golden("small.sql.gz"), &Sample::small());
    opens_as(&golden("pages.db.gz"), &Sample::pages());
    opens_as(&golden("compatible-flag.sql.gz"), &Sample::small());
}

/// What earlier and later versions of the engines have written: all of it must open.
#[test]
fn compressed_archives_open() {
    for (name, _) in COMPRESSED {
        let sample = if name.starts_with("pages") { Sample::pages() } else { Sample::small() };
        opens_as(&golden(name), &sample);
    }
}

#[test]
fn the_files_are_those_of_the_first_day() {
    assert_eq!(crc32(&golden("small.sql.gz")), SMALL);
    assert_eq!(crc32(&golden("pages.db.gz")), PAGES);
    assert_eq!(crc32(&golden("compatible-flag.sql.gz")), COMPATIBLE_FLAG);
    for (name, crc) in COMPRESSED {
        assert_eq!(crc32(&golden(name)), crc, "{name}");
    }
}

const SMALL: u32 = 0xb007_2c65;
const PAGES: u32 = 0x2851_8ee2;
const COMPATIBLE_FLAG: u32 = 0x0f44_e619;
const COMPRESSED: [(&str, u32); 4] = [
    ("zlib-ng-6.sql.gz", 0xb5a8_e7ee),
    ("libdeflate-5.sql.gz", 0xb5a8_e7ee),
    ("small.sql.zst", 0x138e_f77f),
    ("pages.db.zst", 0x45c2_9a9c),
];

/// Up to the index byte for byte. The index is deflated, and a deflater may change its mind: there the inflated
/// bytes' length and CRC, which the footer holds, must be the same.
#[test]
fn the_writer_still_writes_them() {
    let zstd = || Box::new(Zstd::new(1).unwrap());
    let all: [(&str, Sample, Box<dyn Codec>); 5] = [
        ("small.sql.gz", Sample::small(), Box::new(Stored)),
        ("pages.db.gz", Sample::pages(), Box::new(Stored)),
        ("libdeflate-5.sql.gz", Sample::small(), Box::new(Libdeflate::new(5))),
        ("small.sql.zst", Sample::small(), zstd()),
        ("pages.db.zst", Sample::pages(), zstd()),
    ];
    for (name, sample, mut codec) in all {
        let (golden, written) = (golden(name), sample.archive_by(codec.as_mut()));
        let index_at = Archive::open(golden.as_slice()).unwrap().index_at() as usize;
        assert_eq!(written[..index_at], golden[..index_at], "{name}");
        let behind = Archive::open(golden.as_slice()).unwrap().framing().empty_rest().len() + 4;
        let index_facts = |bytes: &[u8]| bytes[bytes.len() - behind - 12..bytes.len() - behind].to_vec();
        assert_eq!(index_facts(&written), index_facts(&golden), "{name}: another index");
    }
}

/// The worked example of `docs/FORMAT.md` §13 is the file.
#[test]
fn the_worked_example_is_true() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMAT.md")).unwrap();
    let bytes = golden("small.sql.gz");
    let mut lines = 0;
    for line in text.split("## 13.").nth(1).unwrap().lines() {
        let Some((place, rest)) = line.split_once("  ") else { continue };
        let Ok(mut at) = usize::from_str_radix(place, 16) else { continue };
        let hex: Vec<&str> = rest.split(' ').take_while(|word| word.len() == 2 && *word != "…").collect();
        for pair in hex {
            let Ok(byte) = u8::from_str_radix(pair, 16) else { break };
            assert_eq!(bytes[at], byte, "{line}: at {at:04x}");
            at += 1;
        }
        lines += 1;
    }
    assert!(lines >= 36, "only {lines} lines of the dump were compared");
}
