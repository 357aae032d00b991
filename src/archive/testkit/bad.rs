//! Archives with one fault each, named by the kind of error that every reader must give and by the fault.

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use std::io::Write;

use crate::checksum::crc32;

use super::{Sample, packing_codec, plain_codec};
use crate::archive::footer::Footer;
use crate::archive::framing::Framing;
use crate::archive::header::{ArchiveId, Prelude};
use crate::archive::index::{Encoded, Index, Objects};
use crate::archive::inflate::inflate;
use crate::archive::layout::{BODY_AT, BODY_BYTES_MAX, CRC_BYTES, HEADER_BYTES, MAGIC};
use crate::archive::member::{MemberKind, Tag, empty_member, parse_header};
use crate::archive::model::StreamKind;
use crate::archive::tail::{read_footer, read_index};

/// Name (`damaged-…` or `unsupported-…`) and bytes of each.
pub fn bad_archives(framing: Framing) -> Vec<(&'static str, Vec<u8>)> {
    let good = Sample::small().archive_by(plain_codec(framing).as_mut());
    let mut all = cut(framing, &good);
    all.extend(members(framing, &good));
    all.extend(tails(&good));
    all.extend(strangers(framing, &good));
    all
}

/// A sound archive with a compatible flag that nobody knows, and bytes behind the index's last field.
pub fn compatible_flag(good: &[u8]) -> Vec<u8> {
    let footer = read_footer(&good).unwrap();
    let index = read_index(&good, &footer, Objects::Kept).unwrap();
    let mut raw = inflated(&index.encode().unwrap());
    raw.extend_from_slice(b"of the future");
    let prelude = Prelude { compatible: 1 << 31, ..Prelude::OURS };
    let data = &good[..footer.index_at as usize];
    let mut parts = split(footer.framing, data);
    set_prelude(footer.framing, &mut parts[0], prelude);
    with_raw_index(&join(footer.framing, &parts), &Footer { prelude, ..footer }, &raw)
}

/// A sound archive in whose rows another archive lies as a value, uncompressed, and a member of that other archive
/// stands between its own: the archive, and the bytes that were put in (where, how many).
pub fn splice(good: &[u8], other: &[u8]) -> Vec<u8> {
    let framing = read_footer(&good).unwrap().framing;
    let mut parts = split(framing, good);
    let foreign = split(framing, other).swap_remove(3);
    parts.insert(4, foreign);
    join(framing, &parts)
}

fn cut(framing: Framing, good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let parts = split(framing, good);
    let head_at = framing.lead().len();
    let starts: Vec<usize> =
        parts.iter().scan(head_at, |at, part| Some(std::mem::replace(at, *at + part.len()))).collect();
    let footer = read_footer(&good).unwrap();
    let index_at = footer.index_at as usize;
    let upto = |len: usize| good[..len].to_vec();
    vec![
        ("damaged-empty", Vec::new()),
        ("damaged-cut-in-head", upto(100)),
        ("damaged-cut-in-a-member", upto(starts[3] + 90)),
        ("damaged-cut-between-members", upto(starts[5])),
        ("damaged-cut-before-the-index", upto(index_at)),
        ("damaged-cut-in-the-index", upto(index_at + 120)),
        ("damaged-cut-before-the-footer", upto(index_at + footer.index_stored as usize)),
        ("damaged-cut-in-the-footer", upto(good.len() - 1)),
        ("damaged-trailing-byte", [good, b"\0"].concat()),
        ("damaged-trailing-text", [good, b"-- appended\n"].concat()),
        ("damaged-trailing-member", [good, &parts[3]].concat()),
        ("damaged-two-archives-joined", [good, good].concat()),
        ("damaged-text-mode-copy", good.iter().copied().filter(|byte| *byte != b'\r').collect()),
    ]
}

fn members(framing: Framing, good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let parts = split(framing, good);
    let edited = |at: usize, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut parts = parts.clone();
        edit(&mut parts[at]);
        join(framing, &parts)
    };
    let tagged = |at: usize, edit: &dyn Fn(&mut Tag)| edited(at, &|member| set_tag(framing, member, edit));
    let without = |at: usize| {
        let mut parts = parts.clone();
        parts.remove(at);
        join(framing, &parts)
    };
    let swapped = {
        let mut parts = parts.clone();
        parts.swap(3, 4);
        join(framing, &parts)
    };
    let mut other = Sample::small();
    other.header.id = ArchiveId([7; 16]);
    let other = other.archive_by(plain_codec(framing).as_mut());
    vec![
        ("damaged-byte-in-a-member", edited(3, &|member| member[HEADER_BYTES + 40] ^= 1)),
        ("damaged-byte-in-a-header", edited(3, &|member| member[30] ^= 1)),
        ("damaged-byte-in-a-trailer", edited(3, &|member| *member.last_mut().unwrap() ^= 1)),
        (
            "damaged-bytes-behind-a-trailer",
            edited(3, &|member| {
                member.extend_from_slice(b"\x1f\0");
                set_tag(framing, member, &|tag| tag.stored += 2);
            }),
        ),
        (
            "damaged-gzip-time",
            edited(3, &|member| {
                member[4] = 1;
                reseal(framing, member);
            }),
        ),
        ("damaged-member-lost", without(3)),
        ("damaged-head-lost", without(0)),
        ("damaged-member-twice", edited(3, &|member| member.extend_from_within(..))),
        ("damaged-members-swapped", swapped),
        ("damaged-bytes-between-members", edited(3, &|member| member.extend_from_slice(b"\n\n\n"))),
        ("damaged-member-of-another-archive", splice(good, &other)),
        ("damaged-member-replaced", edited(3, &|member| *member = split(framing, &other)[3].clone())),
        ("damaged-row-count", tagged(3, &|tag| tag.rows += 1)),
        ("damaged-raw-length", tagged(3, &|tag| tag.raw += 1)),
        ("damaged-raw-length-huge", tagged(3, &|tag| tag.raw = u64::MAX)),
        ("damaged-stored-length-huge", tagged(3, &|tag| tag.stored = u64::MAX)),
        ("damaged-sequence", tagged(3, &|tag| tag.seq += 1)),
        ("damaged-stream", tagged(3, &|tag| tag.stream.0 = u32::MAX)),
        ("damaged-bomb", edited(3, &|member| *member = bomb(framing, member))),
        (
            "damaged-rows-without-copy",
            edited(3, &|member| *member = reframed(framing, member, b"DROP TABLE victim;\n")),
        ),
        (
            "damaged-unknown-kind",
            edited(3, &|member| {
                member[16] = 99;
                reseal(framing, member);
            }),
        ),
    ]
}

fn tails(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let footer = read_footer(&good).unwrap();
    let footer_bytes = footer.framing.footer_bytes();
    let index = read_index(&good, &footer, Objects::Kept).unwrap();
    let data = &good[..footer.index_at as usize];
    let flipped = |from_end: usize| {
        let mut bytes = good.to_vec();
        let at = bytes.len() - from_end;
        bytes[at] ^= 0x10;
        bytes
    };
    let footed = |edit: &dyn Fn(&mut Footer)| {
        let mut footer = footer;
        edit(&mut footer);
        [&good[..good.len() - footer_bytes], &footer.encode()].concat()
    };
    let indexed = |edit: &dyn Fn(&mut Index)| {
        let mut index = index.clone();
        edit(&mut index);
        with_index(data, &footer, &index.encode().unwrap())
    };
    let raw = inflated(&index.encode().unwrap());
    let raw_indexed = |raw: &[u8]| with_raw_index(data, &footer, raw);
    let mut huge_count = raw.clone();
    let count_at = varint_len(index.header_json.len()) + index.header_json.len();
    huge_count.splice(count_at..count_at + 1, [0xff, 0xff, 0xff, 0xff, 0x7f]);
    vec![
        ("damaged-byte-in-the-index", flipped(footer_bytes + 30)),
        ("damaged-byte-in-the-footer", flipped(40)),
        ("damaged-footer-points-too-far", footed(&|footer| footer.index_at += 1)),
        ("damaged-footer-points-nowhere", footed(&|footer| footer.index_at = u64::MAX)),
        ("damaged-footer-index-crc", footed(&|footer| footer.index_crc32 ^= 1)),
        ("damaged-footer-index-length", footed(&|footer| footer.index_raw += 1)),
        ("damaged-footer-index-length-huge", footed(&|footer| footer.index_raw = u64::MAX)),
        ("damaged-footer-of-another-archive", footed(&|footer| footer.archive = ArchiveId([9; 16]))),
        ("damaged-index-stream-rows", indexed(&|index| index.streams[1].rows += 1)),
        ("damaged-index-stream-digest", indexed(&|index| index.streams[1].digest.0 ^= 1)),
        ("damaged-index-stream-kind", indexed(&|index| index.streams[0].spec.kind = StreamKind::PostData)),
        ("damaged-index-object-span", indexed(&|index| index.toc[0].len = u64::MAX)),
        ("damaged-index-object-stream", indexed(&|index| index.toc[0].stream.0 = 77)),
        ("damaged-index-object-dependency", indexed(&|index| index.toc[0].depends = [77].into())),
        (
            "damaged-index-header-differs",
            indexed(&|index| {
                let text = String::from_utf8(index.header_json.clone()).unwrap().replace("shop", "sh0p");
                index.header_json = text.into_bytes();
            }),
        ),
        ("damaged-index-cut-short", raw_indexed(&raw[..raw.len() - 1])),
        ("damaged-index-too-long", raw_indexed(&[&raw, b"x".as_slice()].concat())),
        ("damaged-index-count-huge", raw_indexed(&huge_count)),
        ("damaged-index-of-zeros", raw_indexed(&[0u8; 4096])),
    ]
}

fn strangers(framing: Framing, good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(b"--\n-- PostgreSQL database dump\n--\nSELECT 1;\n").unwrap();
    let mut sqlite = b"SQLite format 3\0\x10\0".to_vec();
    sqlite.resize(4096, 0);
    sqlite.extend_from_slice(good);
    let newer = |prelude: Prelude| {
        let mut parts = split(framing, good);
        let last = parts.len() - 1;
        set_prelude(framing, &mut parts[0], prelude);
        set_prelude(framing, &mut parts[last], prelude);
        join(framing, &parts)
    };
    vec![
        ("unsupported-plain-gzip", gzip.finish().unwrap()),
        ("unsupported-zstd", b"\x28\xb5\x2f\xfd\x04\x00\x51\x00\x00SELECT 1;\n\x6f\x3c\x21\x0a".to_vec()),
        ("unsupported-sql-script", b"--\n-- PostgreSQL database dump\n--\nSELECT 1;\n".to_vec()),
        ("unsupported-sqlite-file-with-an-archive-in-it", sqlite),
        ("unsupported-age-file", b"age-encryption.org/v1\n-> X25519 abc\n--- def\n\x01\x02".to_vec()),
        ("unsupported-noise", (0u32..4096).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("unsupported-newer-version", newer(Prelude { version: 2, ..Prelude::OURS })),
        ("unsupported-newer-required-flag", newer(Prelude { required: 1, ..Prelude::OURS })),
    ]
}

/// The members of a sound archive, or of a part of it that begins at its start and ends between members.
fn split(framing: Framing, bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut parts, mut at) = (Vec::new(), framing.lead().len());
    while at < bytes.len() {
        let end = at + parse_header(framing, &bytes[at..], 0).unwrap().tag.stored as usize;
        parts.push(bytes[at..end].to_vec());
        at = end;
    }
    parts
}

/// What `split` took apart.
fn join(framing: Framing, parts: &[Vec<u8>]) -> Vec<u8> {
    [framing.lead(), &parts.concat()].concat()
}

/// Makes the header's CRC true again.
fn reseal(framing: Framing, member: &mut [u8]) {
    // The first bytes may have been changed on purpose.
    let mut start = framing.start(0, 0);
    start[10..].copy_from_slice(&member[10..16]);
    if framing == Framing::Zstd {
        start.copy_from_slice(&member[..16]);
    }
    let Some(len) = framing.header_len(&start) else { return };
    let at = len - CRC_BYTES;
    let crc = crc32(&member[..at]);
    member[at..at + CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
}

fn set_tag(framing: Framing, member: &mut [u8], edit: &dyn Fn(&mut Tag)) {
    let mut tag = parse_header(framing, member, 0).unwrap().tag;
    edit(&mut tag);
    let crc = framing.header_crc32(member).unwrap_or(0);
    member[..HEADER_BYTES].copy_from_slice(&tag.encode(framing, crc, &[]));
}

fn set_prelude(framing: Framing, member: &mut [u8], prelude: Prelude) {
    assert_eq!(&member[BODY_AT..BODY_AT + MAGIC.len()], &MAGIC);
    let mut bytes = Vec::new();
    prelude.encode(&mut bytes);
    member[BODY_AT..BODY_AT + bytes.len()].copy_from_slice(&bytes);
    reseal(framing, member);
}

/// The member with other contents and everything in it true, but for what the index says.
fn reframed(framing: Framing, member: &[u8], raw: &[u8]) -> Vec<u8> {
    let packed = packing_codec(framing).pack(raw, None).unwrap();
    let trailer = framing.trailer(packed.raw_len, packed.crc32);
    let stored = (HEADER_BYTES + packed.bytes.len() + trailer.len()) as u64;
    let tag = Tag { raw: packed.raw_len, stored, ..parse_header(framing, member, 0).unwrap().tag };
    [tag.encode(framing, packed.crc32, &[]), packed.bytes, trailer].concat()
}

/// The member declares what it did before and inflates to a MiB.
fn bomb(framing: Framing, member: &[u8]) -> Vec<u8> {
    let mut bomb = reframed(framing, member, &vec![b'\n'; 1 << 20]);
    let raw = parse_header(framing, member, 0).unwrap().tag.raw;
    set_tag(framing, &mut bomb, &|tag| tag.raw = raw);
    bomb
}

pub fn inflated(encoded: &Encoded) -> Vec<u8> {
    let mut raw = Vec::new();
    inflate(&encoded.deflate, encoded.raw, &mut raw).unwrap();
    raw
}

fn with_raw_index(data: &[u8], like: &Footer, raw: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(raw).unwrap();
    let encoded = Encoded { deflate: encoder.finish().unwrap(), raw: raw.len() as u64, crc32: crc32(raw) };
    with_index(data, like, &encoded)
}

fn with_index(data: &[u8], like: &Footer, encoded: &Encoded) -> Vec<u8> {
    let mut bytes = data.to_vec();
    for (seq, body) in encoded.deflate.chunks(BODY_BYTES_MAX).enumerate() {
        bytes.extend_from_slice(&empty_member(like.framing, MemberKind::Index, like.archive, seq as u64, body));
    }
    let footer = Footer {
        index_at: data.len() as u64,
        index_stored: (bytes.len() - data.len()) as u64,
        index_raw: encoded.raw,
        index_crc32: encoded.crc32,
        ..*like
    };
    bytes.extend_from_slice(&footer.encode());
    bytes
}

pub fn varint_len(number: usize) -> usize {
    (1..10).find(|len| number >> (7 * len) == 0).unwrap()
}
