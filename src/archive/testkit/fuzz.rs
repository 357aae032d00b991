//! What each fuzz target asserts. It lives here so that the seeds run as a test, too.
//!
//! A mutated archive fails at its first CRC, so the targets make CRCs true again: it is the room that is fuzzed,
//! not the door.

use std::io::Read;

use crate::checksum::{RowDigest, crc32};
use crate::ident::StreamId;

use super::bad::{inflated, varint_len};
use super::{
    Sample, SampleBlock, any_codec, bad_archives, packing_codec, plain_codec, plain_spec, rows_block, rows_spec,
    sample_header,
};
use crate::archive::check::check;
use crate::archive::footer::Footer;
use crate::archive::framing::Framing;
use crate::archive::header::{ArchiveId, Prelude};
use crate::archive::index::{Index, Objects};
use crate::archive::inflate::inflate;
use crate::archive::layout::{CRC_BYTES, HEADER_BYTES, wide};
use crate::archive::member::{MemberKind, Tag, stream_kind, unpack};
use crate::archive::model::{MemberEntry, StreamKind};
use crate::archive::pipe::PipeReader;
use crate::archive::reader::{Archive, check_member};
use crate::archive::salvage::{SalvageOptions, salvage};
use crate::archive::tail::{read_footer, read_index};

/// Seeds of a target: names and bytes.
pub fn fuzz_seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "open" => Framing::ALL.into_iter().flat_map(open_seeds).collect(),
        "index" => vec![("sound".to_owned(), raw_index(&sound(Framing::Gzip)))],
        "member" => Framing::ALL.into_iter().flat_map(member_seeds).collect(),
        "roundtrip" => vec![
            ("empty".to_owned(), Vec::new()),
            ("mixed".to_owned(), b"\x00CREATE\x01rows\x05go\x02pages\x03more\x04rows and more rows".to_vec()),
        ],
        other => panic!("no fuzz target is called {other}"),
    }
}

fn sound(framing: Framing) -> Vec<u8> {
    Sample::small().archive_by(plain_codec(framing).as_mut())
}

/// Names of seeds of gzip are as they always were.
fn seed_name(framing: Framing, name: &str) -> String {
    match framing {
        Framing::Gzip => name.to_owned(),
        Framing::Zstd => format!("zstd-{name}"),
    }
}

fn open_seeds(framing: Framing) -> Vec<(String, Vec<u8>)> {
    // Strangers are the same whatever they are taken for.
    let is_own = |name: &str| framing == Framing::Gzip || !name.starts_with("unsupported") || name.contains("newer");
    let bad = bad_archives(framing)
        .into_iter()
        .filter(|(name, _)| is_own(name))
        .map(|(name, bytes)| (name, [b"\x01", bytes.as_slice()].concat()));
    let all = bad.chain([("sound", [b"\x00", sound(framing).as_slice()].concat())]);
    all.map(|(name, bytes)| (seed_name(framing, name), bytes)).collect()
}

fn member_seeds(framing: Framing) -> Vec<(String, Vec<u8>)> {
    let block = rows_block(StreamId(0), "\"s\".\"t\" (\"a\")", &["1", "2", "\\N"]);
    let stored = plain_codec(framing).pack(&block.raw, block.rows.clone()).unwrap().bytes;
    let packed = packing_codec(framing).pack(&block.raw, block.rows).unwrap().bytes;
    let len = block.raw.len() as u8;
    let zstd = if framing == Framing::Zstd { 0x80 } else { 0 };
    let seed = |kind: u8, compressed: &[u8]| [&[kind | zstd, 3, len, 0], compressed].concat();
    let all = [("rows-stored", seed(17, &stored)), ("rows-deflated", seed(17, &packed)), ("pages", seed(21, &packed))];
    all.into_iter().map(|(name, bytes)| (seed_name(framing, name), bytes)).collect()
}

fn raw_index(archive: &[u8]) -> Vec<u8> {
    let footer = read_footer(&archive).unwrap();
    let index = read_index(&archive, &footer, Objects::Kept).unwrap();
    inflated(&index.encode().unwrap())
}

/// First byte odd: make every header's CRC true. Then: all readers agree, spans lie in the file.
pub fn fuzz_open(data: &[u8]) {
    let Some((mode, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if mode & 1 == 1 {
        reseal_all(&mut bytes);
    }
    let opened = read_all(&bytes);
    let report = check(bytes.as_slice(), &mut |_| {});
    assert_eq!(opened.is_some(), report.is_sound(), "open and check disagree: {:?}", report.findings);
    let piped = pipe_all(&bytes);
    assert_eq!(opened, piped, "open and pipe disagree");
    let id = ArchiveId([0x5a; 16]);
    let (now, tool_version) = (jiff::Timestamp::UNIX_EPOCH, String::new());
    let options = SalvageOptions { id, now, tool_version, keep_torn_pages: true };
    let mut salvaged = Vec::new();
    if salvage(bytes.as_slice(), &mut salvaged, &options).is_ok() {
        assert!(read_all(&salvaged).is_some(), "what was salvaged is not sound");
        assert!(salvaged.len() <= bytes.len() * 2 + (64 << 10), "salvaging makes bytes");
    }
}

/// All raw bytes in file order, if the archive is sound.
fn read_all(bytes: &[u8]) -> Option<Vec<u8>> {
    let archive = Archive::open(bytes).ok()?;
    let mut end = None;
    for member in archive.members() {
        assert!(end.is_none_or(|end| end == member.offset), "members are not contiguous");
        assert!(member.offset + member.stored <= archive.index_at(), "a member lies outside");
        end = Some(member.offset + member.stored);
    }
    let (mut all, mut raw) = (Vec::new(), Vec::new());
    let mut digests = vec![RowDigest::default(); archive.streams().len()];
    for member in archive.members() {
        let read = archive.read_member(&member, &mut raw);
        assert_eq!(wide(raw.len()), if read.is_ok() { member.raw } else { 0 });
        digests[member.stream.0 as usize].merge(read.ok()?);
        all.extend_from_slice(&raw);
    }
    archive.streams().iter().zip(digests).all(|(stream, digest)| stream.digest == digest).then_some(all)
}

fn pipe_all(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = PipeReader::open(bytes).ok()?;
    let (mut all, mut raw) = (Vec::new(), Vec::new());
    while reader.next_member(&mut raw).ok()?.is_some() {
        all.extend_from_slice(&raw);
    }
    reader.finish().ok().map(|_| all)
}

fn reseal_all(bytes: &mut [u8]) {
    for framing in Framing::ALL {
        let places: Vec<usize> = memchr::memmem::find_iter(bytes, framing.mark()).collect();
        for at in places {
            let len = framing.header_len(&bytes[at..]);
            let Some(header) = len.and_then(|len| bytes.get_mut(at..at + len)) else { continue };
            let crc_at = header.len() - CRC_BYTES;
            let crc = crc32(&header[..crc_at]);
            header[crc_at..].copy_from_slice(&crc.to_le_bytes());
        }
    }
}

/// `data` as an inflated index whose footer is true: what is accepted encodes to the same bytes.
pub fn fuzz_index(data: &[u8]) {
    let header = sample_header();
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut deflate, data).unwrap();
    let deflate = deflate.finish().unwrap();
    let footer = Footer {
        framing: Framing::Gzip,
        prelude: Prelude::OURS,
        archive: header.id,
        index_at: u64::MAX >> 1,
        index_stored: wide(deflate.len()),
        index_raw: wide(data.len()),
        index_crc32: crc32(data),
    };
    let Ok(index) = Index::decode_apart(&deflate, &footer, 0, Objects::Kept) else { return };
    let properties = serde_json::to_vec(&index.properties).unwrap();
    let encoded = inflated(&index.encode().unwrap());
    // JSON has many forms of one value; everything before the properties has one.
    let head = encoded.len() - properties.len() - varint_len(properties.len());
    assert_eq!(encoded[..head], data[..head.min(data.len())], "another form of the index was accepted");
    if index.check(index.members_end()).is_ok() {
        let streams = index.streams.iter().map(|stream| stream.members).sum::<u64>();
        assert_eq!(streams, wide(index.table.len()));
    }
}

/// Kind (with the highest bit: zstd), row count, raw length (two bytes), compressed bytes: what is accepted has exactly that
/// length and those rows.
pub fn fuzz_member(data: &[u8]) {
    let Some(([kind, rows, raw_low, raw_high], compressed)) = data.split_first_chunk::<4>() else { return };
    let framing = if kind & 0x80 == 0 { Framing::Gzip } else { Framing::Zstd };
    let Some(kind) = stream_kind(kind & 0x7f) else { return };
    let raw = u64::from(u16::from_le_bytes([*raw_low, *raw_high]));
    let stored = wide(HEADER_BYTES + compressed.len() + framing.trailer_bytes());
    let rows = if kind == StreamKind::Rows { u64::from(*rows) } else { 0 };
    let archive = sample_header().id;
    let tag = Tag { kind: MemberKind::Data(kind), archive, stream: StreamId(0), seq: 0, rows, raw, stored };
    let mut released = Vec::new();
    let header_of = |crc: u32| tag.encode(framing, crc, &[]);
    match framing {
        Framing::Gzip => drop(inflate(compressed, raw, &mut released)),
        // As far as it goes with a CRC that is not true yet.
        Framing::Zstd => {
            let member = [header_of(0), compressed.to_vec()].concat();
            drop(framing.expand(&member, HEADER_BYTES, raw, &mut released));
        }
    }
    assert!(wide(released.len()) <= raw + 1 && released.capacity() <= raw as usize + 4096, "the cap does not hold");
    let crc = crc32(&released);
    let member = [header_of(crc), compressed.to_vec(), framing.trailer(raw, crc)].concat();
    let mut out = vec![1, 2, 3];
    match unpack(framing, &member, archive, 0, &mut out) {
        Err(_) => assert!(out.is_empty(), "bytes of a bad member were released"),
        Ok(contents) => {
            assert_eq!((wide(out.len()), contents.tag), (raw, tag));
            let entry = MemberEntry {
                stream: tag.stream,
                seq: 0,
                offset: 0,
                stored,
                raw,
                rows,
                crc32: contents.crc32,
                stored_crc32: crc32(&member),
            };
            let again = check_member(framing, &member, &entry, Some(contents.kind), archive, &mut out).unwrap();
            assert_eq!(again, contents.digest);
        }
    }
}

/// Bytes as a list of blocks; what is written is read, by every reader.
pub fn fuzz_roundtrip(data: &[u8]) {
    let table = "\"s\".\"t\" (\"a\")";
    let mut blocks = Vec::new();
    for piece in data.split_inclusive(|byte| *byte < 8) {
        let stream = StreamId(u32::from(piece.last().copied().unwrap_or(0) % 3));
        let text = String::from_utf8_lossy(piece).replace(['\n', '\\'], " ");
        let rows: Vec<&str> = text.split(' ').collect();
        blocks.push(match stream.0 {
            1 => rows_block(stream, table, &rows),
            _ => SampleBlock { stream, raw: piece.to_vec(), rows: None },
        });
    }
    let streams = vec![plain_spec(StreamKind::PreData), rows_spec("s", "t", &["a"]), plain_spec(StreamKind::Pages)];
    let sample = Sample { header: sample_header(), streams, blocks, trailer: Default::default() };
    let bytes = sample.archive_by(any_codec(data.len()).as_mut());
    let expected: Vec<u8> = sample.blocks.iter().flat_map(|block| block.raw.iter().copied()).collect();
    assert_eq!(read_all(&bytes).as_ref(), Some(&expected));
    assert_eq!(pipe_all(&bytes).as_ref(), Some(&expected));
    assert!(check(bytes.as_slice(), &mut |_| {}).is_sound());
    let mut stock = Vec::new();
    match Archive::open(bytes.as_slice()).unwrap().framing() {
        Framing::Gzip => flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut stock).unwrap(),
        Framing::Zstd => zstd::Decoder::new(bytes.as_slice()).unwrap().read_to_end(&mut stock).unwrap(),
    };
    assert_eq!(stock, expected);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_hold() {
        fuzz_seeds("open").iter().for_each(|(_, data)| fuzz_open(data));
        fuzz_seeds("index").iter().for_each(|(_, data)| fuzz_index(data));
        fuzz_seeds("member").iter().for_each(|(_, data)| fuzz_member(data));
        fuzz_seeds("roundtrip").iter().for_each(|(_, data)| fuzz_roundtrip(data));
    }
}
