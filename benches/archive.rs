//! Compressing members, writing an archive, opening one with a large index.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use miyabi_backup::archive::testkit::{rows_spec, sample_header};
use miyabi_backup::archive::{
    Archive, Codec, Form, Framing, Libdeflate, Packed, Stored, Trailer, Writer, ZlibNg, Zstd,
};
use miyabi_backup::checksum::{RowDigest, crc32};

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

/// Each codec with the levels that somebody might choose.
fn codecs() -> Vec<(String, Box<dyn Codec>)> {
    let mut all: Vec<(String, Box<dyn Codec>)> = vec![("stored".to_owned(), Box::new(Stored))];
    for level in [1, 3, 4, 5, 6, 7, 9] {
        all.push((format!("libdeflate {level}"), Box::new(Libdeflate::new(level))));
    }
    for level in [1, 2, 5, 6, 9] {
        all.push((format!("zlib-ng {level}"), Box::new(ZlibNg::new(level))));
    }
    for level in [1, 2, 3, 5] {
        all.push((format!("zstd {level}"), Box::new(Zstd::new(level).unwrap())));
    }
    all
}

type RawBlock = (Vec<u8>, std::ops::Range<usize>);

/// Blocks of about `bytes` of what is to be compressed: rows from a fixed seed, or real ones, which are the files in the
/// folder MIYABI_BENCH_ROWS, each the output of a `COPY … TO STDOUT`.
fn blocks(bytes: usize) -> Vec<RawBlock> {
    let Some(folder) = std::env::var_os("MIYABI_BENCH_ROWS") else {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        return (0..(8 << 20) / bytes).map(|_| block(bytes, &mut numbers)).collect();
    };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| cut(&std::fs::read(file).unwrap(), bytes)).collect()
}

/// Rows as blocks of about `bytes`.
fn cut(rows: &[u8], bytes: usize) -> Vec<RawBlock> {
    let (mut all, mut rest) = (Vec::new(), rows);
    while !rest.is_empty() {
        let reach = rest.len().min(bytes);
        let end = rest[reach - 1..].iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| reach + at);
        let mut raw = b"COPY \"public\".\"t\" (\"c\") FROM stdin;\n".to_vec();
        let start = raw.len();
        raw.extend_from_slice(&rest[..end]);
        let span = start..raw.len();
        raw.extend_from_slice(b"\\.\n");
        all.push((raw, span));
        rest = &rest[end..];
    }
    all
}

/// What this thread has had of the processor: a machine with other work on it gives the same figures.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().and_then(|first| first.parse().ok()).unwrap())
}

fn by_cpu_time<T>(iterations: u64, mut run: impl FnMut() -> T) -> Duration {
    let before = cpu_time();
    (0..iterations).for_each(|_| drop(black_box(run())));
    cpu_time().saturating_sub(before)
}

/// Codec, level and size of a member: processor time, and the ratio on standard error.
fn member_compress(c: &mut Criterion) {
    let mut group = c.benchmark_group("member_compress");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(1500));
    for size in [256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20] {
        let blocks = blocks(size);
        let raw: u64 = blocks.iter().map(|(raw, _)| raw.len() as u64).sum();
        group.throughput(Throughput::Bytes(raw));
        for (name, mut codec) in codecs() {
            let mut buffer = Vec::new();
            let mut pack = || {
                blocks.iter().fold(0, |stored, (raw, rows)| {
                    let packed = codec.pack_into(raw, Some(rows.clone()), std::mem::take(&mut buffer)).unwrap();
                    buffer = packed.bytes;
                    stored + buffer.len() as u64
                })
            };
            let stored = pack();
            eprintln!("ratio of {name}, {} KiB: {:.3}", size >> 10, raw as f64 / stored as f64);
            let id = BenchmarkId::new(name, format!("{} KiB", size >> 10));
            group.bench_function(id, |b| b.iter_custom(|iterations| by_cpu_time(iterations, &mut pack)));
        }
    }
    group.finish();
}

/// What a header says of a block beside its compressed bytes: rows, digest, CRC. For short rows and for long ones.
fn member_facts(c: &mut Criterion) {
    let mut group = c.benchmark_group("member_facts");
    for row in [40, 400] {
        let mut numbers = Numbers(5);
        let rows: Vec<u8> = (0..1 << 20)
            .map(|at| if at % row == row - 1 { b'\n' } else { b'0' + (numbers.next() % 10) as u8 })
            .collect();
        group.throughput(Throughput::Bytes(rows.len() as u64));
        let mut measure = |name: &str, run: &mut dyn FnMut(&[u8]) -> u64| {
            let id = BenchmarkId::new(name, format!("rows of {row} bytes"));
            group.bench_function(id, |b| b.iter(|| run(black_box(&rows))));
        };
        measure("lines", &mut |rows| memchr::memchr_iter(b'\n', rows).count() as u64);
        measure("lines and digest", &mut |rows| RowDigest::default().add_lines(rows));
        measure("crc32", &mut |rows| u64::from(crc32(rows)));
    }
    group.finish();
}

/// Reading a member back, with all of its checks.
fn member_read(c: &mut Criterion) {
    let mut group = c.benchmark_group("member_read");
    for (name, mut codec) in codecs() {
        let (raw, rows) = blocks(1 << 20).swap_remove(0);
        let mut writer = Writer::begin(Vec::new(), &sample_header(), codec.framing()).unwrap();
        let stream = writer.open_stream(rows_spec("public", "events", &["id"]));
        writer.append(stream, &codec.pack(&raw, Some(rows)).unwrap()).unwrap();
        writer.end_stream(stream, None).unwrap();
        let archive = Archive::open(writer.finish(Trailer::default()).unwrap().0).unwrap();
        let member = archive.members().next().unwrap();
        let mut into = Vec::new();
        group.throughput(Throughput::Bytes(member.raw));
        group.bench_function(name, |b| {
            b.iter_custom(|times| by_cpu_time(times, || archive.read_member(&member, &mut into).unwrap()));
        });
    }
    group.finish();
}

fn archive_write(c: &mut Criterion) {
    let mut numbers = Numbers(7);
    let mut codec = Libdeflate::new(5);
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
            let mut writer = Writer::begin(io::sink(), &sample_header(), Framing::Gzip).unwrap();
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
    let mut writer = Writer::begin(Vec::new(), &sample_header(), Framing::Gzip).unwrap();
    let streams: Vec<_> =
        (0..100).map(|n| writer.open_stream(rows_spec("public", &format!("table_{n}"), &["id"]))).collect();
    for _ in 0..count {
        let (a, b) = (numbers.next(), numbers.next());
        let packed = Packed {
            framing: Framing::Gzip,
            raw_len: 1_000_000 + a % 100_000,
            rows: 3000 + b % 2000,
            crc32: (a >> 32) as u32,
            digest: RowDigest(u128::from(a)),
            form: Form::Encoded,
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

criterion_group!(benches, member_compress, member_facts, member_read, archive_write, index_open);
criterion_main!(benches);
