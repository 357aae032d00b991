//! A store that holds its files in memory: for tests of everything above it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::error::{Error, Kind, Result};

use super::{Bytes, Check, Entry, EntryKind, Name, Published, Space, Store, Upload, error};

#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    files: BTreeMap<Name, Arc<Vec<u8>>>,
    being_written: BTreeSet<Name>,
}

impl MemoryStore {
    pub fn new() -> Self {
        MemoryStore::default()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct MemoryUpload {
    store: MemoryStore,
    name: Name,
    bytes: Vec<u8>,
}

impl Write for MemoryUpload {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for MemoryUpload {
    fn publish(mut self: Box<Self>, check: Check<'_>) -> Result<Published> {
        let bytes = Arc::new(std::mem::take(&mut self.bytes));
        check(&bytes).map_err(|error| error.while_doing(format!("cannot publish {}", self.name)))?;
        let size = Bytes::len(&bytes);
        let mut content = self.store.content();
        if content.files.contains_key(&self.name) {
            return Err(error::exists(self.name.as_str()));
        }
        content.files.insert(self.name.clone(), bytes);
        Ok(Published::whole(size))
    }

    fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        self.store.content().being_written.remove(&self.name);
    }
}

impl Store for MemoryStore {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn begin(&self, name: &Name) -> Result<Box<dyn Upload>> {
        let mut content = self.content();
        if content.files.contains_key(name) {
            return Err(error::exists(name.as_str()));
        }
        if !content.being_written.insert(name.clone()) {
            return Err(Error::new(Kind::Refused, format!("{name} is being written by another process")));
        }
        Ok(Box::new(MemoryUpload { store: self.clone(), name: name.clone(), bytes: Vec::new() }))
    }

    fn open(&self, name: &Name) -> Result<Box<dyn Bytes>> {
        match self.content().files.get(name) {
            Some(bytes) => Ok(Box::new(Arc::clone(bytes))),
            None => Err(Error::new(Kind::Nothing, format!("{name} does not exist"))),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let is_inside = |name: &Name| match name.as_str().strip_prefix(folder) {
            Some(rest) => folder.is_empty() || rest.starts_with('/'),
            None => false,
        };
        let content = self.content();
        let inside = content.files.iter().filter(|(name, _)| is_inside(name));
        Ok(inside
            .map(|(name, bytes)| Entry {
                name: name.clone(),
                kind: EntryKind::File,
                size: Bytes::len(bytes),
                modified: Timestamp::UNIX_EPOCH,
            })
            .collect())
    }

    fn link(&self, from: &Name, to: &Name) -> Result<()> {
        let mut content = self.content();
        let bytes = content.files.get(from).cloned();
        let bytes = bytes.ok_or_else(|| Error::new(Kind::Nothing, format!("{from} does not exist")))?;
        if content.files.contains_key(to) {
            return Err(error::exists(to.as_str()));
        }
        content.files.insert(to.clone(), bytes);
        Ok(())
    }

    fn delete(&self, name: &Name) -> Result<()> {
        self.content().files.remove(name);
        Ok(())
    }

    fn sweep(&self, _is_ours: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        // An upload lives as long as its value: a dead one is already gone.
        Ok(Vec::new())
    }

    fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }
}
