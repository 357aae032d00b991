//! What a file is, from its first bytes. The suffix decides nothing.

use std::fmt;

use super::framing::Framing;

/// [`sniff`] knows everything from this many first bytes on.
pub const SNIFF_BYTES: usize = 512;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sniff {
    /// Begins as an archive of ours does; whether it is whole is another question.
    Ours,
    ForeignGzip,
    Zstd,
    PlainSql,
    PlainSqlite,
    Age,
    Gpg,
    Unknown,
}

impl Sniff {
    /// What it holds cannot be seen without a key.
    pub fn is_sealed(self) -> bool {
        matches!(self, Sniff::Age | Sniff::Gpg)
    }
}

impl fmt::Display for Sniff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sniff::Ours => "an archive of miyabi-backup",
            Sniff::ForeignGzip => "a plain gzip file",
            Sniff::Zstd => "a zstd file",
            Sniff::PlainSql => "an uncompressed SQL script",
            Sniff::PlainSqlite => "an uncompressed SQLite database",
            Sniff::Age => "a file encrypted by age",
            Sniff::Gpg => "a file encrypted by gpg",
            Sniff::Unknown => "a file of unknown kind",
        })
    }
}

pub fn sniff(first_bytes: &[u8]) -> Sniff {
    if Framing::of_start(first_bytes).is_some() {
        return Sniff::Ours;
    }
    if first_bytes.starts_with(&[0x1f, 0x8b]) {
        return Sniff::ForeignGzip;
    }
    if first_bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || is_skippable_frame(first_bytes) {
        return Sniff::Zstd;
    }
    if first_bytes.starts_with(b"SQLite format 3\0") {
        return Sniff::PlainSqlite;
    }
    if first_bytes.starts_with(b"age-encryption.org/") || first_bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE") {
        return Sniff::Age;
    }
    if is_gpg(first_bytes) {
        return Sniff::Gpg;
    }
    if looks_like_sql(first_bytes) { Sniff::PlainSql } else { Sniff::Unknown }
}

/// Text around it, or the packet of a key that opens it: one made of a passphrase (tag 3, version 4 to 6), or one for a
/// public key (tag 1, version 3 or 6), with a length of one or two bytes in either form of header.
fn is_gpg(bytes: &[u8]) -> bool {
    let version = match bytes {
        [0x8c | 0xc3 | 0x84 | 0xc1, 0..192, version, ..] => version,
        [0xc3 | 0xc1, 192..224, _, version, ..] | [0x8d | 0x85, _, _, version, ..] => version,
        _ => return bytes.starts_with(b"-----BEGIN PGP MESSAGE-----"),
    };
    match bytes.first() {
        Some(0x8c | 0x8d | 0xc3) => (4..=6).contains(version),
        _ => matches!(version, 3 | 6),
    }
}

/// zstd's skippable frames: 0x184D2A50 to 0x184D2A5F, little-endian.
fn is_skippable_frame(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50)
}

/// Text that begins with a comment, a backslash command or one of the words that scripts begin with.
fn looks_like_sql(bytes: &[u8]) -> bool {
    const WORDS: [&[u8]; 12] = [
        b"--", b"/*", b"\\", b"SET ", b"SELECT ", b"CREATE ", b"ALTER ", b"DROP ", b"BEGIN", b"COPY ", b"INSERT ",
        b"PRAGMA ",
    ];
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if text.contains(&0) {
        return false;
    }
    WORDS.iter().any(|word| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::layout::GZIP_PREFIX;

    #[test]
    fn each_kind_is_known_by_its_first_bytes() {
        assert_eq!(sniff(b"\x1f\x8b\x08\x00rest"), Sniff::ForeignGzip);
        assert_eq!(sniff(&GZIP_PREFIX), Sniff::ForeignGzip);
        assert_eq!(sniff(b"\x28\xb5\x2f\xfd\0"), Sniff::Zstd);
        assert_eq!(sniff(b"\x50\x2a\x4d\x18\0"), Sniff::Zstd);
        assert_eq!(sniff(Framing::Zstd.lead()), Sniff::Zstd);
        assert_eq!(sniff(b"SQLite format 3\0\x10\0"), Sniff::PlainSqlite);
        assert_eq!(sniff(b"age-encryption.org/v1\n"), Sniff::Age);
        assert_eq!(sniff(b"\x8c\x0d\x04\x09\x03\x0812345678\xff\xd2"), Sniff::Gpg);
        assert_eq!(sniff(b"\xc3\x2e\x04\x09\x03\x08"), Sniff::Gpg);
        assert_eq!(sniff(b"\x85\x01\x0c\x03"), Sniff::Gpg);
        assert_eq!(sniff(b"-----BEGIN PGP MESSAGE-----\n\n"), Sniff::Gpg);
        assert_eq!(sniff("Äpfel".as_bytes()), Sniff::Unknown);
        assert_eq!(sniff(b"--\n-- PostgreSQL database dump\n"), Sniff::PlainSql);
        assert_eq!(sniff(b"\n  select 1;"), Sniff::PlainSql);
        assert_eq!(sniff(b"\\restrict abc\n"), Sniff::PlainSql);
        assert_eq!(sniff(b"-- \0"), Sniff::Unknown);
        assert_eq!(sniff(b""), Sniff::Unknown);
    }
}
