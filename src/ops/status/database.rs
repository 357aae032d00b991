//! One database, server's globals or file: its newest backup, and everything that is wrong with its backups.

use jiff::{Timestamp, Zoned};

use crate::listing::{Listed, State};
use crate::manifest::{Meta, Moment};
use crate::policy::{ArchiveKind, Tier, freshness, trend};
use crate::state::history::{Run, RunState};
use crate::units::{human_bytes, human_count};

use super::facts::Facts;
use super::outcome::{Code, DatabaseStatus, Finding, LastBackup, Level, SizePoint, TierStatus, VerifyStatus};

/// Dailies that a trend is drawn of.
const DRAWN: usize = 30;

/// A size is remarkable if it is this part off the median.
const DEVIATION_MAX: f64 = 0.5;

pub fn assess(facts: &Facts, kind: ArchiveKind, name: &str, configured: bool, now: &Zoned) -> DatabaseStatus {
    let (rows, dailies, status) = look(facts, kind, name, configured, now);
    let mut findings = age(&status, &rows);
    findings.extend(attempts(facts, &status));
    findings.extend(damage(&rows, &status));
    findings.extend(size(&status));
    findings.extend(rows_gone(&dailies));
    findings.extend(drill(&status));
    judged(status, findings)
}

/// The same of a place beside the first: whether its copies come and are sound. Runs, drills, sizes and rows are told of the
/// first place, whose archives are the same.
pub fn assess_copies(facts: &Facts, kind: ArchiveKind, name: &str, configured: bool, now: &Zoned) -> DatabaseStatus {
    let (rows, _, status) = look(facts, kind, name, configured, now);
    let mut findings = age(&status, &rows);
    findings.extend(damage(&rows, &status));
    judged(status, findings)
}

fn judged(status: DatabaseStatus, findings: Vec<Finding>) -> DatabaseStatus {
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or_default();
    let state = if status.configured { worst } else { status.state };
    DatabaseStatus { state, findings, ..status }
}

/// Its backups, its good dailies, and what they say of themselves.
fn look<'a>(
    facts: &'a Facts,
    kind: ArchiveKind,
    name: &str,
    configured: bool,
    now: &Zoned,
) -> (Vec<&'a Listed>, Vec<&'a Listed>, DatabaseStatus) {
    let mine = |row: &&Listed| row.kind == Some(kind) && row.label == name && row.tier.is_some();
    let rows: Vec<&Listed> = facts.listing.rows.iter().filter(mine).collect();
    // What is dated in the future says nothing about now.
    let is_good = |row: &&Listed| row.state == State::Complete && row.timestamp.instant() <= now.timestamp();
    let good: Vec<&Listed> = rows.iter().copied().filter(is_good).filter(|row| is_regular(row)).collect();
    let dailies: Vec<&Listed> = good.iter().copied().filter(|row| row.tier == Some(Tier::Daily)).collect();
    let last = good.first().map(|row| last_backup(row, now.timestamp()));
    let sizes: Vec<SizePoint> = dailies.iter().take(DRAWN).rev().map(|row| sized(row)).collect();
    let bytes: Vec<u64> = sizes.iter().map(|one| one.size_bytes).collect();
    let status = DatabaseStatus {
        name: name.to_owned(),
        kind,
        state: Level::Ok,
        configured,
        findings: Vec::new(),
        last,
        sparkline: trend::sparkline(&bytes),
        deviation: trend::deviation(&bytes),
        sizes,
        tiers: Tier::ALL.into_iter().map(|tier| tier_status(tier, &good, now.timestamp())).collect(),
        last_verify: last_verify(facts, &rows),
        last_drill: facts
            .past
            .drills
            .iter()
            .rev()
            .find(|drill| drill.kind == kind.name() && drill.name == name)
            .cloned(),
    };
    (rows, dailies, status)
}

fn is_regular(row: &Listed) -> bool {
    row.meta.as_ref().is_some_and(Meta::is_regular)
}

fn seconds_since(at: Timestamp, now: Timestamp) -> i64 {
    now.duration_since(at).as_secs().max(0)
}

fn last_backup(row: &Listed, now: Timestamp) -> LastBackup {
    let SizePoint { timestamp, size_bytes, duration_seconds, rows } = sized(row);
    let details = row.meta.as_ref().and_then(|meta| meta.details.as_ref());
    LastBackup {
        path: row.path.clone(),
        timestamp,
        age_seconds: seconds_since(timestamp.instant(), now),
        size_bytes,
        raw_bytes: details.map_or(0, |details| details.raw_bytes.0),
        rows,
        tables: details.map_or(0, |details| details.tables.len() as u64),
        duration_seconds,
    }
}

fn sized(row: &Listed) -> SizePoint {
    let details = row.meta.as_ref().and_then(|meta| meta.details.as_ref());
    SizePoint {
        timestamp: row.timestamp,
        size_bytes: row.size,
        duration_seconds: details.map_or(0.0, |details| details.duration_seconds),
        rows: details.map_or(0, |details| details.tables.iter().map(|table| table.rows).fold(0, u64::saturating_add)),
    }
}

/// Runs and drills know no zone.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn tier_status(tier: Tier, good: &[&Listed], now: Timestamp) -> TierStatus {
    let mine: Vec<&&Listed> = good.iter().filter(|row| row.tier == Some(tier)).collect();
    let newest = mine.first().map(|row| row.timestamp);
    TierStatus {
        tier,
        count: mine.len() as u64,
        bytes: mine.iter().map(|row| row.size).fold(0, u64::saturating_add),
        newest,
        made: mine.iter().rev().map(|row| row.timestamp).collect(),
        rpo_seconds: freshness::recovery_point(tier).as_secs(),
        within_rpo: newest.is_some_and(|at| !freshness::is_overdue(tier, now.duration_since(at.instant()))),
    }
}

fn last_verify(facts: &Facts, rows: &[&Listed]) -> Option<VerifyStatus> {
    let seen = || rows.iter().filter_map(|row| Some((row, facts.past.verdicts.of(facts.key.as_str(), &row.path)?)));
    let (row, last) = seen().max_by_key(|(row, last)| (last.at, row.timestamp.instant()))?;
    let unsound = seen().filter(|(_, last)| !last.sound).count() as u64;
    // Of a run that looked at all of them, the worst word is the one to repeat.
    let (row, last) = seen().find(|(_, one)| !one.sound).unwrap_or((row, last));
    let at = Moment::from(last.at);
    Some(VerifyStatus { path: row.path.clone(), at, sound: last.sound, why: last.why.clone(), unsound })
}

fn age(status: &DatabaseStatus, rows: &[&Listed]) -> Vec<Finding> {
    let Some(last) = &status.last else {
        let damaged = rows.iter().filter(|row| row.state == State::Damaged).count();
        let message = match damaged {
            0 => "there is no backup".to_owned(),
            damaged => format!("there is no backup that is whole: {damaged} are damaged"),
        };
        return vec![Finding::critical(Code::Never, message)];
    };
    let mut findings = Vec::new();
    for tier in status.tiers.iter().filter(|tier| !tier.within_rpo) {
        let of = |at: Moment| format!("the newest is of {}", at.zoned().strftime("%Y-%m-%d %H:%M"));
        let newest = tier.newest.map_or_else(|| "there is none".to_owned(), of);
        let message = format!("no {} backup within {} hours: {newest}", tier.tier, tier.rpo_seconds / 3600);
        findings.push(match tier.tier {
            // Two nights without a backup, or with one that nobody looks at.
            Tier::Daily if last.age_seconds > 2 * tier.rpo_seconds => Finding::critical(Code::Stale, message),
            _ => Finding::warning(Code::Stale, message),
        });
    }
    findings
}

/// Runs of `backup` that were begun after the newest backup and did not bring one.
fn attempts(facts: &Facts, status: &DatabaseStatus) -> Option<Finding> {
    let since = status.last.as_ref().map(|last| last.timestamp.instant());
    let is_later = |run: &&Run| since.is_none_or(|since| run.start.at > since);
    let last = facts.past.history.iter().rev().filter(|run| run.start.command == "backup").find(is_later)?;
    let mine =
        last.items.iter().find(|item| item.name == status.name && item.kind.as_deref() == Some(status.kind.name()));
    match (last.state, mine) {
        (RunState::Vanished, _) => Some(Finding::warning(
            Code::Vanished,
            format!("the run of {} vanished without an end", minute(last.start.at)),
        )),
        (_, Some(item)) if !item.ok => {
            let why = item.error.as_deref().unwrap_or("it does not say why");
            Some(Finding::warning(Code::Failed, format!("the backup of {} failed: {why}", minute(last.start.at))))
        }
        // It came to no source at all.
        (RunState::Failed, None) if last.items.is_empty() => {
            let why = last.error.as_deref().unwrap_or("it does not say why");
            Some(Finding::warning(Code::Failed, format!("the run of {} failed: {why}", minute(last.start.at))))
        }
        _ => None,
    }
}

fn damage(rows: &[&Listed], status: &DatabaseStatus) -> Vec<Finding> {
    let mut findings = Vec::new();
    let newest =
        rows.iter().filter(|row| matches!(row.state, State::Complete | State::Damaged)).map(|row| row.timestamp).max();
    let level = |is_newest: bool| if is_newest { Level::Critical } else { Level::Warning };
    for row in rows.iter().filter(|row| row.state == State::Damaged) {
        let why = row.note.as_deref().unwrap_or("it is damaged");
        let message = format!("{}: {why}", row.path);
        findings.push(Finding { level: level(Some(row.timestamp) == newest), code: Code::Damaged, message });
    }
    if let Some(verify) = status.last_verify.as_ref().filter(|verify| !verify.sound) {
        let is_newest = rows.iter().any(|row| row.path == verify.path && Some(row.timestamp) == newest);
        let why = verify.why.as_deref().unwrap_or("it is not sound");
        let message = format!("{} did not verify on {}: {why}", verify.path, minute(verify.at.instant()));
        findings.push(Finding { level: level(is_newest), code: Code::Damaged, message });
    }
    findings
}

fn size(status: &DatabaseStatus) -> Option<Finding> {
    let (deviation, last) = (status.deviation?, status.last.as_ref()?);
    if deviation.abs() <= DEVIATION_MAX {
        return None;
    }
    let word = if deviation > 0.0 { "more" } else { "less" };
    let (size, percent) = (human_bytes(last.size_bytes), (deviation.abs() * 100.0).round());
    let message = format!("the newest backup has {size}, {percent} % {word} than the median of the seven before it");
    Some(Finding::warning(Code::Size, message))
}

/// Tables that had rows in the backup before, and have none now.
fn rows_gone(dailies: &[&Listed]) -> Option<Finding> {
    const NAMED: usize = 5;
    let details = |at: usize| dailies.get(at)?.meta.as_ref()?.details.as_ref();
    let (newest, before) = (details(0)?, details(1)?);
    let mut gone = Vec::new();
    for table in newest.tables.iter().filter(|table| table.rows == 0) {
        let earlier = before.tables.iter().find(|old| old.schema == table.schema && old.name == table.name);
        if let Some(earlier) = earlier.filter(|earlier| earlier.rows > 0) {
            gone.push(format!("{}.{} ({} rows before)", table.schema, table.name, human_count(earlier.rows)));
        }
    }
    if gone.is_empty() {
        return None;
    }
    let more = gone.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    gone.truncate(NAMED);
    Some(Finding::warning(Code::RowsGone, format!("tables that are empty now: {}{more}", gone.join(", "))))
}

fn drill(status: &DatabaseStatus) -> Option<Finding> {
    let drill = status.last_drill.as_ref().filter(|drill| !drill.ok)?;
    let why = drill.findings.first().map_or("it does not say why", String::as_str);
    Some(match drill.incomplete {
        true => Finding::warning(Code::Drill, format!("the restore drill of {} is {why}", minute(drill.at))),
        false => Finding::critical(Code::Drill, format!("the restore drill of {} failed: {why}", minute(drill.at))),
    })
}
