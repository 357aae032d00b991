//! The incremental lexer: bytes in, statements, COPY rows and backslash lines out.
//!
//! Holds at most one statement (up to a limit) or one read's worth of COPY rows. Comments and blanks between
//! statements are dropped. A script that ends inside a statement or inside COPY rows is refused: half a statement is
//! never yielded. Follows `SET standard_conforming_strings`, as psql does.

use memchr::{memchr, memchr_iter, memchr2, memmem, memrchr};

use super::fault::{Fault, ScriptError};
use super::scan::{Event, Scan};

/// PostgreSQL takes no longer statement than this in one message.
const LONGEST_STATEMENT: usize = 1 << 30;
/// A backslash line or a comment between statements is looked at up to this length.
pub(super) const LONGEST_LINE: usize = 8 << 10;
/// COPY bytes without a line break are passed on once there are this many.
pub(super) const PIECE: usize = 64 << 10;
/// A buffer that grew over this for one statement is given back after it.
const KEEP: usize = 4 << 20;

/// What the script consists of.
#[derive(Debug, Eq, PartialEq)]
pub enum Item<'a> {
    /// One statement with its `;`.
    Statement(&'a [u8]),
    /// `COPY … FROM stdin;`: rows follow, then [`Item::CopyEnd`].
    CopyIn {
        statement: &'a [u8],
    },
    /// Row bytes as they stand, line breaks included. Ends with a whole row, unless that row is very long.
    CopyRows(&'a [u8]),
    CopyEnd,
    /// A line that begins with a backslash, without its line break.
    Meta(&'a [u8]),
}

/// The comments by which pg_dump frames a plain script: a script cut between two statements lacks the second.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Markers {
    pub started: bool,
    pub complete: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Between statements.
    Gap,
    /// In a comment between statements.
    GapLine,
    GapBlock {
        depth: u32,
    },
    Statement,
    /// After `COPY … FROM stdin;`, before the end of its line.
    CopyHead,
    Copy {
        at_line_start: bool,
    },
}

/// What one look at the buffer led to; ranges are relative to the unread bytes.
enum Step {
    /// So many bytes are done with.
    Skip(usize),
    More,
    Statement(usize),
    Rows(usize),
    CopyEnd(usize),
    Meta {
        text: usize,
        skip: usize,
    },
}

/// Feed, drain with [`Lexer::next`] until it yields `None`, feed again; then [`Lexer::finish`] and drain once more.
#[derive(Debug)]
pub struct Lexer {
    buffer: Vec<u8>,
    /// Where the unread bytes, and the current statement, begin.
    start: usize,
    state: State,
    scan: Scan,
    finished: bool,
    at_script_start: bool,
    plain_escapes: bool,
    limit: usize,
    line: u64,
    item_line: u64,
    markers: Markers,
}

impl Default for Lexer {
    fn default() -> Self {
        Lexer::with_limit(LONGEST_STATEMENT)
    }
}

impl Lexer {
    pub fn new() -> Self {
        Lexer::default()
    }

    /// Refuses statements longer than `limit` bytes. COPY rows may be of any length.
    pub fn with_limit(limit: usize) -> Self {
        Lexer {
            buffer: Vec::new(),
            start: 0,
            state: State::Gap,
            scan: Scan::default(),
            finished: false,
            at_script_start: true,
            plain_escapes: false,
            limit,
            line: 1,
            item_line: 1,
            markers: Markers::default(),
        }
    }

    /// Takes the next bytes of the script, of any length.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.buffer.shrink_to(KEEP);
        } else if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Nothing follows.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    pub fn markers(&self) -> Markers {
        self.markers
    }

    /// The line, counted from 1, that is read next.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The line, counted from 1, on which the item begins that [`Lexer::next`] gave last.
    pub fn item_line(&self) -> u64 {
        self.item_line
    }

    /// The next item. `None` asks for more bytes, or says that a finished script is done.
    #[expect(clippy::should_implement_trait, reason = "items borrow from the lexer, which `Iterator` cannot say")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, ScriptError> {
        loop {
            let step = match self.state {
                State::Gap => self.gap()?,
                State::GapLine => self.gap_line(),
                State::GapBlock { depth } => self.gap_block(depth)?,
                State::Statement => self.statement()?,
                State::CopyHead => self.copy_head()?,
                State::Copy { at_line_start } => self.copy(at_line_start)?,
            };
            match step {
                Step::Skip(len) => drop(self.take(len)),
                Step::More => return Ok(None),
                Step::Rows(len) => return Ok(Some(Item::CopyRows(self.taken(len)))),
                Step::CopyEnd(len) => {
                    self.state = State::Gap;
                    self.take(len);
                    return Ok(Some(Item::CopyEnd));
                }
                Step::Meta { text, skip } => {
                    let at = self.take(skip);
                    return Ok(Some(Item::Meta(&self.buffer[at..at + text])));
                }
                Step::Statement(len) => {
                    let copy_in = self.scan.facts.copy_in;
                    self.state = if copy_in { State::CopyHead } else { State::Gap };
                    let text = &self.buffer[self.start..self.start + len];
                    self.plain_escapes = conforming_strings(text).map_or(self.plain_escapes, |on| !on);
                    let statement = self.taken(len);
                    return Ok(Some(if copy_in { Item::CopyIn { statement } } else { Item::Statement(statement) }));
                }
            }
        }
    }

    /// Bytes that were fed and are not done with.
    #[cfg(any(test, feature = "testkit"))]
    pub(super) fn held(&self) -> usize {
        self.rest().len()
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Marks bytes as read and says where they began.
    fn take(&mut self, len: usize) -> usize {
        let from = self.start;
        self.item_line = self.line;
        self.start += len;
        let lines = memchr_iter(b'\n', &self.buffer[from..self.start]).count();
        self.line = self.line.saturating_add(lines as u64);
        from
    }

    fn taken(&mut self, len: usize) -> &[u8] {
        let from = self.take(len);
        &self.buffer[from..from + len]
    }

    fn fault(&self, fault: Fault, offset: usize) -> ScriptError {
        let passed = self.rest().get(..offset).unwrap_or_default();
        ScriptError { fault, line: self.line.saturating_add(memchr_iter(b'\n', passed).count() as u64) }
    }

    fn gap(&mut self) -> Result<Step, ScriptError> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let rest = self.rest();
        if self.at_script_start && !rest.is_empty() {
            if rest.len() < MARK.len() && MARK.starts_with(rest) && !self.finished {
                return Ok(Step::More);
            }
            let skip = if rest.starts_with(MARK) { MARK.len() } else { 0 };
            self.at_script_start = false;
            return Ok(Step::Skip(skip));
        }
        let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
        if blanks > 0 {
            return Ok(Step::Skip(blanks));
        }
        match rest {
            [] => return Ok(Step::More),
            [b'-' | b'/'] if !self.finished => return Ok(Step::More),
            [b';', ..] => return Ok(Step::Skip(1)),
            [b'-', b'-', ..] => return Ok(self.comment()),
            [b'/', b'*', ..] => {
                self.state = State::GapBlock { depth: 1 };
                return Ok(Step::Skip(2));
            }
            [b'\\', ..] => return self.meta(),
            _ => {}
        }
        self.scan = Scan::new(self.plain_escapes);
        self.state = State::Statement;
        Ok(Step::Skip(0))
    }

    /// A `--` comment: of a short one the text is known, a long one is dropped as it comes.
    fn comment(&mut self) -> Step {
        let rest = self.rest();
        let end = match memchr2(b'\n', b'\r', rest) {
            Some(end) => end,
            None if self.finished => rest.len(),
            None if rest.len() <= LONGEST_LINE => return Step::More,
            None => {
                self.state = State::GapLine;
                return Step::Skip(0);
            }
        };
        let started = &rest[..end] == b"-- PostgreSQL database dump";
        let complete = &rest[..end] == b"-- PostgreSQL database dump complete";
        self.markers.started |= started;
        self.markers.complete |= complete;
        Step::Skip(end)
    }

    fn gap_line(&mut self) -> Step {
        match memchr2(b'\n', b'\r', self.rest()) {
            Some(end) => {
                self.state = State::Gap;
                Step::Skip(end)
            }
            None if self.rest().is_empty() => Step::More,
            None => Step::Skip(self.rest().len()),
        }
    }

    fn gap_block(&mut self, depth: u32) -> Result<Step, ScriptError> {
        let rest = self.rest();
        let Some(at) = memchr2(b'*', b'/', rest) else {
            return match rest.len() {
                0 if self.finished => Err(self.fault(Fault::Truncated, 0)),
                0 => Ok(Step::More),
                len => Ok(Step::Skip(len)),
            };
        };
        let (depth, skip) = match rest.get(at..at + 2) {
            None if self.finished => return Err(self.fault(Fault::Truncated, rest.len())),
            None if at == 0 => return Ok(Step::More),
            None => return Ok(Step::Skip(at)),
            Some(b"/*") => (depth.saturating_add(1), at + 2),
            Some(b"*/") => (depth - 1, at + 2),
            Some(_) => (depth, at + 1),
        };
        self.state = if depth == 0 { State::Gap } else { State::GapBlock { depth } };
        Ok(Step::Skip(skip))
    }

    fn meta(&self) -> Result<Step, ScriptError> {
        let rest = self.rest();
        let line = match memchr(b'\n', rest) {
            Some(at) => at,
            None if self.finished || rest.len() > LONGEST_LINE => rest.len(),
            None => return Ok(Step::More),
        };
        if line > LONGEST_LINE {
            return Err(self.fault(Fault::TooLong, 0));
        }
        let text = line - usize::from(rest[..line].ends_with(b"\r"));
        Ok(Step::Meta { text, skip: line })
    }

    fn statement(&mut self) -> Result<Step, ScriptError> {
        let text = &self.buffer[self.start..];
        let event = self.scan.run(text, self.finished);
        let at = self.scan.pos();
        match event {
            Event::End(len) if len > self.limit => Err(self.fault(Fault::TooLong, 0)),
            Event::End(len) => Ok(Step::Statement(len)),
            Event::Backslash => Err(self.fault(Fault::Backslash, at)),
            Event::Nul => Err(self.fault(Fault::Nul, at)),
            Event::LongTag => Err(self.fault(Fault::TooLong, at)),
            Event::More if self.finished => Err(self.fault(Fault::Truncated, at)),
            Event::More if text.len() > self.limit => Err(self.fault(Fault::TooLong, 0)),
            Event::More => Ok(Step::More),
        }
    }

    fn copy_head(&mut self) -> Result<Step, ScriptError> {
        let rest = self.rest();
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        match rest.get(blanks) {
            Some(b'\n') => {
                self.state = State::Copy { at_line_start: true };
                Ok(Step::Skip(blanks + 1))
            }
            Some(_) => Err(self.fault(Fault::AfterCopy, 0)),
            None if self.finished => Err(self.fault(Fault::Truncated, 0)),
            None if blanks > 0 => Ok(Step::Skip(blanks)),
            None => Ok(Step::More),
        }
    }

    fn copy(&mut self, at_line_start: bool) -> Result<Step, ScriptError> {
        let rest = self.rest();
        if at_line_start {
            match rest {
                [b'\\', b'.', b'\n', ..] => return Ok(Step::CopyEnd(3)),
                [b'\\', b'.', b'\r', b'\n', ..] => return Ok(Step::CopyEnd(4)),
                b"\\." | b"\\.\r" if self.finished => return Ok(Step::CopyEnd(rest.len())),
                _ if !self.finished && b"\\.\r\n".starts_with(rest) => return Ok(Step::More),
                _ => {}
            }
        }
        // Rows end before a line that may be the end mark; that line is looked at on its own.
        let whole = match memmem::find(rest, b"\n\\.") {
            Some(at) => Some(at),
            None => memrchr(b'\n', rest),
        };
        match whole {
            Some(at) => {
                self.state = State::Copy { at_line_start: true };
                Ok(Step::Rows(at + 1))
            }
            None if self.finished => Err(self.fault(Fault::Truncated, 0)),
            None if rest.len() < PIECE => Ok(Step::More),
            None => {
                let len = rest.len();
                self.state = State::Copy { at_line_start: false };
                Ok(Step::Rows(len))
            }
        }
    }
}

/// `SET [SESSION | LOCAL] standard_conforming_strings = on | off`.
fn conforming_strings(statement: &[u8]) -> Option<bool> {
    if statement.len() > 100 || !statement.get(..3)?.eq_ignore_ascii_case(b"set") {
        return None;
    }
    let text = std::str::from_utf8(statement).ok()?.to_ascii_lowercase();
    let separates = |c: char| c.is_ascii_whitespace() || matches!(c, '=' | ';' | '\'' | '"');
    let mut words = text.split(separates).filter(|word| !word.is_empty()).skip(1).peekable();
    words.next_if(|word| matches!(*word, "session" | "local"));
    if words.next()? != "standard_conforming_strings" {
        return None;
    }
    words.next_if_eq(&"to");
    match words.next()? {
        "on" | "true" | "yes" | "1" | "default" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
