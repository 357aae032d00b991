//! The scanner under both lexer and check: where does the statement that begins at byte 0 end?
//!
//! It can stop at any byte and go on when more have come. Rules are psql's, with two exceptions that only
//! matter for text which psql itself would misread: `BEGIN` counts as the start of a body only before
//! `ATOMIC`, and a number swallows letters that touch it (as psql does since 15).
//! What it passes over is remembered in [`Facts`], so that the check can refuse what versions read differently.

use memchr::{memchr, memchr2};

/// Tags are names; a longer one would be searched for again and again.
const LONGEST_TAG: usize = 1024;

/// `CREATE OR REPLACE FUNCTION`.
const OPENING_WORDS: usize = 4;

#[derive(Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// Everything was read and the statement has not ended.
    More,
    /// The statement's `;` is the byte before this.
    End(usize),
    Backslash,
    Nul,
    LongTag,
}

#[derive(Debug, Default, Eq, PartialEq)]
enum Mode {
    #[default]
    Text,
    Word {
        from: usize,
    },
    Number,
    Single {
        escapes: bool,
    },
    Double,
    Dollar {
        close: Vec<u8>,
    },
    Line,
    Block {
        depth: u32,
    },
}

/// What was seen on the way.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// A `;` inside parentheses: psql goes on, the server does not.
    pub semicolon_in_parens: bool,
    /// `1e'…'` or an `E'…'` string continued on the next line.
    pub ambiguous: bool,
    pub closed_too_often: bool,
    /// Colons that psql could read as a variable, as in `a[1:n]`.
    pub variables: Vec<usize>,
    /// `COPY … FROM STDIN`.
    pub copy_in: bool,
}

#[derive(Debug, Default)]
pub(super) struct Scan {
    mode: Mode,
    pos: usize,
    parens: u32,
    words: Words,
    /// Some after an `E'…'` string closed: whether a line break has been seen since.
    after_escapes: Option<bool>,
    /// `standard_conforming_strings = off`: plain strings know backslashes as well.
    pub plain_escapes: bool,
    pub facts: Facts,
}

impl Scan {
    pub fn new(plain_escapes: bool) -> Self {
        Scan { plain_escapes, ..Scan::default() }
    }

    /// For text that stands inside a statement: whatever its words are, they begin neither a function nor a COPY.
    pub fn inside() -> Self {
        let words = Words { count: OPENING_WORDS, ..Words::default() };
        Scan { words, ..Scan::default() }
    }

    /// Goes on where it stopped. `text` is the statement from its first byte, grown by what has come;
    /// `at_end` says that nothing more will come.
    pub fn run(&mut self, text: &[u8], at_end: bool) -> Event {
        let from = self.pos;
        let event = loop {
            if let Some(event) = self.step(text, at_end) {
                break event;
            }
        };
        let passed = text.get(from..self.pos).unwrap_or_default();
        if memchr(0, passed).is_some() { Event::Nul } else { event }
    }

    /// Bytes that were read.
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// Outside of every quote, comment and parenthesis, and of a body by any version's rules.
    pub fn is_closed(&self) -> bool {
        matches!(self.mode, Mode::Text | Mode::Word { .. } | Mode::Number)
            && self.parens == 0
            && self.words.body == 0
            && self.words.psql_body == 0
    }

    fn step(&mut self, text: &[u8], at_end: bool) -> Option<Event> {
        if self.pos >= text.len() {
            if at_end && let Mode::Word { from } = self.mode {
                self.end_word(text, from);
            }
            return Some(Event::More);
        }
        match &self.mode {
            Mode::Text => self.text(text, at_end),
            Mode::Word { from } => {
                let from = *from;
                self.word(text, from)
            }
            Mode::Number => self.number(text, at_end),
            Mode::Single { escapes } => {
                let escapes = *escapes;
                self.single(text, escapes, at_end)
            }
            Mode::Double => self.until(text, |rest| memchr(b'"', rest)),
            Mode::Dollar { .. } => self.dollar(text, at_end),
            Mode::Line => self.until(text, |rest| memchr2(b'\n', b'\r', rest)),
            Mode::Block { depth } => {
                let depth = *depth;
                self.block(text, depth, at_end)
            }
        }
    }

    fn text(&mut self, text: &[u8], at_end: bool) -> Option<Event> {
        let byte = text[self.pos];
        if byte.is_ascii_whitespace() || byte == 0x0b {
            if byte == b'\n' || byte == b'\r' {
                self.after_escapes = self.after_escapes.map(|_| true);
            }
            self.pos += 1;
            return None;
        }
        if (byte == b'-' || byte == b'/') && self.pos + 1 == text.len() && !at_end {
            return Some(Event::More);
        }
        match (byte, text.get(self.pos + 1)) {
            (b'-', Some(b'-')) => return self.enter(Mode::Line, 2),
            (b'/', Some(b'*')) => return self.enter(Mode::Block { depth: 1 }, 2),
            _ => {}
        }
        let continued = self.after_escapes.take();
        self.words.punctuation(byte);
        match byte {
            b'\'' => {
                self.facts.ambiguous |= continued == Some(true);
                self.enter(Mode::Single { escapes: self.plain_escapes }, 1)
            }
            b'"' => self.enter(Mode::Double, 1),
            b'\\' => Some(Event::Backslash),
            b'$' => self.dollar_start(text, at_end),
            b':' => self.colon(text, at_end),
            b';' => self.semicolon(),
            b'(' => {
                self.parens = self.parens.saturating_add(1);
                self.enter(Mode::Text, 1)
            }
            b')' => {
                self.facts.closed_too_often |= self.parens == 0;
                self.parens = self.parens.saturating_sub(1);
                self.enter(Mode::Text, 1)
            }
            _ if is_word_start(byte) => self.enter(Mode::Word { from: self.pos }, 1),
            _ if byte.is_ascii_digit() => self.enter(Mode::Number, 1),
            _ => self.enter(Mode::Text, 1),
        }
    }

    fn enter(&mut self, mode: Mode, skip: usize) -> Option<Event> {
        self.mode = mode;
        self.pos += skip;
        None
    }

    fn semicolon(&mut self) -> Option<Event> {
        self.pos += 1;
        if self.words.body == 0 && self.parens == 0 {
            return Some(Event::End(self.pos));
        }
        self.facts.semicolon_in_parens |= self.parens > 0;
        None
    }

    fn word(&mut self, text: &[u8], from: usize) -> Option<Event> {
        let rest = &text[self.pos..];
        let Some(len) = rest.iter().position(|byte| !is_word(*byte)) else {
            self.pos = text.len();
            return None;
        };
        self.pos += len;
        self.end_word(text, from);
        if text[self.pos] == b'\'' {
            match &text[from..self.pos] {
                b"e" | b"E" => return self.enter(Mode::Single { escapes: true }, 1),
                b"b" | b"B" | b"x" | b"X" => return self.enter(Mode::Single { escapes: false }, 1),
                _ => {}
            }
        }
        None
    }

    fn end_word(&mut self, text: &[u8], from: usize) {
        self.mode = Mode::Text;
        if let Some(word) = text.get(from..self.pos) {
            self.words.word(word, self.parens);
        }
        self.facts.copy_in = self.words.copy_in;
    }

    fn number(&mut self, text: &[u8], at_end: bool) -> Option<Event> {
        let rest = &text[self.pos..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let letters = match rest.get(digits) {
            Some(byte) if is_word_start(*byte) => rest[digits..].iter().take_while(|byte| is_word(**byte)).count(),
            _ => 0,
        };
        let end = self.pos + digits + letters;
        if end == text.len() && !at_end {
            // Letters that follow belong to this token only if a digit or letter of it stands before them.
            self.pos = end - letters;
            return Some(Event::More);
        }
        let touches_string = text.get(end) == Some(&b'\'') && matches!(text[end - 1], b'e' | b'E');
        self.facts.ambiguous |= touches_string;
        self.pos = end;
        self.mode = Mode::Text;
        None
    }

    fn single(&mut self, text: &[u8], escapes: bool, at_end: bool) -> Option<Event> {
        let rest = &text[self.pos..];
        let found = if escapes { memchr2(b'\'', b'\\', rest) } else { memchr(b'\'', rest) };
        let Some(at) = found else {
            self.pos = text.len();
            return None;
        };
        self.pos += at;
        let next = text.get(self.pos + 1);
        if next.is_none() && !at_end {
            return Some(Event::More);
        }
        if text[self.pos] == b'\\' {
            self.pos = (self.pos + 2).min(text.len());
        } else if next == Some(&b'\'') {
            self.pos += 2;
        } else {
            self.after_escapes = escapes.then_some(false);
            self.mode = Mode::Text;
            self.pos += 1;
        }
        None
    }

    fn until(&mut self, text: &[u8], find: impl Fn(&[u8]) -> Option<usize>) -> Option<Event> {
        match find(&text[self.pos..]) {
            // The line break itself is left to `text`, which watches for continued strings.
            Some(at) if self.mode == Mode::Line => self.enter(Mode::Text, at),
            Some(at) => self.enter(Mode::Text, at + 1),
            None => {
                self.pos = text.len();
                None
            }
        }
    }

    fn block(&mut self, text: &[u8], depth: u32, at_end: bool) -> Option<Event> {
        let Some(at) = memchr2(b'*', b'/', &text[self.pos..]) else {
            self.pos = text.len();
            return None;
        };
        self.pos += at;
        let depth = match text.get(self.pos..self.pos + 2) {
            None if !at_end => return Some(Event::More),
            Some(b"/*") => depth.saturating_add(1),
            Some(b"*/") if depth == 1 => return self.enter(Mode::Text, 2),
            Some(b"*/") => depth - 1,
            _ => return self.enter(Mode::Block { depth }, 1),
        };
        self.enter(Mode::Block { depth }, 2)
    }

    fn dollar_start(&mut self, text: &[u8], at_end: bool) -> Option<Event> {
        let rest = &text[self.pos + 1..];
        let tag = match rest.first() {
            Some(byte) if byte.is_ascii_digit() => return self.enter(Mode::Number, 1),
            Some(byte) if is_word_start(*byte) => rest.iter().take_while(|b| is_word(**b) && **b != b'$').count(),
            _ => 0,
        };
        if tag > LONGEST_TAG {
            return Some(Event::LongTag);
        }
        match rest.get(tag) {
            None if !at_end => Some(Event::More),
            Some(b'$') => {
                let close = text[self.pos..self.pos + tag + 2].to_vec();
                self.enter(Mode::Dollar { close }, tag + 2)
            }
            _ => self.enter(Mode::Text, 1),
        }
    }

    fn dollar(&mut self, text: &[u8], at_end: bool) -> Option<Event> {
        let Mode::Dollar { close } = &self.mode else { return None };
        let rest = &text[self.pos..];
        let Some(at) = memchr(b'$', rest) else {
            self.pos = text.len();
            return None;
        };
        let candidate = &rest[at..];
        if candidate.starts_with(close) {
            let skip = at + close.len();
            return self.enter(Mode::Text, skip);
        }
        if close.starts_with(candidate) && !at_end {
            self.pos += at;
            return Some(Event::More);
        }
        self.pos += at + 1;
        None
    }

    /// psql replaces `:name`, `:'name'`, `:"name"` and `:{?name}`, but neither `::` nor `:=`.
    fn colon(&mut self, text: &[u8], at_end: bool) -> Option<Event> {
        match text.get(self.pos + 1) {
            None if !at_end => return Some(Event::More),
            Some(b':' | b'=') => return self.enter(Mode::Text, 2),
            Some(b'\'' | b'"' | b'{') => self.facts.variables.push(self.pos),
            Some(byte) if is_word(*byte) && *byte != b'$' => self.facts.variables.push(self.pos),
            _ => {}
        }
        self.enter(Mode::Text, 1)
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Follows the unquoted words: is this `CREATE FUNCTION … BEGIN ATOMIC` or `COPY … FROM STDIN`?
#[derive(Debug, Default)]
struct Words {
    count: usize,
    /// The first letters of the first words, of those that `CREATE OR REPLACE FUNCTION` is made of.
    opening: [u8; OPENING_WORDS],
    is_copy: bool,
    after_from: bool,
    after_begin: bool,
    copy_in: bool,
    /// Depth of BEGIN ATOMIC and CASE, as the server reads it and as psql does.
    body: u32,
    psql_body: u32,
}

impl Words {
    /// Any token that is no word comes between two words.
    fn punctuation(&mut self, byte: u8) {
        if !is_word_start(byte) {
            self.after_from = false;
            self.after_begin = false;
        }
    }

    fn word(&mut self, word: &[u8], parens: u32) {
        let is = |keyword: &[u8]| word.eq_ignore_ascii_case(keyword);
        if parens == 0 && self.makes_function() {
            let atomic = self.after_begin && is(b"atomic");
            self.after_begin = is(b"begin");
            self.body = depth(self.body, atomic, is(b"case"), is(b"end"));
            self.psql_body = depth(self.psql_body, self.after_begin, is(b"case"), is(b"end"));
        }
        if self.count == 0 {
            self.is_copy = is(b"copy");
        }
        self.copy_in |= self.is_copy && parens == 0 && self.after_from && is(b"stdin");
        self.after_from = is(b"from");
        if let Some(place) = self.opening.get_mut(self.count)
            && [&b"create"[..], b"or", b"replace", b"function", b"procedure"].iter().any(|keyword| is(keyword))
        {
            *place = word[0].to_ascii_lowercase();
        }
        self.count = self.count.saturating_add(1);
    }

    fn makes_function(&self) -> bool {
        matches!(self.opening, [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p'])
    }
}

fn depth(depth: u32, begins: bool, case: bool, end: bool) -> u32 {
    match () {
        () if begins || case && depth > 0 => depth.saturating_add(1),
        () if end => depth.saturating_sub(1),
        () => depth,
    }
}
