use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::archive::{
    Archive, ArchiveHeader, ArchiveId, Codec, Framing, Libdeflate, SourceKind, StreamKind, StreamSpec, Trailer, Writer,
};
use crate::cancel::Cancel;
use crate::error::{Kind, Result};
use crate::ident::StreamId;
use crate::progress::Progress;

use super::*;

pub(super) fn header() -> ArchiveHeader {
    ArchiveHeader {
        id: ArchiveId([7; 16]),
        kind: SourceKind::Postgres,
        created: jiff::Timestamp::UNIX_EPOCH,
        tool_version: "0".to_owned(),
        source: BTreeMap::new(),
        sections: vec!["data".to_owned()],
    }
}

fn table(name: &str) -> StreamSpec {
    StreamSpec { kind: StreamKind::Rows, schema: "s".into(), name: name.into(), columns: ["v".into()].into() }
}

fn codecs(threads: usize) -> Vec<Box<dyn Codec>> {
    (0..threads).map(|_| Box::new(Libdeflate::new(1)) as Box<dyn Codec>).collect()
}

/// A member whose rows say which block they came from; sizes differ wildly, so packers finish out of order.
fn member(block: u64) -> (Vec<u8>, RowSpan) {
    let prefix = b"COPY \"s\".\"t\" (\"v\") FROM stdin;\n";
    let mut bytes = prefix.to_vec();
    let count = 1 + (block * 7919) % 500;
    for row in 0..count {
        bytes.extend_from_slice(format!("{block}-{row}\n").as_bytes());
    }
    let at = prefix.len()..bytes.len();
    bytes.extend_from_slice(b"\\.\n");
    (bytes, RowSpan { at, count })
}

async fn record(sink: impl Write + Send + 'static, blocks: u64, with_end: bool) -> Result<Vec<u8>> {
    let mut writer = Writer::begin(Tee { kept: Vec::new(), also: sink }, &header(), Framing::Gzip).unwrap();
    let stream = writer.open_stream(table("t"));
    let (sender, receiver) = feed(64 << 10);
    let cancel = Cancel::new();
    let packer_cancel = cancel.clone();
    let packer = tokio::task::spawn_blocking(move || {
        pack_into(receiver, writer, 3, codecs(6), &packer_cancel, &Progress::new())
    });
    let mut rows = 0;
    for block in 0..blocks {
        let (bytes, span) = member(block);
        rows += span.count;
        if sender.block(stream, bytes, Some(span)).await.is_err() {
            break;
        }
    }
    if with_end {
        let _ = sender.end(stream, Some(rows)).await;
    }
    drop(sender);
    let writer = packer.await.unwrap()?;
    writer.finish(Trailer::default()).map(|(sink, _)| sink.kept)
}

struct Tee<W> {
    kept: Vec<u8>,
    also: W,
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let taken = self.also.write(buf)?;
        self.kept.extend_from_slice(&buf[..taken]);
        Ok(taken)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.also.flush()
    }
}

/// A disk with so much room.
struct Full(usize);
impl Write for Full {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(buf.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(buf.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn members_keep_the_order_of_their_blocks_and_come_back_checked() {
    let bytes = record(io::sink(), 200, true).await.unwrap();
    let archive = Archive::open(bytes).unwrap();
    for (block, entry) in archive.members().enumerate() {
        let mut raw = Vec::new();
        archive.read_member(&entry, &mut raw).unwrap();
        assert_eq!(raw, member(block as u64).0);
    }

    let members: Vec<_> = archive.members().collect();
    let (sender, mut receiver) = feed(64 << 10);
    let runtime = tokio::runtime::Handle::current();
    let reading =
        tokio::task::spawn_blocking(move || unpack_members(&archive, &members, 2, &sender, &runtime, &Cancel::new()));
    let mut seen = 0;
    while let Some(Feed::Block(block)) = receiver.recv().await {
        seen += block.rows.unwrap().count;
    }
    reading.await.unwrap().unwrap();
    assert_eq!(seen, (0..200).map(|block| member(block).1.count).sum::<u64>());
}

/// Several producers of one stream, each with a thread of its own, some of whose blocks go through the queue.
async fn record_by_many(sink: impl Write + Send + 'static, blocks: u64) -> Result<Vec<u8>> {
    const PRODUCERS: u64 = 3;
    let mut writer = Writer::begin(Tee { kept: Vec::new(), also: sink }, &header(), Framing::Gzip).unwrap();
    let stream = writer.open_stream(table("t"));
    let (sender, receiver) = feed(64 << 10);
    let (cancel, progress) = (Cancel::new(), Progress::new());
    let packer = tokio::task::spawn_blocking(move || pack_into(receiver, writer, 2, codecs(4), &cancel, &progress));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let (sender, runtime) = (sender.clone(), tokio::runtime::Handle::current());
            tokio::task::spawn_blocking(move || {
                for block in (producer..blocks).step_by(PRODUCERS as usize) {
                    let (bytes, span) = member(block);
                    // Near its end a run has fewer connections than packers.
                    let reading = if block % 5 == 0 { 1 } else { 3 };
                    runtime.block_on(sender.block_of_many(reading, stream, bytes, Some(span)))?;
                }
                Ok::<(), Error>(())
            })
        })
        .collect();
    for producer in producers {
        // A producer learns that the writer is gone; why, the writer says.
        let _ = producer.await.unwrap();
    }
    let rows = (0..blocks).map(|block| member(block).1.count).sum();
    let _ = sender.end(stream, Some(rows)).await;
    drop(sender);
    packer.await.unwrap()?.finish(Trailer::default()).map(|(sink, _)| sink.kept)
}

#[tokio::test]
async fn producers_that_pack_themselves_lose_nothing() {
    let bytes = record_by_many(io::sink(), 300).await.unwrap();
    let archive = Archive::open(bytes).unwrap();
    let mut found: Vec<Vec<u8>> = Vec::new();
    for entry in archive.members() {
        let mut raw = Vec::new();
        archive.read_member(&entry, &mut raw).unwrap();
        found.push(raw);
    }
    let mut sent: Vec<Vec<u8>> = (0..300).map(|block| member(block).0).collect();
    found.sort();
    sent.sort();
    assert!(found == sent);
}

#[tokio::test]
async fn a_full_disk_stops_producers_that_pack_themselves() {
    let error = record_by_many(Full(20_000), 500).await.unwrap_err();
    assert!(error.chain().contains("storage"), "{error:?}");
}

#[tokio::test]
async fn a_producer_that_dies_does_not_look_like_one_that_finished() {
    let error = record(io::sink(), 3, false).await.unwrap_err();
    assert!(error.chain().contains("s.t"), "{error:?}");
}

#[tokio::test]
async fn a_full_disk_stops_everything_and_is_the_error_that_is_reported() {
    let error = record(Full(20_000), 500, true).await.unwrap_err();
    assert_ne!(error.kind(), Kind::Stopped, "{error:?}");
    assert!(error.chain().contains("storage"), "{error:?}");
}

#[tokio::test]
async fn a_miscounted_block_is_refused() {
    let mut writer = Writer::begin(Vec::new(), &header(), Framing::Gzip).unwrap();
    let stream: StreamId = writer.open_stream(table("t"));
    let (sender, receiver) = feed(1 << 20);
    let (bytes, mut span) = member(1);
    span.count += 1;
    sender.block(stream, bytes, Some(span)).await.unwrap();
    drop(sender);
    let packed = tokio::task::spawn_blocking(move || {
        pack_into(receiver, writer, 1, codecs(1), &Cancel::new(), &Progress::new()).map(drop)
    });
    assert_eq!(packed.await.unwrap().unwrap_err().kind(), Kind::Bug);
}
