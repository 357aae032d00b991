//! How bytes of a database become text here and text becomes bytes again, without loss.
//!
//! What a backup holds is read in the database's own encoding, without a conversion that could fail or not lead back:
//! EUC_JP has letters that UTF8 lacks, WIN1252 bytes that stand for none. Unless it is UTF8, bytes are mapped one to
//! one onto U+0000–U+00FF and written back the same way; so names of LATIN1 show as they are, those of other encodings
//! as their bytes. In every encoding that a database can have, a byte below 0x80 is ASCII, also inside a longer
//! character: nothing that is quoted here can end a quote. Encodings of clients alone (SJIS, GBK …) are never used.

use crate::error::{Context, Error, Kind, Result};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Codec {
    Utf8,
    /// Bytes of the encoding of this name, uninterpreted.
    Own(&'static str),
}

/// Encodings that a database can have, besides UTF8.
const OWN: [&str; 34] = [
    "SQL_ASCII",
    "EUC_JP",
    "EUC_CN",
    "EUC_KR",
    "EUC_TW",
    "EUC_JIS_2004",
    "MULE_INTERNAL",
    "LATIN1",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "KOI8R",
    "KOI8U",
    "WIN866",
    "WIN874",
    "WIN1250",
    "WIN1251",
    "WIN1252",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1256",
    "WIN1257",
    "WIN1258",
];

impl Codec {
    /// The codec that loses nothing of a database whose `server_encoding` is this.
    pub fn of_server_encoding(server_encoding: &str) -> Self {
        OWN.iter().find(|name| **name == server_encoding).map_or(Codec::Utf8, |name| Codec::Own(name))
    }

    /// The codec for sessions that talk about such a database: the server converts what has an encoding.
    pub fn converted(server_encoding: &str) -> Self {
        match Codec::of_server_encoding(server_encoding) {
            Codec::Own("SQL_ASCII") => Codec::Own("SQL_ASCII"),
            _ => Codec::Utf8,
        }
    }

    /// The codec of an archive that names its `client_encoding`; those of clients alone are refused.
    pub fn of_archive(client_encoding: &str) -> Result<Self> {
        match Codec::of_server_encoding(client_encoding) {
            Codec::Utf8 if client_encoding != "UTF8" => {
                Err(Error::new(Kind::Unsupported, format!("cannot restore text in the encoding {client_encoding}")))
            }
            codec => Ok(codec),
        }
    }

    /// What sessions that use this codec set as `client_encoding`.
    pub fn client_encoding(self) -> &'static str {
        match self {
            Codec::Utf8 => "UTF8",
            Codec::Own(name) => name,
        }
    }

    /// Whether any byte beyond ASCII is a character by itself.
    pub fn has_single_bytes(self) -> bool {
        matches!(self, Codec::Own(name) if !name.starts_with("EUC_") && name != "MULE_INTERNAL")
    }

    pub fn decode(self, bytes: &[u8]) -> Result<String> {
        match self {
            Codec::Utf8 => std::str::from_utf8(bytes)
                .map(str::to_owned)
                .context(Kind::Source, || "cannot read text that the server sent as UTF-8".to_owned()),
            Codec::Own(_) => Ok(bytes.iter().copied().map(char::from).collect()),
        }
    }

    pub fn encode(self, text: &str) -> Result<Vec<u8>> {
        match self {
            Codec::Utf8 => Ok(text.as_bytes().to_vec()),
            Codec::Own(_) => text
                .chars()
                .map(|c| {
                    u8::try_from(u32::from(c))
                        .map_err(|_| Error::new(Kind::Bug, format!("cannot write U+{:04X} as a byte", u32::from(c))))
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_both_ways() {
        let all: Vec<u8> = (0..=255).collect();
        let codec = Codec::of_server_encoding("EUC_JP");
        let text = codec.decode(&all).unwrap();
        assert_eq!(text.chars().count(), 256);
        assert_eq!(codec.encode(&text).unwrap(), all);
        assert_eq!(codec.client_encoding(), "EUC_JP");
    }

    #[test]
    fn what_cannot_be_a_byte_or_utf8_is_refused() {
        assert_eq!(Codec::Own("LATIN1").encode("名").unwrap_err().kind(), Kind::Bug);
        assert_eq!(Codec::Utf8.decode(b"\xff").unwrap_err().kind(), Kind::Source);
    }

    #[test]
    fn an_archive_in_an_encoding_of_clients_alone_is_refused() {
        assert_eq!(Codec::of_archive("UTF8").unwrap(), Codec::Utf8);
        assert_eq!(Codec::of_archive("SQL_ASCII").unwrap(), Codec::Own("SQL_ASCII"));
        for name in ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004", "'; DROP", ""] {
            assert_eq!(Codec::of_archive(name).unwrap_err().kind(), Kind::Unsupported, "{name}");
        }
    }
}
