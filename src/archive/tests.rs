//! Writing and reading back, in memory; what the writer refuses; media that fail.

use std::io;

use proptest::prelude::*;

use super::testkit::{Sample, SampleBlock, plain_spec, rows_block, rows_spec, sample_header};
use super::*;
use crate::checksum::{RowDigest, crc32};
use crate::error::Kind;
use crate::ident::StreamId;

/// All raw bytes by way of the index and by way of a pipe, which must be the same.
fn read_back(bytes: &[u8]) -> Vec<u8> {
    let archive = Archive::open(bytes).unwrap();
    let mut pipe = PipeReader::open(bytes).unwrap();
    let (mut raw, mut piped, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for entry in archive.members() {
        let digest = archive.read_member(&entry, &mut raw).unwrap();
        let member = pipe.next_member(&mut piped).unwrap().unwrap();
        assert_eq!(
            (member.stream, member.seq, member.rows, member.digest),
            (entry.stream, entry.seq, entry.rows, digest)
        );
        assert_eq!(raw, piped);
        all.extend_from_slice(&raw);
    }
    assert_eq!(pipe.next_member(&mut piped).unwrap(), None);
    let tail = pipe.finish().unwrap();
    assert_eq!((tail.streams.as_slice(), tail.toc.as_slice()), (archive.streams(), archive.toc()));
    all
}

#[test]
fn what_is_written_is_read() {
    let sample = Sample::small();
    let bytes = sample.archive();
    let archive = Archive::open(bytes.as_slice()).unwrap();
    assert_eq!(archive.header(), &sample_header());
    assert_eq!(archive.toc(), sample.trailer.toc);
    assert_eq!(archive.properties(), &sample.trailer.properties);
    let expected: Vec<u8> = sample.blocks.iter().flat_map(|block| block.raw.clone()).collect();
    assert_eq!(read_back(&bytes), expected);
    let orders: Vec<_> = archive.members_of(StreamId(1)).map(|entry| (entry.seq, entry.rows)).collect();
    assert_eq!(orders, [(0, 2), (1, 2)]);
    assert_eq!(archive.members_of(StreamId(99)).count(), 0);
    let mut digest = RowDigest::default();
    ["1\tapple", "2\tpear", "3\t\\N", "4\tquince"].iter().for_each(|row| digest.add_row(row.as_bytes()));
    assert_eq!(archive.stream(StreamId(1)).unwrap().digest, digest);
}

#[test]
fn without_finish_it_is_truncated_not_corrupt() {
    let mut bytes = Vec::new();
    let writer = Writer::begin(&mut bytes, &sample_header(), Framing::Gzip).unwrap();
    drop(writer);
    let error = Archive::open(bytes).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.chain().contains("truncated or still being written"), "{error:?}");
}

#[test]
fn an_index_of_several_parts_comes_back() {
    let mut codec = ZlibNg::new(1);
    let mut writer = Writer::begin(Vec::new(), &sample_header(), Framing::Gzip).unwrap();
    let stream = writer.open_stream(rows_spec("s", "t", &["a"]));
    let mut count = 0;
    for number in 0..20_000u32 {
        let block = rows_block(stream, "\"s\".\"t\" (\"a\")", &[&number.to_string()]);
        count += block.raw.len();
        writer.append(stream, &codec.pack(&block.raw, block.rows).unwrap()).unwrap();
    }
    writer.end_stream(stream, Some(20_000)).unwrap();
    let (bytes, summary) = writer.finish(Trailer::default()).unwrap();
    assert_eq!((summary.members, summary.raw.0, summary.stored.0), (20_000, count as u64, bytes.len() as u64));
    let index_bytes = bytes.len() as u64 - Archive::open(bytes.as_slice()).unwrap().index_at();
    assert!(index_bytes > 2 * 65_535, "the index has one part only");
    assert_eq!(read_back(&bytes).len(), count);
}

#[test]
fn an_index_that_would_look_like_a_bomb_is_stored() {
    let mut writer = Writer::begin(Vec::new(), &sample_header(), Framing::Gzip).unwrap();
    let properties = serde_json::Value::String(" ".repeat(4 << 20));
    writer.open_stream(plain_spec(StreamKind::PreData));
    writer.end_stream(StreamId(0), None).unwrap();
    let (bytes, _) = writer.finish(Trailer { toc: Vec::new(), properties: properties.clone() }).unwrap();
    assert!(bytes.len() > 4 << 20);
    assert_eq!(Archive::open(bytes).unwrap().properties(), &properties);
}

#[test]
fn a_header_beyond_the_limit_is_refused() {
    let mut header = sample_header();
    header.source.insert("comment".to_owned(), "x".repeat(61_440));
    let error = Writer::begin(Vec::new(), &header, Framing::Gzip).map(drop).unwrap_err();
    assert!(error.to_string().contains("at most 61440 fit"), "{error}");
}

#[test]
fn the_writer_refuses_what_would_not_add_up() {
    let packed = |raw: &[u8]| ZlibNg::new(1).pack(raw, None).unwrap();
    let begin = || Writer::begin(Vec::new(), &sample_header(), Framing::Gzip).unwrap();

    let mut writer = begin();
    let table = writer.open_stream(rows_spec("public", "orders", &[]));
    let block = rows_block(table, "\"public\".\"orders\"", &["1", "2"]);
    writer.append(table, &ZlibNg::new(1).pack(&block.raw, block.rows).unwrap()).unwrap();
    let error = writer.end_stream(table, Some(3)).unwrap_err();
    assert_eq!(error.kind(), Kind::Source);
    assert_eq!(error.to_string(), "cannot end public.orders: the server counted 3 rows, 2 were archived");
    let error = writer.finish(Trailer::default()).map(drop).unwrap_err();
    assert!(error.to_string().contains("an earlier write failed"), "{error}");

    let mut writer = begin();
    let script = writer.open_stream(plain_spec(StreamKind::PreData));
    let error = writer.finish(Trailer::default()).map(drop).unwrap_err();
    assert!(error.to_string().contains("the stream pre-data has no end"), "{error}");

    let mut writer = begin();
    writer.open_stream(plain_spec(StreamKind::PreData));
    assert!(writer.append(StreamId(1), &packed(b"x")).unwrap_err().to_string().contains("no stream 1"));
    assert!(writer.append(script, &packed(b"")).is_err());
    assert!(writer.append(script, &packed(b"x")).is_err(), "a failed writer went on");

    let mut writer = begin();
    writer.open_stream(plain_spec(StreamKind::PreData));
    writer.end_stream(script, None).unwrap();
    assert!(writer.append(script, &packed(b"x")).is_err());
    assert!(ZlibNg::new(6).pack(b"SELECT 1;\n", Some(0..10)).is_err(), "rows without COPY were packed");
}

#[test]
fn a_sink_that_fails_once_has_failed() {
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for room in 0..7 {
        let Ok(mut writer) = Writer::begin(Full(room), &sample_header(), Framing::Gzip) else { continue };
        let stream = writer.open_stream(plain_spec(StreamKind::PreData));
        let packed = ZlibNg::new(1).pack(b"SELECT 1;\n", None).unwrap();
        let first = writer.append(stream, &packed);
        if let Err(error) = &first {
            assert_eq!(error.kind(), Kind::Place);
            assert!(writer.append(stream, &packed).unwrap_err().to_string().contains("abandoned"));
            continue;
        }
        writer.end_stream(stream, None).unwrap();
        let finished = writer.finish(Trailer::default()).map(drop);
        assert_eq!(finished.is_ok(), room == 6, "room for {room} writes");
    }
}

#[test]
fn a_pipe_is_read_to_its_end_or_not_at_all() {
    let bytes = Sample::small().archive();
    let reader = PipeReader::open(bytes.as_slice()).unwrap();
    assert_eq!(reader.finish().unwrap_err().kind(), Kind::Bug);
}

/// A medium with one sector that cannot be read.
struct BadSector<'a>(&'a [u8], std::ops::Range<u64>);

impl ReadAt for BadSector<'_> {
    fn len(&self) -> u64 {
        ReadAt::len(self.0)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset < self.1.end && self.1.start < offset + buf.len() as u64 {
            return Err(io::Error::other("medium error"));
        }
        self.0.read_at(offset, buf)
    }
}

#[test]
fn a_bad_sector_costs_what_it_holds() {
    let mut sample = Sample::small();
    let noise = |seed: u32| (0..30_000u32).map(move |n| (n.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 21) as u8);
    sample.blocks.extend((0..9).map(|seed| SampleBlock {
        stream: StreamId(4),
        raw: noise(seed).collect(),
        rows: None,
    }));
    let bytes = sample.archive_by(&mut Stored);
    let members: Vec<_> = Archive::open(bytes.as_slice()).unwrap().members().collect();
    let hit = members[11];
    let medium = BadSector(&bytes, hit.offset + 8192..hit.offset + 12_288);
    let report = check(&medium, &mut |_| {});
    assert!(
        report.findings.iter().any(|finding| finding.at == Some(hit.offset) && finding.what.contains("medium error"))
    );
    let options = SalvageOptions {
        id: ArchiveId([1; 16]),
        now: jiff::Timestamp::UNIX_EPOCH,
        tool_version: "0.1.0".to_owned(),
        keep_torn_pages: false,
    };
    let mut out = Vec::new();
    let report = salvage(&medium, &mut out, &options).unwrap();
    assert_eq!(report.summary.members, members.len() as u64 - 1);
    assert!(check(out, &mut |_| {}).is_sound());
}

#[test]
fn progress_counts_every_byte_of_the_data() {
    let bytes = Sample::small().archive();
    let mut passed = 0;
    assert!(check(bytes.as_slice(), &mut |step| passed += step).is_sound());
    assert_eq!(passed, Archive::open(bytes.as_slice()).unwrap().index_at());
}

#[test]
fn findings_name_stream_place_and_loss() {
    let mut bytes = Sample::small().archive();
    let entry = Archive::open(bytes.as_slice()).unwrap().members_of(StreamId(1)).nth(1).unwrap();
    bytes[(entry.offset + entry.stored - 15) as usize] ^= 1;
    let report = check(bytes.as_slice(), &mut |_| {});
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!(finding.stream.as_deref(), Some("public.orders"));
    assert_eq!((finding.at, finding.rows_lost), (Some(entry.offset), Some(2)));
    let orders = report.streams.iter().find(|stream| stream.stream == "public.orders").unwrap();
    assert_eq!((orders.rows, orders.rows_lost, orders.exact), (2, 2, true));
}

fn blocks() -> impl Strategy<Value = Vec<SampleBlock>> {
    let rows = prop::collection::vec("[a-z\\\\]{0,9}", 0..40).prop_map(|rows| {
        let rows: Vec<String> = rows.iter().map(|row| row.replace('\\', "\\\\")).collect();
        rows_block(StreamId(1), "\"s\".\"t\" (\"a\")", &rows.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let script = (0usize..200_000, any::<u32>()).prop_map(|(len, seed)| SampleBlock {
        stream: StreamId(0),
        raw: (0..=len as u32).map(|n| (n.wrapping_mul(seed) >> 13) as u8).collect(),
        rows: None,
    });
    prop::collection::vec(prop_oneof![rows, script], 0..12)
}

/// Beyond the size that is inflated at once, memory is taken in steps; what comes back is the same.
#[test]
fn a_huge_member_comes_back() {
    let mut raw: Vec<u8> = (0..20u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 27) as u8).collect();
    raw.extend_from_slice(b"-- the end");
    let block = SampleBlock { stream: StreamId(0), raw, rows: None };
    let sample = Sample {
        header: sample_header(),
        streams: vec![plain_spec(StreamKind::PreData)],
        blocks: vec![block],
        trailer: Trailer::default(),
    };
    for framing in Framing::ALL {
        let bytes = sample.archive_by(testkit::packing_codec(framing).as_mut());
        assert!(bytes.len() < sample.blocks[0].raw.len());
        assert!(read_back(&bytes) == sample.blocks[0].raw);
    }
}

/// Bytes between the deflate stream and the trailer are damage, even if they are the trailer once more.
#[test]
fn a_trailer_counts_only_at_the_end() {
    let raw = b"x".to_vec();
    let crc = crc32(&raw);
    let trailer = Framing::Gzip.trailer(1, crc);
    let mut doubled = Packed { bytes: Vec::new(), ..Stored.pack(&raw, None).unwrap() };
    doubled.bytes = [Stored.pack(&raw, None).unwrap().bytes, trailer].concat();
    let mut writer = Writer::begin(Vec::new(), &sample_header(), Framing::Gzip).unwrap();
    let stream = writer.open_stream(plain_spec(StreamKind::PreData));
    writer.append(stream, &doubled).unwrap();
    writer.end_stream(stream, None).unwrap();
    let archive = Archive::open(writer.finish(Trailer::default()).unwrap().0).unwrap();
    let member = archive.members().next().unwrap();
    let mut into = Vec::new();
    let error = archive.read_member(&member, &mut into).expect_err("bytes between stream and trailer were accepted");
    assert_eq!((error.kind(), into.len()), (Kind::Damaged, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_blocks_of_any_size_come_back(blocks in blocks(), codec in 0usize..36) {
        let streams = vec![plain_spec(StreamKind::PreData), rows_spec("s", "t", &["a"])];
        let sample = Sample { header: sample_header(), streams, blocks, trailer: Trailer::default() };
        let bytes = sample.archive_by(testkit::any_codec(codec).as_mut());
        let expected: Vec<u8> = sample.blocks.iter().flat_map(|block| block.raw.clone()).collect();
        prop_assert!(read_back(&bytes) == expected);
        let sound = check(bytes.as_slice(), &mut |_| {}).is_sound();
        prop_assert!(sound);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Archive::open(bytes.as_slice()).is_err());
        prop_assert!(PipeReader::open(bytes.as_slice()).is_err());
        let sound = check(bytes.as_slice(), &mut |_| {}).is_sound();
        prop_assert!(!sound);
    }
}
