//! Where a producer packs its own block.
//!
//! A block that was read by one thread and is packed by another is fetched from the far end of the caches, and each of
//! the two is woken for it. Where there are as many producers as packers, both gain nothing from each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use crate::archive::{Codec, Packed};
use crate::error::Error;
use crate::ident::StreamId;

use super::feed::{Block, Spare};
use super::pack::pack_block;

/// What the writer gets, in whatever order the packers finish.
pub enum Work {
    Member { stream: StreamId, packed: Packed, permit: OwnedSemaphorePermit },
    End { stream: StreamId, rows: Option<u64> },
    Failed(Error),
}

pub struct Ticketed {
    pub ticket: u64,
    pub work: Work,
}

/// The order of members in the archive.
#[derive(Clone, Debug, Default)]
pub struct Tickets(Arc<AtomicU64>);

impl Tickets {
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// The writer ended; its own error says why.
pub struct Gone;

/// Closed until the packers have started. It belongs to the producers: the writer ends when the last of them is gone.
#[derive(Default)]
pub struct Desk(OnceLock<Tools>);

struct Tools {
    packers: usize,
    codecs: Mutex<Vec<Box<dyn Codec>>>,
    tickets: Tickets,
    spare: Spare,
    packed: SyncSender<Ticketed>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl Desk {
    pub fn open(
        &self,
        packers: usize,
        codecs: Vec<Box<dyn Codec>>,
        tickets: Tickets,
        spare: Spare,
        packed: SyncSender<Ticketed>,
    ) {
        let tools = Tools { packers, codecs: Mutex::new(codecs), tickets, spare, packed };
        // Packers start once.
        drop(self.0.set(tools));
    }

    /// A place at it, if it is open, if producers keep all cores busy, and as long as there are codecs.
    pub fn take(&self, producers: usize) -> Option<Seat<'_>> {
        let tools = self.0.get().filter(|tools| producers >= tools.packers)?;
        let codec = tools.codecs.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Seat { tools, codec })
    }
}

pub struct Seat<'a> {
    tools: &'a Tools,
    codec: Box<dyn Codec>,
}

impl Seat<'_> {
    /// Packs the block and hands its member to the writer; blocks the calling thread. `raw` is where its buffer goes.
    pub fn pack(self, block: Block, raw: &Spare) -> Result<(), Gone> {
        let Seat { tools, mut codec } = self;
        let ticket = tools.tickets.next();
        let work = pack_block(codec.as_mut(), block, &tools.spare, raw);
        tools.codecs.lock().unwrap_or_else(PoisonError::into_inner).push(codec);
        tools.packed.send(Ticketed { ticket, work }).map_err(|_| Gone)
    }
}
