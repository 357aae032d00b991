use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::archive::{Codec, Framing, Libdeflate, StreamKind, StreamSpec, Trailer, Writer};

use super::super::tests::header;
use super::*;

/// An archive of tables with so many members of so many rows each, and its members as a restore wants them.
fn archive(tables: &[(usize, usize)]) -> (Archive<Vec<u8>>, Vec<MemberEntry>) {
    let mut writer = Writer::begin(Vec::new(), &header(), Framing::Gzip).unwrap();
    let mut codec = Libdeflate::new(1);
    for (number, (members, rows)) in tables.iter().enumerate() {
        let columns = ["v".into()].into();
        let (kind, schema) = (StreamKind::Rows, "s".into());
        let stream = writer.open_stream(StreamSpec { kind, schema, name: format!("t{number}").into(), columns });
        let mut total = 0;
        for member in 0..*members {
            let prefix = format!("COPY \"s\".\"t{number}\" (\"v\") FROM stdin;\n");
            let body: String = (0..*rows).map(|row| format!("{member}-{row}\n")).collect();
            let bytes = format!("{prefix}{body}\\.\n").into_bytes();
            let packed = codec.pack_into(&bytes, Some(prefix.len()..prefix.len() + body.len()), Vec::new()).unwrap();
            writer.append(stream, &packed).unwrap();
            total += *rows as u64;
        }
        writer.end_stream(stream, Some(total)).unwrap();
    }
    let (bytes, _) = writer.finish(Trailer::default()).unwrap();
    let archive = Archive::open(bytes).unwrap();
    let mut streams: Vec<_> = archive.streams().to_vec();
    streams.sort_by_key(|stream| std::cmp::Reverse(stream.raw));
    let members = streams.iter().flat_map(|stream| archive.members_of(stream.id)).collect();
    (archive, members)
}

/// What each lot of each taker was: who, stream, share, first lines of its members.
type Lots = Vec<(usize, StreamId, Share, Vec<String>)>;

async fn load_all(tables: &[(usize, usize)], takers: usize, budget: usize) -> Lots {
    let (archive, members) = archive(tables);
    let deal = Arc::new(Deal::new(members, takers, budget));
    let dealt = Arc::clone(&deal);
    let unpacker = tokio::task::spawn_blocking(move || unpack_dealt(&archive, &dealt, 2, &Cancel::new()));
    let tasks: Vec<_> = (0..takers)
        .map(|taker| {
            let deal = Arc::clone(&deal);
            tokio::spawn(async move {
                let mut lots: Lots = Vec::new();
                while let Some(mut lot) = deal.take().await {
                    let mut seen = Vec::new();
                    while let Some(dealt) = lot.next().await {
                        let text = String::from_utf8(dealt.bytes.clone()).unwrap();
                        seen.push(text.lines().nth(1).unwrap_or_default().to_owned());
                        deal.spare().give(dealt.bytes);
                        // Somebody who loads takes longer than somebody who inflates.
                        tokio::time::sleep(Duration::from_micros(200)).await;
                    }
                    lots.push((taker, lot.stream, lot.share, seen));
                }
                lots
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(tokio::time::timeout(Duration::from_secs(60), task).await.expect("a taker waits for ever").unwrap());
    }
    unpacker.await.unwrap().unwrap();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_goes_to_one_taker_in_order() {
    let tables = [(5, 200), (40, 300), (1, 3), (30, 300), (1, 400), (1, 0), (20, 300)];
    let lots = load_all(&tables, 3, 64 << 10).await;
    let mut streams = HashSet::new();
    for (_, stream, share, seen) in &lots {
        assert!(streams.insert(*stream), "stream {stream:?} came in two lots");
        let (members, rows) = tables[stream.0 as usize];
        assert_eq!(*share, if members == 1 { Share::Single } else { Share::Whole });
        let wanted: Vec<String> =
            (0..members).map(|member| if rows == 0 { "\\.".to_owned() } else { format!("{member}-0") }).collect();
        assert_eq!(seen, &wanted);
    }
    assert_eq!(streams.len(), tables.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_outweighs_the_rest_goes_to_all() {
    let lots = load_all(&[(60, 300), (2, 10)], 3, 64 << 10).await;
    let mut seen: HashMap<StreamId, Vec<String>> = HashMap::new();
    let mut takers = HashSet::new();
    for (taker, stream, share, members) in lots {
        assert_eq!(share, if stream == StreamId(0) { Share::Part } else { Share::Whole });
        if stream == StreamId(0) {
            takers.insert(taker);
        }
        seen.entry(stream).or_default().extend(members);
    }
    assert!(takers.len() > 1, "one taker loaded all of the largest table");
    let all: HashSet<String> = seen[&StreamId(0)].iter().cloned().collect();
    assert_eq!((all.len(), seen[&StreamId(0)].len(), seen[&StreamId(1)].len()), (60, 60, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_larger_than_a_lane_pass_one_at_a_time() {
    let lots = load_all(&[(3, 9000), (3, 8000), (50, 100)], 2, 16 << 10).await;
    let members: usize = lots.iter().map(|(.., seen)| seen.len()).sum();
    assert_eq!(members, 56);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_is_put_back_is_open_to_others() {
    let (archive, members) = archive(&[(4, 100), (4, 90), (4, 80), (4, 70), (4, 60)]);
    let deal = Arc::new(Deal::new(members, 2, 1 << 20));
    unpack_dealt(&archive, &deal, 2, &Cancel::new()).unwrap();
    // One taker is busy elsewhere: the other gets everything.
    let mut streams = HashSet::new();
    while let Some(mut lot) =
        tokio::time::timeout(Duration::from_secs(10), deal.take()).await.expect("it waits for nobody")
    {
        while lot.next().await.is_some() {}
        streams.insert(lot.stream);
    }
    assert_eq!(streams.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_inflates_stops_with_the_run() {
    let (archive, members) = archive(&[(50, 300)]);
    let deal = Arc::new(Deal::new(members, 2, 4 << 10));
    let cancel = Cancel::new();
    let (stop, dealt) = (cancel.clone(), Arc::clone(&deal));
    let unpacker = tokio::task::spawn_blocking(move || unpack_dealt(&archive, &dealt, 2, &stop));
    tokio::time::sleep(Duration::from_millis(50)).await;
    cancel.cancel();
    let ended =
        tokio::time::timeout(Duration::from_secs(5), unpacker).await.expect("nobody takes, and it waits for ever");
    assert!(ended.unwrap().is_err());
}

/// Panics at the next read once it is armed.
struct Bursting {
    bytes: Vec<u8>,
    armed: AtomicBool,
}

impl ReadAt for Bursting {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        assert!(!self.armed.swap(false, Ordering::SeqCst), "meant to happen");
        self.bytes.as_slice().read_at(offset, buf)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_tables_wait_in_no_more_memory_than_they_are_counted_for() {
    let (archive, members) = archive(&[(1, 3); 200]);
    let deal = Arc::new(Deal::new(members, 1, 1 << 20));
    let dealt = Arc::clone(&deal);
    tokio::task::spawn_blocking(move || unpack_dealt(&archive, &dealt, 2, &Cancel::new())).await.unwrap().unwrap();
    let mut held = 0;
    while let Some(mut lot) = deal.take().await {
        while let Some(member) = lot.next().await {
            held += member.bytes.capacity();
        }
    }
    assert!(held < 200 * 200, "200 members of 50 bytes hold {held}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_panics_keeps_nobody_waiting() {
    let (archive, members) = archive(&[(50, 300), (40, 300)]);
    let source = Bursting { bytes: archive.source().clone(), armed: AtomicBool::new(false) };
    let bursting = Archive::open(source).unwrap();
    bursting.source().armed.store(true, Ordering::SeqCst);
    let deal = Arc::new(Deal::new(members, 2, 4 << 10));
    let (cancel, dealt) = (Cancel::new(), Arc::clone(&deal));
    let stop = cancel.clone();
    let unpacker = tokio::task::spawn_blocking(move || unpack_dealt(&bursting, &dealt, 2, &stop));
    let ended =
        tokio::time::timeout(Duration::from_secs(20), unpacker).await.expect("the other thread goes on for ever");
    assert!(ended.is_err() && cancel.is_cancelled());
}
