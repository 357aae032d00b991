//! What a key may do beyond backups, found out without a trace: requests that cannot change anything if they are allowed.
//!
//! A store judges who asks before it looks at what is asked for. So a removal of what does not exist says whether the key
//! may remove. Whatever is answered but "denied" counts as allowed: better a warning too many.

use http::Method;

use crate::store::Excess;

use super::client::Call;
use super::fault::{Class, Fault};
use super::place::{Place, version_of};

/// Ids that no version has: stores want them to look like one of theirs.
const NO_VERSION: &str = "00000000000000000000000000000000";
/// An ETag that no object has.
const NO_ETAG: &str = "\"00000000000000000000000000000000\"";

impl Place {
    /// `key` names an object that does not exist.
    pub(super) async fn excess(&self, key: &str) -> Result<Vec<Excess>, Fault> {
        let mut found = Vec::new();
        if self.may_delete(key).await? {
            found.push(Excess::Delete);
        }
        let version = Call::new(Method::DELETE, key).query("versionId", NO_VERSION);
        if self.is_allowed(&version).await? {
            found.push(Excess::DeleteVersions);
        }
        // Outside of the place: of the whole bucket nothing is outside.
        let outside = Call::new(Method::GET, "").query("list-type", "2").query("max-keys", "1").query("prefix", "");
        if !self.location.prefix.is_empty() && self.is_allowed(&outside).await? {
            found.push(Excess::ListOthers);
        }
        if self.is_allowed(&Call::new(Method::GET, "").query("policy", "")).await? {
            found.push(Excess::ReadPolicy);
        }
        Ok(found)
    }

    /// The removal is of a name that does not stand, and on a condition that cannot hold. A store that keeps versions and
    /// knows no conditions leaves a marker for it, which is taken away.
    async fn may_delete(&self, key: &str) -> Result<bool, Fault> {
        let call = Call::new(Method::DELETE, key).header("if-match", NO_ETAG);
        match self.client.send(&call).await {
            Ok(answer) => {
                if let Some(marker) = version_of(&answer) {
                    let removal = Call::new(Method::DELETE, key).query("versionId", marker);
                    self.client.send(&removal).await?;
                }
                Ok(true)
            }
            Err(fault) => allowed(fault),
        }
    }

    async fn is_allowed(&self, call: &Call) -> Result<bool, Fault> {
        match self.client.send(call).await {
            Ok(_) => Ok(true),
            Err(fault) => allowed(fault),
        }
    }
}

fn allowed(fault: Fault) -> Result<bool, Fault> {
    match fault.class {
        Class::Denied | Class::Unsupported | Class::NoBucket => Ok(false),
        // Asked for, and not there.
        Class::NoKey | Class::Stands | Class::Refused => Ok(true),
        _ => Err(fault),
    }
}
