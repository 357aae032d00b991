//! Head, index and footer of an archive that can be read at any place. FORMAT.md §9.1.

use std::io::Read;

use crc32fast::Hasher;
use flate2::read::DeflateDecoder;

use crate::read_at::ReadAt;

use super::fault::{Fault, Flaw};
use super::footer::{Footer, footer_at};
use super::framing::Framing;
use super::header::{ArchiveHeader, ArchiveId, Prelude, parse_head_body};
use super::index::{Index, Objects};
use super::layout::{BODY_BYTES_MAX, STEP_BYTES, TAG_AT, wide};
use super::member::{Header, MemberKind, parse_empty};
use super::search::Identity;
use super::sniff::{SNIFF_BYTES, Sniff, sniff};

/// By the first bytes, or where they are damaged by the last ones; one flipped byte at either end must not make a
/// stranger of an archive.
pub fn framing_of<R: ReadAt>(source: &R) -> Option<Framing> {
    let mut bytes = Vec::new();
    read_span(source, 0, source.len().min(wide(SNIFF_BYTES)), &mut bytes).ok()?;
    Framing::of_start(&bytes).or_else(|| Framing::ALL.into_iter().find(|framing| has_footer_mark(source, *framing)))
}

fn has_footer_mark<R: ReadAt>(source: &R, framing: Framing) -> bool {
    let (mark, mut bytes) = (framing.mark(), Vec::new());
    let read = footer_at(framing, source.len()).map(|at| read_span(source, at, wide(mark.len()), &mut bytes));
    matches!(read, Some(Ok(()))) && bytes == mark
}

/// Finds and checks the footer; a file without one is told from a file that is not ours.
pub fn read_footer<R: ReadAt>(source: &R) -> Result<Footer, Fault> {
    if source.is_empty() {
        return Err(Flaw::Empty.at(0));
    }
    let mut first = Vec::new();
    read_span(source, 0, source.len().min(wide(SNIFF_BYTES)), &mut first)?;
    let Some(framing) = framing_of(source) else { return Err(Flaw::NotOurs(sniff(&first)).at(0)) };
    let fault = match footer_at(framing, source.len()) {
        None => Flaw::Truncated.at(source.len()),
        Some(at) => {
            let mut bytes = Vec::new();
            read_span(source, at, wide(framing.footer_bytes()), &mut bytes)?;
            match Footer::parse(framing, &bytes, at) {
                Ok(footer) => return Ok(footer),
                Err(fault) => fault,
            }
        }
    };
    if matches!(fault.flaw, Flaw::Newer { .. }) {
        return Err(fault);
    }
    match sniff(&first) {
        Sniff::Ours => check_newer_head(source, framing)?,
        Sniff::ForeignGzip | Sniff::Zstd | Sniff::Unknown => {}
        other => return Err(Flaw::NotOurs(other).at(0)),
    }
    Err(match fault.flaw {
        Flaw::NoHeader => match trailing_bytes(source, framing)? {
            Some(count) => Flaw::TrailingBytes { count }.at(source.len().saturating_sub(count)),
            None => Flaw::Truncated.at(source.len()),
        },
        _ => fault,
    })
}

/// A newer version may have moved everything but the head's prelude.
fn check_newer_head<R: ReadAt>(source: &R, framing: Framing) -> Result<(), Fault> {
    let (at, mut bytes) = (framing.head_at(), Vec::new());
    if read_empty(source, framing, at, &mut bytes).is_ok()
        && let Ok(header) = parse_empty(framing, &bytes, at)
        && let Err(fault) = parse_head_body(header.body, at)
        && matches!(fault.flaw, Flaw::Newer { .. })
    {
        return Err(fault);
    }
    Ok(())
}

/// Looks for a sound footer in the last MiB and counts what follows it.
fn trailing_bytes<R: ReadAt>(source: &R, framing: Framing) -> Result<Option<u64>, Fault> {
    const WINDOW: u64 = 1 << 20;
    let footer_bytes = framing.footer_bytes();
    let len = source.len();
    let from = len.saturating_sub(WINDOW);
    let mut tail = Vec::new();
    read_span(source, from, len.saturating_sub(from), &mut tail)?;
    for at in memchr::memmem::rfind_iter(&tail, framing.mark()) {
        let Some(bytes) = at.checked_add(footer_bytes).and_then(|end| tail.get(at..end)) else { continue };
        let place = from.saturating_add(wide(at));
        if Footer::parse(framing, bytes, place).is_ok() {
            return Ok(len.checked_sub(place.saturating_add(wide(footer_bytes))));
        }
    }
    Ok(None)
}

/// Reads the index members that the footer names and decodes them.
pub fn read_index<R: ReadAt>(source: &R, footer: &Footer, objects: Objects) -> Result<Index, Fault> {
    let end = footer.index_at.saturating_add(footer.index_stored);
    let (mut at, mut seq) = (footer.index_at, 0u64);
    // The footer was parsed at the index's end, so the file really has these bytes.
    let mut deflate = Vec::with_capacity(usize::try_from(footer.index_stored).unwrap_or(0));
    let mut bytes = Vec::new();
    while at < end {
        read_empty(source, footer.framing, at, &mut bytes)?;
        let header = parse_empty(footer.framing, &bytes, at)?;
        let last = at.saturating_add(wide(bytes.len())) >= end;
        index_part(&header, footer.archive, seq, last, at)?;
        deflate.extend_from_slice(header.body);
        at = at.saturating_add(wide(bytes.len()));
        seq = seq.saturating_add(1);
    }
    if at != end {
        return Err(Flaw::FooterField("place of the index").at(end));
    }
    Index::decode(&deflate, footer, end, objects)
}

/// Checks that a member is part `seq` of the archive's index. All parts but the last are full.
pub fn index_part(header: &Header<'_>, archive: ArchiveId, seq: u64, last: bool, at: u64) -> Result<(), Fault> {
    if header.tag.archive != archive {
        return Err(Flaw::ForeignMember.at(at));
    }
    let in_place = header.tag.kind == MemberKind::Index && header.tag.seq == seq;
    if !in_place || header.body.is_empty() || (!last && header.body.len() != BODY_BYTES_MAX) {
        return Err(Flaw::OutOfPlace { expected: "the next part of the index" }.at(at));
    }
    Ok(())
}

/// Reads and decodes an index whose footer is lost. Each part's header has a CRC of its own, so nothing is guessed.
pub fn recover_index<R: ReadAt>(
    source: &R,
    archive: Identity,
    index_at: u64,
    objects: Objects,
) -> Result<Index, Fault> {
    let (mut at, mut deflate, mut bytes) = (index_at, Vec::new(), Vec::new());
    for seq in 0u64.. {
        if read_empty(source, archive.framing, at, &mut bytes).is_err() {
            break;
        }
        let Ok(header) = parse_empty(archive.framing, &bytes, at) else { break };
        if index_part(&header, archive.id, seq, true, at).is_err() {
            break;
        }
        deflate.extend_from_slice(header.body);
        at = at.saturating_add(wide(bytes.len()));
    }
    let (mut raw, mut crc, mut buffer) = (0u64, Hasher::new(), vec![0u8; 64 << 10]);
    let mut inflated = DeflateDecoder::new(deflate.as_slice());
    loop {
        let read = inflated.read(&mut buffer).map_err(|_| Flaw::IndexField("deflate stream").at(index_at))?;
        if read == 0 {
            break;
        }
        raw = raw.saturating_add(wide(read));
        crc.update(buffer.get(..read).unwrap_or_default());
    }
    let footer = Footer {
        framing: archive.framing,
        prelude: Prelude::OURS,
        archive: archive.id,
        index_at: u64::MAX,
        index_stored: at.saturating_sub(index_at),
        index_raw: raw,
        index_crc32: crc.finalize(),
    };
    let index = Index::decode_apart(&deflate, &footer, at, objects)?;
    index.check(index.members_end()).map_err(|flaw| flaw.at(index_at))?;
    Ok(index)
}

/// The head member's contents and its JSON as stored.
pub fn read_head<R: ReadAt>(source: &R, framing: Framing) -> Result<(ArchiveHeader, Vec<u8>), Fault> {
    let (at, mut bytes) = (framing.head_at(), Vec::new());
    read_span(source, 0, at, &mut bytes)?;
    if bytes != framing.lead() {
        return Err(Flaw::HeaderField("first frame").at(0));
    }
    read_empty(source, framing, at, &mut bytes)?;
    let head = parse_empty(framing, &bytes, at)?;
    if head.tag.kind != MemberKind::Head {
        return Err(Flaw::OutOfPlace { expected: "the head" }.at(at));
    }
    let (_, json) = parse_head_body(head.body, at)?;
    Ok((ArchiveHeader::from_json(json, head.tag.archive, at)?, json.to_vec()))
}

/// The head member must say, byte for byte, what the index says it does.
pub fn check_head<R: ReadAt>(source: &R, index: &Index) -> Result<(), Fault> {
    let (header, json) = read_head(source, index.framing)?;
    if header.id != index.header.id {
        return Err(Flaw::ForeignMember.at(0));
    }
    match json == index.header_json {
        true => Ok(()),
        false => Err(Flaw::IndexDisagrees { what: "archive header" }.at(0)),
    }
}

/// Reads `len` bytes at `at`, which the source must have: else no memory is taken for them.
pub fn read_span<R: ReadAt>(source: &R, at: u64, len: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
    into.clear();
    if at.checked_add(len).is_none_or(|end| end > source.len()) {
        return Err(Flaw::Truncated.at(at));
    }
    let len = usize::try_from(len).map_err(|_| Flaw::Truncated.at(at))?;
    into.reserve_exact(len);
    while into.len() < len {
        let from = into.len();
        let step = len.saturating_sub(from).min(STEP_BYTES);
        into.resize(from.saturating_add(step), 0);
        let part = into.get_mut(from..).unwrap_or_default();
        source.read_at(at.saturating_add(wide(from)), part).map_err(|cause| Flaw::Read(cause).at(at))?;
    }
    Ok(())
}

/// Reads a whole member that carries its contents in the header.
pub fn read_empty<R: ReadAt>(source: &R, framing: Framing, at: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
    read_span(source, at, wide(TAG_AT), into)?;
    let header = framing.header_len(into).ok_or(Flaw::NoHeader.at(at))?;
    let len = wide(header).saturating_add(wide(framing.empty_rest().len()));
    read_span(source, at, len, into)
}
