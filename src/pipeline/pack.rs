//! From blocks to an archive: packer threads compress, the calling thread writes in order.
//!
//! Every message gets a ticket when it is taken from the queue, or when its producer packs it; the writer puts members
//! back into ticket order. The end of a stream is queued behind all of its blocks, so it gets a later ticket than any. A block's share of the byte budget is held until its member is written, so the reorder buffer is bounded too.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::archive::{Codec, Form, Writer};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;

use super::desk::{Ticketed, Tickets, Work};
use super::feed::{Block, Feed, FeedReceiver, Spare};

/// Takes blocks until every producer is gone and appends their members to `writer`, which comes back unfinished:
/// only the caller knows whether the producers were done or died. `threads` packers, each with a codec; what is beyond them
/// is for producers that pack themselves. Blocks the calling thread. On failure `cancel` is pulled, so that the producers stop too.
pub fn pack_into<W: Write>(
    receiver: FeedReceiver,
    mut writer: Writer<W>,
    threads: usize,
    mut codecs: Vec<Box<dyn Codec>>,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<Writer<W>> {
    let spares = Spares { raw: receiver.spare(), packed: Spare::of_members() };
    let (sender, packed) = sync_channel(threads.max(1) * 2);
    let tickets = Tickets::default();
    let more = codecs.split_off(threads.min(codecs.len()));
    if let Some(desk) = receiver.desk() {
        desk.open(threads, more, tickets.clone(), spares.packed.clone(), sender.clone());
    }
    let queue = Mutex::new(Queue { receiver, tickets });
    let written = thread::scope(|scope| {
        for codec in codecs {
            let (sender, queue, spares) = (sender.clone(), &queue, &spares);
            scope.spawn(move || pack_blocks(queue, codec, spares, &sender, cancel));
        }
        drop(sender);
        let written = write_in_order(packed, &mut writer, &spares, cancel, progress);
        if written.is_err() {
            cancel.cancel();
        }
        written
    });
    written.map(|()| writer)
}

struct Queue {
    receiver: FeedReceiver,
    tickets: Tickets,
}

impl Queue {
    fn take(&mut self) -> Option<(u64, Feed)> {
        let message = self.receiver.blocking_recv()?;
        Some((self.tickets.next(), message))
    }
}

/// Where buffers of blocks and of members go round.
struct Spares {
    raw: Spare,
    packed: Spare,
}

/// One packer thread: ends when the producers are gone or the writer is. Of a run that is stopped no further block is
/// packed: one may take seconds.
fn pack_blocks(
    queue: &Mutex<Queue>,
    mut codec: Box<dyn Codec>,
    spares: &Spares,
    sender: &SyncSender<Ticketed>,
    cancel: &Cancel,
) {
    loop {
        let Some((ticket, message)) = queue.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // The writer waits for every ticket: one that is not answered would keep it, and so the producers, for ever.
        let work = match (cancel.check(), message) {
            (Err(stopped), _) => Work::Failed(stopped),
            (Ok(()), Feed::End { stream, rows }) => Work::End { stream, rows },
            (Ok(()), Feed::Block(block)) => pack_block(codec.as_mut(), block, &spares.packed, &spares.raw),
        };
        if sender.send(Ticketed { ticket, work }).is_err() {
            return;
        }
    }
}

/// Compresses one block and compares the rows found in it with the rows that the producer counted.
pub(super) fn pack_block(codec: &mut dyn Codec, block: Block, members: &Spare, blocks: &Spare) -> Work {
    let Block { stream, bytes, rows, permit } = block;
    let (span, counted) = rows.map(|span| (span.at, span.count)).unzip();
    match codec.pack_whole(bytes, span, members.take()) {
        Ok((packed, _)) if counted.is_some_and(|counted| counted != packed.rows) => Work::Failed(Error::new(
            Kind::Bug,
            format!("a block of {} rows was counted as {} by its producer", packed.rows, counted.unwrap_or_default()),
        )),
        Ok((packed, left)) => {
            match packed.form {
                Form::Encoded => blocks.give(left),
                Form::Plain => members.give(left),
            }
            Work::Member { stream, packed, permit }
        }
        Err(error) => Work::Failed(error),
    }
}

fn write_in_order<W: Write>(
    packed: Receiver<Ticketed>,
    writer: &mut Writer<W>,
    spares: &Spares,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<()> {
    let mut early = BTreeMap::new();
    let mut due = 0;
    for Ticketed { ticket, work } in packed {
        early.insert(ticket, work);
        while let Some(work) = early.remove(&due) {
            cancel.check()?;
            write_one(work, writer, spares, progress)?;
            due += 1;
        }
    }
    match early.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Bug, "a compressor thread stopped in the middle of its work")),
    }
}

fn write_one<W: Write>(work: Work, writer: &mut Writer<W>, spares: &Spares, progress: &Progress) -> Result<()> {
    match work {
        Work::Failed(error) => Err(error),
        Work::End { stream, rows } => writer.end_stream(stream, rows),
        Work::Member { stream, packed, permit } => {
            writer.append(stream, &packed)?;
            progress.add_raw(packed.raw_len, packed.rows);
            progress.add_stored(packed.stored_len());
            match packed.form {
                Form::Encoded => spares.packed.give(packed.bytes),
                Form::Plain => spares.raw.give(packed.bytes),
            }
            drop(permit);
            Ok(())
        }
    }
}
