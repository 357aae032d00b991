//! What the first member says: which archive this is, of what source, by which version. FORMAT.md §4.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fault::{Fault, Flaw};
use super::layout::{FORMAT_VERSION, HEADER_JSON_BYTES_MAX, MAGIC, PRELUDE_BYTES, REQUIRED_KNOWN};
use super::member::Fields;

/// 128 random bits, drawn by whoever begins the archive. Every member carries them.
#[derive(Clone, Copy, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct ArchiveId(pub [u8; 16]);

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ArchiveId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ArchiveId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_hex = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match u128::from_str_radix(&text, 16) {
            Ok(number) if is_hex => Ok(ArchiveId(number.to_be_bytes())),
            _ => Err(serde::de::Error::custom("an archive id is 32 lower-case hex digits")),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    Postgres,
    /// Roles, tablespaces and privileges on parameters of a server: a script alone.
    Globals,
    Sqlite,
}

impl SourceKind {
    const WORDS: [&str; 3] = ["postgres", "globals", "sqlite"];
}

/// As much of a header as tells that a newer version wrote it.
#[derive(Deserialize)]
struct OfSomeKind {
    kind: String,
}

/// The fact in [`ArchiveHeader::source`] that marks what `salvage` wrote: rows that others refer to may be missing.
pub const SALVAGED: &str = "salvaged";

/// The fact that marks an archive that holds some of the database's objects or rows, and says by which flags.
pub const PART: &str = "part";

/// The fact that says by which flags the objects are without owners, privileges or comments.
pub const WITHOUT: &str = "without";

/// FORMAT.md §4.1. Unknown fields are ignored.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ArchiveHeader {
    pub id: ArchiveId,
    pub kind: SourceKind,
    pub created: Timestamp,
    pub tool_version: String,
    /// Facts of the source as text: `database`, `server_version`, `encoding`, `page_size`, …
    pub source: BTreeMap<String, String>,
    /// `pre-data`, `data`, `post-data`, or some of them.
    pub sections: Vec<String>,
}

impl ArchiveHeader {
    /// Whether `salvage` wrote the archive.
    pub fn is_salvaged(&self) -> bool {
        self.source.contains_key(SALVAGED)
    }

    /// Which part of the database it holds; `None` where only its sections say what is missing.
    pub fn part(&self) -> Option<&str> {
        self.source.get(PART).map(String::as_str)
    }
}

impl ArchiveHeader {
    pub(super) fn from_json(json: &[u8], id: ArchiveId, at: u64) -> Result<Self, Fault> {
        let header: ArchiveHeader = serde_json::from_slice(json).map_err(|_| unreadable(json).at(at))?;
        if header.id != id {
            return Err(Flaw::HeaderField("archive id").at(at));
        }
        Ok(header)
    }
}

fn unreadable(json: &[u8]) -> Flaw {
    match serde_json::from_slice::<OfSomeKind>(json) {
        Ok(header) if !SourceKind::WORDS.contains(&header.kind.as_str()) => Flaw::UnknownSource,
        _ => Flaw::HeaderField("archive header (JSON)"),
    }
}

/// FORMAT.md §4: what opens the bodies of head and footer, and decides whether we can read the rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Prelude {
    pub version: u16,
    pub required: u32,
    pub compatible: u32,
}

impl Prelude {
    pub const OURS: Prelude = Prelude { version: FORMAT_VERSION, required: REQUIRED_KNOWN, compatible: 0 };

    pub fn encode(self, into: &mut Vec<u8>) {
        into.extend_from_slice(&MAGIC);
        into.extend_from_slice(&self.version.to_le_bytes());
        into.extend_from_slice(&[0, 0]);
        into.extend_from_slice(&self.required.to_le_bytes());
        into.extend_from_slice(&self.compatible.to_le_bytes());
    }

    /// Takes the prelude off `body`. Whatever is newer is refused here, before anything else is understood.
    pub fn decode(fields: &mut Fields<'_>, at: u64) -> Result<Self, Fault> {
        if fields.array::<8>() != Some(MAGIC) {
            return Err(Flaw::HeaderField("magic").at(at));
        }
        let (Some(version), Some(zero), Some(required), Some(compatible)) =
            (fields.u16(), fields.u16(), fields.u32(), fields.u32())
        else {
            return Err(Flaw::HeaderField("length").at(at));
        };
        if version > FORMAT_VERSION || required & !REQUIRED_KNOWN != 0 {
            return Err(Flaw::Newer { version, required }.at(at));
        }
        if version == 0 || zero != 0 {
            return Err(Flaw::HeaderField("format version").at(at));
        }
        Ok(Prelude { version, required, compatible })
    }
}

/// The body of the head member.
pub(super) fn head_body(json: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(PRELUDE_BYTES.saturating_add(json.len()));
    Prelude::OURS.encode(&mut body);
    body.extend_from_slice(json);
    body
}

/// Splits a head's body into prelude and JSON.
pub(super) fn parse_head_body(body: &[u8], at: u64) -> Result<(Prelude, &[u8]), Fault> {
    let mut fields = Fields::new(body);
    let prelude = Prelude::decode(&mut fields, at)?;
    let json = fields.rest();
    if json.len() > HEADER_JSON_BYTES_MAX {
        return Err(Flaw::HeaderField("archive header (length)").at(at));
    }
    Ok((prelude, json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_source_that_is_not_known_is_newer_and_not_damaged() {
        let id = ArchiveId([0x11; 16]);
        let read = |kind: &str| {
            let json = format!(
                r#"{{"id":"{id}","kind":"{kind}","created":"2026-01-01T00:00:00Z","tool_version":"1","source":{{}},"sections":[]}}"#
            );
            ArchiveHeader::from_json(json.as_bytes(), id, 0).map(|header| header.kind)
        };
        for (word, kind) in
            SourceKind::WORDS.into_iter().zip([SourceKind::Postgres, SourceKind::Globals, SourceKind::Sqlite])
        {
            assert_eq!(read(word).unwrap(), kind);
        }
        assert!(matches!(read("mariadb").unwrap_err().flaw, Flaw::UnknownSource));
        let wrong = ArchiveHeader::from_json(br#"{"kind":"postgres"}"#, id, 0).unwrap_err();
        assert!(matches!(wrong.flaw, Flaw::HeaderField(_)));
    }
}
