//! N connections that load rows and build what stands on them, side by side.
//!
//! Each worker takes a step of post-data that may start, else the next member of rows, else waits. So the indexes of the
//! largest table, whose rows come first, are built while other tables are loaded. The first error stops all; statements
//! that run then are ended on the server as well. How fast the script is read is up to the schedule's window.
//!
//! A connection loads all that it gets of a table in one transaction: autovacuum, which a commit for each member would
//! call, holds a lock that an index build waits a second for, and reads what is about to be read anyhow. A table that it gets
//! whole it loads frozen: rows that are marked as visible once and for all are not marked, and written, a second time by the
//! first index that is built on them. An index is built by several processes only if there are connections that have
//! nothing to do: they cost more than they save.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::error::{Result, first_cause};
use crate::ident::StreamId;
use crate::pg::copy_in;
use crate::pg::settings::helpers;
use crate::pg::wire::Conn;
use crate::pipeline::joined;

use super::fitting::Fitting;
use super::left::LeftBehind;
use super::parts;
use super::relations::Relations;
use super::rows::Loading;
use super::schedule::{Finished, Schedule, Started};
use super::script::{Frame, Runner};
use super::steps::Step;

mod incoming;

pub use incoming::{Awaited, FEW_BYTES, Rows, Source};

use incoming::{Came, OPEN_MAX, Open, receive};

/// A connection that waits longer for something to do is closed: the one index that others wait for may take hours, in
/// which a firewall forgets them.
const IDLE_MAX: Duration = Duration::from_secs(60);

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
    let (source, awaited) = rows.map(|rows| (rows.source, rows.awaited)).unzip();
    let awaited = awaited.unwrap_or_default();
    let schedule = Schedule::new(awaited.tables());
    let has_rows = source.is_some();
    let state = State { schedule, left: std::mem::take(left), busy: 0, has_rows, told: Vec::new(), awaited };
    let (changed, room) = (Notify::new(), Notify::new());
    let (loading, fitting) = (loading.clone(), fitting.clone());
    let site = Arc::new(Site { state: Mutex::new(state), changed, room, loading, fitting });
    let mut workers = JoinSet::new();
    for _ in 0..site.loading.jobs.max(1) {
        let worker =
            Worker { site: Arc::clone(&site), conn: None, rows: source.clone(), open: None, helpers: None, loaded: 0 };
        workers.spawn(worker.run());
    }
    drop(source);
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
        if left.tells() {
            state.told.push((at, left));
        }
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

/// One connection. It connects when it first has something to do, so that little work needs few.
struct Worker {
    site: Arc<Site>,
    conn: Option<Conn>,
    rows: Option<Source>,
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
            let came = tokio::select! {
                biased;
                () = site.loading.cancel.cancelled() => return Err(site.loading.cancel.error()),
                came = receive(self.rows.as_ref()), if self.rows.is_some() => came,
                () = &mut changed => continue,
                () = sleep(patience), if self.conn.is_some() => {
                    match self.open {
                        Some(_) => self.commit().await?,
                        None => self.hang_up().await,
                    }
                    continue;
                }
            };
            match came {
                Some(Came::Member(block)) => self.load(block).await?,
                Some(Came::Table(lot)) => self.load_table(lot).await?,
                None => {
                    self.commit().await?;
                    self.rows = None;
                    site.state().has_rows = false;
                }
            }
        }
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

async fn connected<'a>(conn: &'a mut Option<Conn>, loading: &Loading) -> Result<&'a mut Conn> {
    match conn {
        Some(conn) => Ok(conn),
        None => Ok(conn.insert(loading.connect().await?)),
    }
}
