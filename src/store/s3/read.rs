//! Stored bytes, read by ranges, several ranges at once ahead of the reader.
//!
//! Whoever knows what will be read says so ([`Bytes::expect`]); whoever reads on where the last read ended is expected
//! to go on. All else is fetched when it is asked for, and nothing beside it: one table of many costs its own bytes.
//! Every read is bound to the ETag that was seen first: bytes of two objects are never mixed.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::store::{Bytes, error};

use super::fault::{Class, Fault};
use super::place::{Place, Standing};

/// One request. Large enough that its first byte's way does not matter, small enough that several fit.
const UNIT_BYTES: u64 = 4 << 20;
/// Fetched and not read yet, or under way.
const AHEAD_BYTES: u64 = 32 << 20;
/// What is fetched along with its neighbours rather than by a request of its own.
const GAP_BYTES: u64 = 16 << 10;
/// Reads that each begin where the one before ended, before the next ones are fetched unasked.
const STREAK: u32 = 2;

/// The objects of one file, in order.
pub(super) struct Objects(Vec<(String, Standing)>);

impl Objects {
    pub(super) fn open(place: &Arc<Place>, keys: Vec<String>) -> Result<Self, Fault> {
        let asked = Arc::clone(place);
        let found = place.io.wait(async move {
            let mut found = Vec::new();
            for key in keys {
                let standing = asked.head(&key).await?;
                found.push((key, standing));
            }
            Ok(found)
        });
        found.unwrap_or_else(|| Err(Fault::local(Class::Refused, "the run is stopped"))).map(Objects)
    }
}

pub(super) struct Read {
    core: Arc<Core>,
    ahead: Mutex<Ahead>,
}

struct Core {
    place: Arc<Place>,
    objects: Vec<(String, Standing)>,
    len: u64,
    shown: String,
}

#[derive(Default)]
struct Ahead {
    units: Vec<Unit>,
    queue: VecDeque<Wanted>,
    /// The queue was guessed from the order of reads: it is dropped when the order ends.
    guessed: bool,
    last_end: u64,
    streak: u32,
}

struct Wanted {
    span: Range<u64>,
    /// Bytes of the span that somebody will read.
    wanted: u64,
}

/// One range that is fetched or under way.
struct Unit {
    span: Range<u64>,
    left: u64,
    bytes: Fetched,
}

type Fetched = Arc<OnceCell<Result<Vec<u8>, Fault>>>;

impl Read {
    pub(super) fn new(place: Arc<Place>, objects: Objects, shown: String) -> Self {
        let len = objects.0.iter().map(|(_, standing)| standing.size).fold(0, u64::saturating_add);
        Read { core: Arc::new(Core { place, objects: objects.0, len, shown }), ahead: Mutex::default() }
    }

    /// Exactly these bytes, by a request of their own.
    pub(super) fn fetch(&self, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        if buf.is_empty() {
            return Ok(());
        }
        let core = Arc::clone(&self.core);
        let span = offset..offset.saturating_add(buf.len() as u64);
        match self.core.place.io.wait(async move { core.fetch(span).await }) {
            Some(Ok(bytes)) if bytes.len() == buf.len() => {
                buf.copy_from_slice(&bytes);
                Ok(())
            }
            Some(Ok(_)) => Err(Fault::local(Class::Refused, "the object is shorter than it was")),
            Some(Err(fault)) => Err(fault),
            None => Err(Fault::local(Class::Refused, "the run is stopped")),
        }
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the bytes of this span are, or will be, if all of it was fetched ahead.
    fn find(&self, span: &Range<u64>) -> Option<Vec<(Range<u64>, Fetched)>> {
        let mut ahead = self.ahead();
        ahead.note(span);
        let found = match ahead.covering(span) {
            None if ahead.streak >= STREAK && ahead.queue.is_empty() && (ahead.guessed || ahead.units.is_empty()) => {
                ahead.guess(span.start..self.core.len);
                self.top_up(&mut ahead);
                ahead.covering(span)
            }
            found => found,
        };
        if found.is_none() && ahead.guessed {
            ahead.forget();
        }
        found
    }

    fn used(&self, span: &Range<u64>) {
        let mut ahead = self.ahead();
        // Headers are read before what they head: a unit goes when it was read and the reader is elsewhere.
        ahead.units.retain(|unit| unit.left > 0 || overlap(&unit.span, span) > 0);
        for unit in &mut ahead.units {
            unit.left = unit.left.saturating_sub(overlap(&unit.span, span));
        }
        self.top_up(&mut ahead);
    }

    fn top_up(&self, ahead: &mut Ahead) {
        loop {
            let held: u64 = ahead.units.iter().map(|unit| unit.span.end - unit.span.start).sum();
            let Some(Wanted { span, wanted }) = ahead.queue.pop_front() else { return };
            let len = span.end - span.start;
            if held > 0 && held + len > AHEAD_BYTES {
                ahead.queue.push_front(Wanted { span, wanted });
                return;
            }
            let bytes = Fetched::default();
            let (cell, core, range) = (Arc::clone(&bytes), Arc::clone(&self.core), span.clone());
            self.core.place.io.spawn(async move {
                cell.get_or_init(|| core.fetch(range)).await;
            });
            ahead.units.push(Unit { span, left: wanted, bytes });
        }
    }

    fn copy(&self, (span, fetched): &(Range<u64>, Fetched), wanted: &Range<u64>, buf: &mut [u8]) -> Result<(), Fault> {
        let (cell, core, range) = (Arc::clone(fetched), Arc::clone(&self.core), span.clone());
        // Begun here if its task has not come to it yet.
        let waiting = async move { cell.get_or_init(|| core.fetch(range)).await.as_ref().err().cloned() };
        match self.core.place.io.wait(waiting) {
            None => return Err(Fault::local(Class::Refused, "the run is stopped")),
            Some(Some(fault)) => return Err(fault),
            Some(None) => {}
        }
        let Some(Ok(bytes)) = fetched.get() else { return Err(Fault::local(Class::Passing, "a range was lost")) };
        let (from, to) = (wanted.start.max(span.start), wanted.end.min(span.end));
        let place = |at: u64, base: u64| usize::try_from(at.saturating_sub(base)).unwrap_or(usize::MAX);
        let source = bytes.get(place(from, span.start)..place(to, span.start));
        let target = buf.get_mut(place(from, wanted.start)..place(to, wanted.start));
        match (source, target) {
            (Some(source), Some(target)) => {
                target.copy_from_slice(source);
                Ok(())
            }
            _ => Err(Fault::local(Class::Refused, "the object is shorter than it was")),
        }
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        let span = offset..offset.saturating_add(buf.len() as u64);
        let Some(found) = self.find(&span) else { return self.fetch(offset, buf) };
        for piece in &found {
            self.copy(piece, &span, buf)?;
        }
        self.used(&span);
        Ok(())
    }
}

impl Core {
    async fn fetch(&self, span: Range<u64>) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let mut base = 0;
        for (key, standing) in &self.objects {
            let here = base..base + standing.size;
            let (from, to) = (span.start.max(here.start), span.end.min(here.end));
            if from < to {
                let read = self.place.client.read(key, from - base, to - from, standing.etag.as_deref()).await;
                let mut read = read.map_err(|fault| match fault.class {
                    Class::Stands => Fault::local(Class::Refused, "it was replaced while it was read"),
                    _ => fault,
                })?;
                if bytes.is_empty() {
                    bytes = read;
                } else {
                    bytes.append(&mut read);
                }
            }
            base = here.end;
        }
        Ok(bytes)
    }
}

impl Ahead {
    fn note(&mut self, span: &Range<u64>) {
        self.streak = if span.start == self.last_end { self.streak + 1 } else { 0 };
        self.last_end = span.end;
    }

    fn guess(&mut self, rest: Range<u64>) {
        self.guessed = true;
        self.queue = Wanted::units(rest).collect();
    }

    fn forget(&mut self) {
        self.queue.clear();
        self.units.clear();
        self.guessed = false;
    }

    fn covering(&self, span: &Range<u64>) -> Option<Vec<(Range<u64>, Fetched)>> {
        let mut touched: Vec<&Unit> = self.units.iter().filter(|unit| overlap(&unit.span, span) > 0).collect();
        touched.sort_by_key(|unit| unit.span.start);
        let mut at = span.start;
        for unit in &touched {
            if unit.span.start > at {
                return None;
            }
            at = at.max(unit.span.end);
        }
        (at >= span.end).then(|| touched.iter().map(|unit| (unit.span.clone(), Arc::clone(&unit.bytes))).collect())
    }
}

impl Wanted {
    fn all(span: Range<u64>) -> Self {
        Wanted { wanted: span.end - span.start, span }
    }

    /// Neighbours in one request, in the order in which they will be read.
    fn of(ranges: &[Range<u64>]) -> VecDeque<Wanted> {
        let mut queue: VecDeque<Wanted> = VecDeque::new();
        for range in ranges.iter().filter(|range| range.start < range.end) {
            match queue.back_mut() {
                Some(last)
                    if range.start >= last.span.end
                        && range.start - last.span.end <= GAP_BYTES
                        && range.end - last.span.start <= UNIT_BYTES =>
                {
                    last.span.end = range.end;
                    last.wanted += range.end - range.start;
                }
                _ => queue.extend(Wanted::units(range.clone())),
            }
        }
        queue
    }

    /// A long range in requests of a length that several of them fit.
    fn units(range: Range<u64>) -> impl Iterator<Item = Wanted> {
        let starts = (range.start..range.end).step_by(usize::try_from(UNIT_BYTES).unwrap_or(usize::MAX));
        starts.map(move |start| Wanted::all(start..(start + UNIT_BYTES).min(range.end)))
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> u64 {
    one.end.min(other.end).saturating_sub(one.start.max(other.start))
}

impl Bytes for Read {
    fn len(&self) -> u64 {
        self.core.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if buf.is_empty() && offset <= self.core.len {
            return Ok(());
        }
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.core.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read(offset, buf).map_err(|fault| {
            let cancel = self.core.place.io.cancel();
            let doing = format!("cannot read {}", self.core.shown);
            let error = if cancel.is_cancelled() { cancel.error() } else { fault.into_error(doing) };
            error::in_io(error, io::ErrorKind::Other)
        })
    }

    fn expect(&self, ranges: &[Range<u64>]) {
        let mut ahead = self.ahead();
        ahead.forget();
        ahead.queue = Wanted::of(ranges);
        self.top_up(&mut ahead);
    }

    fn wants_order(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_request_and_strangers_do_not() {
        let far = 100 << 20;
        let ranges = [0..10, 10..20, 30..40, far..far + 5, 50..60, 60..60 + UNIT_BYTES];
        let spans: Vec<_> = Wanted::of(&ranges).into_iter().map(|one| (one.span, one.wanted)).collect();
        assert_eq!(spans, [(0..40, 30), (far..far + 5, 5), (50..60, 10), (60..60 + UNIT_BYTES, UNIT_BYTES)]);
    }

    #[test]
    fn only_whole_coverage_counts() {
        let mut ahead = Ahead::default();
        for span in [10..20, 20..30, 40..50] {
            ahead.units.push(Unit { left: 10, span, bytes: Fetched::default() });
        }
        let covers = |span: Range<u64>| ahead.covering(&span).map(|found| found.len());
        assert_eq!(covers(10..30), Some(2));
        assert_eq!(covers(12..18), Some(1));
        assert_eq!((covers(5..12), covers(25..45), covers(60..70)), (None, None, None));
    }
}
