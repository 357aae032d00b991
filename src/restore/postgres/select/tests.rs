//! What of an archive is read for one table.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::steps::{ALL, SectionSteps};
use super::*;
use crate::archive::testkit::Sample;

/// Counts what is read of the bytes that it holds.
struct Counting {
    bytes: Vec<u8>,
    read: AtomicU64,
}

impl ReadAt for Counting {
    fn len(&self) -> u64 {
        ReadAt::len(&self.bytes)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.bytes.read_at(offset, buf)
    }
}

#[test]
fn a_table_alone_costs_its_own_members_and_those_of_its_definition() {
    let archive = Archive::open(Counting { bytes: Sample::small().archive(), read: AtomicU64::new(0) }).unwrap();
    let opened = archive.source().read.load(Ordering::Relaxed);
    let stored = |stream: u32| archive.members_of(StreamId(stream)).map(|one| one.stored).collect::<Vec<u64>>();
    assert!(opened <= archive.source().len() - archive.index_at() + 2 * 4096, "index, footer and head: {opened}");

    let tables = vec![TableName { schema: None, name: "orders".to_owned() }];
    let chosen = Chosen::of(&archive, &Selection { tables, content: Content::All }).unwrap();
    let mut steps = Vec::new();
    for stream in archive.streams().iter().filter(|stream| stream.spec.kind != StreamKind::Rows) {
        let mut section = SectionSteps::new(&archive, stream.id, ALL, |at, entry| chosen.wants(at, entry));
        while let Some(batch) = section.next_member().unwrap() {
            steps.extend(batch.into_iter().map(|step| step.what));
        }
    }
    assert_eq!(steps, ["TABLE public.orders", "CONSTRAINT public.orders orders_pkey"]);
    let mut bytes = Vec::new();
    for member in chosen.row_members(&archive) {
        archive.read_member(&member, &mut bytes).unwrap();
    }
    // Of the two members of pre-data one defines the other table; the sequence is nobody's.
    let expected = stored(0)[0] + stored(1).iter().sum::<u64>() + stored(4)[0];
    assert_eq!(archive.source().read.load(Ordering::Relaxed) - opened, expected);
}
