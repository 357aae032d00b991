//! What is to be read, largest first, and how much of it a connection takes at a time. Pure.
//!
//! A table is read whole as long as the other connections have nearly as much to do meanwhile: a plain COPY passes by the
//! server's cache and costs it a sixth less. One that would keep a connection busy for long after all others are done is
//! cut, and what is cut gets smaller towards the end. So one table is as parallel as a thousand, and a thousand are not cut.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::ident::StreamId;

use super::CopyTask;
use super::range::{Range, Rest};

/// No part stands for less, on the server's disk: starting a COPY costs as much as reading some 50 KiB.
pub const RANGE_BYTES_MIN: u64 = 4 << 20;

/// Each part is this fraction of an even share of what is left, so that one that takes longer than expected is made up for.
const PARTS_OF_SHARE: u64 = 2;

/// A table that was not begun is read whole up to its even share and this fraction of it, by the number of connections:
/// what the others lose by waiting is then no more than what all save. Two connections wait for an eighth of a share.
const WAIT_OF_SHARE: u64 = 4;

/// On the server's disk. Tables up to this are taken by the dozen.
const SMALL_TABLE_BYTES: u64 = 256 << 10;
const SMALL_TABLES_MAX: usize = 64;

/// One COPY: a whole table, or one range of it.
#[derive(Clone, Debug)]
pub struct Piece {
    pub task: Arc<CopyTask>,
    pub range: Option<Range>,
    pub bytes_estimate: u64,
}

impl Piece {
    /// `COPY … TO STDOUT`.
    pub fn select(&self) -> String {
        self.task.rows.copy_to(self.range)
    }
}

/// What is not begun yet, what is under way, and what is missing of each stream.
pub struct Queue {
    connections: u64,
    waiting: BinaryHeap<Waiting>,
    /// Bytes of `waiting`.
    bytes_waiting: u64,
    /// Bytes that are still to come of what is being read.
    bytes_under_way: u64,
    open: BTreeMap<StreamId, OpenStream>,
}

struct Waiting {
    task: Arc<CopyTask>,
    rest: Rest,
    /// Equal tables are read in the order of the script.
    position: usize,
}

impl Waiting {
    /// What is left of a table that was cut waits behind those that were not begun: it fills up whatever time is left at
    /// the end, and meanwhile different tables are read side by side, whose rows need different things.
    fn key(&self) -> (bool, u64, std::cmp::Reverse<usize>) {
        (!self.rest.is_begun(), self.rest.bytes, std::cmp::Reverse(self.position))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

#[derive(Default)]
struct OpenStream {
    pieces_under_way: usize,
    tasks_waiting: usize,
    rows: u64,
}

impl Queue {
    pub fn new(tasks: Vec<CopyTask>, connections: NonZeroUsize) -> Self {
        let mut open: BTreeMap<StreamId, OpenStream> = BTreeMap::new();
        for task in &tasks {
            let stream = open.entry(task.stream).or_default();
            stream.tasks_waiting = stream.tasks_waiting.saturating_add(1);
        }
        let bytes_waiting = tasks.iter().fold(0, |sum: u64, task| sum.saturating_add(task.bytes_estimate));
        let waiting = tasks.into_iter().enumerate().map(|(position, task)| {
            let pages = task.rows.pages.unwrap_or(0);
            let rest = Rest::whole(pages, task.bytes_estimate);
            Waiting { task: Arc::new(task), rest, position }
        });
        let connections = connections.get() as u64;
        Queue { connections, waiting: waiting.collect(), bytes_waiting, bytes_under_way: 0, open }
    }

    /// Connections that can be kept busy.
    pub fn connections(&self) -> usize {
        let parts = |waiting: &Waiting| match waiting.task.rows.pages {
            Some(_) => (waiting.rest.bytes / RANGE_BYTES_MIN).max(1),
            None => 1,
        };
        let pieces = self.waiting.iter().map(parts).fold(0_u64, u64::saturating_add);
        usize::try_from(pieces.min(self.connections)).unwrap_or(usize::MAX)
    }

    /// The next piece; where many small tables wait, some of them at once: each statement that looks after them costs as
    /// much as their rows. Empty when nothing is left.
    pub fn next_many(&mut self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = self.next().into_iter().collect();
        let share = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX) / self.connections / PARTS_OF_SHARE;
        let most = usize::try_from(share).unwrap_or(usize::MAX).min(SMALL_TABLES_MAX);
        let is_small = |piece: &Piece| piece.range.is_none() && piece.bytes_estimate <= SMALL_TABLE_BYTES;
        while pieces.len() < most && pieces.last().is_some_and(is_small) {
            pieces.extend(self.next());
        }
        pieces
    }

    pub fn next(&mut self) -> Option<Piece> {
        let to_do = self.bytes_waiting.saturating_add(self.bytes_under_way);
        let Waiting { task, rest, position } = self.waiting.pop()?;
        let cut = self.cut(&task, rest, to_do);
        let stream = self.open.entry(task.stream).or_default();
        stream.pieces_under_way = stream.pieces_under_way.saturating_add(1);
        let (range, bytes_estimate) = match cut {
            Some((range, bytes, rest)) => {
                self.waiting.push(Waiting { task: Arc::clone(&task), rest, position });
                (Some(range), bytes)
            }
            None => {
                stream.tasks_waiting = stream.tasks_waiting.saturating_sub(1);
                (rest.is_begun().then(|| rest.range()), rest.bytes)
            }
        };
        self.bytes_waiting = self.bytes_waiting.saturating_sub(bytes_estimate);
        self.bytes_under_way = self.bytes_under_way.saturating_add(bytes_estimate);
        Some(Piece { task, range, bytes_estimate })
    }

    /// A first part, if all of it would take longer than what the other connections have to do.
    fn cut(&self, task: &CopyTask, rest: Rest, to_do: u64) -> Option<(Range, u64, Rest)> {
        let share = to_do / self.connections;
        let wait = if rest.is_begun() || self.connections == 1 { 0 } else { share / WAIT_OF_SHARE / self.connections };
        if task.rows.pages.is_none() || rest.bytes <= share.saturating_add(wait) {
            return None;
        }
        let cut = rest.cut((share / PARTS_OF_SHARE).max(RANGE_BYTES_MIN));
        cut.filter(|(_, _, left)| left.bytes >= RANGE_BYTES_MIN)
    }

    /// So much came of what is under way.
    pub fn came(&mut self, bytes: u64) {
        self.bytes_under_way = self.bytes_under_way.saturating_sub(bytes);
    }

    /// One piece is done; the rows of its stream when it was the last one.
    pub fn done(&mut self, stream: StreamId, rows: u64) -> Option<u64> {
        let open = self.open.get_mut(&stream)?;
        open.rows = open.rows.saturating_add(rows);
        open.pieces_under_way = open.pieces_under_way.saturating_sub(1);
        if open.pieces_under_way > 0 || open.tasks_waiting > 0 {
            return None;
        }
        self.open.remove(&stream).map(|closed| closed.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::QualifiedName;
    use crate::pg::copy_out::Rows;

    const MIB: u64 = 1 << 20;

    fn task(stream: u32, bytes_estimate: u64) -> CopyTask {
        CopyTask {
            stream: StreamId(stream),
            rows: Rows {
                table: QualifiedName::new("s", format!("t{stream}")),
                columns: Box::default(),
                select: None,
                into: None,
                pages: None,
            },
            oid: 1,
            relkind: 'r',
            relfilenode: None,
            bytes_estimate,
        }
    }

    fn heap(stream: u32, mib: u64) -> CopyTask {
        let mut task = task(stream, mib * MIB);
        task.rows.pages = Some(mib * 128);
        task
    }

    fn queue(tasks: Vec<CopyTask>, connections: usize) -> Queue {
        Queue::new(tasks, NonZeroUsize::new(connections).unwrap())
    }

    /// Every connection reads as fast as the others: the pieces that each got, and when it was done, in MiB.
    fn simulate(tasks: Vec<CopyTask>, connections: usize) -> (Vec<Piece>, Vec<u64>) {
        let mut queue = queue(tasks, connections);
        let mut pieces = Vec::new();
        let mut busy: Vec<Option<(u64, Piece)>> = (0..connections).map(|_| None).collect();
        let mut done_at = vec![0; connections];
        for now in 0_u64.. {
            for (slot, done_at) in busy.iter_mut().zip(&mut done_at) {
                if let Some((left, piece)) = slot {
                    queue.came((*left).min(MIB));
                    *left = left.saturating_sub(MIB);
                    if *left == 0 {
                        queue.done(piece.task.stream, 1);
                        *slot = None;
                    }
                }
                if slot.is_none()
                    && let Some(piece) = queue.next()
                {
                    pieces.push(piece.clone());
                    *slot = Some((piece.bytes_estimate, piece));
                }
                if slot.is_some() {
                    *done_at = now + 1;
                }
            }
            if busy.iter().all(Option::is_none) {
                break;
            }
        }
        assert!(queue.open.is_empty(), "a stream was never ended");
        (pieces, done_at)
    }

    fn spread(done_at: &[u64]) -> u64 {
        done_at.iter().max().unwrap() - done_at.iter().min().unwrap()
    }

    #[test]
    fn the_largest_table_is_read_first() {
        let mut queue = queue(vec![task(1, 5), task(2, 50), task(3, 5)], 1);
        let order: Vec<u32> = std::iter::from_fn(|| queue.next()).map(|piece| piece.task.stream.0).collect();
        assert_eq!(order, [2, 1, 3]);
    }

    #[test]
    fn a_stream_ends_once_with_the_rows_of_all_its_pieces() {
        let mut queue = queue(vec![heap(1, 10), task(2, 5)], 2);
        let (first, other, second) = (queue.next().unwrap(), queue.next().unwrap(), queue.next().unwrap());
        assert_eq!((first.task.stream, other.task.stream.0, second.task.stream), (StreamId(1), 2, StreamId(1)));
        assert!(first.range.is_some() && second.range.is_some());
        assert_eq!(queue.done(StreamId(1), 10), None);
        assert_eq!(queue.done(StreamId(2), 0), Some(0));
        assert_eq!(queue.done(StreamId(1), 7), Some(17));
        assert_eq!(queue.done(StreamId(1), 7), None);
    }

    #[test]
    fn a_single_connection_reads_whole_tables() {
        let (pieces, _) = simulate(vec![heap(1, 900), heap(2, 3)], 1);
        assert_eq!(pieces.len(), 2);
        assert!(pieces.iter().all(|piece| piece.range.is_none()));
    }

    #[test]
    fn one_table_keeps_all_connections_busy_to_the_end() {
        for connections in [2, 4, 16] {
            let (pieces, done_at) = simulate(vec![heap(1, 2000)], connections);
            assert!(spread(&done_at) <= 8, "{connections}: {done_at:?}");
            assert!(pieces.len() < 20 * connections, "{} pieces cost too much", pieces.len());
            let has_end = |piece: &&Piece| piece.range.is_some_and(|range| range.to_string().contains(" AND "));
            assert_eq!(pieces.iter().filter(has_end).count(), pieces.len() - 1);
        }
    }

    #[test]
    fn balanced_tables_are_not_cut_until_the_last_ones() {
        let (pieces, done_at) = simulate((0..101).map(|stream| heap(stream, 100)).collect(), 4);
        let cut = pieces.iter().filter(|piece| piece.range.is_some()).map(|piece| piece.task.stream);
        let cut: std::collections::BTreeSet<StreamId> = cut.collect();
        assert!(cut.len() < 4, "{cut:?}");
        assert!(spread(&done_at) <= 8, "{done_at:?}");
    }

    #[test]
    fn a_table_larger_than_all_others_is_cut_and_they_are_not() {
        let (pieces, done_at) = simulate(vec![heap(1, 835), heap(2, 300), heap(3, 200), heap(4, 100)], 2);
        assert!(pieces.iter().filter(|piece| piece.range.is_some()).count() >= 2);
        assert!(spread(&done_at) <= 8, "{done_at:?}");
        let whole = pieces.iter().filter(|piece| piece.range.is_none()).count();
        assert!(whole >= 2, "{pieces:?}");
    }

    #[test]
    fn a_table_a_little_larger_than_its_share_is_not_cut() {
        let (pieces, done_at) = simulate(vec![heap(1, 938), heap(2, 400), heap(3, 379)], 2);
        assert!(pieces.iter().all(|piece| piece.range.is_none()), "{pieces:?}");
        assert_eq!(done_at.iter().max(), Some(&938));
    }

    #[test]
    fn what_cannot_be_cut_is_read_whole_beside_what_can() {
        let (pieces, done_at) = simulate(vec![task(1, 500 * MIB), heap(2, 300)], 4);
        assert_eq!(pieces.iter().filter(|piece| piece.task.stream.0 == 1).count(), 1);
        assert!(pieces.len() > 2);
        // Nothing is gained by cutting what is done before the other one anyhow.
        assert_eq!(done_at.iter().max(), Some(&500));
    }

    #[test]
    fn small_tables_are_taken_together_and_shared_to_the_end() {
        let tasks = || (0..1000).map(|stream| task(stream, if stream < 3 { 10 * MIB } else { 8192 })).collect();
        let mut one = queue(tasks(), 4);
        let first: Vec<usize> = (0..4).map(|_| one.next_many().len()).collect();
        assert_eq!(first, [1, 1, 1, SMALL_TABLES_MAX]);
        let mut sizes = Vec::new();
        loop {
            let pieces = one.next_many();
            if pieces.is_empty() {
                break;
            }
            sizes.push(pieces.len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), 1000 - 3 - SMALL_TABLES_MAX);
        assert!(sizes.len() > 30 && sizes.ends_with(&[1, 1, 1, 1]), "{sizes:?}");
        // A larger one among them ends a batch: nothing waits behind its rows.
        let mut mixed = queue((0..100).map(|stream| heap(stream, 1)).collect(), 1);
        assert_eq!(mixed.next_many().len(), 1);
    }

    #[test]
    fn no_more_connections_are_opened_than_can_work() {
        assert_eq!(queue(vec![], 8).connections(), 0);
        assert_eq!(queue(vec![task(1, 900 * MIB), heap(2, 1)], 8).connections(), 2);
        assert_eq!(queue(vec![heap(1, 17)], 8).connections(), 4);
        assert_eq!(queue(vec![heap(1, 1000)], 8).connections(), 8);
    }
}
