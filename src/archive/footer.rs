//! The last member: where the index lies and what it must be. FORMAT.md §7.
//!
//! Its size and the place of magic, version and flags hold for every format version to come.

use super::fault::{Fault, Flaw};
use super::framing::Framing;
use super::header::{ArchiveId, Prelude};
use super::layout::{FOOTER_BODY_BYTES, wide};
use super::member::{Fields, MemberKind, empty_member, parse_empty};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Footer {
    pub framing: Framing,
    pub prelude: Prelude,
    pub archive: ArchiveId,
    /// Offset of the first index member.
    pub index_at: u64,
    /// Length of all index members as stored.
    pub index_stored: u64,
    /// Length and CRC-32 of the inflated index.
    pub index_raw: u64,
    pub index_crc32: u32,
}

impl Footer {
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(FOOTER_BODY_BYTES);
        self.prelude.encode(&mut body);
        for number in [self.index_at, self.index_stored, self.index_raw] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.extend_from_slice(&self.index_crc32.to_le_bytes());
        empty_member(self.framing, MemberKind::Footer, self.archive, 0, &body)
    }

    /// Parses the footer member that stands at `at` and checks that its index ends where it begins.
    pub fn parse(framing: Framing, bytes: &[u8], at: u64) -> Result<Self, Fault> {
        let header = parse_empty(framing, bytes, at)?;
        if header.tag.kind != MemberKind::Footer {
            return Err(Flaw::OutOfPlace { expected: "the footer" }.at(at));
        }
        let mut fields = Fields::new(header.body);
        let prelude = Prelude::decode(&mut fields, at)?;
        let (Some(index_at), Some(index_stored), Some(index_raw), Some(index_crc32), []) =
            (fields.u64(), fields.u64(), fields.u64(), fields.u32(), fields.rest())
        else {
            return Err(Flaw::FooterField("length").at(at));
        };
        if bytes.len() != framing.footer_bytes() {
            return Err(Flaw::FooterField("length").at(at));
        }
        if index_at.checked_add(index_stored) != Some(at) || index_stored == 0 {
            return Err(Flaw::FooterField("place of the index").at(at));
        }
        Ok(Footer { framing, prelude, archive: header.tag.archive, index_at, index_stored, index_raw, index_crc32 })
    }
}

/// Where the footer of a file of this length stands.
pub fn footer_at(framing: Framing, file_len: u64) -> Option<u64> {
    file_len.checked_sub(wide(framing.footer_bytes()))
}
