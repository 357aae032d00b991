//! Counters that workers raise and a terminal may show. Nothing is printed here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    raw_bytes: AtomicU64,
    raw_bytes_total: AtomicU64,
    stored_bytes: AtomicU64,
    rows: AtomicU64,
    stage: Mutex<String>,
}

/// One reading of the counters. `raw_bytes_total` is an estimate, 0 when there is none.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub stage: String,
    pub raw_bytes: u64,
    pub raw_bytes_total: u64,
    pub stored_bytes: u64,
    pub rows: u64,
}

impl Progress {
    pub fn new() -> Self {
        Progress::default()
    }

    /// Names what is being done and starts its counters afresh.
    pub fn stage(&self, stage: impl Into<String>, raw_bytes_total: u64) {
        *self.0.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage.into();
        self.0.raw_bytes.store(0, Ordering::Relaxed);
        self.0.stored_bytes.store(0, Ordering::Relaxed);
        self.0.rows.store(0, Ordering::Relaxed);
        self.0.raw_bytes_total.store(raw_bytes_total, Ordering::Relaxed);
    }

    pub fn add_raw(&self, bytes: u64, rows: u64) {
        self.0.raw_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub fn add_stored(&self, bytes: u64) {
        self.0.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn read(&self) -> Reading {
        Reading {
            stage: self.0.stage.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            raw_bytes: self.0.raw_bytes.load(Ordering::Relaxed),
            raw_bytes_total: self.0.raw_bytes_total.load(Ordering::Relaxed),
            stored_bytes: self.0.stored_bytes.load(Ordering::Relaxed),
            rows: self.0.rows.load(Ordering::Relaxed),
        }
    }
}
