//! The text of a script's statements, packed: it is most of a large script, is written once, and is read once in about the
//! order in which it was written.

use std::borrow::Cow;

use zstd::bulk::{Decompressor, compress};

use crate::error::{Context, Error, Kind, Result};

/// Bytes of text that are packed together. A longer statement is packed alone.
const CHUNK_BYTES: usize = 64 << 10;

/// Script text is repetitive: a tenth is left at the fastest level.
const LEVEL: i32 = 1;

/// Where a statement stands in [`Statements`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sql {
    chunk: u32,
    at: u32,
    len: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Statements {
    chunks: Vec<Chunk>,
    /// The text of the next chunk.
    open: String,
}

#[derive(Clone, Debug)]
struct Chunk {
    packed: Box<[u8]>,
    /// Of the text, in bytes.
    len: usize,
}

fn lost(what: &str) -> Error {
    Error::new(Kind::Bug, format!("cannot find a statement of the script again: {what}"))
}

impl Statements {
    pub fn add(&mut self, sql: &str) -> Result<Sql> {
        if !self.open.is_empty() && self.open.len() + sql.len() > CHUNK_BYTES {
            self.pack()?;
        }
        let place =
            |number: usize| u32::try_from(number).context(Kind::Source, || "a statement is too long".to_owned());
        let added = Sql { chunk: place(self.chunks.len())?, at: place(self.open.len())?, len: place(sql.len())? };
        self.open.push_str(sql);
        Ok(added)
    }

    fn pack(&mut self) -> Result<()> {
        let packed = compress(self.open.as_bytes(), LEVEL);
        let packed = packed.context(Kind::Bug, || "cannot pack the script".to_owned())?.into_boxed_slice();
        self.chunks.push(Chunk { packed, len: self.open.len() });
        self.open.clear();
        Ok(())
    }

    pub fn reader(&self) -> Reader<'_> {
        Reader { statements: self, unpacked: None }
    }

    /// One statement. Who wants several takes [`Statements::reader`].
    pub fn get(&self, sql: Sql) -> Result<String> {
        self.reader().get(sql).map(str::to_owned)
    }
}

/// Keeps the chunk that it read last.
pub struct Reader<'a> {
    statements: &'a Statements,
    unpacked: Option<(u32, Cow<'a, str>)>,
}

impl<'a> Reader<'a> {
    pub fn get(&mut self, sql: Sql) -> Result<&str> {
        let text = match self.unpacked.take().filter(|(chunk, _)| *chunk == sql.chunk) {
            Some((_, text)) => text,
            None => self.unpack(sql.chunk)?,
        };
        let (_, text) = self.unpacked.insert((sql.chunk, text));
        let (at, len) = (sql.at as usize, sql.len as usize);
        text.get(at..).and_then(|rest| rest.get(..len)).ok_or_else(|| lost("it is not where it was put"))
    }

    fn unpack(&self, chunk: u32) -> Result<Cow<'a, str>> {
        let Some(chunk) = self.statements.chunks.get(chunk as usize) else {
            return Ok(Cow::Borrowed(&self.statements.open));
        };
        let unpacked = Decompressor::new().and_then(|mut one| one.decompress(&chunk.packed, chunk.len));
        let text = unpacked.context(Kind::Bug, || "cannot unpack the script".to_owned())?;
        String::from_utf8(text).map(Cow::Owned).map_err(|_| lost("it is no text any more"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_comes_back_in_any_order() {
        let mut statements = Statements::default();
        let long = "x".repeat(3 * CHUNK_BYTES);
        let texts: Vec<String> = (0..5000)
            .map(|number| match number % 1000 {
                7 => long.clone(),
                8 => String::new(),
                _ => format!("CREATE TABLE \"t{number}ä\" (a integer);\n"),
            })
            .collect();
        let places: Vec<Sql> = texts.iter().map(|text| statements.add(text).unwrap()).collect();
        assert!(statements.chunks.len() > 5, "{}", statements.chunks.len());
        let packed: usize = statements.chunks.iter().map(|chunk| chunk.packed.len()).sum();
        assert!(packed < texts.iter().map(String::len).sum::<usize>() / 8, "{packed}");
        let mut reader = statements.reader();
        let forth = texts.iter().zip(&places);
        for (text, place) in forth.clone().chain(forth.rev()) {
            assert_eq!(reader.get(*place).unwrap(), text);
        }
        assert_eq!(statements.get(places[7]).unwrap(), long);
    }
}
