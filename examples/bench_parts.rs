//! What `scripts/bench.py` cannot do with the program alone: the codec by itself, and an archive of many members.
//!
//!     bench_parts codec-cpu FILE CODEC[:LEVEL]     seconds of one thread that compresses FILE in blocks, bytes
//!     bench_parts many-members FILE COUNT          writes an archive of so many tiny members

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Read};
use std::sync::Arc;
use std::{env, hint};

use miyabi_backup::archive::testkit::{rows_spec, sample_header};
use miyabi_backup::archive::{Codec, Fitted, Framing, Libdeflate, Packed, Trailer, Writer, Zstd};
use miyabi_backup::checksum::RowDigest;
use miyabi_backup::pipeline::BLOCK_BYTES;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["codec-cpu", file, compress] => codec_cpu(file, codec(compress)?.as_mut()),
        ["many-members", file, count] => many_members(file, count.parse()?),
        _ => Err("usage: bench_parts codec-cpu FILE CODEC[:LEVEL] | many-members FILE COUNT".into()),
    }
}

/// As `--compress` takes it.
fn codec(compress: &str) -> Result<Box<dyn Codec>, Box<dyn Error>> {
    let (name, level) = compress.split_once(':').map_or((compress, None), |(name, level)| (name, Some(level)));
    match name {
        "gzip" if level.is_none() => Ok(Box::new(Fitted::new(&Arc::default()))),
        "gzip" => Ok(Box::new(Libdeflate::new(level.map_or(Ok(5), str::parse)?))),
        "zstd" => Ok(Box::new(Zstd::new(level.map_or(Ok(1), str::parse)?)?)),
        _ => Err(format!("no codec is called {name}").into()),
    }
}

const STATEMENT: &[u8] = b"COPY \"s\".\"t\" (\"a\") FROM stdin;\n";

/// Text is packed as rows of one table, without the time of their digest; anything else as pages.
fn codec_cpu(file: &str, codec: &mut dyn Codec) -> Result<(), Box<dyn Error>> {
    let mut file = File::open(file)?;
    let (mut nanoseconds, mut bytes, mut rest) = (0, 0, Vec::new());
    loop {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        block.extend_from_slice(STATEMENT);
        block.append(&mut rest);
        let taken = (&mut file).take((BLOCK_BYTES - block.len()) as u64).read_to_end(&mut block)?;
        let is_pages = block.get(STATEMENT.len()..).is_some_and(|start| start.contains(&0));
        let rows = STATEMENT.len()..block.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if !is_pages {
            rest = block.split_off(rows.end);
            block.extend_from_slice(b"\\.\n");
        }
        let before = processor_time()?;
        let packed = match is_pages {
            true => codec.pack(&block[STATEMENT.len()..], None)?,
            false => codec.pack(&block, Some(rows.clone()))?,
        };
        nanoseconds += processor_time()? - before;
        bytes += hint::black_box(packed).stored_len();
        if !is_pages {
            let before = processor_time()?;
            hint::black_box(RowDigest::default().add_lines(&block[rows]));
            nanoseconds = nanoseconds.saturating_sub(processor_time()? - before);
        }
        if taken == 0 {
            break;
        }
    }
    println!("{:.3} {bytes}", nanoseconds as f64 / 1e9);
    Ok(())
}

/// Of this thread, in nanoseconds.
fn processor_time() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// A hundred tables; lengths, counts and CRCs differ as those of true members do, so that the index is as large.
fn many_members(file: &str, count: u64) -> Result<(), Box<dyn Error>> {
    let mut writer = Writer::begin(BufWriter::new(File::create(file)?), &sample_header(), Framing::Gzip)?;
    let streams: Vec<_> =
        (0..100).map(|n| writer.open_stream(rows_spec("public", &format!("table_{n}"), &["id"]))).collect();
    let tiny = codec("gzip:1")?.pack(b"tea", None)?;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..count {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let (raw_len, rows) = (1_000_000 + seed % 100_000, 3000 + (seed >> 20) % 2000);
        let packed =
            Packed { raw_len, rows, crc32: (seed >> 32) as u32, digest: RowDigest(u128::from(seed)), ..tiny.clone() };
        writer.append(streams[(seed % 100) as usize], &packed)?;
    }
    for stream in streams {
        writer.end_stream(stream, None)?;
    }
    writer.finish(Trailer::default())?;
    Ok(())
}
