//! The script of an archive as steps: one entry of the table of contents, its SQL, and what to call it in an error.
//!
//! Sections are read member by member, so the script is never held whole.

use std::ops::Range;

use crate::archive::{Archive, MemberEntry, ReadAt, Stream, TocEntry};
use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;
use crate::script::is_statistics;
use crate::text::Text;

/// What is run as one statement batch; if it fails, `what` is named.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its position in the table of contents, and those of the entries that it needs.
    pub at: u32,
    pub depends: Box<[u32]>,
    pub what: String,
    pub kind: Text,
    pub sql: Vec<u8>,
    /// A failure is collected and listed instead of ending the restore: the data is complete without it.
    pub optional: bool,
    /// Of a table: the rows that the archive holds of it.
    pub rows: Option<u64>,
}

impl Step {
    /// A statement of which nothing else is known.
    pub fn of_statement(sql: &[u8], at: u32) -> Self {
        let what = match (is_statistics(sql), is_role_check(sql)) {
            (true, _) => "planner statistics".to_owned(),
            (_, true) => "the roles that the script names".to_owned(),
            _ => first_words(sql),
        };
        let optional = is_statistics(sql) || OPTIONAL_VERBS.iter().any(|verb| what.starts_with(verb));
        Step { at, depends: Box::default(), what, kind: Text::default(), sql: sql.to_vec(), optional, rows: None }
    }

    /// Whether it says something of an object that another step makes: its statements stand for themselves.
    pub fn is_accessory(&self) -> bool {
        ["OWNER", "COMMENT", "ACL"].contains(&self.kind.as_str())
    }
}

/// Besides the blocks of code that bring back planner statistics a script has one: the preamble's question for roles.
pub fn is_role_check(sql: &[u8]) -> bool {
    sql.starts_with(b"DO ") && !is_statistics(sql)
}

/// The first line of a statement, as far as it tells which one it is.
fn first_words(sql: &[u8]) -> String {
    const WORDS_BYTES: usize = 60;
    let text = String::from_utf8_lossy(sql.get(..WORDS_BYTES.min(sql.len())).unwrap_or_default()).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

/// How the statements of [`OPTIONAL_KINDS`] begin.
const OPTIONAL_VERBS: [&str; 4] =
    ["REFRESH MATERIALIZED VIEW ", "CREATE EVENT TRIGGER ", "ALTER EVENT TRIGGER ", "COMMENT ON EVENT TRIGGER "];

/// Kinds that run user code or need rights of their own and stand behind everything else.
const OPTIONAL_KINDS: [&str; 3] = ["MATERIALIZED VIEW DATA", "EVENT TRIGGER", STATISTICS_KIND];

/// What the planner knows of rows that are there without it.
pub const STATISTICS_KIND: &str = "STATISTICS DATA";

/// Kinds that have rows.
pub const TABLE_KINDS: [&str; 2] = ["TABLE", "FOREIGN TABLE"];

/// The psql frame of the script; a native restore sets its session up itself.
pub const PREAMBLE_KIND: &str = "PREAMBLE";
/// Psql's `\set` lines between sections; nothing that a server could run.
pub const DIRECTIVE_KIND: &str = "DIRECTIVE";

/// Whether its failure leaves data and constraints whole: so it is with owner and comment of an optional object.
pub fn is_optional(toc: &[TocEntry], entry: &TocEntry) -> bool {
    let of_optional_kind = |entry: &TocEntry| OPTIONAL_KINDS.contains(&entry.kind.as_str());
    let on = |position: &u32| usize::try_from(*position).ok().and_then(|position| toc.get(position));
    of_optional_kind(entry) || entry.depends.iter().filter_map(on).any(of_optional_kind)
}

/// Kinds from whose first entry on the rest of post-data is run in order, when everything before is done: privileges
/// could take from an owner what a foreign key needs to be looked at, event triggers fire on what others run, a refresh
/// may read anything, and planner statistics are of what is finished.
const TAIL_KINDS: [&str; 5] = ["ACL", "DEFAULT ACL", "EVENT TRIGGER", "MATERIALIZED VIEW DATA", STATISTICS_KIND];

/// Where in the stream that rest begins.
pub fn tail_at(toc: &[TocEntry], stream: StreamId) -> u64 {
    let in_stream = toc.iter().filter(|entry| entry.stream == stream && entry.len > 0);
    let tail = in_stream.filter(|entry| TAIL_KINDS.contains(&entry.kind.as_str()));
    tail.map(|entry| entry.offset).min().unwrap_or(u64::MAX)
}

pub fn describe(entry: &TocEntry) -> String {
    match (entry.schema.as_str(), entry.name.as_str()) {
        ("", name) => format!("{} {name}", entry.kind),
        (schema, name) => format!("{} {schema}.{name}", entry.kind),
    }
}

/// The steps of one stream's members, in order, as far as `wanted` takes them.
pub struct SectionSteps<'a, R> {
    archive: &'a Archive<R>,
    members: std::vec::IntoIter<MemberEntry>,
    entries: std::iter::Peekable<std::vec::IntoIter<(u32, &'a TocEntry)>>,
    /// Raw bytes of the stream before the next member.
    base: u64,
}

/// The whole of a stream.
pub const ALL: Range<u64> = 0..u64::MAX;

/// Entries of a part of one stream that are run, in the stream's order.
fn entries_of(
    toc: &[TocEntry],
    stream: StreamId,
    part: Range<u64>,
    wanted: impl Fn(u32, &TocEntry) -> bool,
) -> Vec<(u32, &TocEntry)> {
    let mut entries: Vec<(u32, &TocEntry)> = (0_u32..)
        .zip(toc)
        .filter(|(_, entry)| entry.stream == stream && entry.len > 0 && part.contains(&entry.offset))
        .filter(|(at, entry)| entry.kind != PREAMBLE_KIND && entry.kind != DIRECTIVE_KIND && wanted(*at, entry))
        .collect();
    entries.sort_by_key(|(_, entry)| entry.offset);
    entries
}

impl<'a, R: ReadAt> SectionSteps<'a, R> {
    pub fn new(
        archive: &'a Archive<R>,
        stream: StreamId,
        part: Range<u64>,
        wanted: impl Fn(u32, &TocEntry) -> bool,
    ) -> Self {
        let entries = entries_of(archive.toc(), stream, part, wanted);
        let members: Vec<MemberEntry> = archive.members_of(stream).collect();
        SectionSteps { archive, members: members.into_iter(), entries: entries.into_iter().peekable(), base: 0 }
    }

    /// The steps of the next member that has any; `None` at the end. Members without a wanted entry are not read.
    pub fn next_member(&mut self) -> Result<Option<Vec<Step>>> {
        while self.entries.peek().is_some() {
            let Some(member) = self.members.next() else { return Err(outside_of_the_stream()) };
            let covered = self.base..self.base.saturating_add(member.raw);
            self.base = covered.end;
            if !self.entries.peek().is_some_and(|(_, entry)| covered.contains(&entry.offset)) {
                continue;
            }
            let mut bytes = Vec::new();
            self.archive.read_member(&member, &mut bytes)?;
            let mut steps = Vec::new();
            let (toc, streams) = (self.archive.toc(), self.archive.streams());
            while let Some((at, entry)) = self.entries.next_if(|(_, entry)| covered.contains(&entry.offset)) {
                steps.push(step(toc, streams, at, entry, covered.start, &bytes)?);
            }
            return Ok(Some(steps));
        }
        Ok(None)
    }
}

/// The steps of a part of a stream whose bytes are at hand.
pub fn steps_of<'a>(
    toc: &'a [TocEntry],
    streams: &'a [Stream],
    stream: StreamId,
    part: Range<u64>,
    bytes: &'a [u8],
) -> impl Iterator<Item = Result<Step>> + 'a {
    let entries = entries_of(toc, stream, part, |_, _| true);
    entries.into_iter().map(move |(at, entry)| step(toc, streams, at, entry, 0, bytes))
}

/// `bytes` begin at `base` in the entry's stream.
fn step(toc: &[TocEntry], streams: &[Stream], at: u32, entry: &TocEntry, base: u64, bytes: &[u8]) -> Result<Step> {
    let start = entry.offset.saturating_sub(base);
    let end = start.checked_add(entry.len);
    let sql = usize::try_from(start)
        .ok()
        .zip(end.and_then(|end| usize::try_from(end).ok()))
        .and_then(|(start, end)| bytes.get(start..end))
        .ok_or_else(outside_of_the_stream)?;
    let table = entry.table.filter(|_| TABLE_KINDS.contains(&entry.kind.as_str()));
    let rows = table.and_then(|table| streams.get(usize::try_from(table.0).ok()?)).map(|stream| stream.rows);
    Ok(Step {
        at,
        depends: entry.depends.clone(),
        what: describe(entry),
        kind: entry.kind.clone(),
        sql: sql.to_vec(),
        optional: is_optional(toc, entry),
        rows,
    })
}

fn outside_of_the_stream() -> Error {
    Error::new(Kind::Damaged, "the table of contents points outside of its section")
}
