//! N connections that load rows and build what stands on them, side by side.
//!
//! Each worker takes a step of post-data that may start, else the next member of rows, else waits. So the indexes of the
//! largest table, whose rows come first, are built while other tables are loaded. The first error stops all; statements
//! that run then are ended on the server as well. How fast the script is read is up to the schedule's window.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::archive::MemberEntry;
use crate::error::{Result, first_cause};
use crate::ident::StreamId;
use crate::pg::wire::Conn;
use crate::pipeline::{Feed, FeedReceiver, Spare, joined};

use super::fitting::Fitting;
use super::left::LeftBehind;
use super::locks::TableId;
use super::parts;
use super::relations::Relations;
use super::rows::{Loading, load_block};
use super::schedule::{Finished, Schedule};
use super::script::{Frame, Runner};
use super::steps::Step;

/// A connection that waits longer for something to do is closed: the one index that others wait for may take hours, in
/// which a firewall forgets them.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Rows on their way.
pub struct Rows {
    pub receiver: FeedReceiver,
    pub awaited: Awaited,
}

/// Members that are still to come, by the tables whose rows travel together.
#[derive(Debug, Default)]
pub struct Awaited {
    members: HashMap<TableId, u64>,
    groups: HashMap<StreamId, TableId>,
}

impl Awaited {
    pub fn of(members: &[MemberEntry], relations: &Relations) -> Self {
        let mut awaited = Awaited::default();
        for member in members {
            let Some(table) = relations.of_stream(member.stream) else { continue };
            let group = *awaited.groups.entry(member.stream).or_insert_with(|| relations.group(table));
            *awaited.members.entry(group).or_default() += 1;
        }
        awaited
    }

    /// A member of this stream is there; the tables that are complete by it.
    fn arrived(&mut self, stream: StreamId) -> Option<TableId> {
        let group = *self.groups.get(&stream)?;
        let members = self.members.get_mut(&group)?;
        *members = members.saturating_sub(1);
        (*members == 0).then_some(group)
    }
}

/// Steps as the script has them; `None` after the last.
pub type NextSteps<'a> = dyn FnMut() -> Result<Option<Vec<Step>>> + Send + 'a;

/// What the workers share.
struct Site {
    state: Mutex<State>,
    /// Something may have become possible.
    changed: Notify,
    /// A step is done: the window may have room.
    room: Notify,
    loading: Loading,
    fitting: Fitting,
}

struct State {
    schedule: Schedule<Step>,
    /// What earlier sections and steps could not make.
    left: LeftBehind,
    /// Lines of steps, by their position: the order in which they end is chance.
    told: Vec<(u32, LeftBehind)>,
    awaited: Awaited,
}

/// Loads all rows and runs all steps. Returns the rows loaded.
pub async fn run(
    loading: &Loading,
    fitting: &Fitting,
    rows: Option<Rows>,
    relations: &mut Relations,
    left: &mut LeftBehind,
    next: &mut NextSteps<'_>,
) -> Result<u64> {
    let spare = rows.as_ref().map_or_else(Spare::of_members, |rows| rows.receiver.spare());
    let (receiver, awaited) = rows.map(|rows| (rows.receiver, rows.awaited)).unzip();
    let (receiver, awaited) = (receiver.map(|one| Arc::new(AsyncMutex::new(one))), awaited.unwrap_or_default());
    let schedule = Schedule::new(awaited.members.keys().copied().collect());
    let state = State { schedule, left: std::mem::take(left), told: Vec::new(), awaited };
    let (changed, room) = (Notify::new(), Notify::new());
    let (loading, fitting) = (loading.clone(), fitting.clone());
    let site = Arc::new(Site { state: Mutex::new(state), changed, room, loading, fitting });
    let mut workers = JoinSet::new();
    for _ in 0..site.loading.jobs.max(1) {
        let worker =
            Worker { site: Arc::clone(&site), conn: None, rows: receiver.clone(), spare: spare.clone(), loaded: 0 };
        workers.spawn(worker.run());
    }
    drop(receiver);
    let outcomes = lead(&site, workers, relations, next).await;
    let mut state = site.state();
    *left = std::mem::take(&mut state.left);
    let mut told = std::mem::take(&mut state.told);
    told.sort_by_key(|(at, _)| *at);
    told.into_iter().for_each(|(_, one)| left.tell(one));
    first_cause(outcomes).map(|rows| rows.into_iter().sum())
}

/// Keeps the window filled until the last worker has ended.
async fn lead(
    site: &Site,
    mut workers: JoinSet<Result<u64>>,
    relations: &mut Relations,
    next: &mut NextSteps<'_>,
) -> Vec<Result<u64>> {
    let mut outcomes = Vec::new();
    loop {
        if let Err(error) = site.refill(relations, next) {
            site.loading.cancel.cancel();
            outcomes.push(Err(error));
        }
        tokio::select! {
            ended = workers.join_next() => match ended {
                Some(outcome) => outcomes.push(joined(outcome)),
                None => return outcomes,
            },
            () = site.room.notified() => {}
        }
    }
}

impl Site {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refill(&self, relations: &mut Relations, next: &mut NextSteps<'_>) -> Result<()> {
        let may_fail = self.fitting.other_major().is_some();
        while !self.loading.cancel.is_cancelled() && self.state().schedule.has_room() {
            let steps = next()?;
            let Some(steps) = steps else {
                self.state().schedule.complete();
                self.changed.notify_waiters();
                break;
            };
            for step in steps {
                let may_fail = may_fail || step.optional;
                let planned = parts::plan(step, relations, may_fail);
                self.state().schedule.add(planned);
            }
            self.changed.notify_waiters();
        }
        Ok(())
    }

    fn done(&self, part: Finished, at: u32, left: LeftBehind) {
        let mut state = self.state();
        state.left.keep_lost(&left);
        state.told.push((at, left));
        state.schedule.done(part);
        drop(state);
        self.changed.notify_waiters();
        self.room.notify_one();
    }

    /// A member of this stream is loaded.
    fn loaded(&self, stream: StreamId) {
        let mut state = self.state();
        if let Some(group) = state.awaited.arrived(stream) {
            state.schedule.loaded(group);
            drop(state);
            self.changed.notify_waiters();
        }
    }
}

/// One connection. It connects when it first has something to do, so that little work needs few.
struct Worker {
    site: Arc<Site>,
    conn: Option<Conn>,
    rows: Option<Arc<AsyncMutex<FeedReceiver>>>,
    /// Where buffers of loaded members go.
    spare: Spare,
    loaded: u64,
}

impl Worker {
    async fn run(mut self) -> Result<u64> {
        let outcome = self.work().await;
        if outcome.is_err() {
            self.site.loading.cancel.cancel();
        }
        outcome?;
        self.hang_up().await;
        Ok(self.loaded)
    }

    async fn hang_up(&mut self) {
        if let Some(conn) = self.conn.take() {
            conn.close().await;
        }
    }

    async fn work(&mut self) -> Result<()> {
        let site = Arc::clone(&self.site);
        loop {
            let changed = site.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (started, is_done) = {
                let mut state = site.state();
                (state.schedule.take(), state.schedule.is_done())
            };
            if let Some(started) = started {
                let (step, part) = started.into_parts();
                let left = self.step(&step).await?;
                site.done(part, step.at, left);
                continue;
            }
            if is_done && self.rows.is_none() {
                return Ok(());
            }
            let message = tokio::select! {
                biased;
                () = site.loading.cancel.cancelled() => return Err(site.loading.cancel.error()),
                message = receive(self.rows.as_deref()), if self.rows.is_some() => message,
                () = &mut changed => continue,
                () = sleep(IDLE_MAX), if self.conn.is_some() => {
                    self.hang_up().await;
                    continue;
                }
            };
            match message {
                Some(Feed::Block(block)) => {
                    let cancel = &site.loading.cancel;
                    let conn = cancel.guard(connected(&mut self.conn, &site.loading)).await?;
                    self.loaded += cancel.guard(load_block(conn, &block, &site.loading)).await?;
                    site.loaded(block.stream);
                    self.spare.give(block.bytes);
                }
                Some(Feed::End { .. }) => {}
                None => self.rows = None,
            }
        }
    }

    /// Runs one part of a step; what it leaves behind.
    async fn step(&mut self, step: &Step) -> Result<LeftBehind> {
        let site = &self.site;
        let mut left = site.state().left.about(step);
        let conn = site.loading.cancel.guard(connected(&mut self.conn, &site.loading)).await?;
        let (cancel, fitting) = (&site.loading.cancel, &site.fitting);
        // Only a sequence's loss looks for other entries, and sequences are made before rows.
        Runner { conn, frame: Frame::Step, cancel, fitting, left: &mut left }.wanted(step, step.optional, &[]).await?;
        Ok(left)
    }
}

async fn receive(rows: Option<&AsyncMutex<FeedReceiver>>) -> Option<Feed> {
    rows?.lock().await.recv().await
}

async fn connected<'a>(conn: &'a mut Option<Conn>, loading: &Loading) -> Result<&'a mut Conn> {
    match conn {
        Some(conn) => Ok(conn),
        None => Ok(conn.insert(loading.connect().await?)),
    }
}
