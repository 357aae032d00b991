//! From an archive to several connections, a table to each: threads inflate members ahead of those who load them.
//!
//! Members wait in lanes. A lane gets the members of one table after the other, in order, whenever it has room; who
//! loads takes a lane, empties it up to the end of a table, and puts it back. So a table is loaded by one connection, which
//! costs its server less than several that extend one file, while nobody waits for one that is busy elsewhere. Tables that
//! are larger than what there is to do beside them are dealt to all lanes, member by member.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;

use crate::archive::{Archive, MemberEntry, ReadAt};
use crate::cancel::Cancel;
use crate::error::{Result, first_cause};
use crate::ident::StreamId;

use super::feed::Spare;
use super::unpack::join;

/// How long a thread that waits for room goes without looking whether the run was stopped.
const LOOK: Duration = Duration::from_millis(100);

/// How much of a table comes into one lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Share {
    /// Members of it, others go elsewhere.
    Part,
    /// All of its members.
    Whole,
    /// The only one that it has.
    Single,
}

/// One checked member.
#[derive(Debug)]
pub struct Dealt {
    pub bytes: Vec<u8>,
    pub rows: u64,
    _leave: Option<Leave>,
}

/// Members between the threads that inflate and the connections that load.
pub struct Deal {
    state: Arc<Mutex<State>>,
    signals: Arc<Signals>,
    /// Raw bytes that may wait in one lane.
    lane_bytes: u64,
    spare: Spare,
}

#[derive(Debug, Default)]
struct Signals {
    /// A thread may find something to inflate.
    room: Condvar,
    /// A lane got something, lost something, or came back.
    moved: Notify,
}

#[derive(Debug)]
struct State {
    /// Table by table, the largest first.
    members: Vec<MemberEntry>,
    /// Of tables that go to all lanes.
    shared: Range<usize>,
    /// Of tables that go to one lane each.
    whole: Range<usize>,
    lanes: Vec<Lane>,
    /// A member larger than a lane is under way: one at a time.
    is_oversize_out: bool,
}

#[derive(Debug, Default)]
struct Lane {
    /// What is left of the table that was dealt to it last.
    table: Range<usize>,
    slots: VecDeque<Slot>,
    /// The ticket of the first slot.
    first: u64,
    bytes: u64,
    is_taken: bool,
}

/// A member on its way, in the order of the lane.
#[derive(Debug)]
struct Slot {
    stream: StreamId,
    share: Share,
    raw: u64,
    content: Option<Dealt>,
}

/// What a thread is to inflate, and where it belongs.
struct Order {
    lane: usize,
    ticket: u64,
    member: MemberEntry,
    leave: Option<Leave>,
}

/// Held while a member larger than a lane is in memory.
#[derive(Debug)]
struct Leave {
    state: Arc<Mutex<State>>,
    signals: Arc<Signals>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        lock(&self.state).is_oversize_out = false;
        self.signals.room.notify_all();
    }
}

impl Deal {
    /// `members` come table by table, the largest first. `budget` is in raw bytes, for all lanes together.
    pub fn new(members: Vec<MemberEntry>, lanes: usize, budget: usize) -> Deal {
        let lanes = lanes.max(1);
        let shared = 0..shared_members(&members, lanes);
        let whole = shared.end..members.len();
        let lane_bytes = (budget / lanes).max(1) as u64;
        let lanes = (0..lanes).map(|_| Lane::default()).collect();
        let state = State { members, shared, whole, lanes, is_oversize_out: false };
        Deal { state: Arc::new(Mutex::new(state)), signals: Arc::default(), lane_bytes, spare: Spare::of_blocks() }
    }

    /// Where buffers of loaded members go.
    pub fn spare(&self) -> Spare {
        self.spare.clone()
    }

    /// A lane with something to load. `None` when nothing is left that somebody else does not have; waits while there
    /// may be.
    pub async fn take(self: &Arc<Self>) -> Option<Lot> {
        loop {
            let moved = self.signals.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            {
                let mut state = lock(&self.state);
                if let Some((lane, stream, share)) = state.take() {
                    return Some(Lot { deal: Arc::clone(self), lane, stream, share });
                }
                if state.is_empty() {
                    return None;
                }
            }
            moved.await;
        }
    }

    /// Waits for a lane with room. `None` when all is dealt.
    fn next_order(&self, cancel: &Cancel) -> Result<Option<Order>> {
        let mut state = lock(&self.state);
        loop {
            cancel.check()?;
            if state.is_dealt() {
                return Ok(None);
            }
            if let Some((lane, ticket, member, is_oversize)) = state.deal(self.lane_bytes) {
                // Somebody may wait for more of a table that has now gone elsewhere.
                self.signals.moved.notify_waiters();
                let leave = || Leave { state: Arc::clone(&self.state), signals: Arc::clone(&self.signals) };
                return Ok(Some(Order { lane, ticket, member, leave: is_oversize.then(leave) }));
            }
            let waited = self.signals.room.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn deliver(&self, order: Order, bytes: Vec<u8>) {
        let dealt = Dealt { bytes, rows: order.member.rows, _leave: order.leave };
        lock(&self.state).deliver(order.lane, order.ticket, dealt);
        self.signals.moved.notify_waiters();
    }

    fn changed(&self) {
        self.signals.room.notify_all();
        self.signals.moved.notify_waiters();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many members, from the first one, belong to tables that would keep one connection busy after the others are done:
/// they are more than 7/4 of a connection's share. Less than that is better loaded by one: meanwhile the others build
/// what stands on their tables.
fn shared_members(members: &[MemberEntry], lanes: usize) -> usize {
    let bytes = |members: &[MemberEntry]| members.iter().fold(0_u128, |sum, one| sum.saturating_add(one.raw.into()));
    let total = bytes(members);
    let is_large = |table: &&[MemberEntry]| bytes(table).saturating_mul(4 * lanes as u128) > total.saturating_mul(7);
    let tables = members.chunk_by(|one, other| one.stream == other.stream);
    tables.take_while(is_large).map(<[MemberEntry]>::len).sum()
}

impl State {
    /// Takes a lane in which something lies ready.
    fn take(&mut self) -> Option<(usize, StreamId, Share)> {
        let ready = |lane: &Lane| lane.slots.front().is_some_and(|slot| !lane.is_taken && slot.content.is_some());
        let at = self.lanes.iter().position(ready)?;
        let lane = self.lanes.get_mut(at)?;
        lane.is_taken = true;
        lane.slots.front().map(|slot| (at, slot.stream, slot.share))
    }

    fn is_dealt(&self) -> bool {
        self.shared.is_empty() && self.whole.is_empty() && self.lanes.iter().all(|lane| lane.table.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.is_dealt() && self.lanes.iter().all(|lane| lane.slots.is_empty())
    }

    /// Reserves a slot in the lane that has least, if one has room.
    fn deal(&mut self, lane_bytes: u64) -> Option<(usize, u64, MemberEntry, bool)> {
        let mut order: Vec<usize> = (0..self.lanes.len()).collect();
        order.sort_by_key(|lane| self.lanes.get(*lane).map_or(u64::MAX, |lane| lane.bytes));
        for at in order {
            let Some((member, share)) = self.next_of(at) else { continue };
            let is_oversize = member.raw > lane_bytes;
            let (out, Some(lane)) = (self.is_oversize_out, self.lanes.get(at)) else { continue };
            let fits = lane.bytes.saturating_add(member.raw) <= lane_bytes;
            if !fits && !(lane.slots.is_empty() && !(is_oversize && out)) {
                continue;
            }
            self.advance(at, share);
            self.is_oversize_out |= is_oversize;
            let lane = self.lanes.get_mut(at)?;
            lane.bytes = lane.bytes.saturating_add(member.raw);
            let ticket = lane.first.saturating_add(lane.slots.len() as u64);
            lane.slots.push_back(Slot { stream: member.stream, share, raw: member.raw, content: None });
            return Some((at, ticket, member, is_oversize));
        }
        None
    }

    /// The member that the lane would get next.
    fn next_of(&self, at: usize) -> Option<(MemberEntry, Share)> {
        let lane = self.lanes.get(at)?;
        let (from, is_whole) = match (lane.table.is_empty(), self.shared.is_empty()) {
            (false, _) => (lane.table.start, true),
            (true, false) => (self.shared.start, false),
            (true, true) if !self.whole.is_empty() => (self.whole.start, true),
            (true, true) => return None,
        };
        let member = self.members.get(from)?;
        let is_last = self.members.get(from.saturating_add(1)).is_none_or(|next| next.stream != member.stream);
        let share = match (is_whole, member.seq == 0 && is_last) {
            (false, _) => Share::Part,
            (true, false) => Share::Whole,
            (true, true) => Share::Single,
        };
        Some((*member, share))
    }

    /// The lane gets what `next_of` named.
    fn advance(&mut self, at: usize, share: Share) {
        if share == Share::Part {
            self.shared.start = self.shared.start.saturating_add(1);
            return;
        }
        let State { members, whole, lanes, .. } = self;
        let Some(lane) = lanes.get_mut(at) else { return };
        if lane.table.is_empty() {
            let rest = members.get(whole.clone()).unwrap_or_default();
            let len = rest.chunk_by(|one, other| one.stream == other.stream).next().map_or(0, <[_]>::len);
            lane.table = whole.start..whole.start.saturating_add(len);
            whole.start = lane.table.end;
        }
        lane.table.start = lane.table.start.saturating_add(1);
    }

    fn deliver(&mut self, lane: usize, ticket: u64, dealt: Dealt) {
        let slot = self.lanes.get_mut(lane).and_then(|lane| {
            let at = ticket.checked_sub(lane.first)?;
            lane.slots.get_mut(usize::try_from(at).ok()?)
        });
        if let Some(slot) = slot {
            slot.content = Some(dealt);
        }
    }

    /// The next member of this stream from the lane.
    fn pop(&mut self, at: usize, stream: StreamId) -> Popped {
        let may_come = self.next_of(at).is_some_and(|(member, _)| member.stream == stream);
        let Some(lane) = self.lanes.get_mut(at) else { return Popped::End };
        match lane.slots.front_mut() {
            Some(slot) if slot.stream != stream => Popped::End,
            Some(slot) => match slot.content.take() {
                Some(dealt) => {
                    lane.bytes = lane.bytes.saturating_sub(slot.raw);
                    lane.first = lane.first.saturating_add(1);
                    lane.slots.pop_front();
                    Popped::Member(dealt)
                }
                None => Popped::Wait,
            },
            None if may_come => Popped::Wait,
            None => Popped::End,
        }
    }
}

enum Popped {
    Member(Dealt),
    Wait,
    End,
}

/// A lane in one taker's hands, up to the end of a table. It goes back when this is dropped.
pub struct Lot {
    deal: Arc<Deal>,
    lane: usize,
    pub stream: StreamId,
    pub share: Share,
}

impl Lot {
    /// The table's next member that came into this lane, in order.
    pub async fn next(&mut self) -> Option<Dealt> {
        loop {
            let moved = self.deal.signals.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let popped = lock(&self.deal.state).pop(self.lane, self.stream);
            match popped {
                Popped::Member(dealt) => {
                    self.deal.changed();
                    return Some(dealt);
                }
                Popped::End => return None,
                Popped::Wait => moved.await,
            }
        }
    }
}

impl Drop for Lot {
    fn drop(&mut self) {
        if let Some(lane) = lock(&self.deal.state).lanes.get_mut(self.lane) {
            lane.is_taken = false;
        }
        self.deal.changed();
    }
}

/// Inflates and checks all members, by so many threads, and returns when all are dealt. Blocks the calling thread.
pub fn unpack_dealt<R: ReadAt>(archive: &Archive<R>, deal: &Deal, threads: usize, cancel: &Cancel) -> Result<()> {
    let work = || -> Result<()> {
        while let Some(order) = deal.next_order(cancel)? {
            let mut bytes = deal.spare.take();
            archive.read_member(&order.member, &mut bytes)?;
            deal.deliver(order, deal.spare.fitted(bytes));
        }
        Ok(())
    };
    // Whatever ends a thread early, a panic too, leaves a slot that is never filled: nobody may wait for it.
    let stopping = || {
        let stop = cancel.clone().drop_guard();
        let outcome = work();
        if outcome.is_ok() {
            stop.disarm();
        }
        outcome
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(stopping)).collect();
        first_cause(threads.into_iter().map(join)).map(|_| ())
    })
}

#[cfg(test)]
mod tests;
