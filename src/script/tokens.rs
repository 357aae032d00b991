//! One statement as tokens: where each word, name, string and mark stands, and how deep in parentheses.
//!
//! For changes that must hit a name or a keyword and nothing else: what stands in a literal, a body or a comment is one
//! token or none. Text of any encoding that contains ASCII passes through as bytes. Nothing here fails: text that
//! ends early ends in a token that ends early.

use std::ops::Range;

use memchr::memchr;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A keyword or a name without quotes.
    Word,
    /// A name in double quotes.
    Quoted,
    /// Any kind of string.
    Text,
    Number,
    /// A single character of another kind.
    Mark(u8),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub span: Range<usize>,
    /// Parentheses around it; of a pair both stand outside.
    pub depth: u32,
}

/// A statement and its tokens.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    sql: &'a [u8],
    all: Vec<Token>,
}

impl<'a> Tokens<'a> {
    pub fn of(sql: &'a [u8]) -> Self {
        let mut all: Vec<Token> = Vec::new();
        let (mut at, mut depth) = (0, 0_u32);
        while let Some((kind, span)) = next(sql, at) {
            at = span.end;
            if kind == Kind::Mark(b')') {
                depth = depth.saturating_sub(1);
            }
            all.push(Token { kind, span, depth });
            if kind == Kind::Mark(b'(') {
                depth = depth.saturating_add(1);
            }
        }
        Tokens { sql, all }
    }

    pub fn sql(&self) -> &'a [u8] {
        self.sql
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }

    pub fn get(&self, index: usize) -> Option<&Token> {
        self.all.get(index)
    }

    pub fn text(&self, index: usize) -> &'a [u8] {
        self.get(index).and_then(|token| self.sql.get(token.span.clone())).unwrap_or_default()
    }

    /// Whether this is the keyword, which is written in capitals here and in any case there.
    pub fn is(&self, index: usize, keyword: &str) -> bool {
        self.get(index).is_some_and(|token| token.kind == Kind::Word)
            && self.text(index).eq_ignore_ascii_case(keyword.as_bytes())
    }

    pub fn is_mark(&self, index: usize, mark: u8) -> bool {
        self.get(index).is_some_and(|token| token.kind == Kind::Mark(mark))
    }

    /// Whether these keywords follow each other from `index` on.
    pub fn are(&self, index: usize, keywords: &str) -> bool {
        keywords.split(' ').enumerate().all(|(offset, keyword)| self.is(index + offset, keyword))
    }

    /// The first of these keywords from `from` on that stands outside of parentheses.
    pub fn find(&self, from: usize, keywords: &[&str]) -> Option<usize> {
        (from..self.count()).find(|index| self.depth(*index) == 0 && keywords.iter().any(|word| self.is(*index, word)))
    }

    pub fn depth(&self, index: usize) -> u32 {
        self.get(index).map_or(0, |token| token.depth)
    }

    /// The name that a word or quoted name means; a word is folded as the server folds it.
    pub fn name(&self, index: usize) -> Option<String> {
        let text = self.text(index);
        match self.get(index)?.kind {
            Kind::Word => Some(readable(&text.to_ascii_lowercase())),
            Kind::Quoted => Some(undoubled(text, '"')),
            _ => None,
        }
    }

    /// The value of a plain string.
    pub fn string(&self, index: usize) -> Option<String> {
        let text = self.text(index);
        (self.get(index)?.kind == Kind::Text && text.starts_with(b"'")).then(|| undoubled(text, '\''))
    }

    /// The statement with these pieces put in the place of these spans, which must not overlap.
    pub fn replaced(&self, mut changes: Vec<(Range<usize>, String)>) -> Vec<u8> {
        changes.sort_by_key(|(span, _)| span.start);
        let mut out = Vec::with_capacity(self.sql.len());
        let mut copied = 0;
        for (span, piece) in changes {
            out.extend_from_slice(self.sql.get(copied..span.start).unwrap_or_default());
            out.extend_from_slice(piece.as_bytes());
            copied = span.end.max(copied);
        }
        out.extend_from_slice(self.sql.get(copied..).unwrap_or_default());
        out
    }

    /// From the first byte of one token to the last byte of another.
    pub fn span(&self, first: usize, last: usize) -> Range<usize> {
        match (self.get(first), self.get(last)) {
            (Some(first), Some(last)) => first.span.start..last.span.end,
            _ => 0..0,
        }
    }
}

/// Bytes that are not UTF-8 are shown one by one: they are compared with names that are.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

fn undoubled(text: &[u8], quote: char) -> String {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    let doubled: String = [quote, quote].iter().collect();
    readable(inner).replace(&doubled, &quote.to_string())
}

/// The token that begins at or after `at`.
fn next(sql: &[u8], at: usize) -> Option<(Kind, Range<usize>)> {
    let start = skip_blanks(sql, at);
    let byte = *sql.get(start)?;
    let rest = sql.get(start..).unwrap_or_default();
    let prefix = usize::from(rest.get(1) == Some(&b'\'') && b"eEbBxX".contains(&byte));
    let (kind, len) = match byte {
        _ if prefix == 1 => {
            (Kind::Text, 1 + string(rest.get(1..).unwrap_or_default(), byte.eq_ignore_ascii_case(&b'e')))
        }
        b'\'' => (Kind::Text, string(rest, false)),
        b'"' => (Kind::Quoted, quoted(rest, b'"')),
        b'$' => match dollar(rest) {
            Some(len) => (Kind::Text, len),
            None => (Kind::Mark(byte), 1),
        },
        _ if is_word_start(byte) => (Kind::Word, rest.iter().take_while(|byte| is_word(**byte)).count()),
        _ if byte.is_ascii_digit() => {
            (Kind::Number, rest.iter().take_while(|byte| is_word(**byte) || **byte == b'.').count())
        }
        _ => (Kind::Mark(byte), 1),
    };
    Some((kind, start..start + len))
}

fn skip_blanks(sql: &[u8], mut at: usize) -> usize {
    loop {
        let rest = sql.get(at..).unwrap_or_default();
        let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
        at += blanks;
        match sql.get(at..).unwrap_or_default() {
            [b'-', b'-', comment @ ..] => at += 2 + comment.iter().take_while(|b| !matches!(b, b'\n' | b'\r')).count(),
            [b'/', b'*', ..] => at += block(sql.get(at..).unwrap_or_default()),
            _ => return at,
        }
    }
}

fn block(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_u32);
    while at < rest.len() {
        match rest.get(at..at + 2) {
            Some(b"/*") => (at, depth) = (at + 2, depth + 1),
            Some(b"*/") if depth == 1 => return at + 2,
            Some(b"*/") => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

fn string(rest: &[u8], escapes: bool) -> usize {
    if !escapes {
        return quoted(rest, b'\'');
    }
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        match (byte, rest.get(at + 1)) {
            (b'\\', _) | (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Up to the closing quote, past doubled ones.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(found) = memchr(quote, rest.get(at..).unwrap_or_default()) {
        at += found + 1;
        if rest.get(at) != Some(&quote) {
            return at;
        }
        at += 1;
    }
    rest.len()
}

fn dollar(rest: &[u8]) -> Option<usize> {
    let tag = rest.get(1..)?.iter().take_while(|byte| is_word(**byte) && **byte != b'$').count();
    if rest.get(1).is_some_and(u8::is_ascii_digit) || rest.get(tag + 1) != Some(&b'$') {
        return None;
    }
    let close = rest.get(..tag + 2)?;
    let body = rest.get(close.len()..)?;
    match memchr::memmem::find(body, close) {
        Some(found) => Some(found + 2 * close.len()),
        None => Some(rest.len()),
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<String> {
        let tokens = Tokens::of(sql.as_bytes());
        (0..tokens.count()).map(|index| String::from_utf8_lossy(tokens.text(index)).into_owned()).collect()
    }

    #[test]
    fn whatever_is_quoted_is_one_token() {
        let sql = "a \"b \"\" c\".d 'it''s' E'\\'' B'1' $$x ; $ $$ $_1$ $$ $_1$ -- no\n/* /* */ */ 1.5e3 $1 :: é";
        let expected =
            ["a", "\"b \"\" c\"", ".", "d", "'it''s'", "E'\\''", "B'1'", "$$x ; $ $$", "$_1$ $$ $_1$", "1.5e3"];
        assert_eq!(texts(sql)[..10], expected);
        assert_eq!(texts(sql)[10..], ["$", "1", ":", ":", "é"]);
    }

    #[test]
    fn text_that_ends_early_ends_in_a_token() {
        for sql in ["'a", "\"a", "$$a", "E'\\", "/* a", "$", "", "a$", "'", "\""] {
            let tokens = Tokens::of(sql.as_bytes());
            let end = tokens.count().checked_sub(1).and_then(|last| tokens.get(last)).map_or(0, |last| last.span.end);
            assert!(end <= sql.len(), "{sql}");
        }
    }

    #[test]
    fn names_mean_what_the_server_means() {
        let tokens = Tokens::of(b"Foo \"Foo\" \"a\"\"b\" 'x''y' (to) TO");
        assert_eq!(tokens.name(0).unwrap(), "foo");
        assert_eq!(tokens.name(1).unwrap(), "Foo");
        assert_eq!(tokens.name(2).unwrap(), "a\"b");
        assert_eq!(tokens.string(3).unwrap(), "x'y");
        assert_eq!(tokens.find(0, &["TO"]), Some(7), "what stands in parentheses is passed over");
        assert_eq!(tokens.replaced(vec![(tokens.span(1, 1), "n".into())]), b"Foo n \"a\"\"b\" 'x''y' (to) TO");
    }
}
