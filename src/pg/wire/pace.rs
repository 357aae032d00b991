//! How rows are taken off the socket: as they come, in gulps, or no faster than a limit.
//!
//! A server sends 8 KiB at a time, and a reader that waits for each of them is woken, asks twice and sleeps again
//! 120,000 times a gigabyte: that costs more than all else that is done with the rows. A connection with a thread of
//! its own instead rests a moment when the socket has run dry, and then finds it full.

use std::future::poll_fn;
use std::io;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// Less than this is read at once in any case: most tables are small.
const BULK_BYTES: usize = 256 << 10;

/// A core of the server makes some 150 KiB of rows meanwhile; the socket's buffers hold more.
const REST: Duration = Duration::from_micros(1000);

/// Bytes a second for all connections together.
#[derive(Debug)]
pub struct Limit {
    rate: NonZeroU64,
    /// When what was read so far may have come.
    paid_until: Mutex<Option<Instant>>,
}

/// A timer wakes us late; so much is made up for.
const CREDIT: Duration = Duration::from_millis(20);

impl Limit {
    pub fn new(bytes_a_second: NonZeroU64) -> Self {
        Limit { rate: bytes_a_second, paid_until: Mutex::new(None) }
    }

    /// Waits until so many bytes more may have been read.
    pub async fn take(&self, bytes: usize) {
        sleep_until(self.due(bytes, Instant::now())).await;
    }

    fn due(&self, bytes: usize, now: Instant) -> Instant {
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate.get() as f64);
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        let due = paid_until.unwrap_or(now).max(earliest).checked_add(cost).unwrap_or(now);
        *paid_until = Some(due);
        due
    }

    /// Small reads make a smooth stream: some 30 of them a second, or more.
    fn read_bytes(&self) -> usize {
        usize::try_from(self.rate.get() / 32).unwrap_or(usize::MAX).max(8 << 10)
    }
}

/// The way in which one connection reads.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// The connection has its thread for itself, so it may sleep without keeping anybody waiting.
    pub owns_thread: bool,
    pub limit: Option<Arc<Limit>>,
}

impl Pace {
    /// One read of rows into `room`; `came` is what this COPY brought before it.
    pub async fn read<S: AsyncRead + Unpin>(&self, stream: &mut S, room: &mut [u8], came: usize) -> io::Result<usize> {
        let most = self.limit.as_ref().map_or(room.len(), |limit| limit.read_bytes().min(room.len()));
        let mut buf = ReadBuf::new(room.get_mut(..most).unwrap_or_default());
        let mut may_rest = self.owns_thread && came >= BULK_BYTES;
        poll_fn(|cx| {
            let polled = Pin::new(&mut *stream).poll_read(cx, &mut buf);
            if polled.is_pending() && may_rest {
                // Whatever arrives meanwhile wakes us at once: the stream has our waker.
                thread::sleep(REST);
                may_rest = false;
            }
            polled
        })
        .await?;
        let read = buf.filled().len();
        if let Some(limit) = &self.limit {
            limit.take(read).await;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_over_time_and_saves_nothing_up() {
        let limit = Limit::new(NonZeroU64::new(1_000_000).unwrap());
        let begun = Instant::now();
        for nth in 1..=10_u32 {
            assert_eq!(limit.due(100_000, begun) - begun, Duration::from_millis(100) * nth);
        }
        // After a pause only the little that a late timer costs is made up for.
        let later = begun + Duration::from_secs(60);
        assert_eq!(limit.due(100_000, later), later + Duration::from_millis(80));
    }

    #[test]
    fn reads_are_small_where_the_limit_is() {
        let read_bytes = |rate| Limit::new(NonZeroU64::new(rate).unwrap()).read_bytes();
        assert_eq!((read_bytes(1), read_bytes(1 << 20)), (8 << 10, 32 << 10));
    }
}
