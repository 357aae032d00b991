//! One stream into several places at once. The slowest sets the pace; one that fails does not stop the others.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Kind, Result};

use super::{Check, Published, Upload, error};

/// What has come of each lane, in the order in which they were given; `None` while it is under way.
#[derive(Clone, Default)]
pub struct Lanes(Arc<Mutex<Vec<Option<Result<Published>>>>>);

impl Lanes {
    fn all(&self) -> MutexGuard<'_, Vec<Option<Result<Published>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the outcomes; a lane that was never ended is an error.
    pub fn take(&self) -> Vec<Result<Published>> {
        let lost = || Err(Error::new(Kind::Bug, "an upload has no outcome"));
        std::mem::take(&mut *self.all()).into_iter().map(|lane| lane.unwrap_or_else(lost)).collect()
    }
}

/// An upload made of several. It fails when the last of them has failed, with the error of the first that did.
pub struct Tee {
    uploads: Vec<Option<Box<dyn Upload>>>,
    lanes: Lanes,
    first: Option<usize>,
    /// Without the first lane the others are worth nothing.
    is_led: bool,
}

impl Tee {
    /// The others are further names of the first: if that fails, all are taken back.
    pub fn led(begun: Vec<Result<Box<dyn Upload>>>) -> Result<(Self, Lanes)> {
        Tee::made(begun, true)
    }

    /// A lane that could not even begin is given as its error.
    pub fn new(begun: Vec<Result<Box<dyn Upload>>>) -> Result<(Self, Lanes)> {
        Tee::made(begun, false)
    }

    fn made(begun: Vec<Result<Box<dyn Upload>>>, is_led: bool) -> Result<(Self, Lanes)> {
        let lanes = Lanes::default();
        let mut tee = Tee { uploads: Vec::new(), lanes: lanes.clone(), first: None, is_led };
        for (at, upload) in begun.into_iter().enumerate() {
            let (upload, outcome) = match upload {
                Ok(upload) => (Some(upload), None),
                Err(error) => (None, Some(Err(error))),
            };
            if outcome.is_some() {
                tee.first = tee.first.or(Some(at));
            }
            tee.uploads.push(upload);
            lanes.all().push(outcome);
        }
        match tee.is_alive() {
            true => Ok((tee, lanes)),
            false => Err(tee.first_error()),
        }
    }

    fn is_alive(&self) -> bool {
        match self.is_led {
            true => self.uploads.first().is_some_and(Option::is_some),
            false => self.uploads.iter().any(Option::is_some),
        }
    }

    fn fail(&mut self, at: usize, error: Error) {
        self.first = self.first.or(Some(at));
        if let Some(lane) = self.lanes.all().get_mut(at) {
            *lane = Some(Err(error));
        }
    }

    /// The error of the lane that failed first, or of the one that leads.
    fn first_error(&self) -> Error {
        let mut lanes = self.lanes.all();
        let first = if self.is_led { Some(0) } else { self.first };
        let first = first.and_then(|at| lanes.get_mut(at)).and_then(Option::take);
        match first {
            Some(Err(error)) => error,
            _ => Error::new(Kind::Bug, "there is no place to write to"),
        }
    }
}

impl io::Write for Tee {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        for at in 0..self.uploads.len() {
            let Some(Some(upload)) = self.uploads.get_mut(at) else { continue };
            if let Err(cause) = upload.write_all(buf) {
                // Dropped at once: what it has written goes away.
                self.uploads[at] = None;
                self.fail(at, error::from_write(cause));
            }
        }
        match self.is_alive() {
            true => Ok(buf.len()),
            false => Err(error::in_io(self.first_error(), io::ErrorKind::Other)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        for at in 0..self.uploads.len() {
            let Some(Some(upload)) = self.uploads.get_mut(at) else { continue };
            if let Err(cause) = upload.flush() {
                self.uploads[at] = None;
                self.fail(at, error::from_write(cause));
            }
        }
        match self.is_alive() {
            true => Ok(()),
            false => Err(error::in_io(self.first_error(), io::ErrorKind::Other)),
        }
    }
}

impl Upload for Tee {
    /// Of those that get their names the first one's facts, but read back only if all were.
    fn publish(mut self: Box<Self>, check: Check<'_>) -> Result<Published> {
        let mut done: Option<Published> = None;
        for at in 0..self.uploads.len() {
            let Some(upload) = self.uploads.get_mut(at).and_then(Option::take) else { continue };
            match upload.publish(check) {
                Ok(published) => {
                    let read_back = published.read_back && done.is_none_or(|done| done.read_back);
                    done = Some(Published { read_back, ..done.unwrap_or(published) });
                    if let Some(lane) = self.lanes.all().get_mut(at) {
                        *lane = Some(Ok(published));
                    }
                }
                Err(error) if self.is_led && at == 0 => {
                    return Err(match self.abort() {
                        Ok(()) => error,
                        Err(left) => error.note(left.chain()),
                    });
                }
                Err(error) => self.fail(at, error),
            }
        }
        done.ok_or_else(|| self.first_error())
    }

    fn abort(mut self: Box<Self>) -> Result<()> {
        let mut left = None;
        for upload in self.uploads.iter_mut().filter_map(Option::take) {
            left = left.or(upload.abort().err());
        }
        left.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::store::{Name, Store};

    struct Broken(u32);

    impl io::Write for Broken {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Upload for Broken {
        fn publish(self: Box<Self>, _: Check<'_>) -> Result<Published> {
            Err(Error::new(Kind::Refused, "broken"))
        }
        fn abort(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_that_fails_does_not_spoil_the_others() {
        let (one, two) = (MemoryStore::new(), MemoryStore::new());
        let name = Name::new("x").unwrap();
        let begun = vec![one.begin(&name), Ok(Box::new(Broken(1)) as Box<dyn Upload>), two.begin(&name)];
        let (mut tee, lanes) = Tee::new(begun).unwrap();
        tee.write_all(b"first").unwrap();
        tee.write_all(b"second").unwrap();
        let mut checks = 0;
        let published = Box::new(tee).publish(&mut |_| {
            checks += 1;
            Ok(())
        });
        assert_eq!((published.unwrap(), checks), (Published::whole(11), 2));
        let outcomes: Vec<_> = lanes.take().into_iter().map(|lane| lane.map_err(|error| error.kind())).collect();
        assert_eq!(outcomes, [Ok(Published::whole(11)), Err(Kind::Place), Ok(Published::whole(11))]);
        assert_eq!((one.list("").unwrap().len(), two.list("").unwrap().len()), (1, 1));
    }

    #[test]
    fn without_the_one_that_leads_nothing_stands() {
        let store = MemoryStore::new();
        let name = |text: &str| Name::new(text).unwrap();
        let lost: Result<Box<dyn Upload>> = Ok(Box::new(Broken(9)));
        let (mut tee, _) = Tee::led(vec![lost, store.begin(&name("weekly"))]).unwrap();
        tee.write_all(b"bytes").unwrap();
        assert_eq!(Box::new(tee).publish(&mut |_| Ok(())).unwrap_err().kind(), Kind::Refused);
        assert!(store.list("").unwrap().is_empty());
        // A further name that fails costs itself, and the error of the first is the one that counts.
        let (mut tee, lanes) = Tee::led(vec![store.begin(&name("daily")), Ok(Box::new(Broken(0)))]).unwrap();
        tee.write_all(b"bytes").unwrap();
        Box::new(tee).publish(&mut |_| Ok(())).unwrap();
        assert_eq!(lanes.take().iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
        let both: Vec<Result<Box<dyn Upload>>> =
            vec![Ok(Box::new(Broken(1))), Err(Error::new(Kind::Connect, "could not begin"))];
        let (mut tee, _) = Tee::led(both).unwrap();
        let written = (0..3).find_map(|_| tee.write_all(b"x").err());
        assert_eq!(error::from_write(written.unwrap()).kind(), Kind::Place);
    }

    #[test]
    fn when_all_have_failed_the_first_error_is_told() {
        let begun: Vec<Result<Box<dyn Upload>>> =
            vec![Ok(Box::new(Broken(2))), Err(Error::new(Kind::Connect, "could not begin")), Ok(Box::new(Broken(1)))];
        let (mut tee, _) = Tee::new(begun).unwrap();
        let written = (0..5).find_map(|_| tee.write_all(b"x").err());
        assert_eq!(error::from_write(written.unwrap()).kind(), Kind::Connect);
        let none = Tee::new(vec![Err(Error::new(Kind::Connect, "could not begin"))]);
        assert_eq!(none.err().unwrap().kind(), Kind::Connect);
    }
}
