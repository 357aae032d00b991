//! Sizes, offsets and constants of the container. Each cites the section of `docs/FORMAT.md` that defines it.

/// FORMAT.md §3: ID1 ID2 CM FLG MTIME XFL OS, the only ten bytes that a gzip member of ours begins with.
pub const GZIP_PREFIX: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff];
/// FORMAT.md §3: the subfield's identifier.
pub const SUBFIELD: [u8; 2] = *b"MY";
/// FORMAT.md §3: gzip prefix, XLEN, subfield identifier, subfield length; as long in zstd, §12.
pub const TAG_AT: usize = 16;
/// FORMAT.md §3.1: the fixed part of the tag, before its body.
pub const TAG_BYTES: usize = 56;
/// FORMAT.md §3.1: where a body begins.
pub const BODY_AT: usize = TAG_AT + TAG_BYTES;
/// FORMAT.md §3.1: the CRC-32 that closes the header.
pub const CRC_BYTES: usize = 4;
/// FORMAT.md §3: a header without a body, as every data member has.
pub const HEADER_BYTES: usize = BODY_AT + CRC_BYTES;
/// FORMAT.md §3.1: FEXTRA holds 65,535 bytes; the subfield's own head, the tag and the CRC take their part.
pub const BODY_BYTES_MAX: usize = 65_535 - 4 - TAG_BYTES - CRC_BYTES;

/// FORMAT.md §4: opens the bodies of head and footer. Non-text lead byte; CRLF and ^Z catch text-mode damage.
pub const MAGIC: [u8; 8] = *b"\xD8MYBK\r\n\x1A";
/// FORMAT.md §8.
pub const FORMAT_VERSION: u16 = 1;
/// FORMAT.md §8: required flags that this reader knows: none yet.
pub const REQUIRED_KNOWN: u32 = 0;
/// FORMAT.md §8: compatible flags that this reader knows: none yet.
pub const COMPATIBLE_KNOWN: u32 = 0;
/// FORMAT.md §4: magic, version, zero, required and compatible flags.
pub const PRELUDE_BYTES: usize = 20;
/// FORMAT.md §4.1.
pub const HEADER_JSON_BYTES_MAX: usize = 60 * 1024;
/// FORMAT.md §7.
pub const FOOTER_BODY_BYTES: usize = PRELUDE_BYTES + 8 + 8 + 8 + 4;

/// Memory is taken in steps of at most this many bytes, so that a declared length costs nothing until data proves it.
pub const STEP_BYTES: usize = 16 << 20;

const _: () = assert!(HEADER_BYTES == 76 && FOOTER_BODY_BYTES == 48);
const _: () = assert!(HEADER_JSON_BYTES_MAX + PRELUDE_BYTES <= BODY_BYTES_MAX);

/// `usize` to `u64`: never narrows on the targets that we build for.
pub const fn wide(len: usize) -> u64 {
    len as u64
}
