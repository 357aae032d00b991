//! Tables and lines for people. Pure text: what it says is decided elsewhere.

use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::Value;

use crate::archive::ArchiveHeader;
use crate::backup::{BackedUp, BackupOutcome};
use crate::copy::CopyOutcome;
use crate::inspect::{Inspected, StreamFacts, What};
use crate::listing::Listed;
use crate::manifest::meta::Content;
use crate::pg::database;
use crate::restore::outcome::{GlobalsPreview, Preview, RestoreOutcome, TargetPreview};
use crate::salvage::SalvageOutcome;
use crate::sqlite::Facts;
use crate::units::{human_bytes, human_count, human_duration, human_number};
use crate::verify::outcome::{FileReport, Verdict, VerifyOutcome};

mod prune;
mod status;

pub use prune::{kept_copies, prune_plan, pruned};
pub use status::{drilled, history_run, status};

pub fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings.to_vec());
    table
}

pub fn align_right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// A resolved job as `key  value` lines.
pub fn plan(value: &Value) -> String {
    let mut lines = Vec::new();
    flatten("", value, &mut lines);
    let width = lines.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    lines.iter().map(|(key, value)| format!("{key:width$}  {value}\n")).collect()
}

fn flatten(path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(&below(key), value, lines)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| flatten(&below(&at.to_string()), item, lines));
        }
        Value::String(text) => lines.push((path.to_owned(), text.clone())),
        other => lines.push((path.to_owned(), other.to_string())),
    }
}

pub fn backed_up(label: &str, done: &BackedUp) -> String {
    let tiers: Vec<&str> = done.tiers.iter().map(|tier| tier.name()).collect();
    let tiers = if tiers.is_empty() { String::new() } else { format!(" ({})", tiers.join(", ")) };
    let content = match done.tables {
        0 => String::new(),
        tables => format!(", {} in {}", human_number(done.rows, "row"), human_number(tables, "table")),
    };
    let mut text = format!(
        "{label}: {}{tiers}\n    {} of {}{content}, {}",
        done.path.display(),
        human_bytes(done.size_bytes.0),
        human_bytes(done.raw_bytes.0),
        spent(done.duration_seconds),
    );
    if let Some(part) = &done.part {
        text.push_str(&format!("\n    holds only a part: {part}"));
    }
    for copy in &done.copies {
        text.push_str(&format!("\n    copy: {}", copy.display()));
    }
    text
}

/// The last line of a backup.
pub fn backup_summary(outcome: &BackupOutcome, took: Duration) -> String {
    let done: Vec<&BackedUp> = outcome.sources.iter().filter_map(|source| source.result.as_ref().ok()).collect();
    let stored = done.iter().map(|done| done.size_bytes.0).fold(0, u64::saturating_add);
    let (good, all) = (done.len(), outcome.sources.len());
    format!("{good} of {all} backed up, {} in {}", human_bytes(stored), human_duration(took))
}

/// The new files, and one line about all.
pub fn copied(outcome: &CopyOutcome, took: Duration) -> String {
    let bytes = outcome.copied.iter().map(|one| one.size_bytes.0).fold(0, u64::saturating_add);
    let mut lines: Vec<String> = outcome.copied.iter().map(|one| one.path.display().to_string()).collect();
    lines.push(format!(
        "{} copied, {} in {}; {} there already, {} failed",
        outcome.copied.len(),
        human_bytes(bytes),
        human_duration(took),
        outcome.present.len(),
        outcome.failed.len()
    ));
    lines.join("\n")
}

pub fn listing(rows: &[&Listed], now: Timestamp) -> String {
    let mut table = table(&["NAME", "TYPE", "TIER", "TAKEN", "AGE", "SIZE", "STATE", "FILE"]);
    align_right(&mut table, &[4, 5]);
    for row in rows {
        let note = row.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
        table.add_row(vec![
            row.label.clone(),
            row.kind.map_or("-", |kind| kind.name()).to_owned(),
            row.tier.map_or("-", |tier| tier.name()).to_owned(),
            row.timestamp.zoned().strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
            age(row.timestamp.instant(), now),
            human_bytes(row.size),
            format!("{}{note}{}", row.state.name(), held(row)),
            row.path.clone(),
        ]);
    }
    table.trim_fmt()
}

/// What of its source a backup holds, where that is not all.
fn held(row: &Listed) -> String {
    let Some(details) = row.meta.as_ref().and_then(|meta| meta.details.as_ref()) else { return String::new() };
    let content = (details.content != Content::All).then(|| details.content.name().to_owned());
    let part = details.part.as_ref().map(|part| format!("part: {part}"));
    [content, part].into_iter().flatten().map(|held| format!(", {held}")).collect()
}

/// `5 min`, `3 h`, `12 d`: how old at a glance.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    match seconds {
        ..0 => "future".to_owned(),
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Everything about one stored file, as sections with a blank line between.
pub fn inspected(seen: &Inspected) -> String {
    let mut sections = vec![match &seen.header {
        Some(header) => self::header(header),
        None => {
            let what = match seen.what {
                What::Archive => "a damaged archive of ours",
                What::Script => "an SQL script of another tool",
                What::Database => "a SQLite database file of another tool",
                What::Unknown => "not an archive of ours",
            };
            format!("{}: {what}, {}\n", seen.path.display(), human_bytes(seen.size_bytes.0))
        }
    }];
    if !seen.streams.is_empty() {
        sections.push(streams(&seen.streams));
    }
    if let Some(facts) = &seen.sqlite {
        sections.push(sqlite_facts(facts));
    }
    if !seen.object_kinds.is_empty() {
        let kinds: Vec<String> =
            seen.object_kinds.iter().map(|(kind, count)| format!("{} {kind}", human_count(*count))).collect();
        sections.push(format!("{} objects: {}\n", human_count(seen.objects), kinds.join(", ")));
    }
    if let Some(objects) = &seen.object_list {
        let mut table = table(&["SECTION", "OBJECT", "SCHEMA", "NAME", "OWNER"]);
        for object in objects {
            table.add_row(vec![object.section, &object.kind, &object.schema, &object.name, &object.owner]);
        }
        sections.push(format!("{}\n", table.trim_fmt()));
    }
    if let Some(statements) = &seen.properties_sql {
        sections.push(statements.iter().map(|statement| format!("{statement};\n")).collect());
    }
    sections.join("\n").trim_end().to_owned()
}

fn header(header: &ArchiveHeader) -> String {
    let mut lines = vec![
        ("archive".to_owned(), header.id.to_string()),
        ("created".to_owned(), header.created.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
        ("written by".to_owned(), format!("miyabi-backup {}", header.tool_version)),
        ("sections".to_owned(), header.sections.join(", ")),
    ];
    lines.extend(header.source.iter().map(|(key, value)| (key.replace('_', " "), value.clone())));
    let width = lines.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    lines.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key:width$}  {value}\n")).collect()
}

fn streams(streams: &[StreamFacts]) -> String {
    let mut table = table(&["STREAM", "KIND", "ROWS", "RAW", "STORED", "MEMBERS", "DIGEST"]);
    align_right(&mut table, &[2, 3, 4, 5]);
    let bytes = |count: Option<u64>| count.map(human_bytes).unwrap_or_default();
    for stream in streams {
        table.add_row(vec![
            stream.label.clone(),
            stream.kind.to_owned(),
            human_count(stream.rows),
            bytes(stream.raw_bytes),
            bytes(stream.stored_bytes),
            human_count(stream.members),
            stream.digest.map(|digest| digest.to_string()).unwrap_or_default(),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

fn sqlite_facts(facts: &Facts) -> String {
    let mut text = format!(
        "{} pages of {} bytes, {}, journal mode {}\n",
        human_count(facts.page_count),
        facts.page_size,
        facts.encoding,
        facts.journal_mode
    );
    for table in &facts.tables {
        let rows = table.rows.map_or_else(String::new, |rows| format!(", {} rows", human_count(rows)));
        text.push_str(&format!("    {}{rows}\n", table.name));
    }
    text
}

/// Kept and lost of each stream, and where the rest is now.
pub fn salvaged(outcome: &SalvageOutcome) -> String {
    let mut table = table(&["STREAM", "ROWS KEPT", "ROWS LOST", "MEMBERS KEPT", "MEMBERS LOST"]);
    align_right(&mut table, &[1, 2, 3, 4]);
    for stream in &outcome.streams {
        let at_least = if stream.exact { "" } else { "at least " };
        table.add_row(vec![
            stream.label.clone(),
            human_count(stream.rows_kept),
            format!("{at_least}{}", human_count(stream.rows_lost)),
            human_count(stream.members_kept),
            format!("{at_least}{}", human_count(stream.members_lost)),
        ]);
    }
    let verdict = if outcome.complete { "everything was kept" } else { "some was lost" };
    let size = human_bytes(outcome.size_bytes.0);
    format!("{}\n{verdict}; wrote {} ({size}) and its .meta", table.trim_fmt(), outcome.path.display())
}

pub fn verified(file: &FileReport) -> String {
    let verdict = match file.verdict {
        Verdict::Sound if file.foreign => "is sound (foreign: made by another tool)",
        Verdict::Sound => "is sound",
        Verdict::Damaged => "is damaged",
        Verdict::NotOurs => "is not an archive of ours",
        Verdict::Unreadable => "cannot be read",
        Verdict::Sealed => "is sealed (encrypted, not verified)",
        Verdict::Unfinished => "is unfinished",
    };
    let content = match file.tables {
        0 => String::new(),
        tables => format!(", {} in {}", human_number(file.rows, "row"), human_number(tables, "table")),
    };
    let mut text = format!("{} {verdict}: {}{content}", file.path.display(), human_bytes(file.size.0));
    for finding in &file.findings {
        let at = finding.at.map_or_else(String::new, |at| format!(" at byte {}", human_count(at)));
        let stream = finding.stream.as_ref().map_or_else(String::new, |stream| format!(" in {stream}"));
        let lost = finding.rows_lost.map_or_else(String::new, |rows| format!(", {} rows lost", human_count(rows)));
        text.push_str(&format!("\n    {}{stream}{at}{lost}", finding.what));
    }
    text
}

pub fn verify_summary(outcome: &VerifyOutcome, took: Duration) -> String {
    let sound = outcome.files.iter().filter(|file| file.verdict == Verdict::Sound).count();
    let stored = outcome.files.iter().map(|file| file.size.0).fold(0, u64::saturating_add);
    format!("{sound} of {} sound, {} in {}", outcome.files.len(), human_bytes(stored), human_duration(took))
}

/// What a person must know before saying yes.
pub fn preview(preview: &Preview) -> String {
    let mut lines = vec![("archive", preview.archive.clone()), ("holds", preview.holds.clone())];
    if let Some(size) = preview.size {
        lines.push(("size", human_bytes(size.0)));
    }
    lines.extend(preview.passed_over.iter().map(|passed| ("passed over", passed.clone())));
    match &preview.target {
        TargetPreview::Postgres { server, database, found, within } => {
            lines.push(("target", format!("database {database} on {server}")));
            lines.extend(postgres_target(found, *within));
        }
        TargetPreview::Globals(globals) => {
            lines.push(("target", format!("server {}", globals.server)));
            lines.extend(globals_target(globals));
        }
        TargetPreview::Sqlite { path, bytes, written, holders } => {
            lines.push(("target", path.display().to_string()));
            match bytes {
                None => lines.push(("replaces", "nothing: the file does not exist".to_owned())),
                Some(bytes) => {
                    let written = written.map_or_else(String::new, |at| {
                        format!(", last written {}", at.strftime("%Y-%m-%d %H:%M:%S UTC"))
                    });
                    lines.push(("replaces", format!("{}{written}; a safety copy is kept", human_bytes(*bytes))));
                }
            }
            lines.extend(holders.iter().map(|holder| ("open in", holder.clone())));
        }
    }
    lines.iter().map(|(key, value)| format!("{key:11}  {value}\n")).collect()
}

fn globals_target(globals: &GlobalsPreview) -> Vec<(&'static str, String)> {
    let roles = [("new roles", &globals.new_roles), ("changes", &globals.changed_roles)];
    let rest = [
        ("tablespaces", &globals.new_tablespaces),
        ("changes", &globals.changed_tablespaces),
        ("parameters", &globals.parameters),
    ];
    let mut lines: Vec<(&'static str, String)> = roles
        .into_iter()
        .chain(rest)
        .filter(|(_, names)| !names.is_empty())
        .map(|(key, all)| (key, names(all)))
        .collect();
    if lines.is_empty() {
        lines.push(("changes", "nothing, unless passwords differ".to_owned()));
    }
    lines
}

/// As many as can be read at a glance. A name may hold anything, also what a terminal would obey.
fn names(all: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = all.iter().take(SHOWN).map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
    if all.len() > SHOWN {
        text.push_str(&format!(" and {} more", human_count((all.len() - SHOWN) as u64)));
    }
    text
}

fn postgres_target(found: &database::Target, within: bool) -> Vec<(&'static str, String)> {
    let filled = match found {
        database::Target::Missing => return vec![("replaces", "nothing: the database will be created".to_owned())],
        database::Target::Empty => return vec![("replaces", "nothing: the database is empty".to_owned())],
        database::Target::Filled(filled) => filled,
    };
    let written = filled.written.as_ref().map_or_else(String::new, |at| format!(", last written {at}"));
    let content = format!("{} in {} objects{written}", human_bytes(filled.bytes), human_count(filled.objects));
    if within {
        return vec![("adds to", format!("{content}; nothing is replaced"))];
    }
    let mut lines = vec![("replaces", format!("{content}; the old database is kept under another name"))];
    lines.extend(filled.sessions.iter().map(|session| ("disconnects", session.clone())));
    if filled.subscriptions > 0 || filled.logical_slots > 0 {
        let (subscriptions, slots) = (filled.subscriptions, filled.logical_slots);
        lines.push(("loses", format!("{subscriptions} subscriptions, {slots} logical slots")));
    }
    lines
}

pub fn restored(outcome: &RestoreOutcome) -> String {
    let mut text = format!("restored {} into {}", outcome.archive, outcome.target);
    if outcome.tables > 0 {
        let (rows, tables) = (human_number(outcome.rows, "row"), human_number(outcome.tables, "table"));
        text.push_str(&format!("\n    {rows} in {tables}"));
    }
    text.push_str(&format!("\n    {} in {}", human_bytes(outcome.raw_bytes), spent(outcome.duration_seconds)));
    if let Some(kept) = &outcome.kept {
        text.push_str(&format!("\n    what stood there before is kept as {kept}"));
    }
    text
}

fn spent(seconds: f64) -> String {
    human_duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_age_is_read_at_a_glance() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let back = |seconds: i64| age(Timestamp::from_second(1_000_000 - seconds).unwrap(), now);
        assert_eq!(
            (back(5), back(3599), back(7200), back(864_000)),
            ("5 s".into(), "59 min".into(), "2 h".into(), "10 d".into())
        );
        assert_eq!(back(-1), "future");
    }

    #[test]
    fn a_plan_is_lined_up_and_leaves_out_what_is_not_set() {
        let shown = plan(&json!({ "jobs": 2, "place": { "tree": "/b" }, "staging": null, "copies": ["/c"] }));
        assert_eq!(shown, "jobs        2\nplace.tree  /b\ncopies.0    /c\n");
    }
}
