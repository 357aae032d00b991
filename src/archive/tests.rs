//! Writing and reading back, in memory.

use super::testkit::{Sample, sample_header};
use super::*;
use crate::error::Kind;

#[test]
fn what_is_written_is_read() {
    let sample = Sample::small();
    let bytes = sample.archive();
    let archive = Archive::open(bytes.as_slice()).unwrap();
    assert_eq!(archive.header(), &sample_header());
    assert_eq!(archive.toc(), sample.trailer.toc);
    assert_eq!(archive.properties(), &sample.trailer.properties);
    let mut raw = Vec::new();
    let mut inflated = Vec::new();
    for entry in archive.members() {
        archive.read_member(&entry, &mut raw).unwrap();
        inflated.extend_from_slice(&raw);
    }
    let expected: Vec<u8> = sample.blocks.iter().flat_map(|block| block.raw.clone()).collect();
    assert_eq!(inflated, expected);
    let by_stream: usize = archive.streams().iter().map(|stream| archive.members_of(stream.id).count()).sum();
    assert_eq!(by_stream, sample.blocks.len());
}

#[test]
fn without_finish_it_is_truncated_not_corrupt() {
    let mut bytes = Vec::new();
    let writer = Writer::begin(&mut bytes, &sample_header()).unwrap();
    drop(writer);
    let error = Archive::open(bytes).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.chain().contains("truncated or still being written"), "{error:?}");
}
