//! A second name for the same bytes: copied by the store itself, whatever their size.
//!
//! One path for all sizes: an upload whose parts are ranges of the source. A plain copy request ends at 5 GB and, in
//! most stores, overwrites; the completion of an upload does neither. A store that does not know parts that are copies is
//! sent the bytes that were read from it.

use std::ops::Range;
use std::sync::Arc;

use http::Method;

use crate::error::{Error, Kind, Result};
use crate::store::{Name, error};

use super::answer::{self, CopiedPart};
use super::client::{Body, Call, encoded_key};
use super::fault::{Class, Fault};
use super::place::{Created, Finished, Place, Standing};
use super::plan::Plan;

/// A part of a copy may have 5 GiB; smaller ones go side by side.
const PART_BYTES: u64 = 512 << 20;
const SIDE_BY_SIDE: usize = 4;

pub(super) fn link(place: &Arc<Place>, from: &Name, to: &Name) -> Result<()> {
    let (source, target) = (place.shown(from.as_str()), place.shown(to.as_str()));
    let cannot = |fault: Fault| match fault.class {
        Class::NoKey => Error::new(Kind::Nothing, format!("{source} does not exist")),
        Class::Stands => error::exists(&target),
        _ => fault.into_error(format!("cannot copy {source} to {target}")),
    };
    let (at, from_key, to_key) = (Arc::clone(place), place.key(from.as_str()), place.key(to.as_str()));
    let token = super::token()?;
    let copied = place.io.wait(async move {
        let standing = at.head(&from_key).await?;
        match at.head(&to_key).await {
            Ok(_) => return Err(Fault::local(Class::Stands, "")),
            Err(fault) if fault.class == Class::NoKey => {}
            Err(fault) => return Err(fault),
        }
        if standing.size == 0 {
            return at.put(&to_key, Body::of(Vec::new()), &token).await.map(drop);
        }
        let Created { upload, has_twin } = at.create(&to_key, &token).await?;
        let copy = Copy { place: &at, from: &from_key, standing: &standing, to: &to_key, upload: &upload };
        let done = copy.by_parts(&token).await;
        if let Err(fault) = done {
            return Err(match at.undo(&to_key, &upload, &token, standing.size).await {
                Ok(()) => fault,
                Err(left) => {
                    at.left.add(vec![format!("the upload {upload} of {to_key} could not be aborted: {left}")]);
                    fault
                }
            });
        }
        if has_twin {
            // What stays is swept by the next run.
            let _ = at.abort_twins(&to_key).await;
        }
        Ok(())
    });
    match copied {
        Some(Ok(())) => Ok(()),
        Some(Err(fault)) => Err(cannot(fault)),
        None => Err(place.io.cancel().error()),
    }
}

/// One object on its way to a second key.
struct Copy<'a> {
    place: &'a Place,
    from: &'a str,
    /// What stands under `from`: every part is of this object, or fails.
    standing: &'a Standing,
    to: &'a str,
    upload: &'a str,
}

impl Copy<'_> {
    async fn by_parts(&self, token: &str) -> Result<(), Fault> {
        let size = self.standing.size;
        let copied = all(&ranges(size, PART_BYTES), SIDE_BY_SIDE, |number, range| self.copy_part(number, range)).await;
        let etags = match copied {
            Err(fault) if fault.class == Class::Unsupported => {
                let plan = Plan::new(Some(size), &self.place.settings);
                let part = plan.part_bytes.max(size.div_ceil(u64::from(plan.parts_max)));
                // A part is held while it is read and sent, and its answer's bytes once more.
                let side_by_side = (plan.under_way / 2).max(1) as usize;
                all(&ranges(size, part), side_by_side, |number, range| self.send_part(number, range)).await?
            }
            etags => etags?,
        };
        let finished = Finished { key: self.to, upload: self.upload, etags: &etags, token, size };
        self.place.complete(&finished).await.map(drop)
    }

    /// Read here and sent back.
    async fn send_part(&self, number: usize, range: Range<u64>) -> Result<String, Fault> {
        let (etag, len) = (self.standing.etag.as_deref(), range.end - range.start);
        let bytes = self.place.client.read(self.from, range.start, len, etag).await?;
        let body = tokio::task::spawn_blocking(move || Body::of(bytes)).await;
        let body = body.map_err(|cause| Fault::local(Class::Refused, "a digest was not worked out").because(cause))?;
        self.place.put_part(self.to, self.upload, u32::try_from(number).unwrap_or(u32::MAX), body).await
    }

    async fn copy_part(&self, number: usize, range: Range<u64>) -> Result<String, Fault> {
        let source = format!("{}/{}", self.place.client.bucket(), encoded_key(self.from));
        let mut call = Call::new(Method::PUT, self.to)
            .query("partNumber", number.to_string())
            .query("uploadId", self.upload)
            .header("x-amz-copy-source", source)
            .header("x-amz-copy-source-range", format!("bytes={}-{}", range.start, range.end - 1));
        if let Some(etag) = &self.standing.etag {
            call = call.header("x-amz-copy-source-if-match", etag.clone());
        }
        let answer = self.place.client.send(&call).await?;
        answer::parse::<CopiedPart>(&answer.body).map(|copied| copied.etag)
    }
}

/// Every range as a part, some of them at once; their ETags in order.
async fn all<F: Future<Output = Result<String, Fault>>>(
    ranges: &[Range<u64>],
    side_by_side: usize,
    make: impl Fn(usize, Range<u64>) -> F,
) -> Result<Vec<String>, Fault> {
    let mut etags = Vec::with_capacity(ranges.len());
    for some in ranges.chunks(side_by_side) {
        let parts = some.iter().enumerate().map(|(at, range)| make(etags.len() + at + 1, range.clone()));
        for made in futures_util::future::join_all(parts).await {
            etags.push(made?);
        }
    }
    Ok(etags)
}

/// Equal but for the last.
fn ranges(size: u64, part: u64) -> Vec<Range<u64>> {
    let part = part.max(1);
    (0..size.div_ceil(part).max(1)).map(|at| at * part..((at + 1) * part).min(size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_covered_once() {
        assert_eq!(ranges(1, PART_BYTES).first(), Some(&(0..1)));
        assert_eq!(ranges(PART_BYTES, PART_BYTES).len(), 1);
        for size in [PART_BYTES + 1, 5_000_000_001, 6 << 30, 5 << 40] {
            let ranges = ranges(size, PART_BYTES);
            assert!(ranges.len() <= 10_240 && ranges.iter().all(|range| range.end - range.start <= 5 << 30));
            assert_eq!(ranges.first().unwrap().start, 0);
            assert_eq!(ranges.last().unwrap().end, size);
            assert!(ranges.windows(2).all(|two| two[0].end == two[1].start));
        }
    }
}
