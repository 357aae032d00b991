//! From blocks to an archive: packer threads compress, the calling thread writes in order.
//!
//! Every message gets a ticket when it is taken from the queue; the writer puts members back into ticket
//! order. A block's share of the byte budget is held until its member is written, so the reorder buffer is bounded too.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio::sync::OwnedSemaphorePermit;

use crate::archive::{Codec, Packed, Writer};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;
use crate::progress::Progress;

use super::feed::{Block, Feed, FeedReceiver, Spare};

/// What the writer gets, in whatever order the packers finish.
enum Work {
    Member { stream: StreamId, packed: Packed, permit: OwnedSemaphorePermit },
    End { stream: StreamId, rows: Option<u64> },
    Failed(Error),
}

struct Ticketed {
    ticket: u64,
    work: Work,
}

/// Takes blocks until every producer is gone and appends their members to `writer`, which comes back unfinished:
/// only the caller knows whether the producers were done or died. One thread a codec; blocks the calling thread.
/// On failure `cancel` is pulled, so that the producers stop too.
pub fn pack_into<W: Write>(
    receiver: FeedReceiver,
    mut writer: Writer<W>,
    codecs: Vec<Box<dyn Codec>>,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<Writer<W>> {
    let spares = Spares { raw: receiver.spare(), packed: Spare::of_members() };
    let queue = Mutex::new(Queue { receiver, next_ticket: 0 });
    let (sender, packed) = sync_channel(codecs.len() * 2);
    let written = thread::scope(|scope| {
        for codec in codecs {
            let (sender, queue, spares) = (sender.clone(), &queue, &spares);
            scope.spawn(move || pack_blocks(queue, codec, spares, &sender));
        }
        drop(sender);
        let written = write_in_order(packed, &mut writer, &spares.packed, cancel, progress);
        if written.is_err() {
            cancel.cancel();
        }
        written
    });
    written.map(|()| writer)
}

struct Queue {
    receiver: FeedReceiver,
    next_ticket: u64,
}

impl Queue {
    fn take(&mut self) -> Option<(u64, Feed)> {
        let message = self.receiver.blocking_recv()?;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        Some((ticket, message))
    }
}

/// Where buffers of blocks and of members go round.
struct Spares {
    raw: Spare,
    packed: Spare,
}

/// One packer thread: ends when the producers are gone or the writer is.
fn pack_blocks(queue: &Mutex<Queue>, mut codec: Box<dyn Codec>, spares: &Spares, sender: &SyncSender<Ticketed>) {
    loop {
        let Some((ticket, message)) = queue.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let work = match message {
            Feed::End { stream, rows } => Work::End { stream, rows },
            Feed::Block(block) => match pack(codec.as_mut(), &block, spares.packed.take()) {
                Ok(packed) => {
                    spares.raw.give(block.bytes);
                    Work::Member { stream: block.stream, packed, permit: block.permit }
                }
                Err(error) => Work::Failed(error),
            },
        };
        if sender.send(Ticketed { ticket, work }).is_err() {
            return;
        }
    }
}

/// Compresses one block and compares the rows found in it with the rows that the producer counted.
fn pack(codec: &mut dyn Codec, block: &Block, buffer: Vec<u8>) -> Result<Packed> {
    let packed = codec.pack_into(&block.bytes, block.rows.as_ref().map(|span| span.at.clone()), buffer)?;
    match &block.rows {
        Some(span) if span.count != packed.rows => Err(Error::new(
            Kind::Bug,
            format!("a block of {} rows was counted as {} by its producer", packed.rows, span.count),
        )),
        _ => Ok(packed),
    }
}

fn write_in_order<W: Write>(
    packed: Receiver<Ticketed>,
    writer: &mut Writer<W>,
    spare: &Spare,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<()> {
    let mut early = BTreeMap::new();
    let mut due = 0;
    for Ticketed { ticket, work } in packed {
        early.insert(ticket, work);
        while let Some(work) = early.remove(&due) {
            cancel.check()?;
            write_one(work, writer, spare, progress)?;
            due += 1;
        }
    }
    match early.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Bug, "a compressor thread stopped in the middle of its work")),
    }
}

fn write_one<W: Write>(work: Work, writer: &mut Writer<W>, spare: &Spare, progress: &Progress) -> Result<()> {
    match work {
        Work::Failed(error) => Err(error),
        Work::End { stream, rows } => writer.end_stream(stream, rows),
        Work::Member { stream, packed, permit } => {
            writer.append(stream, &packed)?;
            progress.add_raw(packed.raw_len, packed.rows);
            progress.add_stored(packed.bytes.len() as u64);
            spare.give(packed.bytes);
            drop(permit);
            Ok(())
        }
    }
}
