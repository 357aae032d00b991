//! Objects that nobody may remove before their time. The bucket must have been made for it.

use std::sync::Arc;

use http::Method;
use jiff::Timestamp;

use crate::error::{Error, Kind, Result};
use crate::store::{Lock, Name};

use super::answer::{self, Retention};
use super::client::{Body, Call};
use super::fault::Fault;
use super::place::Place;

/// Locks the version that stands now.
pub(super) fn retain(place: &Arc<Place>, name: &Name, lock: Lock, until: Timestamp) -> Result<()> {
    let shown = place.shown(name.as_str());
    let mode = match lock {
        Lock::Governance => "GOVERNANCE",
        Lock::Compliance => "COMPLIANCE",
    };
    let date = until.strftime("%Y-%m-%dT%H:%M:%SZ");
    let xml = format!(
        "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{mode}</Mode>\
         <RetainUntilDate>{date}</RetainUntilDate></Retention>"
    );
    let body = Body::of(xml);
    let call = Call::new(Method::PUT, place.key(name.as_str()))
        .query("retention", "")
        .header("x-amz-checksum-sha256", body.checksum())
        .body(body);
    let at = Arc::clone(place);
    match place.io.wait(async move { at.client.send(&call).await }) {
        Some(Ok(_)) => Ok(()),
        Some(Err(fault)) => Err(fault
            .into_error(format!("cannot lock {shown} until {date}"))
            .hint("was the bucket made with object lock? may the key do s3:PutObjectRetention?")),
        None => Err(place.io.cancel().error()),
    }
}

/// A removal that was denied: is it a lock, and until when?
pub(super) fn explained(place: &Arc<Place>, name: &Name, denied: Error) -> Error {
    let call = Call::new(Method::GET, place.key(name.as_str())).query("retention", "");
    let at = Arc::clone(place);
    let asked = place.io.wait(async move {
        let answer = at.client.send(&call).await?;
        answer::parse::<Retention>(&answer.body)
    });
    let found: Option<Result<Retention, Fault>> = asked;
    match found.and_then(Result::ok).and_then(|retention| Some((retention.retain_until_date?, retention.mode))) {
        Some((until, mode)) => {
            let shown = place.shown(name.as_str());
            Error::new(Kind::Refused, format!("{shown} is locked until {until} ({mode})"))
                .hint("its bytes remain until then")
        }
        None => denied,
    }
}
