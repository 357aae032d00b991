//! N connections that load rows and build what stands on them, side by side.
//!
//! Each worker takes a step of post-data that may start, else the next member of rows, else waits. So the indexes of the
//! largest table, whose rows come first, are built while other tables are loaded. The first error stops all; statements
//! that run then are ended on the server as well. How fast the script is read is up to the schedule's window.
//!
//! A connection loads all that it gets of a table in one transaction: autovacuum, which a commit for each member would
//! call, holds a lock that an index build waits a second for, and reads what is about to be read anyhow. An index is built
//! by several processes only if there are connections that have nothing to do: they cost more than they save.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::archive::MemberEntry;
use crate::error::{Result, first_cause};
use crate::ident::StreamId;
use crate::pg::copy_in;
use crate::pg::settings::helpers;
use crate::pg::wire::Conn;
use crate::pipeline::{BLOCK_BYTES, Block, Feed, FeedReceiver, Spare, joined};

use super::fitting::Fitting;
use super::left::LeftBehind;
use super::locks::TableId;
use super::parts;
use super::relations::Relations;
use super::rows::{Loading, load_block};
use super::schedule::{Finished, Schedule, Started};
use super::script::{Frame, Runner};
use super::steps::Step;

/// A connection that waits longer for something to do is closed: the one index that others wait for may take hours, in
/// which a firewall forgets them.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Rows are committed when none came for so long: others may wait for them.
const OPEN_MAX: Duration = Duration::from_millis(100);

/// A table whose first member is smaller has no other, as a rule: a transaction would be two messages for nothing.
const FEW_BYTES: usize = BLOCK_BYTES / 2;

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

    /// So many members of this stream are there; the tables that are complete by them.
    fn arrived(&mut self, stream: StreamId, arrived: u64) -> Option<TableId> {
        let group = *self.groups.get(&stream)?;
        let members = self.members.get_mut(&group)?;
        *members = members.saturating_sub(arrived);
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
    /// Connections that do something.
    busy: usize,
    /// Rows may still come.
    has_rows: bool,
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
    let has_rows = receiver.is_some();
    let state = State { schedule, left: std::mem::take(left), busy: 0, has_rows, told: Vec::new(), awaited };
    let (changed, room) = (Notify::new(), Notify::new());
    let (loading, fitting) = (loading.clone(), fitting.clone());
    let site = Arc::new(Site { state: Mutex::new(state), changed, room, loading, fitting });
    let mut workers = JoinSet::new();
    for _ in 0..site.loading.jobs.max(1) {
        let worker = Worker {
            site: Arc::clone(&site),
            conn: None,
            rows: receiver.clone(),
            spare: spare.clone(),
            open: None,
            helpers: None,
            loaded: 0,
        };
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
        let may_fail = self.fitting.lists_refusals();
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
        state.busy = state.busy.saturating_sub(1);
        state.schedule.done(part);
        drop(state);
        self.changed.notify_waiters();
        self.room.notify_one();
    }

    /// So many members of this stream are loaded.
    fn loaded(&self, stream: StreamId, members: u64) {
        let mut state = self.state();
        if let Some(group) = state.awaited.arrived(stream, members) {
            state.schedule.loaded(group);
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// Takes a step that may start, and how many connections will have nothing to do meanwhile.
    fn take(&self) -> (Option<Started<Step>>, usize, bool) {
        let mut state = self.state();
        let started = state.schedule.take();
        state.busy += usize::from(started.is_some());
        let jobs = self.loading.jobs.max(1);
        let busy = if state.has_rows { jobs } else { state.busy.saturating_add(state.schedule.ready()) };
        (started, jobs.saturating_sub(busy), state.schedule.is_done())
    }
}

/// Rows of one table that are loaded and not committed.
struct Open {
    stream: StreamId,
    members: u64,
}

/// One connection. It connects when it first has something to do, so that little work needs few.
struct Worker {
    site: Arc<Site>,
    conn: Option<Conn>,
    rows: Option<Arc<AsyncMutex<FeedReceiver>>>,
    /// Where buffers of loaded members go.
    spare: Spare,
    /// The connection's transaction.
    open: Option<Open>,
    /// What the connection's session was told last.
    helpers: Option<usize>,
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
            self.helpers = None;
            conn.close().await;
        }
    }

    async fn work(&mut self) -> Result<()> {
        let site = Arc::clone(&self.site);
        loop {
            let changed = site.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (started, idle, is_done) = site.take();
            if let Some(started) = started {
                self.commit().await?;
                self.build(started, idle).await?;
                continue;
            }
            if is_done && self.rows.is_none() {
                return Ok(());
            }
            let patience = if self.open.is_some() { OPEN_MAX } else { IDLE_MAX };
            let message = tokio::select! {
                biased;
                () = site.loading.cancel.cancelled() => return Err(site.loading.cancel.error()),
                message = receive(self.rows.as_deref()), if self.rows.is_some() => message,
                () = &mut changed => continue,
                () = sleep(patience), if self.conn.is_some() => {
                    match self.open {
                        Some(_) => self.commit().await?,
                        None => self.hang_up().await,
                    }
                    continue;
                }
            };
            match message {
                Some(Feed::Block(block)) => self.load(block).await?,
                Some(Feed::End { .. }) => {}
                None => {
                    self.commit().await?;
                    self.rows = None;
                    site.state().has_rows = false;
                }
            }
        }
    }

    /// Loads one member, and commits it with the others of its table.
    async fn load(&mut self, block: Block) -> Result<()> {
        if self.open.as_ref().is_some_and(|open| open.stream != block.stream) {
            self.commit().await?;
        }
        let site = Arc::clone(&self.site);
        let cancel = &site.loading.cancel;
        let conn = cancel.guard(connected(&mut self.conn, &site.loading)).await?;
        if self.open.is_none() && block.bytes.len() >= FEW_BYTES {
            cancel.guard(copy_in::execute(conn, b"BEGIN")).await?;
            self.open = Some(Open { stream: block.stream, members: 0 });
        }
        self.loaded += cancel.guard(load_block(conn, &block, &site.loading)).await?;
        match &mut self.open {
            Some(open) => open.members += 1,
            None => site.loaded(block.stream, 1),
        }
        self.spare.give(block.bytes);
        Ok(())
    }

    async fn commit(&mut self) -> Result<()> {
        let (Some(Open { stream, members }), Some(conn)) = (self.open.take(), &mut self.conn) else { return Ok(()) };
        self.site.loading.cancel.guard(copy_in::execute(conn, b"COMMIT")).await?;
        self.site.loaded(stream, members);
        Ok(())
    }

    async fn build(&mut self, started: Started<Step>, idle: usize) -> Result<()> {
        let is_heavy = started.weight > 0;
        let (step, part) = started.into_parts();
        if is_heavy {
            self.allow_helpers(idle).await?;
        }
        let left = self.step(&step).await?;
        self.site.done(part, step.at, left);
        Ok(())
    }

    async fn allow_helpers(&mut self, idle: usize) -> Result<()> {
        if self.helpers != Some(idle) {
            let conn = self.site.loading.cancel.guard(connected(&mut self.conn, &self.site.loading)).await?;
            copy_in::execute(conn, helpers(idle).as_bytes()).await?;
            self.helpers = Some(idle);
        }
        Ok(())
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
