//! A member is a skippable frame with the tag, and behind it one zstd frame with the data. FORMAT.md §12.

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_frame_content_size};

use crate::archive::fault::Flaw;
use crate::archive::layout::{STEP_BYTES, TAG_AT, wide};
use crate::archive::member::Fields;
use crate::checksum::crc32;

use super::Shape;

/// The skippable frame's magic number, 0x184D2A5B.
const MAGIC: [u8; 4] = [0x5b, 0x2a, 0x4d, 0x18];
/// Tells our skippable frames from those of others.
const SIGNATURE: [u8; 4] = *b"MYBK";
/// The signature and the CRC-32, which the frame's length counts.
const BEFORE_TAG: usize = 8;
/// A data frame of nothing: the tool that names files by their first bytes takes no notice of skippable frames.
const LEAD: [u8; 13] = [0x28, 0xb5, 0x2f, 0xfd, 0x24, 0x00, 0x01, 0x00, 0x00, 0x99, 0xe9, 0xd8, 0x51];
/// The most that a frame which is not decompressed at once may ask for: 16 MiB. No level of ours asks for more than 8.
const WINDOW_LOG_MAX: u32 = 24;

pub const SHAPE: Shape = Shape { lead: &LEAD, mark: &MAGIC, empty_rest: &[], trailer: 0 };

pub fn is_marked(head: &[u8]) -> bool {
    let after = head.strip_prefix(&MAGIC).and_then(|rest| rest.get(4..));
    after.is_some_and(|rest| rest.starts_with(&SIGNATURE))
}

pub fn start(sealed: usize, crc32: u32) -> [u8; TAG_AT] {
    let frame = u32::try_from(sealed.saturating_add(BEFORE_TAG)).unwrap_or(u32::MAX);
    let mut start = [0; TAG_AT];
    let parts = [MAGIC, frame.to_le_bytes(), SIGNATURE, crc32.to_le_bytes()];
    start.chunks_exact_mut(4).zip(parts).for_each(|(place, part)| place.copy_from_slice(&part));
    start
}

pub fn sealed_len(start: &[u8; TAG_AT]) -> Option<usize> {
    let mut fields = Fields::new(start.strip_prefix(&MAGIC)?);
    let frame = usize::try_from(fields.u32()?).ok()?;
    let ours = fields.array::<4>()? == SIGNATURE;
    frame.checked_sub(BEFORE_TAG).filter(|_| ours)
}

pub fn crc32_in(header: &[u8]) -> Option<u32> {
    Fields::new(header.get(12..)?).u32()
}

pub fn expand(member: &[u8], frame: &[u8], raw_len: u64, into: &mut Vec<u8>) -> Result<u32, Flaw> {
    let expected = crc32_in(member).ok_or(Flaw::HeaderField("CRC"))?;
    check_frame(frame, raw_len)?;
    into.clear();
    decompress(frame, raw_len, into)?;
    let found = crc32(into);
    if found == expected { Ok(found) } else { Err(Flaw::RawCrc { expected, found }) }
}

/// One way only: with the length, with a checksum, without a dictionary.
fn check_frame(frame: &[u8], raw_len: u64) -> Result<(), Flaw> {
    const CHECKSUM: u8 = 0b100;
    const DICTIONARY_AND_RESERVED: u8 = 0b1_1011;
    match frame {
        [0x28, 0xb5, 0x2f, 0xfd, flags, ..] if flags & (CHECKSUM | DICTIONARY_AND_RESERVED) == CHECKSUM => {}
        _ => return Err(Flaw::Inflate),
    }
    match get_frame_content_size(frame) {
        Ok(Some(found)) if found == raw_len => Ok(()),
        Ok(Some(found)) => Err(Flaw::RawLength { expected: raw_len, found }),
        Ok(None) | Err(_) => Err(Flaw::Inflate),
    }
}

/// At once where all of `raw_len` is within what memory is taken for unproven, else in steps as data prove it.
fn decompress(frame: &[u8], raw_len: u64, into: &mut Vec<u8>) -> Result<(), Flaw> {
    let len = usize::try_from(raw_len).map_err(|_| Flaw::Inflate)?;
    let mut context = DCtx::try_create().ok_or(Flaw::Inflate)?;
    context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(|_| Flaw::Inflate)?;
    into.reserve_exact(len.min(STEP_BYTES));
    let mut input = InBuffer::around(frame);
    loop {
        if into.len() == into.capacity() {
            let missing = len.saturating_sub(into.len());
            into.reserve_exact(missing.min(STEP_BYTES.max(into.len())));
        }
        let before = (input.pos(), into.len());
        let mut output = OutBuffer::around_pos(into, before.1);
        let wanted = context.decompress_stream(&mut output, &mut input).map_err(|_| Flaw::Inflate)?;
        let after = (input.pos(), into.len());
        if wide(after.1) > raw_len {
            return Err(Flaw::RawLength { expected: raw_len, found: wide(after.1) });
        }
        match wanted {
            0 if after == (frame.len(), len) => return Ok(()),
            0 => return Err(Flaw::Inflate),
            _ if after == before => return Err(Flaw::Inflate),
            _ => {}
        }
    }
}
