//! Status and history for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::drill::Drilled;
use crate::ops::status::outcome::{PlaceStatus, TierStatus};
use crate::ops::status::{DatabaseStatus, Finding, FurtherPlace, Status};
use crate::policy::{ArchiveKind, Tier};
use crate::state::history::{Item, Run};
use crate::units::{human_bytes, human_number};

use super::{age, align_right, kept_copies, spent, table};

pub fn status(status: &Status, now: Timestamp) -> String {
    let headings = ["DATABASE", "STATE", "LAST", "SIZE", "TREND", "DAILY", "WEEKLY", "MONTHLY", "VERIFIED", "DRILL"];
    let mut rows = table(&headings);
    status.databases.iter().for_each(|one| _ = rows.add_row(database(one, now)));
    align_right(&mut rows, &[3, 5, 6, 7]);
    let mut lines = vec![rows.to_string(), String::new()];
    for one in status.further_places.iter().filter(|one| !one.databases.is_empty()) {
        lines.push(copies(one, now));
        lines.push(String::new());
    }
    lines.extend(status.findings().iter().map(|about| said(&about.subject, about.finding)));
    lines.push(place_line(&status.place));
    lines.extend(status.further_places.iter().map(|one| place_line(&one.place)));
    if let Some(next) = &status.schedule.next_run {
        lines.push(format!("next run {}", next.zoned().strftime("%Y-%m-%d %H:%M %:z")));
    }
    if let Some(copies) = status.kept_copies.as_ref().filter(|copies| !copies.is_empty()) {
        lines.push(format!("\n{}\n`prune --before-restore` removes them", kept_copies(copies)));
    }
    lines.join("\n")
}

/// How the copies in a further place are: what differs from place to place.
fn copies(further: &FurtherPlace, now: Timestamp) -> String {
    let place = format!("IN {}", further.place.place);
    let mut rows = table(&[place.as_str(), "STATE", "LAST", "SIZE", "DAILY", "WEEKLY", "MONTHLY", "VERIFIED"]);
    for one in &further.databases {
        let [name, state, last, size, _, daily, weekly, monthly, verified, _] = database(one, now);
        rows.add_row([name, state, last, size, daily, weekly, monthly, verified]);
    }
    align_right(&mut rows, &[3, 4, 5, 6]);
    rows.to_string()
}

fn database(one: &DatabaseStatus, now: Timestamp) -> [String; 10] {
    let state = match (one.last.is_some(), one.configured) {
        (false, _) => "never".to_owned(),
        (true, true) => one.state.name().to_owned(),
        (true, false) => "not configured".to_owned(),
    };
    let ago = |at: Timestamp| format!("{} ago", age(at, now));
    let count = |tier: Tier| {
        let tier = one.tiers.iter().find(|status| status.tier == tier);
        tier.map_or_else(String::new, |TierStatus { count, .. }| count.to_string())
    };
    let verified = one.last_verify.as_ref().map(|last| match last.sound {
        true => ago(last.at.instant()),
        false => "FAILED".to_owned(),
    });
    let drill = one.last_drill.as_ref().map(|last| match (last.ok, last.restore_seconds) {
        (true, Some(seconds)) => format!("{}, took {}", ago(last.at), spent(seconds)),
        _ if last.incomplete => "incomplete".to_owned(),
        _ => "FAILED".to_owned(),
    });
    let none = || "-".to_owned();
    [
        format!("{} ({})", one.name, one.kind),
        state,
        one.last.as_ref().map_or_else(none, |last| ago(last.timestamp.instant())),
        one.last.as_ref().map_or_else(none, |last| human_bytes(last.size_bytes)),
        one.sparkline.clone(),
        count(Tier::Daily),
        count(Tier::Weekly),
        count(Tier::Monthly),
        verified.unwrap_or_else(none),
        drill.unwrap_or_else(none),
    ]
}

fn said(name: &str, finding: &Finding) -> String {
    format!("{}: {name}: {}", finding.level.name(), finding.message)
}

fn place_line(place: &PlaceStatus) -> String {
    let free = match (place.free_bytes, place.total_bytes) {
        (Some(free), Some(total)) => format!(", {} of {} free", human_bytes(free), human_bytes(total)),
        _ => String::new(),
    };
    let (used, later) = (human_bytes(place.used_bytes), human_bytes(place.used_in_30_days_bytes));
    let old = place.noncurrent_bytes.filter(|bytes| *bytes > 0);
    let old =
        old.map_or_else(String::new, |bytes| format!(", {} more in versions that are not current", human_bytes(bytes)));
    format!("{}: {used} used{old}{free}, about {later} used in 30 days", place.place)
}

pub fn drilled(one: &Drilled) -> String {
    let what = format!("{}: {}", one.name, one.archive);
    let took = one.restore_seconds.map_or_else(String::new, |seconds| format!(" in {}", spent(seconds)));
    let (rows, tables) = (human_number(one.rows, "row"), human_number(one.tables, "table"));
    match one.kind {
        Some(ArchiveKind::Sqlite) => {
            format!("{what}\n    restored{took}, every page of {tables} is what was backed up ({rows})")
        }
        _ => format!("{what}\n    restored{took}, {rows} in {tables}: what was dumped"),
    }
}

/// One run: a line, and one for each database that failed or was saved.
pub fn history_run(run: &Run, zone: &TimeZone) -> String {
    let began = run.start.at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S");
    let took = run.duration_seconds().map_or_else(String::new, |seconds| format!("  {}", spent(seconds)));
    let mut text = format!("{began}  {:<8} {:<8}{took}", run.start.command, run.state.name());
    if let Some(error) = &run.error {
        text.push_str(&format!("\n    error: {error}"));
    }
    for item in &run.items {
        text.push_str(&format!("\n    {}", history_item(item)));
    }
    text
}

fn history_item(item: &Item) -> String {
    if let Some(error) = &item.error {
        return format!("{} failed: {error}", item.name);
    }
    let mut parts = vec![item.name.clone()];
    parts.extend(item.size_bytes.map(human_bytes));
    parts.extend(item.rows.filter(|rows| *rows > 0).map(|rows| human_number(rows, "row")));
    parts.extend(item.duration_seconds.map(spent));
    parts.join(", ")
}
