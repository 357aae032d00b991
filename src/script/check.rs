//! The hardening check on statement text that a server wrote.
//!
//! A source server may be hostile or merely unpatched: whatever it deparses must be one statement under the rules
//! of every psql version, or the run stops. The text is without its final `;`, which we add ourselves.

use std::borrow::Cow;

use memchr::memchr_iter;

use super::fault::{Fault, ScriptError};
use super::scan::{Event, Scan};

/// `sql` is exactly one statement and begins with one of `verbs` (words in capitals, as in `CREATE VIEW`): no
/// top-level `;`, quotes and parentheses balanced under `standard_conforming_strings = on`, no backslash outside of
/// quotes, no NUL, no comment that could swallow the `;` we add, nothing that psql versions read differently.
pub fn check_single_statement(sql: &str, verbs: &[&str]) -> Result<(), ScriptError> {
    check(sql, Scan::default(), begins_with(sql, "CREATE RULE"))?;
    if verbs.iter().any(|verb| begins_with(sql, verb)) {
        Ok(())
    } else {
        Err(ScriptError { fault: Fault::Verb, line: 1 })
    }
}

/// `sql` is a part of a statement, such as an expression, a type or a list of names, and cannot end the statement that
/// it is put into: the same rules, without a verb.
pub fn check_fragment(sql: &str) -> Result<(), ScriptError> {
    check(sql, Scan::inside(), false)
}

/// The actions of a rule are the only place where the server takes a `;` in parentheses.
fn check(sql: &str, mut scan: Scan, lists_actions: bool) -> Result<(), ScriptError> {
    let text = sql.as_bytes();
    let event = scan.run(text, true);
    let fail = |fault| Err(ScriptError { fault, line: line_of(text, scan.pos()) });
    match event {
        Event::More => {}
        Event::End(_) => return fail(Fault::Several),
        Event::Backslash => return fail(Fault::Backslash),
        Event::Nul => return fail(Fault::Nul),
        Event::LongTag => return fail(Fault::TooLong),
    }
    if scan.facts.ambiguous {
        return fail(Fault::Ambiguous);
    }
    if !scan.is_closed() || scan.facts.closed_too_often {
        return fail(Fault::Unbalanced);
    }
    if scan.facts.semicolon_in_parens && !lists_actions {
        return fail(Fault::Several);
    }
    Ok(())
}

/// Puts a blank behind every colon after which psql could put a variable's value in place of a name, as in the
/// array slice `a[1:"HOST"]`. The meaning stays the same.
pub fn without_variables(sql: &str) -> Cow<'_, str> {
    let mut scan = Scan::default();
    let mut from = 0;
    let mut at = Vec::new();
    // Statements may follow each other: every one of them is looked at.
    while let Event::End(end) = scan.run(&sql.as_bytes()[from..], true) {
        at.extend(scan.facts.variables.iter().map(|colon| colon + from));
        from += end;
        scan = Scan::default();
    }
    at.extend(scan.facts.variables.iter().map(|colon| colon + from));
    if at.is_empty() {
        return Cow::Borrowed(sql);
    }
    let mut out = String::with_capacity(sql.len() + at.len());
    let mut copied = 0;
    for colon in at {
        out.push_str(&sql[copied..=colon]);
        out.push(' ');
        copied = colon + 1;
    }
    out.push_str(&sql[copied..]);
    Cow::Owned(out)
}

fn begins_with(sql: &str, verb: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = sql;
    for word in verb.split(' ') {
        rest = rest.trim_start();
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (found, after) = rest.split_at(len);
        if !found.eq_ignore_ascii_case(word) {
            return false;
        }
        rest = after;
    }
    true
}

fn line_of(text: &[u8], pos: usize) -> u64 {
    let passed = text.get(..pos).unwrap_or(text);
    1 + memchr_iter(b'\n', passed).count() as u64
}

#[cfg(test)]
mod tests;
