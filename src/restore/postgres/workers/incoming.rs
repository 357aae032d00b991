//! Rows as they come to a connection, and how it loads them.
//!
//! From a file a connection takes a table; from a pipe or a bucket, whose members are read in their order, the next member.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use crate::archive::MemberEntry;
use crate::error::Result;
use crate::ident::StreamId;
use crate::pg::copy_in::{self, Visibility};
use crate::pipeline::{BLOCK_BYTES, Block, Deal, Dealt, Feed, FeedReceiver, Lot, Share, Spare};

use super::super::locks::TableId;
use super::super::relations::Relations;
use super::super::rows::{copied_table, load_block};
use super::{Worker, connected};

/// Rows are committed when none came for so long: others may wait for them.
pub(super) const OPEN_MAX: Duration = Duration::from_millis(100);

/// A table whose first member is smaller has no other, as a rule: a transaction would be two messages for nothing.
pub const FEW_BYTES: usize = BLOCK_BYTES / 2;

/// Rows on their way.
pub struct Rows {
    pub source: Source,
    pub awaited: Awaited,
}

#[derive(Clone)]
pub enum Source {
    /// Members as they come, to whoever asks next; and where their buffers go.
    Queue(Arc<AsyncMutex<FeedReceiver>>, Spare),
    /// Tables, and those that may be loaded frozen, as COPY names them.
    Deal { deal: Arc<Deal>, freezable: Arc<HashSet<Vec<u8>>> },
}

impl Source {
    pub fn queue(receiver: FeedReceiver) -> Self {
        let spare = receiver.spare();
        Source::Queue(Arc::new(AsyncMutex::new(receiver)), spare)
    }
}

pub(super) enum Came {
    Member(Block),
    Table(Lot),
}

/// What comes next; `None` after the last.
pub(super) async fn receive(source: Option<&Source>) -> Option<Came> {
    match source? {
        Source::Queue(receiver, _) => loop {
            match receiver.lock().await.recv().await? {
                Feed::Block(block) => return Some(Came::Member(block)),
                Feed::End { .. } => {}
            }
        },
        Source::Deal { deal, .. } => deal.take().await.map(Came::Table),
    }
}

/// Members that are still to come, by the tables whose rows travel together.
#[derive(Debug, Default)]
pub struct Awaited {
    members: HashMap<TableId, u64>,
    groups: HashMap<StreamId, TableId>,
}

impl Awaited {
    /// Tables of which something is still to come.
    pub(super) fn tables(&self) -> HashSet<TableId> {
        self.members.keys().copied().collect()
    }

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
    pub(super) fn arrived(&mut self, stream: StreamId, arrived: u64) -> Option<TableId> {
        let group = *self.groups.get(&stream)?;
        let members = self.members.get_mut(&group)?;
        *members = members.saturating_sub(arrived);
        (*members == 0).then_some(group)
    }
}

/// Members of one table that are loaded and not committed.
pub(super) struct Open {
    stream: StreamId,
    members: u64,
}

impl Worker {
    /// Loads one member, and commits it with the others of its table.
    pub(super) async fn load(&mut self, block: Block) -> Result<()> {
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
        if let Some(Source::Queue(_, spare)) = &self.rows {
            spare.give(block.bytes);
        }
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<()> {
        let (Some(Open { stream, members }), Some(conn)) = (self.open.take(), &mut self.conn) else { return Ok(()) };
        self.site.loading.cancel.guard(copy_in::execute(conn, b"COMMIT")).await?;
        self.site.loaded(stream, members);
        Ok(())
    }

    /// Loads what comes of one table: in one transaction and one COPY.
    pub(super) async fn load_table(&mut self, mut lot: Lot) -> Result<()> {
        let site = Arc::clone(&self.site);
        let (cancel, progress) = (&site.loading.cancel, &site.loading.progress);
        let Some(Source::Deal { deal, freezable }) = self.rows.clone() else { return Ok(()) };
        let Some(mut member) = cancel.guard(next(&mut lot)).await? else { return Ok(()) };
        let conn = cancel.guard(connected(&mut self.conn, &site.loading)).await?;
        let plan = Plan::of(lot.share, &member, &freezable);
        cancel.guard(copy_in::execute_if_any(conn, &plan.before)).await?;
        let mut copy = copy_in::Loading::new(plan.visibility);
        let mut members = 0;
        loop {
            cancel.guard(copy.add(conn, &member.bytes, member.rows, cancel)).await?;
            progress.add_raw(member.bytes.len() as u64, member.rows);
            (members, self.loaded) = (members + 1, self.loaded + member.rows);
            deal.spare().give(member.bytes);
            match cancel.guard(next(&mut lot)).await? {
                Some(one) => member = one,
                None => break,
            }
        }
        cancel.guard(copy.finish(conn)).await?;
        cancel.guard(copy_in::execute_if_any(conn, plan.after)).await?;
        site.loaded(lot.stream, members);
        Ok(())
    }
}

async fn next(lot: &mut Lot) -> Result<Option<Dealt>> {
    Ok(lot.next().await)
}

/// What stands around a table's rows.
struct Plan {
    before: Vec<u8>,
    after: &'static [u8],
    visibility: Visibility,
}

impl Plan {
    fn of(share: Share, first: &Dealt, freezable: &HashSet<Vec<u8>>) -> Plan {
        let table = copied_table(&first.bytes);
        if share == Share::Single && first.bytes.len() < FEW_BYTES {
            return Plan { before: Vec::new(), after: b"", visibility: Visibility::Usual };
        }
        match share != Share::Part && freezable.contains(table) {
            true => {
                let before = [b"BEGIN; TRUNCATE TABLE ONLY ", table].concat();
                Plan { before, after: b"COMMIT", visibility: Visibility::Frozen }
            }
            false => Plan { before: b"BEGIN".to_vec(), after: b"COMMIT", visibility: Visibility::Usual },
        }
    }
}
