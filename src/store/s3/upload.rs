//! One file on its way into a bucket.
//!
//! A file that fits one part is put in one request. A larger one goes up in equal parts, several at once, each of which
//! is sent when it is full; only the completion gives it its name, and only if the name is free. Where an object has no
//! parts left, the file goes on in `NAME.001`, `NAME.002`, …; the name itself is given last.
//!
//! Memory: the part that is being filled and those under way, see `plan.rs`. Whoever publishes, fails or drops it
//! waits until nothing is under way any more, so that no part arrives behind the abort.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::error::{Error, Kind, Result};
use crate::store::{Bytes, Check, Name, Published, Upload, error};

use super::client::Body;
use super::fault::{Class, Fault};
use super::place::{Created, Finished, Place};
use super::plan::{Plan, part_name};
use super::read::{Objects, Read};

/// The end of the file that is compared with what was stored.
const TAIL_BYTES: usize = 64 << 10;
/// Numbers of further files have three digits.
const NUMBER_MAX: u16 = 999;

pub(super) struct BucketUpload {
    place: Arc<Place>,
    name: Name,
    shown: String,
    token: String,
    plan: Plan,
    /// The part that is being filled.
    buffer: Vec<u8>,
    tail: Vec<u8>,
    /// In order; the last one is being filled.
    objects: Vec<Object>,
    written: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    /// A write failed; every later one does, too.
    Failed,
    /// Nothing of it is left there, or all of it is published.
    Settled,
}

struct Object {
    key: String,
    upload: String,
    has_twin: bool,
    plan: Plan,
    size: u64,
    sent: u32,
    flying: Arc<Flying>,
    handles: Vec<AbortHandle>,
    /// Named, and the version under which it was.
    completed: Option<Option<String>>,
}

/// Parts of one object that are under way, and what has come of those that were.
struct Flying {
    permits: Arc<Semaphore>,
    permits_total: u32,
    landed: Mutex<Landed>,
}

#[derive(Default)]
struct Landed {
    etags: Vec<Option<String>>,
    fault: Option<Fault>,
}

impl BucketUpload {
    pub(super) fn begin(place: Arc<Place>, name: &Name, plan: Plan) -> Result<Self> {
        let shown = place.shown(name.as_str());
        Ok(BucketUpload {
            place,
            name: name.clone(),
            shown,
            token: super::token()?,
            plan,
            buffer: Vec::new(),
            tail: Vec::new(),
            objects: Vec::new(),
            written: 0,
            state: State::Open,
        })
    }

    fn cannot(&self, fault: Fault) -> Error {
        match fault.class {
            Class::Stands => error::exists(&self.shown),
            _ => fault.into_error(format!("cannot write {}", self.shown)),
        }
    }

    /// Sends the part that is full, once there is room for it.
    fn ship(&mut self) -> Result<()> {
        if self.filling().is_none() {
            self.begin_object()?;
        }
        let Some(object) = self.objects.last_mut() else {
            return Err(Error::new(Kind::Bug, "an upload has no object"));
        };
        let permits = Arc::clone(&object.flying.permits);
        let permit = match self.place.io.wait(permits.acquire_owned()) {
            Some(Ok(permit)) => permit,
            Some(Err(_)) => return Err(Error::new(Kind::Bug, "an upload was closed while it is written")),
            None => return Err(self.place.io.cancel().error()),
        };
        if let Some(fault) = object.flying.failed() {
            return Err(self.cannot(fault));
        }
        let next = Vec::with_capacity(usize::try_from(object.plan.part_bytes).unwrap_or(0));
        let bytes = std::mem::replace(&mut self.buffer, next);
        object.size = object.size.saturating_add(bytes.len() as u64);
        object.sent += 1;
        let (place, flying, number) = (Arc::clone(&self.place), Arc::clone(&object.flying), object.sent);
        let (key, upload, body) = (object.key.clone(), object.upload.clone(), Body::of(bytes));
        let task = self.place.io.spawn(async move {
            let sent = place.put_part(&key, &upload, number, body).await;
            flying.land(number, sent);
            drop(permit);
        });
        object.handles.retain(|handle| !handle.is_finished());
        object.handles.extend(task.map(|task| task.abort_handle()));
        Ok(())
    }

    fn begin_object(&mut self) -> Result<()> {
        let number = u16::try_from(self.objects.len()).ok().filter(|number| *number <= NUMBER_MAX);
        let number = number.ok_or_else(|| {
            Error::new(Kind::Place, format!("{} would take more than {NUMBER_MAX} further files", self.shown))
                .hint("more memory for parts (--s3-memory) makes larger ones")
        })?;
        let plan = self.next_plan();
        let key = self.place.key(&part_name(self.name.as_str(), number));
        let (place, token, at) = (Arc::clone(&self.place), self.token.clone(), key.clone());
        let begun = self.place.io.wait(async move { place.create(&at, &token).await });
        let Created { upload, has_twin } = match begun {
            Some(Ok(created)) => created,
            Some(Err(fault)) => {
                let lost = fault.status.is_none() || fault.attempts > 1;
                let error = self.cannot(fault);
                return Err(if lost { error.note(orphan(&self.shown)) } else { error });
            }
            None => return Err(self.place.io.cancel().error().note(orphan(&self.shown))),
        };
        let flying = Arc::new(Flying {
            permits: Arc::new(Semaphore::new(plan.under_way as usize)),
            permits_total: plan.under_way,
            landed: Mutex::default(),
        });
        let (size, sent, handles, completed) = (0, 0, Vec::new(), None);
        self.objects.push(Object { key, upload, has_twin, plan, size, sent, flying, handles, completed });
        // Those before are waited for: the memory is shared by the parts of one object.
        match self.objects.len().checked_sub(2).and_then(|before| self.objects.get(before)) {
            Some(before) => self.wait_for_parts(before).map(drop),
            None => Ok(()),
        }
    }

    /// The object that takes the next part, if it has begun.
    fn filling(&self) -> Option<&Object> {
        self.objects.last().filter(|object| object.sent < object.plan.parts_max)
    }

    /// Of the part that is being filled.
    fn part_bytes(&self) -> usize {
        let plan = self.filling().map_or_else(|| self.next_plan(), |object| object.plan);
        usize::try_from(plan.part_bytes).unwrap_or(usize::MAX)
    }

    /// How the object after the last one is cut.
    fn next_plan(&self) -> Plan {
        self.objects.last().map_or(self.plan, |before| before.plan.next())
    }

    /// The ETags of an object's parts, in order, when all of them have arrived.
    fn wait_for_parts(&self, object: &Object) -> Result<Vec<String>> {
        let (permits, total) = (Arc::clone(&object.flying.permits), object.flying.permits_total);
        if self.place.io.wait(async move { permits.acquire_many(total).await.map(drop) }).is_none() {
            return Err(self.place.io.cancel().error());
        }
        if let Some(fault) = object.flying.failed() {
            return Err(self.cannot(fault));
        }
        let landed = object.flying.landed.lock().unwrap_or_else(PoisonError::into_inner);
        let etags: Option<Vec<String>> = landed.etags.iter().cloned().collect();
        let all = etags.filter(|etags| etags.len() == object.sent as usize);
        all.ok_or_else(|| self.cannot(Fault::local(Class::Refused, "a part was never answered")))
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let end = bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or(bytes);
        self.tail.extend_from_slice(end);
        // Moved rarely: a write is far longer than this, or far shorter.
        if self.tail.len() > 4 * TAIL_BYTES {
            self.tail.drain(..self.tail.len() - TAIL_BYTES);
        }
    }

    /// Gives all names, the archive's own last.
    fn give_names(&mut self) -> Result<()> {
        if self.objects.is_empty() {
            return self.put_whole();
        }
        if !self.buffer.is_empty() {
            self.ship()?;
        }
        for at in (0..self.objects.len()).rev() {
            let Some(object) = self.objects.get(at) else { continue };
            let etags = self.wait_for_parts(object)?;
            let (key, upload, size) = (object.key.clone(), object.upload.clone(), object.size);
            let (place, token) = (Arc::clone(&self.place), self.token.clone());
            let done = self.place.io.wait(async move {
                place.complete(&Finished { key: &key, upload: &upload, etags: &etags, token: &token, size }).await
            });
            match done {
                Some(Ok(version)) => {
                    if let Some(object) = self.objects.get_mut(at) {
                        object.completed = Some(version);
                    }
                }
                Some(Err(fault)) => return Err(self.cannot(fault)),
                None => return Err(self.place.io.cancel().error()),
            }
        }
        Ok(())
    }

    fn put_whole(&mut self) -> Result<()> {
        let body = Body::of(std::mem::take(&mut self.buffer));
        let (place, token, key) = (Arc::clone(&self.place), self.token.clone(), self.place.key(self.name.as_str()));
        let (at, size) = (key.clone(), body.len());
        let put = self.place.io.wait(async move { place.put(&at, body, &token).await });
        let unsettled = Object {
            key,
            upload: String::new(),
            has_twin: false,
            plan: self.plan,
            size,
            sent: 0,
            flying: Arc::new(Flying {
                permits: Arc::new(Semaphore::new(0)),
                permits_total: 0,
                landed: Mutex::default(),
            }),
            handles: Vec::new(),
            completed: None,
        };
        match put {
            Some(Ok(version)) => {
                self.objects.push(Object { completed: Some(version), ..unsettled });
                Ok(())
            }
            Some(Err(fault)) => {
                if fault.class.is_passing() {
                    self.objects.push(unsettled);
                }
                Err(self.cannot(fault))
            }
            None => {
                self.objects.push(unsettled);
                Err(self.place.io.cancel().error())
            }
        }
    }

    /// Size and end of what is stored, then whatever the caller wants to see of it.
    fn read_back(&self, check: Check<'_>) -> Result<bool> {
        let keys = self.objects.iter().map(|object| object.key.clone()).collect();
        let stored = match Objects::open(&self.place, keys) {
            Ok(stored) => Read::new(Arc::clone(&self.place), stored, self.shown.clone()),
            Err(fault) if fault.class == Class::Denied => return Ok(false),
            Err(fault) => return Err(fault.into_error(format!("cannot read {} again", self.shown))),
        };
        if stored.len() != self.written {
            let what =
                format!("{} has {} bytes in the bucket, {} were written", self.shown, stored.len(), self.written);
            return Err(Error::new(Kind::Damaged, what));
        }
        let tail = self.tail.get(self.tail.len().saturating_sub(TAIL_BYTES)..).unwrap_or(&self.tail);
        let mut found = vec![0; tail.len()];
        match stored.fetch(self.written - tail.len() as u64, &mut found) {
            Ok(()) => error::compared(Ok(()), found == tail)?,
            // A key may be let to look at names and sizes, and not at bytes.
            Err(fault) if fault.class == Class::Denied => return Ok(false),
            Err(fault) => return Err(fault.into_error(format!("cannot read {} again", self.shown))),
        }
        match tail.len() as u64 == self.written {
            true => check(&found)?,
            false => check(&stored)?,
        }
        Ok(true)
    }

    /// Uploads that began with a lost answer; what stays of them is swept by the next run.
    fn abort_twins(&self) {
        for object in self.objects.iter().filter(|object| object.has_twin) {
            let (place, key) = (Arc::clone(&self.place), object.key.clone());
            let _ = self.place.io.finish(async move { place.abort_twins(&key).await });
        }
    }

    /// Removes whatever is there of it; what cannot be removed is returned, one line each.
    fn discard(&mut self) -> Vec<String> {
        if self.state == State::Settled {
            return Vec::new();
        }
        if self.state == State::Open {
            self.state = State::Settled;
        }
        self.buffer = Vec::new();
        let mut left = Vec::new();
        for object in std::mem::take(&mut self.objects) {
            object.handles.iter().for_each(AbortHandle::abort);
            let (place, token) = (Arc::clone(&self.place), self.token.clone());
            let Object { key, upload, size, flying, completed, .. } = object;
            let what = match &completed {
                None if upload.is_empty() => format!("s3://{}/{key}", self.place.client.bucket()),
                None => format!("the upload {upload} of s3://{}/{key}", self.place.client.bucket()),
                Some(_) => format!("s3://{}/{key}", self.place.client.bucket()),
            };
            let undone = self.place.io.finish(async move {
                // A part that is cut off has given its permit back when it is gone.
                let _ = flying.permits.acquire_many(flying.permits_total).await;
                match completed {
                    Some(version) => place.remove_briefly(&key, version.as_deref()).await,
                    None if upload.is_empty() => place.undo_put(&key, &token, size).await,
                    None => place.undo(&key, &upload, &token, size).await,
                }
            });
            if let Some(Err(fault)) = undone {
                left.push(format!("{what} could not be removed: {}", fault.into_error("it stays").chain()));
            }
        }
        left
    }

    fn abandoned(&self) -> Error {
        Error::new(Kind::Place, format!("an earlier write of {} failed, it is abandoned", self.shown))
    }
}

fn orphan(shown: &str) -> String {
    format!("an upload of {shown} may have begun whose answer was lost: the next run or `prune` removes it")
}

impl Flying {
    fn land(&self, number: u32, sent: Result<String, Fault>) {
        let mut landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        match sent {
            Ok(etag) => {
                let at = number as usize;
                if landed.etags.len() < at {
                    landed.etags.resize(at, None);
                }
                if let Some(slot) = landed.etags.get_mut(at - 1) {
                    *slot = Some(etag);
                }
            }
            Err(fault) => landed.fault = landed.fault.take().or(Some(fault)),
        }
    }

    fn failed(&self) -> Option<Fault> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner).fault.take()
    }
}

impl io::Write for BucketUpload {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.state != State::Open {
            return Err(error::in_io(self.abandoned(), io::ErrorKind::Other));
        }
        if self.buffer.len() >= self.part_bytes() {
            // Sent only now that more follows: a file of exactly one part is put in one request.
            if let Err(failed) = self.ship() {
                let failed = self.discard().into_iter().fold(failed, Error::note);
                self.state = State::Failed;
                return Err(error::in_io(failed, io::ErrorKind::Other));
            }
        }
        let room = self.part_bytes().saturating_sub(self.buffer.len());
        let taken = buf.get(..room).unwrap_or(buf);
        self.buffer.extend_from_slice(taken);
        self.keep_tail(taken);
        self.written = self.written.saturating_add(taken.len() as u64);
        Ok(taken.len())
    }

    /// Nothing is sent before its part is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for BucketUpload {
    fn publish(mut self: Box<Self>, check: Check<'_>) -> Result<Published> {
        if self.state != State::Open {
            return Err(self.abandoned());
        }
        let done = self.give_names().and_then(|()| {
            self.read_back(check).map_err(|error| error.while_doing(format!("cannot publish {}", self.shown)))
        });
        match done {
            Ok(read_back) => {
                self.state = State::Settled;
                self.abort_twins();
                let further = u16::try_from(self.objects.len()).unwrap_or(1).saturating_sub(1);
                Ok(Published { size: self.written, read_back, further })
            }
            Err(error) => Err(self.discard().into_iter().fold(error, Error::note)),
        }
    }

    fn abort(mut self: Box<Self>) -> Result<()> {
        match self.discard().as_slice() {
            [] => Ok(()),
            left => Err(Error::new(Kind::Place, left.join("; "))),
        }
    }
}

impl Drop for BucketUpload {
    fn drop(&mut self) {
        // Whoever dropped it has an error of its own to report, and notes there what stays.
        let left = self.discard();
        self.place.left.add(left);
        self.place.release(&self.name);
    }
}
