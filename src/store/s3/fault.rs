//! What a store answers, sorted by what can be done about it.
//!
//! [`sort`] is pure: status and code in, class out. A class decides whether a request is tried again, and is the
//! message and the hint of the error that the user reads.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Kind};

#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub(super) enum Class {
    /// No answer, or one that says nothing about the request: the network, a proxy, 5xx.
    Passing,
    /// `SlowDown`: asked too often.
    Throttled,
    /// Keys that were good once.
    Expired,
    /// The time of the request is too far from the store's.
    ClockSkew,
    WrongRegion,
    NoBucket,
    NoKey,
    NoUpload,
    /// The name stands already, or its version is another one.
    Stands,
    /// Another conditional write of the same name is under way.
    Contested,
    Denied,
    /// The key is unknown to the store, or its secret is another one.
    BadKeys,
    NoLogin,
    /// The store does not know this request or this header.
    Unsupported,
    /// Bytes arrived changed.
    Garbled,
    Full,
    Refused,
}

impl Class {
    /// Whether the same request may succeed later.
    pub(super) fn is_passing(self) -> bool {
        matches!(self, Class::Passing | Class::Throttled | Class::Contested | Class::Garbled)
    }
}

/// Which class an error answer is of. `code` is that of the XML; HEAD has none.
pub(super) fn sort(status: u16, code: &str) -> Class {
    match code {
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "BandwidthLimitExceeded" => Class::Throttled,
        "InternalError" | "ServiceUnavailable" | "RequestTimeout" | "OperationAborted" => Class::Passing,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => Class::Expired,
        "RequestTimeTooSkewed" | "RequestInTheFuture" => Class::ClockSkew,
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "TemporaryRedirect" => Class::WrongRegion,
        "NoSuchBucket" | "InvalidBucketName" => Class::NoBucket,
        "NoSuchKey" | "NoSuchVersion" => Class::NoKey,
        "NoSuchUpload" => Class::NoUpload,
        "PreconditionFailed" => Class::Stands,
        "ConditionalRequestConflict" => Class::Contested,
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" => Class::BadKeys,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Class::Denied,
        "NotImplemented" | "MethodNotAllowed" => Class::Unsupported,
        "BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" => Class::Garbled,
        "QuotaExceeded" | "EntityTooLarge" | "XMinioStorageFull" | "InsufficientStorage" => Class::Full,
        _ => by_status(status),
    }
}

fn by_status(status: u16) -> Class {
    match status {
        301 | 302 | 307 | 308 => Class::WrongRegion,
        401 => Class::BadKeys,
        403 => Class::Denied,
        404 => Class::NoKey,
        405 | 501 => Class::Unsupported,
        408 => Class::Passing,
        409 => Class::Contested,
        412 => Class::Stands,
        429 | 503 => Class::Throttled,
        507 => Class::Full,
        200..=299 | 500.. => Class::Passing,
        _ => Class::Refused,
    }
}

type Cause = Arc<dyn StdError + Send + Sync>;

/// One request that did not do what it should.
#[derive(Clone, Debug)]
pub(in crate::store) struct Fault {
    pub(super) class: Class,
    /// `None` if there was no answer.
    pub(super) status: Option<u16>,
    /// The last of several attempts.
    pub(super) attempts: u32,
    said: Box<Said>,
}

#[derive(Clone, Debug, Default)]
struct Said {
    code: String,
    message: String,
    /// What the store said beside: the bucket's own region, or the time by its clock.
    region: Option<String>,
    time: Option<String>,
    cause: Option<Cause>,
}

impl Fault {
    pub(super) fn answered(status: u16, code: &str, message: &str) -> Self {
        Fault {
            class: sort(status, code),
            status: Some(status),
            attempts: 1,
            said: Box::new(Said { code: code.to_owned(), message: message.to_owned(), ..Said::default() }),
        }
    }

    pub(in crate::store) fn is_denied(&self) -> bool {
        self.class == Class::Denied
    }

    /// Of our own side.
    pub(super) fn local(class: Class, message: impl Into<String>) -> Self {
        let said = Said { message: message.into(), ..Said::default() };
        Fault { class, status: None, attempts: 1, said: Box::new(said) }
    }

    pub(super) fn because(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.said.cause = Some(Arc::new(cause));
        self
    }

    pub(super) fn beside(mut self, region: Option<String>, time: Option<String>) -> Self {
        (self.said.region, self.said.time) = (region, time);
        self
    }

    /// Whether it is about the way into the place, whatever was wanted there.
    pub(super) fn is_of_place(&self) -> bool {
        use Class::{BadKeys, ClockSkew, Expired, NoBucket, NoLogin, WrongRegion};
        let is_unreached = self.class == Class::Passing && self.status.is_none();
        is_unreached || matches!(self.class, BadKeys | ClockSkew | Expired | NoBucket | NoLogin | WrongRegion)
    }

    /// The error that is reported; `doing` names the object and the place.
    pub(super) fn into_error(self, doing: impl Into<String>) -> Error {
        let kind = match self.class {
            Class::NoKey => Kind::Nothing,
            Class::Stands => Kind::Refused,
            _ => Kind::Place,
        };
        let hint = self.hint();
        let error = Error::new(kind, doing).because(self);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self.class {
            Class::Passing | Class::Garbled | Class::Contested => {
                "is the endpoint right (http or https, host, port), and can this machine reach it?".to_owned()
            }
            Class::Throttled => "the store takes fewer requests: fewer runs at once, or another hour".to_owned(),
            Class::Expired => {
                "the credentials have expired: log in again, or use keys that renew themselves".to_owned()
            }
            Class::ClockSkew => match &self.said.time {
                Some(time) => format!("the store's clock shows {time}: set this machine's clock, then run it again"),
                None => "set this machine's clock by a time server, then run it again".to_owned(),
            },
            Class::WrongRegion => match &self.said.region {
                Some(region) => format!("the bucket is in {region}: give --s3-region {region}, or set AWS_REGION"),
                None => "the bucket is in another region: give it by --s3-region, or set AWS_REGION".to_owned(),
            },
            Class::NoBucket => {
                "make the bucket first, or check its name and the endpoint: it is never made here".to_owned()
            }
            Class::Denied => {
                "the policy of this key does not allow that: docs/CONFIGURATION.md, \"Keys\", has the one that is needed. \
                 Are bucket and prefix the right ones?"
                    .to_owned()
            }
            Class::BadKeys => {
                "are access key and secret those of this store? is the endpoint the right one?".to_owned()
            }
            Class::NoLogin => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run `aws configure`".to_owned()
            }
            Class::Unsupported => "this store does not know that request".to_owned(),
            Class::Full => "the store has no room for it: a quota, or a limit for one object".to_owned(),
            Class::Stands | Class::NoKey | Class::NoUpload | Class::Refused => return None,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.class {
            Class::Expired => "the credentials have expired",
            Class::ClockSkew => "this machine's clock and the store's differ too much",
            Class::WrongRegion => "the bucket is in another region",
            Class::NoBucket => "there is no such bucket",
            Class::Denied => "access is denied",
            Class::BadKeys => "the store does not accept this access key and secret",
            Class::Throttled => "the store asks to slow down",
            Class::Stands => "the name stands already",
            Class::NoKey => "there is no such object",
            _ => "",
        };
        let mut said = what.to_owned();
        let mut add = |text: &str| {
            let text = text.trim_end_matches('.');
            if !said.to_lowercase().contains(&text.to_lowercase()) {
                if !said.is_empty() {
                    said.push_str(": ");
                }
                said.push_str(text);
            }
        };
        add(&self.said.message);
        if let Some(status) = self.status {
            add(&match self.said.code.as_str() {
                "" => format!("status {status}"),
                code => format!("status {status}, {code}"),
            });
        }
        if self.attempts > 1 {
            add(&format!("tried {} times", self.attempts));
        }
        f.write_str(if said.is_empty() { "the request failed" } else { &said })
    }
}

impl StdError for Fault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.said.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted_by_what_helps() {
        let cases = [
            (403, "RequestTimeTooSkewed", Class::ClockSkew),
            (301, "PermanentRedirect", Class::WrongRegion),
            (400, "AuthorizationHeaderMalformed", Class::WrongRegion),
            (301, "", Class::WrongRegion),
            (404, "NoSuchBucket", Class::NoBucket),
            (404, "NoSuchKey", Class::NoKey),
            (404, "", Class::NoKey),
            (403, "AccessDenied", Class::Denied),
            (403, "", Class::Denied),
            (400, "ExpiredToken", Class::Expired),
            (403, "SignatureDoesNotMatch", Class::BadKeys),
            (503, "SlowDown", Class::Throttled),
            (200, "SlowDown", Class::Throttled),
            (429, "", Class::Throttled),
            (503, "", Class::Throttled),
            (503, "ServiceUnavailable", Class::Passing),
            (400, "RequestTimeout", Class::Passing),
            (500, "", Class::Passing),
            (200, "InternalError", Class::Passing),
            (412, "PreconditionFailed", Class::Stands),
            (409, "ConditionalRequestConflict", Class::Contested),
            (400, "InvalidPart", Class::Refused),
        ];
        for (status, code, class) in cases {
            assert_eq!(sort(status, code), class, "{status} {code}");
        }
    }

    #[test]
    fn each_reason_has_its_own_words() {
        let told = |status, code: &str| Fault::answered(status, code, "").into_error("cannot write s3://b/x");
        let mut seen = std::collections::BTreeSet::new();
        for (status, code) in [
            (403, "RequestTimeTooSkewed"),
            (301, "PermanentRedirect"),
            (404, "NoSuchBucket"),
            (403, "AccessDenied"),
            (400, "ExpiredToken"),
            (403, "SignatureDoesNotMatch"),
            (503, "SlowDown"),
        ] {
            let error = told(status, code);
            assert_eq!(error.kind(), Kind::Place, "{code}");
            assert!(error.chain().contains(code), "{}", error.chain());
            assert!(seen.insert(error.hint_text().unwrap().to_owned()), "{code} has the hint of another reason");
        }
        let region = Fault::answered(301, "PermanentRedirect", "").beside(Some("eu-west-3".into()), None);
        assert!(region.into_error("x").hint_text().unwrap().contains("--s3-region eu-west-3"));
    }
}
