//! A panic is a fault of ours: the user gets one line and an exit code, never a backtrace.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Kind, Result};

/// Where the last panic was; its payload does not say.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Runs `work` and turns a panic into an error. Threads that panic are reported by whoever joins them.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }));
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(payload) => Err(as_error(payload.as_ref())),
    }
}

fn as_error(payload: &(dyn Any + Send)) -> Error {
    let said = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "no message",
    };
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).take();
    let place = place.unwrap_or_else(|| "an unknown place".to_owned());
    Error::new(Kind::Bug, format!("internal fault at {place}: {said}"))
        .hint("this is a fault of miyabi-backup itself; nothing was published by this run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_either_kind_is_told() {
        for payload in [Box::new("went wrong") as Box<dyn Any + Send>, Box::new("went wrong".to_owned())] {
            let error = as_error(payload.as_ref());
            assert!(error.chain().ends_with(": went wrong"), "{}", error.chain());
            assert_eq!(error.kind().exit_code(), 1);
        }
    }
}
