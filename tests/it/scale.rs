//! What a machine is too small for, by simulation: an archive of a million members, as a database of 1 TiB would give.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use miyabi_backup::archive::testkit::{rows_spec, sample_header};
use miyabi_backup::archive::{Archive, Codec, Framing, Packed, ReadAt, Trailer, Writer, ZlibNg};
use miyabi_backup::checksum::RowDigest;

const MEMBERS: u64 = 1_000_000;
const TABLES: u64 = 100;

/// Bytes that count how many of them are read.
struct Counted {
    bytes: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl ReadAt for Counted {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.bytes.read_at(offset, buf)
    }
}

/// The archive, and how many of its bytes are members. Lengths, rows and CRCs differ as those of true ones do.
fn million() -> (Vec<u8>, u64) {
    let mut writer = Writer::begin(Vec::new(), &sample_header(), Framing::Gzip).unwrap();
    let streams: Vec<_> =
        (0..TABLES).map(|n| writer.open_stream(rows_spec("public", &format!("table_{n}"), &["id"]))).collect();
    let tiny = ZlibNg::new(1).pack(b"tea", None).unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..MEMBERS {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let (raw_len, rows, crc32) = (1_000_000 + seed % 100_000, 3000 + (seed >> 20) % 2000, (seed >> 32) as u32);
        let packed = Packed { raw_len, rows, crc32, digest: RowDigest(u128::from(seed)), ..tiny.clone() };
        writer.append(streams[(seed % TABLES) as usize], &packed).unwrap();
    }
    streams.iter().for_each(|stream| writer.end_stream(*stream, None).unwrap());
    let members = writer.offset();
    (writer.finish(Trailer::default()).unwrap().0, members)
}

#[test]
fn a_million_members_are_opened_by_footer_and_index_alone() {
    let (bytes, members) = million();
    let (read, tail) = (Arc::new(AtomicU64::new(0)), bytes.len() as u64 - members);
    let archive = Archive::open(Counted { bytes, read: Arc::clone(&read) }).unwrap();
    let opened = read.load(Ordering::Relaxed);
    assert_eq!(archive.streams().iter().map(|stream| stream.members).sum::<u64>(), MEMBERS);
    // Beside index and footer only the first bytes, which tell the framing and hold the head, and the footer again as a
    // part of the tail.
    assert!((tail..tail + 8192).contains(&opened), "{opened} bytes were read, index and footer have {tail}");
    assert!(tail < 24 * MEMBERS, "the index has {tail} bytes");

    let table = &archive.streams()[7];
    let last = archive.members_of(table.id).last().unwrap();
    archive.read_member(&last, &mut Vec::new()).unwrap_err();
    let one = read.load(Ordering::Relaxed) - opened;
    assert!(one < 1024, "{one} bytes were read for one member");
}
