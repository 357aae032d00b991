//! All members of an archive in 24 bytes each: a million of them are opened in a small machine's memory.

use std::collections::BTreeMap;

use crate::ident::StreamId;

use super::model::MemberEntry;

/// What is known of a member without its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    pub stream: StreamId,
    pub stored: u64,
    pub raw: u64,
    pub rows: u64,
    pub crc32: u32,
    pub stored_crc32: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Narrow {
    stream: u32,
    stored: u32,
    raw: u32,
    rows: u32,
    crc32: u32,
    stored_crc32: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Wide {
    stored: u64,
    raw: u64,
    rows: u64,
}

/// `stored` of a narrow entry whose numbers stand in the side table.
const SEE_WIDE: u32 = u32::MAX;

/// Members in file order. Places follow from contiguity, sequences from order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    narrow: Vec<Narrow>,
    /// Numbers beyond 32 bits, by position.
    wide: BTreeMap<usize, Wide>,
}

impl Table {
    pub fn with_capacity(members: usize) -> Self {
        Table { narrow: Vec::with_capacity(members), wide: BTreeMap::new() }
    }

    pub fn len(&self) -> usize {
        self.narrow.len()
    }

    pub fn push(&mut self, span: Span) {
        let fits = (u32::try_from(span.stored), u32::try_from(span.raw), u32::try_from(span.rows));
        let (stored, raw, rows) = match fits {
            (Ok(stored), Ok(raw), Ok(rows)) if stored != SEE_WIDE => (stored, raw, rows),
            _ => {
                self.wide.insert(self.narrow.len(), Wide { stored: span.stored, raw: span.raw, rows: span.rows });
                (SEE_WIDE, 0, 0)
            }
        };
        let (stream, crc32, stored_crc32) = (span.stream.0, span.crc32, span.stored_crc32);
        self.narrow.push(Narrow { stream, stored, raw, rows, crc32, stored_crc32 });
    }

    pub fn get(&self, position: usize) -> Option<Span> {
        let narrow = self.narrow.get(position)?;
        let numbers = match narrow.stored {
            SEE_WIDE => *self.wide.get(&position)?,
            stored => Wide { stored: u64::from(stored), raw: u64::from(narrow.raw), rows: u64::from(narrow.rows) },
        };
        Some(Span {
            stream: StreamId(narrow.stream),
            stored: numbers.stored,
            raw: numbers.raw,
            rows: numbers.rows,
            crc32: narrow.crc32,
            stored_crc32: narrow.stored_crc32,
        })
    }

    pub fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        (0..self.len()).filter_map(|position| self.get(position))
    }
}

/// Goes through a table in file order and knows each member's place and sequence.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    table: &'a Table,
    position: usize,
    offset: u64,
    next_seq: Vec<u64>,
}

impl<'a> Cursor<'a> {
    /// The first member is at `first_offset`.
    pub fn new(table: &'a Table, first_offset: u64, streams: usize) -> Self {
        Cursor { table, position: 0, offset: first_offset, next_seq: vec![0; streams] }
    }

    /// Whether this member stands here or further on.
    pub fn has(&self, stream: StreamId, seq: u64) -> bool {
        let next = self.next_seq.get(position_of(stream));
        let Some(ahead) = next.and_then(|next| seq.checked_sub(*next)).and_then(|ahead| usize::try_from(ahead).ok())
        else {
            return false;
        };
        let rest = self.table.narrow.get(self.position..).unwrap_or_default();
        rest.iter().filter(|narrow| narrow.stream == stream.0).nth(ahead).is_some()
    }
}

impl Iterator for Cursor<'_> {
    type Item = MemberEntry;

    fn next(&mut self) -> Option<MemberEntry> {
        let span = self.table.get(self.position)?;
        let mut seq = 0;
        if let Some(next) = self.next_seq.get_mut(position_of(span.stream)) {
            seq = *next;
            *next = next.saturating_add(1);
        }
        let entry = entry(span, seq, self.offset);
        self.position = self.position.saturating_add(1);
        self.offset = self.offset.saturating_add(span.stored);
        Some(entry)
    }
}

pub fn entry(span: Span, seq: u64, offset: u64) -> MemberEntry {
    MemberEntry {
        stream: span.stream,
        seq,
        offset,
        stored: span.stored,
        raw: span.raw,
        rows: span.rows,
        crc32: span.crc32,
        stored_crc32: span.stored_crc32,
    }
}

/// A stream's position in a slice of streams.
pub fn position_of(stream: StreamId) -> usize {
    usize::try_from(stream.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_narrow_members_come_back_as_they_were() {
        let span = |stored, raw, rows| Span { stream: StreamId(1), stored, raw, rows, crc32: 7, stored_crc32: 8 };
        let all = [
            span(100, 200, 3),
            span(u64::from(u32::MAX), 1, 0),
            span(u64::from(u32::MAX) - 1, 1, 0),
            span(5, 1 << 40, 9),
            span(5, 6, 1 << 33),
        ];
        let mut table = Table::default();
        all.iter().for_each(|span| table.push(*span));
        assert_eq!(table.spans().collect::<Vec<_>>(), all);
        let entries: Vec<_> = Cursor::new(&table, 10, 2).collect();
        assert_eq!((entries[1].offset, entries[1].seq), (110, 1));
        let mut cursor = Cursor::new(&table, 10, 2);
        assert!(cursor.has(StreamId(1), 4) && !cursor.has(StreamId(1), 5) && !cursor.has(StreamId(0), 0));
        cursor.next();
        assert!(!cursor.has(StreamId(1), 0) && cursor.has(StreamId(1), 1));
        assert_eq!(std::mem::size_of::<Narrow>(), 24);
    }
}
