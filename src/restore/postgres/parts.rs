//! How a step of post-data is run: in one part or two, with which locks, after whose rows.
//!
//! A key is an index, which is built under the weak lock that other indexes of the table can share, and then a constraint
//! `USING INDEX`, which is quick. A foreign key is added `NOT VALID`, which is quick, and then validated, under a lock that
//! lets other tables' foreign keys be validated meanwhile. Both are for plain tables alone; partitioned parents,
//! exclusion and period constraints keep pg_dump's statements. What may fail is not cut in two: half of it would stay.
//!
//! Everything is read from the statement's tokens, since the archive is old when it is restored. A statement that is not
//! as expected runs as it is, alone.

use std::collections::VecDeque;

use crate::script::{Item, Lexer, TokenKind, Tokens};

use super::locks::{Locks, Mode, TableId};
use super::relations::Relations;
use super::schedule::{Part, Planned};
use super::steps::Step;

/// `may_fail`: a failure of the step would be listed, and the restore would go on.
pub fn plan(step: Step, relations: &mut Relations, may_fail: bool) -> Planned<Step> {
    let statements = statements_of(&step.sql);
    let planned = match step.kind.as_str() {
        "INDEX" => index(&statements, relations),
        "CONSTRAINT" => key(&statements, relations),
        "FK CONSTRAINT" => foreign_key(&statements, relations),
        "INDEX ATTACH" => attach(&statements, relations),
        _ => None,
    };
    match planned {
        None => whole(step, Locks::Alone, Vec::new(), 0),
        Some(Plan { parts, on, locks, tables, .. }) if may_fail && parts.len() > 1 => {
            let weight = on.iter().map(|table| relations.bytes(*table)).sum();
            whole(step, locks, groups(tables, relations), weight)
        }
        Some(Plan { parts, tables, .. }) => {
            let (at, depends) = (step.at, step.depends.clone());
            let tables = groups(tables, relations);
            let parts = parts.into_iter().map(|Cut { sql, locks, weight }| {
                let sql = sql.unwrap_or_else(|| step.sql.clone());
                Part { bytes: sql.len(), work: Step { sql, ..step.clone() }, locks, weight }
            });
            Planned { at, depends, tables, parts: parts.collect() }
        }
    }
}

fn whole(step: Step, locks: Locks, tables: Vec<TableId>, weight: u64) -> Planned<Step> {
    let (at, depends, bytes) = (step.at, step.depends.clone(), step.sql.len());
    Planned { at, depends, tables, parts: VecDeque::from([Part { work: step, locks, weight, bytes }]) }
}

fn groups(tables: Vec<TableId>, relations: &Relations) -> Vec<TableId> {
    tables.into_iter().map(|table| relations.group(table)).collect()
}

struct Plan {
    parts: Vec<Cut>,
    /// Tables whose rows it goes through, and the locks that it takes, where it is run whole.
    on: Vec<TableId>,
    locks: Locks,
    /// Tables whose rows must be there.
    tables: Vec<TableId>,
}

/// One part; `None` is the step's SQL as it is.
struct Cut {
    sql: Option<Vec<u8>>,
    locks: Locks,
    weight: u64,
}

fn statements_of(script: &[u8]) -> Vec<Vec<u8>> {
    let mut lexer = Lexer::new();
    lexer.feed(script);
    lexer.finish();
    let mut statements = Vec::new();
    loop {
        match lexer.next() {
            Ok(Some(Item::Statement(sql))) => statements.push(sql.to_vec()),
            Ok(None) => return statements,
            Ok(Some(_)) | Err(_) => return Vec::new(),
        }
    }
}

fn joined(statements: &[Vec<u8>]) -> Vec<u8> {
    statements.iter().flat_map(|sql| sql.iter().copied().chain([b'\n'])).collect()
}

/// A step's statements: the one that makes something, among those that set and reset a tablespace, and what follows.
struct Framed<'a> {
    frame: &'a [Vec<u8>],
    /// Where in the frame it stands.
    main: usize,
    rest: &'a [Vec<u8>],
}

impl<'a> Framed<'a> {
    fn of(statements: &'a [Vec<u8>]) -> Option<Self> {
        let is_set = |sql: &Vec<u8>| sql.starts_with(b"SET ");
        let main = statements.iter().position(|sql| !is_set(sql))?;
        let after = statements.get(main + 1..)?.iter().take_while(|sql| is_set(sql)).count();
        let (frame, rest) = statements.split_at_checked(main + 1 + after)?;
        Some(Framed { frame, main, rest })
    }
}

fn index(statements: &[Vec<u8>], relations: &mut Relations) -> Option<Plan> {
    let Framed { frame, main, rest } = Framed::of(statements)?;
    let tokens = Tokens::of(statements.get(main)?);
    let start = if tokens.are(0, "CREATE UNIQUE INDEX") { 3 } else { 2 };
    if start == 2 && !tokens.are(0, "CREATE INDEX") {
        return None;
    }
    let name = tokens.name(start)?;
    if !tokens.is(start + 1, "ON") {
        return None;
    }
    let at = start + 2 + usize::from(tokens.is(start + 2, "ONLY"));
    let (schema, table) = qualified(&tokens, at, relations)?;
    relations.add_index(&schema, &name, table);
    let weight = if relations.is_plain(table) { relations.bytes(table) } else { 0 };
    let exclusive = relations.locks(&[(table, Mode::AccessExclusive)]);
    let mut parts = vec![Cut { sql: Some(joined(frame)), locks: relations.locks(&[(table, Mode::Share)]), weight }];
    if !rest.is_empty() {
        parts.push(Cut { sql: Some(joined(rest)), locks: exclusive.clone(), weight: 0 });
    }
    Some(Plan { parts, on: vec![table], locks: coded(exclusive), tables: vec![table] })
}

/// PRIMARY KEY, UNIQUE and EXCLUDE. Anything else under this kind is quick, and rare.
fn key(statements: &[Vec<u8>], relations: &mut Relations) -> Option<Plan> {
    let Framed { frame, main, rest } = Framed::of(statements)?;
    let sql = statements.get(main)?;
    let tokens = Tokens::of(sql);
    let Added { schema, table, name, body, .. } = added(&tokens, relations)?;
    let is_exclusion = tokens.is(body, "EXCLUDE");
    if !is_exclusion && !tokens.are(body, "PRIMARY KEY") && !tokens.is(body, "UNIQUE") {
        return None;
    }
    relations.add_index(&schema, &tokens.name(name)?, table);
    let exclusive = relations.locks(&[(table, Mode::AccessExclusive)]);
    let weight = if relations.is_plain(table) { relations.bytes(table) } else { 0 };
    let locks = if is_exclusion { coded(exclusive.clone()) } else { exclusive.clone() };
    let cut = if relations.is_plain(table) { using_index(&tokens, name, body) } else { None };
    let parts = match cut {
        None => vec![Cut { sql: None, locks: locks.clone(), weight }],
        Some((create, add)) => {
            let mut frame = frame.to_vec();
            frame.splice(main..=main, [create]);
            let added: Vec<Vec<u8>> = std::iter::once(add).chain(rest.iter().cloned()).collect();
            let share = relations.locks(&[(table, Mode::Share)]);
            vec![
                Cut { sql: Some(joined(&frame)), locks: share, weight },
                Cut { sql: Some(joined(&added)), locks: exclusive, weight: 0 },
            ]
        }
    };
    Some(Plan { parts, on: vec![table], locks, tables: vec![table] })
}

/// The key's index, and the constraint that takes it over under its own name.
fn using_index(tokens: &Tokens<'_>, name: usize, body: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let text = |first: usize, last: usize| tokens.sql().get(tokens.span(first, last)).unwrap_or_default();
    let kind_end = if tokens.are(body, "PRIMARY KEY") { body + 1 } else { body };
    let mut at = kind_end + 1;
    let nulls = if tokens.are(at, "NULLS NOT DISTINCT") { Some((at, at + 2)) } else { None };
    at += if nulls.is_some() { 3 } else { 0 };
    let columns = parentheses(tokens, at)?;
    if (columns.0..columns.1).any(|inside| tokens.is(inside, "WITHOUT")) {
        return None;
    }
    at = columns.1 + 1;
    let mut clauses: Vec<(usize, usize)> = Vec::new();
    for clause in ["INCLUDE", "WITH"] {
        // NULLS NOT DISTINCT stands between the two in CREATE INDEX.
        if clause == "WITH" {
            clauses.extend(nulls);
        }
        if tokens.is(at, clause) {
            let (_, end) = parentheses(tokens, at + 1)?;
            clauses.push((at, end));
            at = end + 1;
        }
    }
    let timing = at;
    while ["NOT", "DEFERRABLE", "INITIALLY", "DEFERRED", "IMMEDIATE"].iter().any(|word| tokens.is(at, word)) {
        at += 1;
    }
    if !tokens.is_mark(at, b';') || at + 1 != tokens.count() {
        return None;
    }
    let (key, table) = (text(name, name), text(first_of_table(tokens), name.checked_sub(3)?));
    let mut create = [b"CREATE UNIQUE INDEX ", key, b" ON ", table, b" ", text(columns.0, columns.1)].concat();
    for (first, last) in clauses {
        create.push(b' ');
        create.extend_from_slice(text(first, last));
    }
    create.push(b';');
    let mut add = [text(0, kind_end), b" USING INDEX ", key].concat();
    if at > timing {
        add.push(b' ');
        add.extend_from_slice(text(timing, at - 1));
    }
    add.push(b';');
    Some((create, add))
}

/// The pair that opens at `at`.
fn parentheses(tokens: &Tokens<'_>, at: usize) -> Option<(usize, usize)> {
    let depth = tokens.depth(at);
    let close = (at + 1..tokens.count()).find(|one| tokens.is_mark(*one, b')') && tokens.depth(*one) == depth)?;
    tokens.is_mark(at, b'(').then_some((at, close))
}

fn foreign_key(statements: &[Vec<u8>], relations: &Relations) -> Option<Plan> {
    let [sql] = statements else { return None };
    let tokens = Tokens::of(sql);
    let Added { table, name, body, .. } = added(&tokens, relations)?;
    if !tokens.are(body, "FOREIGN KEY") {
        return None;
    }
    let references = tokens.find(body, &["REFERENCES"])?;
    let (_, referenced) = qualified(&tokens, references + 1, relations)?;
    let both = |mode, other| relations.locks(&[(table, mode), (referenced, other)]);
    let is_plain = relations.is_plain(table) && relations.is_plain(referenced);
    let strongest = if is_plain { Mode::ShareRowExclusive } else { Mode::AccessExclusive };
    let locks = both(strongest, strongest);
    let is_unchecked = (references..tokens.count())
        .any(|at| tokens.depth(at) == 0 && (tokens.are(at, "NOT VALID") || tokens.are(at, "NOT ENFORCED")));
    let has_period = (body..tokens.count()).any(|at| tokens.is(at, "PERIOD"));
    let weight = if is_unchecked { 0 } else { relations.bytes(table).saturating_add(relations.bytes(referenced)) };
    let end = tokens.count().checked_sub(1).filter(|last| tokens.is_mark(*last, b';'))?;
    let parts = if is_unchecked || has_period || !is_plain {
        vec![Cut { sql: None, locks: locks.clone(), weight }]
    } else {
        let add = [sql.get(tokens.span(0, end - 1)).unwrap_or_default(), b" NOT VALID;"].concat();
        let of = sql.get(tokens.span(0, name.checked_sub(3)?)).unwrap_or_default();
        let validate = [of, b" VALIDATE CONSTRAINT ", tokens.text(name), b";"].concat();
        let weak = both(Mode::ShareUpdateExclusive, Mode::Read);
        vec![Cut { sql: Some(add), locks: locks.clone(), weight: 0 }, Cut { sql: Some(validate), locks: weak, weight }]
    };
    Some(Plan { parts, on: vec![table, referenced], locks, tables: vec![table, referenced] })
}

fn attach(statements: &[Vec<u8>], relations: &Relations) -> Option<Plan> {
    let [sql] = statements else { return None };
    let tokens = Tokens::of(sql);
    if !tokens.are(0, "ALTER INDEX") || !tokens.are(5, "ATTACH PARTITION") || tokens.count() != 11 {
        return None;
    }
    let table = |at| relations.of_index(&tokens.name(at)?, &tokens.name(at + 2)?);
    let (parent, child) = (table(2)?, table(7)?);
    let locks = relations.locks(&[(parent, Mode::AccessExclusive), (child, Mode::AccessExclusive)]);
    let parts = vec![Cut { sql: None, locks: locks.clone(), weight: 0 }];
    Some(Plan { parts, on: Vec::new(), locks, tables: vec![parent, child] })
}

/// `ALTER TABLE [ONLY] "s"."t" ADD CONSTRAINT "name" …`
struct Added {
    schema: String,
    table: TableId,
    /// Tokens: the constraint's name, and what follows it.
    name: usize,
    body: usize,
}

fn first_of_table(tokens: &Tokens<'_>) -> usize {
    2 + usize::from(tokens.is(2, "ONLY"))
}

fn added(tokens: &Tokens<'_>, relations: &Relations) -> Option<Added> {
    let first = first_of_table(tokens);
    if !tokens.are(0, "ALTER TABLE") || !tokens.are(first + 3, "ADD CONSTRAINT") {
        return None;
    }
    let (schema, table) = qualified(tokens, first, relations)?;
    Some(Added { schema, table, name: first + 5, body: first + 6 })
}

/// A table of the archive with its schema.
fn qualified(tokens: &Tokens<'_>, at: usize, relations: &Relations) -> Option<(String, TableId)> {
    let is_name = |at| tokens.get(at).is_some_and(|one| matches!(one.kind, TokenKind::Word | TokenKind::Quoted));
    if !is_name(at) || !tokens.is_mark(at + 1, b'.') || !is_name(at + 2) {
        return None;
    }
    let (schema, name) = (tokens.name(at)?, tokens.name(at + 2)?);
    let table = relations.table(&schema, &name)?;
    Some((schema, table))
}

/// Locks of a step that evaluates expressions under them.
fn coded(locks: Locks) -> Locks {
    match locks {
        Locks::On { tables, .. } => Locks::On { tables, runs_code: true },
        Locks::Alone => Locks::Alone,
    }
}

#[cfg(test)]
#[path = "parts/tests.rs"]
mod tests;
