//! How bytes of a database become text here and text becomes bytes again, without loss.
//!
//! A database with a known encoding is read with `client_encoding = UTF8`; the server converts. A `SQL_ASCII` database
//! has no encoding, so its bytes are mapped one to one onto U+0000–U+00FF and written back the same way.

use crate::error::{Context, Error, Kind, Result};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Codec {
    Utf8,
    Bytes,
}

impl Codec {
    /// The codec for a database whose `server_encoding` is this.
    pub fn of_server_encoding(server_encoding: &str) -> Self {
        if server_encoding == "SQL_ASCII" { Codec::Bytes } else { Codec::Utf8 }
    }

    /// What sessions that use this codec set as `client_encoding`.
    pub fn client_encoding(self) -> &'static str {
        match self {
            Codec::Utf8 => "UTF8",
            Codec::Bytes => "SQL_ASCII",
        }
    }

    pub fn decode(self, bytes: &[u8]) -> Result<String> {
        match self {
            Codec::Utf8 => std::str::from_utf8(bytes)
                .map(str::to_owned)
                .context(Kind::Source, || "cannot read text that the server sent as UTF-8".to_owned()),
            Codec::Bytes => Ok(bytes.iter().copied().map(char::from).collect()),
        }
    }

    pub fn encode(self, text: &str) -> Result<Vec<u8>> {
        match self {
            Codec::Utf8 => Ok(text.as_bytes().to_vec()),
            Codec::Bytes => text
                .chars()
                .map(|c| {
                    u8::try_from(u32::from(c)).map_err(|_| {
                        Error::new(Kind::Bug, format!("cannot write U+{:04X} into SQL_ASCII text", u32::from(c)))
                    })
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_ascii_bytes_survive_both_ways() {
        let all: Vec<u8> = (0..=255).collect();
        let text = Codec::Bytes.decode(&all).unwrap();
        assert_eq!(text.chars().count(), 256);
        assert_eq!(Codec::Bytes.encode(&text).unwrap(), all);
    }

    #[test]
    fn what_cannot_be_a_byte_or_utf8_is_refused() {
        assert_eq!(Codec::Bytes.encode("名").unwrap_err().kind(), Kind::Bug);
        assert_eq!(Codec::Utf8.decode(b"\xff").unwrap_err().kind(), Kind::Source);
    }
}
