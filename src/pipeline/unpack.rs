//! From an archive to blocks: threads read, inflate and check members ahead of those who load them.
//!
//! The queue is the same byte-bounded feed as on the way in. A member enters it only when every check of it
//! has passed, so nothing unchecked ever reaches a database.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::Handle;

use crate::archive::{Archive, MemberEntry, ReadAt};
use crate::cancel::Cancel;
use crate::error::{Result, first_cause};

use super::feed::{FeedSender, RowSpan};

/// Sends the given members, about in the given order, and returns when all are queued. Blocks the calling
/// thread, which must not be one of the runtime's; `runtime` is entered only to wait for room in the queue.
pub fn unpack_members<R: ReadAt>(
    archive: &Archive<R>,
    members: &[MemberEntry],
    threads: usize,
    sender: &FeedSender,
    runtime: &Handle,
    cancel: &Cancel,
) -> Result<()> {
    let ranges: Vec<_> = members.iter().map(MemberEntry::span).collect();
    archive.source().expect(&ranges);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, members.len().max(1)))
            .map(|_| {
                scope.spawn(|| {
                    let outcome = unpack_some(archive, members, &next, sender, runtime, cancel);
                    if outcome.is_err() {
                        cancel.cancel();
                    }
                    outcome
                })
            })
            .collect();
        first_cause(workers.into_iter().map(join)).map(|_| ())
    })
}

fn unpack_some<R: ReadAt>(
    archive: &Archive<R>,
    members: &[MemberEntry],
    next: &AtomicUsize,
    sender: &FeedSender,
    runtime: &Handle,
    cancel: &Cancel,
) -> Result<()> {
    while let Some(member) = members.get(next.fetch_add(1, Ordering::Relaxed)) {
        cancel.check()?;
        let mut bytes = sender.used_buffer();
        archive.read_member(member, &mut bytes)?;
        let rows = RowSpan { at: 0..bytes.len(), count: member.rows };
        runtime.block_on(sender.block(member.stream, bytes, Some(rows)))?;
    }
    Ok(())
}

pub(super) fn join<T>(worker: thread::ScopedJoinHandle<'_, T>) -> T {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
