//! Large objects: who owns them, and their bytes in bounded batches.
//!
//! Bytes are read by `lo_get`, which needs no superuser. Holes of sparse objects come as zeros.

use crate::error::{Error, Kind, Result};
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::session::Session;

/// Bytes of one object that are read, and written, at once.
const PIECE_BYTES: i64 = 256 << 10;
/// Objects that are begun in one query at most: with this, a batch is at most 8 MiB, twice that as text.
const BATCH_OBJECTS: usize = 32;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LargeObject {
    /// Named by its OID.
    pub base: Base,
}

/// Bytes of one object from `offset` on, in hexadecimal digits. The piece at offset 0 exists for empty objects, too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    pub oid: u32,
    pub offset: i64,
    pub hex: String,
}

const BASE: BaseColumns = BaseColumns {
    catalog: "pg_largeobject",
    name: "oid::pg_catalog.text",
    in_schema: false,
    owner: Some("lomowner"),
    acl: Some(("lomacl", "'L'")),
};

/// Gives all of them to `take`, by OID, without their bytes.
pub async fn each(session: &Session, mut take: impl FnMut(LargeObject) -> Result<()>) -> Result<()> {
    let sql = format!("SELECT {} FROM pg_catalog.pg_largeobject_metadata o ORDER BY o.oid", BASE.sql());
    session
        .each(&sql, |row| {
            let mut base = Base::read(row, class::PG_LARGEOBJECT)?;
            // The server makes none itself, and users may choose any OID.
            base.in_system_schema = false;
            take(LargeObject { base })
        })
        .await
}

/// Reads the bytes of a list of objects, in order and in pieces.
#[derive(Debug)]
pub struct Reader {
    oids: Vec<u32>,
    /// The next object, and where in it.
    next: usize,
    offset: i64,
    /// How many objects to begin at once. What was read of those behind an object that goes on is read again, so
    /// that among long objects they are begun one by one.
    begin: usize,
}

impl Reader {
    pub fn new(oids: Vec<u32>) -> Self {
        Reader { oids, next: 0, offset: 0, begin: BATCH_OBJECTS }
    }

    /// The next batch; empty when all is read.
    pub async fn batch(&mut self, session: &Session) -> Result<Vec<Piece>> {
        let count = if self.offset > 0 { 1 } else { self.begin };
        let oids: Vec<u32> = self.oids.iter().skip(self.next).take(count).copied().collect();
        if oids.is_empty() {
            return Ok(Vec::new());
        }
        let pieces = read(session, &oids, self.offset).await?;
        self.advance(&oids, pieces)
    }

    /// Keeps pieces up to and with the first that did not end its object; the rest of it is read next.
    fn advance(&mut self, oids: &[u32], pieces: Vec<Piece>) -> Result<Vec<Piece>> {
        let mut kept = Vec::new();
        for (oid, piece) in oids.iter().zip(pieces) {
            if piece.oid != *oid {
                return Err(Error::new(Kind::Source, format!("cannot read large object {oid}: it is gone")));
            }
            let bytes = i64::try_from(piece.hex.len() / 2).unwrap_or(PIECE_BYTES);
            let goes_on = bytes == PIECE_BYTES;
            if bytes > 0 || piece.offset == 0 {
                kept.push(piece);
            }
            if goes_on {
                self.offset = self.offset.saturating_add(PIECE_BYTES);
                self.begin = 1;
                return Ok(kept);
            }
            self.next = self.next.saturating_add(1);
            self.offset = 0;
        }
        self.begin = self.begin.saturating_mul(2).min(BATCH_OBJECTS);
        Ok(kept)
    }
}

async fn read(session: &Session, oids: &[u32], offset: i64) -> Result<Vec<Piece>> {
    let list = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let sql = format!(
        "SELECT l.oid, pg_catalog.encode(pg_catalog.lo_get(l.oid, {offset}, {PIECE_BYTES}), 'hex') AS hex \
         FROM pg_catalog.unnest('{{{list}}}'::pg_catalog.oid[]) WITH ORDINALITY AS l (oid, place) ORDER BY l.place"
    );
    let mut pieces = Vec::new();
    for row in session.rows(&sql).await? {
        pieces.push(Piece { oid: row.u32("oid")?, offset, hex: row.text("hex")? });
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(oid: u32, offset: i64, bytes: i64) -> Piece {
        Piece { oid, offset, hex: "00".repeat(usize::try_from(bytes).unwrap()) }
    }

    #[test]
    fn a_long_object_is_continued_before_the_next_begins() {
        let mut reader = Reader::new(vec![1, 2, 3]);
        let first = vec![piece(1, 0, 5), piece(2, 0, PIECE_BYTES), piece(3, 0, 1)];
        assert_eq!(reader.advance(&[1, 2, 3], first).unwrap().len(), 2, "3 waits for the rest of 2");
        assert_eq!((reader.next, reader.offset, reader.begin), (1, PIECE_BYTES, 1));
        assert_eq!(reader.advance(&[2], vec![piece(2, PIECE_BYTES, 0)]).unwrap(), [], "it ended with its first piece");
        assert_eq!((reader.next, reader.offset), (2, 0));
        assert_eq!(reader.advance(&[3], vec![piece(3, 0, 0)]).unwrap().len(), 1, "an empty object has a piece");
        assert_eq!(reader.next, 3);
        assert!(reader.advance(&[4], vec![piece(5, 0, 0)]).is_err());
    }
}
