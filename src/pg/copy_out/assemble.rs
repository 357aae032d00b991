//! Rows into blocks: `COPY … FROM stdin;`, whole rows, `\.`. Pure.
//!
//! The server sends one row a message. A row that psql would take for the end of the data, or for two rows, is refused:
//! what stands behind it in the script would be run as SQL. Each row is asked for its last byte, and many rows
//! together for the number of their newlines: if each row ends with one and there are no more of them, none stands inside.

use std::mem;

use crate::pg::fault::Failure;
use crate::pg::wire::input::CopySink;
use crate::pipeline::{RowSpan, feed::BLOCK_BYTES};

const END_OF_DATA: &[u8] = b"\\.\n";

/// Looked at together, while they are near the processor.
const CHECK_BYTES: usize = 64 << 10;

pub struct Assembler {
    prefix: Vec<u8>,
    bytes: Vec<u8>,
    row_start: usize,
    rows: u64,
    rows_total: u64,
    /// Line breaks were counted up to here.
    checked: usize,
    /// Rows behind it.
    unchecked: u64,
    /// A row larger than a block stands next, and may be taken in only when this worker holds the permit for it.
    oversize_next: bool,
    oversize_allowed: bool,
}

impl Assembler {
    /// The first block is filled into `bytes`.
    pub fn new(prefix: Vec<u8>, bytes: Vec<u8>) -> Self {
        Assembler {
            prefix,
            bytes,
            row_start: 0,
            rows: 0,
            rows_total: 0,
            checked: 0,
            unchecked: 0,
            oversize_next: false,
            oversize_allowed: false,
        }
    }

    /// Rows of all blocks so far.
    pub fn rows_total(&self) -> u64 {
        self.rows_total
    }

    /// Whether the walk stopped before a row that is larger than a block.
    pub fn oversize_next(&self) -> bool {
        self.oversize_next
    }

    pub fn allow_oversize(&mut self) {
        self.oversize_allowed = true;
    }

    /// The block so far, if it has a row. The next one is filled into `next`.
    pub fn take(&mut self, next: Vec<u8>) -> Result<Option<(Vec<u8>, RowSpan)>, Failure> {
        if self.rows == 0 {
            return Ok(None);
        }
        self.check_lines()?;
        let span = RowSpan { at: self.prefix.len()..self.bytes.len(), count: self.rows };
        self.bytes.extend_from_slice(END_OF_DATA);
        self.rows = 0;
        self.oversize_allowed = false;
        Ok(Some((mem::replace(&mut self.bytes, next), span)))
    }
}

impl Assembler {
    /// One row more is in the block.
    fn count(&mut self) -> Result<(), Failure> {
        self.rows = self.rows.saturating_add(1);
        self.rows_total = self.rows_total.saturating_add(1);
        self.unchecked = self.unchecked.saturating_add(1);
        if self.bytes.len().saturating_sub(self.checked) >= CHECK_BYTES { self.check_lines() } else { Ok(()) }
    }

    /// Counts the line breaks of the rows that came since the last time.
    fn check_lines(&mut self) -> Result<(), Failure> {
        let rows = self.bytes.get(self.checked..).unwrap_or_default();
        check_lines(rows, self.unchecked).map_err(Failure::protocol)?;
        self.checked = self.bytes.len();
        self.unchecked = 0;
        Ok(())
    }
}

impl CopySink for Assembler {
    fn begin(&mut self, len: usize) -> bool {
        let whole = len.saturating_add(END_OF_DATA.len());
        self.oversize_next = self.prefix.len().saturating_add(whole) > BLOCK_BYTES;
        let fits = self.bytes.len().saturating_add(whole) <= BLOCK_BYTES;
        let goes_in = fits || (self.rows == 0 && (!self.oversize_next || self.oversize_allowed));
        if goes_in {
            if self.rows == 0 {
                self.bytes.clear();
                self.bytes.extend_from_slice(&self.prefix);
                (self.checked, self.unchecked) = (self.prefix.len(), 0);
            }
            self.oversize_next = false;
            self.row_start = self.bytes.len();
        }
        goes_in
    }

    fn part(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn end(&mut self) -> Result<(), Failure> {
        let row = self.bytes.get(self.row_start..).unwrap_or_default();
        check_row(row).map_err(Failure::protocol)?;
        self.count()
    }

    fn whole(&mut self, row: &[u8]) -> Result<bool, Failure> {
        let len = self.bytes.len().saturating_add(row.len()).saturating_add(END_OF_DATA.len());
        if self.rows == 0 || len > BLOCK_BYTES {
            return self.as_part(row);
        }
        check_row(row).map_err(Failure::protocol)?;
        self.bytes.extend_from_slice(row);
        self.oversize_next = false;
        self.count()?;
        Ok(true)
    }
}

/// One row of COPY text: it ends with a newline and is not the end-of-data mark.
fn check_row(row: &[u8]) -> Result<(), &'static str> {
    match row {
        END_OF_DATA => Err("a row of COPY text that is the end-of-data mark"),
        [.., b'\n'] => Ok(()),
        _ => Err("a row of COPY text without its newline"),
    }
}

/// Rows that each end with a newline have no other, and no carriage return.
fn check_lines(rows: &[u8], count: u64) -> Result<(), &'static str> {
    let newlines = memchr::memchr_iter(b'\n', rows).count() as u64;
    match newlines == count && memchr::memchr(b'\r', rows).is_none() {
        true => Ok(()),
        false => Err("a row of COPY text with a bare line break inside"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &[u8] = b"COPY \"s\".\"t\" (\"a\") FROM stdin;\n";

    fn push(assembler: &mut Assembler, row: &[u8]) -> bool {
        if !assembler.begin(row.len()) {
            return false;
        }
        for part in row.chunks(1000) {
            assembler.part(part);
        }
        assembler.end().unwrap();
        true
    }

    #[test]
    fn a_block_is_one_whole_statement() {
        let mut assembler = Assembler::new(PREFIX.to_vec(), Vec::new());
        assert_eq!(assembler.take(Vec::new()).unwrap(), None);
        assert!(push(&mut assembler, b"1\n") && push(&mut assembler, b"\n"));
        let (bytes, span) = assembler.take(Vec::new()).unwrap().unwrap();
        assert_eq!(bytes, [PREFIX, b"1\n\n\\.\n"].concat());
        assert_eq!((&bytes[span.at], span.count), (&b"1\n\n"[..], 2));
        assert!(push(&mut assembler, b"2\n"));
        assert_eq!(assembler.take(Vec::new()).unwrap().unwrap().0, [PREFIX, b"2\n\\.\n"].concat());
        assert_eq!(assembler.rows_total(), 3);
    }

    #[test]
    fn a_block_never_outgrows_its_target_and_loses_no_row() {
        let row = [vec![b'x'; 9_999], vec![b'\n']].concat();
        let mut assembler = Assembler::new(PREFIX.to_vec(), Vec::new());
        let mut rows = 0;
        for _ in 0..300 {
            if !push(&mut assembler, &row) {
                let (bytes, span) = assembler.take(Vec::new()).unwrap().unwrap();
                assert!(bytes.len() <= BLOCK_BYTES && bytes.len() > BLOCK_BYTES - 20_000);
                rows += span.count;
                assert!(push(&mut assembler, &row));
            }
        }
        assert_eq!(rows + assembler.take(Vec::new()).unwrap().unwrap().1.count, 300);
    }

    #[test]
    fn a_row_larger_than_a_block_waits_for_leave_and_stands_alone() {
        let row = [vec![b'x'; 2 * BLOCK_BYTES], vec![b'\n']].concat();
        let mut assembler = Assembler::new(PREFIX.to_vec(), Vec::new());
        assert!(push(&mut assembler, b"1\n"));
        assert!(!push(&mut assembler, &row) && assembler.oversize_next());
        assert_eq!(assembler.take(Vec::new()).unwrap().unwrap().1.count, 1);
        assert!(!push(&mut assembler, &row) && assembler.oversize_next());
        assembler.allow_oversize();
        assert!(push(&mut assembler, &row));
        assert!(!push(&mut assembler, b"2\n") && !assembler.oversize_next());
        assert_eq!(assembler.take(Vec::new()).unwrap().unwrap().1.count, 1);
        assert!(push(&mut assembler, b"2\n"));
    }

    #[test]
    fn rows_that_a_script_could_not_hold_are_refused() {
        let block = |row: &[u8]| {
            let mut assembler = Assembler::new(PREFIX.to_vec(), Vec::new());
            push(&mut assembler, b"before\n");
            assert!(assembler.begin(row.len()));
            assembler.part(row);
            assembler.end()?;
            push(&mut assembler, b"after\n");
            assembler.take(Vec::new())
        };
        for row in [&b"\\.\n"[..], b"a", b"", b"a\nb\n", b"a\n\n", b"\n\\.\n", b"a\r\n", b"a\rb\n", b"a\r"] {
            assert!(block(row).is_err(), "{}", row.escape_ascii());
        }
        for row in [&b"\n"[..], b"\\\\.\n", b"\\.x\n", b"\\N\t\\n\n"] {
            assert!(block(row).is_ok(), "{}", row.escape_ascii());
        }
    }
}
