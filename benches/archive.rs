//! Compressing members, writing an archive, opening one with a large index.

use std::hint::black_box;
use std::io;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use miyabi_backup::archive::testkit::{rows_spec, sample_header};
use miyabi_backup::archive::{Archive, Codec, Packed, Trailer, Writer, ZlibNg};
use miyabi_backup::checksum::RowDigest;

/// Numbers from a fixed seed: every run compresses the same rows.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const WORDS: [&str; 16] = [
    "order", "shipped", "pending", "customer", "invoice", "paid", "refund", "address", "garden", "miyabi", "kyoto",
    "payment", "tea", "autumn", "delivery", "café",
];

/// A block of about `bytes`: key, uuid, timestamp, json, text, float, NULL, as COPY writes them.
fn block(bytes: usize, numbers: &mut Numbers) -> (Vec<u8>, std::ops::Range<usize>) {
    let mut raw =
        b"COPY \"public\".\"events\" (\"id\", \"key\", \"at\", \"data\", \"note\", \"amount\", \"gone\") FROM stdin;\n"
            .to_vec();
    let start = raw.len();
    let mut id = numbers.next() % 1_000_000;
    while raw.len() < bytes {
        id += 1;
        let (a, b, c) = (numbers.next(), numbers.next(), numbers.next());
        let word = |n: u64| WORDS[(n % 16) as usize];
        let row = format!(
            "{id}\t{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}\t2026-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00\t\
             {{\"kind\": \"{}\", \"items\": [{}, {}], \"to\": {{\"city\": \"{}\", \"zip\": \"{:05}\"}}}}\t{} {} {} {}\t{}.{:02}\t\\N\n",
            a >> 32,
            a & 0xffff,
            (a >> 16) & 0xfff,
            b & 0xfff,
            b >> 16,
            1 + b % 12,
            1 + c % 28,
            a % 24,
            b % 60,
            c % 60,
            a % 1_000_000,
            word(a),
            b % 1000,
            c % 1000,
            word(b >> 8),
            c % 100_000,
            word(a >> 4),
            word(b >> 4),
            word(c >> 4),
            word(c >> 12),
            a % 10_000,
            b % 100
        );
        raw.extend_from_slice(row.as_bytes());
    }
    let end = raw.len();
    raw.extend_from_slice(b"\\.\n");
    (raw, start..end)
}

fn member_compress(c: &mut Criterion) {
    let mut group = c.benchmark_group("member_compress");
    for size in [256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20] {
        let (raw, rows) = block(size, &mut Numbers(0x9e37_79b9_7f4a_7c15));
        group.throughput(Throughput::Bytes(raw.len() as u64));
        for level in [1, 6] {
            let mut codec = ZlibNg::new(level);
            let name = format!("{} KiB", size >> 10);
            group.bench_with_input(BenchmarkId::new(format!("level {level}"), name), &raw, |b, raw| {
                b.iter(|| codec.pack(black_box(raw), Some(rows.clone())).unwrap());
            });
        }
    }
    group.finish();
}

fn archive_write(c: &mut Criterion) {
    let mut numbers = Numbers(7);
    let mut codec = ZlibNg::new(6);
    let packed: Vec<Packed> = (0..64)
        .map(|_| {
            let (raw, rows) = block(1 << 20, &mut numbers);
            codec.pack(&raw, Some(rows)).unwrap()
        })
        .collect();
    let mut group = c.benchmark_group("archive_write");
    group.throughput(Throughput::Bytes(packed.iter().map(|packed| packed.raw_len).sum()));
    group.bench_function("64 members of 1 MiB", |b| {
        b.iter(|| {
            let mut writer = Writer::begin(io::sink(), &sample_header()).unwrap();
            let stream = writer.open_stream(rows_spec("public", "events", &["id"]));
            packed.iter().for_each(|packed| writer.append(stream, packed).unwrap());
            writer.end_stream(stream, None).unwrap();
            writer.finish(Trailer::default()).unwrap().1
        });
    });
    group.finish();
}

/// An archive of this many members, whose numbers differ as real ones do.
fn many_members(count: u64) -> Vec<u8> {
    let mut numbers = Numbers(11);
    let mut writer = Writer::begin(Vec::new(), &sample_header()).unwrap();
    let streams: Vec<_> =
        (0..100).map(|n| writer.open_stream(rows_spec("public", &format!("table_{n}"), &["id"]))).collect();
    for _ in 0..count {
        let (a, b) = (numbers.next(), numbers.next());
        let packed = Packed {
            raw_len: 1_000_000 + a % 100_000,
            rows: 3000 + b % 2000,
            crc32: (a >> 32) as u32,
            digest: RowDigest(u128::from(a)),
            bytes: (b as u32).to_le_bytes().to_vec(),
        };
        writer.append(streams[(a % 100) as usize], &packed).unwrap();
    }
    streams.iter().for_each(|stream| writer.end_stream(*stream, None).unwrap());
    writer.finish(Trailer::default()).unwrap().0
}

fn index_open(c: &mut Criterion) {
    let mut group = c.benchmark_group("index_open");
    group.sample_size(10);
    for count in [1000, 200_000, 1_000_000] {
        let bytes = many_members(count);
        group.throughput(Throughput::Elements(count));
        group.bench_with_input(BenchmarkId::from_parameter(count), &bytes, |b, bytes| {
            b.iter(|| Archive::open(black_box(bytes.as_slice())).unwrap().streams().len());
        });
    }
    group.finish();
}

criterion_group!(benches, member_compress, archive_write, index_open);
criterion_main!(benches);
