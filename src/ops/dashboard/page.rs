//! The page. Everything that comes from outside is escaped; there is no script in it at all.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

use crate::error::Result;
use crate::ops::status::outcome::{PlaceStatus, SizePoint};
use crate::ops::status::{DatabaseStatus, Finding, Status};
use crate::policy::Tier;
use crate::state::drills::Drill;
use crate::state::history::Run;
use crate::units::{human_bytes, human_count, human_duration, human_number};

use super::chart;

const STYLE: &str = include_str!("style.css");

/// Days of the calendar: five weeks.
const DAYS: i64 = 35;

/// Nights that a line can be drawn of.
const FEWEST: usize = 2;

/// Characters of an error that are shown before it is opened.
const SHORT: usize = 100;

pub fn page(status: &Status, host: &str) -> Result<String> {
    let mut html = String::new();
    let state = status.state.name();
    // Writing into a String cannot fail.
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>Backups of {host}: {state}</title>\
         <style>{STYLE}</style></head><body><header><h1>Backups of {host}</h1>\
         <p class=\"badge {state}\">{state}</p><p>as of {at}{next}</p></header><main>",
        host = escaped(host),
        at = status.at.zoned().strftime("%Y-%m-%d %H:%M %:z"),
        next = next_run(status),
    );
    html.push_str("<section aria-label=\"Databases\" class=\"cards\">");
    let mut databases: Vec<&DatabaseStatus> = status.databases.iter().collect();
    databases.sort_by_key(|one| std::cmp::Reverse(one.state));
    for (at, one) in databases.into_iter().enumerate() {
        html.push_str(&database(at, one, status)?);
    }
    if status.databases.is_empty() {
        html.push_str("<p>Nothing is configured, and there is no backup here.</p>");
    }
    html.push_str("</section>");
    html.push_str(&place(&status.place, &[]));
    for further in &status.further_places {
        html.push_str(&place(&further.place, &further.databases));
    }
    html.push_str(&delivery(&status.delivery));
    html.push_str(&runs(&status.runs, status.at.zoned().time_zone()));
    html.push_str("</main></body></html>\n");
    Ok(html)
}

fn next_run(status: &Status) -> String {
    let next = status.schedule.next_run.as_ref();
    next.map_or_else(String::new, |at| format!(", next run {}", at.zoned().strftime("%Y-%m-%d %H:%M")))
}

fn database(at: usize, one: &DatabaseStatus, status: &Status) -> Result<String> {
    let state = match (one.last.is_some(), one.configured) {
        (false, _) => "never",
        (true, true) => one.state.name(),
        (true, false) => "not configured",
    };
    let class = if one.last.is_none() { "critical" } else { one.state.name() };
    let mut html = format!(
        "<article class=\"card\" aria-labelledby=\"database-{at}\"><h2 id=\"database-{at}\">{} <small>{}</small></h2>\
         <p class=\"badge {class}\">{state}</p>",
        escaped(&one.name),
        one.kind
    );
    html.push_str(&findings(&one.findings));
    if let Some(last) = &one.last {
        let facts = [
            ("last backup", format!("{}, {} ago", minute(&last.timestamp.zoned()), age(last.age_seconds))),
            ("size", format!("{} of {}", human_bytes(last.size_bytes), human_bytes(last.raw_bytes))),
            ("rows", format!("{} in {}", human_count(last.rows), human_number(last.tables, "table"))),
            ("took", seconds(last.duration_seconds)),
            ("verified", verified(one)),
        ];
        // A SQLite file's tables are not counted.
        let facts = facts.into_iter().filter(|(name, _)| *name != "rows" || last.tables > 0);
        html.push_str("<dl>");
        facts.for_each(|(name, value)| {
            html.push_str(&format!("<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&value)));
        });
        html.push_str("</dl>");
    }
    html.push_str(&charts(one)?);
    html.push_str(&nights(one));
    html.push_str(&calendar(one, status));
    html.push_str(&one.last_drill.as_ref().map_or_else(String::new, drill));
    html.push_str("</article>");
    Ok(html)
}

fn age(seconds: i64) -> String {
    const DAY: i64 = 24 * 3600;
    match seconds {
        long if long >= 2 * DAY => format!("{} days", long / DAY),
        short => human_duration(std::time::Duration::from_secs(short.unsigned_abs())),
    }
}

fn minute(at: &Zoned) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

fn verified(one: &DatabaseStatus) -> String {
    match &one.last_verify {
        Some(last) if last.sound => format!("sound, {}", last.at.zoned().strftime("%Y-%m-%d")),
        Some(last) => format!("FAILED, {}", last.at.zoned().strftime("%Y-%m-%d")),
        None => "never".to_owned(),
    }
}

fn findings(all: &[Finding]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let item =
        |one: &Finding| format!("<li class=\"{0}\"><b>{0}</b> {1}</li>", one.level.name(), escaped(&one.message));
    format!("<ul class=\"findings\">{}</ul>", all.iter().map(item).collect::<String>())
}

fn charts(one: &DatabaseStatus) -> Result<String> {
    if one.sizes.len() < FEWEST {
        return Ok(String::new());
    }
    let of = |value: fn(&SizePoint) -> f64| one.sizes.iter().map(value).collect::<Vec<f64>>();
    let name = &one.name;
    let sizes = chart::over_nights(
        &of(|one| one.size_bytes as f64),
        &|value| human_bytes(value as u64),
        &format!("Size of {name} over nights"),
    )?;
    let times =
        chart::over_nights(&of(|one| one.duration_seconds), &seconds, &format!("Duration of backups of {name}"))?;
    let figure = |words: &str, svg: &str| format!("<figure><figcaption>{words}</figcaption>{svg}</figure>");
    Ok(figure("size", &sizes) + &figure("duration", &times))
}

/// What the charts are drawn of, for whoever wants figures or cannot see them.
fn nights(one: &DatabaseStatus) -> String {
    if one.sizes.len() < FEWEST {
        return String::new();
    }
    let row = |night: &SizePoint| {
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            minute(&night.timestamp.zoned()),
            human_bytes(night.size_bytes),
            seconds(night.duration_seconds),
            human_count(night.rows)
        )
    };
    let name = escaped(&one.name);
    format!(
        "<details><summary>the last {} nights as a table</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"Nights of {name}\"><table><thead><tr><th scope=\"col\">night</th><th scope=\"col\">size</th>\
         <th scope=\"col\">took</th><th scope=\"col\">rows</th></tr></thead><tbody>{}</tbody></table></div></details>",
        one.sizes.len(),
        one.sizes.iter().rev().map(row).collect::<String>()
    )
}

fn seconds(value: f64) -> String {
    human_duration(std::time::Duration::try_from_secs_f64(value).unwrap_or_default())
}

/// One cell a day, the longest-lived tier of that day in it.
fn calendar(one: &DatabaseStatus, status: &Status) -> String {
    let now = status.at.zoned();
    let mut cells = String::new();
    for ago in (0..DAYS).rev() {
        let Ok(day) = now.date().checked_sub(ago.days()) else { continue };
        let made = |tier: Tier| {
            let tier = one.tiers.iter().find(|status| status.tier == tier);
            tier.is_some_and(|tier| tier.made.iter().any(|at| at.zoned().date() == day))
        };
        let tier = [Tier::Monthly, Tier::Weekly, Tier::Daily].into_iter().find(|tier| made(*tier));
        let (class, word) = tier.map_or(("none", "no backup kept"), |tier| (tier.name(), tier.name()));
        cells.push_str(&format!("<li class=\"{class}\" title=\"{day}: {word}\"><span>{day}: {word}</span></li>"));
    }
    let counts: Vec<String> =
        one.tiers.iter().map(|tier| format!("{} {} ({})", tier.count, tier.tier, human_bytes(tier.bytes))).collect();
    format!(
        "<figure><figcaption>kept: {}</figcaption><ol class=\"days\" aria-label=\"the last five weeks, day by day\">{cells}</ol>\
         <p class=\"legend\"><span class=\"daily\"></span>daily <span class=\"weekly\"></span>weekly <span class=\"monthly\"></span>monthly, \
         five weeks up to {}</p></figure>",
        counts.join(", "),
        now.date()
    )
}

fn drill(last: &Drill) -> String {
    let took = last.restore_seconds.unwrap_or(0.0);
    let words = match last.ok {
        true => format!("restored for trial in {}, the target is {}", seconds(took), seconds(last.rto_seconds)),
        false if last.incomplete => format!("the restore drill is {}", last.findings.join("; ")),
        false => format!("the restore drill failed: {}", last.findings.join("; ")),
    };
    let meter = match last.restore_seconds {
        Some(took) => format!(
            "<meter aria-label=\"time of the restore against its target\" min=\"0\" max=\"{0}\" high=\"{0}\" value=\"{took}\"></meter>",
            last.rto_seconds
        ),
        None => String::new(),
    };
    format!("<p class=\"drill\">{} {meter}</p>", escaped(&words))
}

/// `copies` are those of a place beside the first.
fn place(place: &PlaceStatus, copies: &[DatabaseStatus]) -> String {
    let bar = match (place.free_bytes, place.total_bytes) {
        (Some(free), Some(total)) => {
            let used = total.saturating_sub(free);
            format!(
                "<meter aria-label=\"used space\" min=\"0\" max=\"{total}\" high=\"{}\" value=\"{used}\">{used} of {total} bytes</meter><p>{} of {} free</p>",
                total / 10 * 9,
                human_bytes(free),
                human_bytes(total)
            )
        }
        _ => String::new(),
    };
    let old = place.noncurrent_bytes.filter(|bytes| *bytes > 0);
    let old =
        old.map_or_else(String::new, |bytes| format!(", {} more in versions that are not current", human_bytes(bytes)));
    let worst = copies.iter().map(|one| one.state).max().unwrap_or_default().max(place.state);
    format!(
        "<section class=\"card\"><h2>{} <small>place</small></h2><p class=\"badge {1}\">{1}</p>{2}{bar}<p>backups take {3}{old}, in 30 days about {4}</p>{5}</section>",
        escaped(&place.place),
        worst.name(),
        findings(&place.findings),
        human_bytes(place.used_bytes),
        human_bytes(place.used_in_30_days_bytes),
        copies.iter().map(copy).collect::<String>()
    )
}

fn copy(one: &DatabaseStatus) -> String {
    let age = |seconds: i64| human_duration(std::time::Duration::from_secs(seconds.unsigned_abs()));
    let last = one.last.as_ref().map_or_else(|| "never".to_owned(), |last| format!("{} ago", age(last.age_seconds)));
    let name = format!("{} ({})", one.name, one.kind);
    format!("<p>{}: {}, {last}</p>{}", escaped(&name), one.state.name(), findings(&one.findings))
}

/// Nothing where every alert gets through.
fn delivery(all: &[Finding]) -> String {
    match all.is_empty() {
        true => String::new(),
        false => format!("<section class=\"card\" aria-label=\"Alerts\"><h2>Alerts</h2>{}</section>", findings(all)),
    }
}

/// What went wrong has a line of its own: beside the rest there is no room for it on a telephone.
fn runs(runs: &[Run], zone: &TimeZone) -> String {
    let row = |run: &Run| {
        let took = run.duration_seconds().map_or_else(String::new, seconds);
        let errors: Vec<String> =
            run.error.iter().cloned().chain(run.items.iter().filter_map(|item| item.error.clone())).collect();
        let why = match errors.is_empty() {
            true => String::new(),
            false => format!("<tr class=\"why\"><td colspan=\"4\">{}</td></tr>", shortened(&errors.join("; "))),
        };
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{took}</td></tr>{why}",
            minute(&run.start.at.to_zoned(zone.clone())),
            escaped(&run.start.command),
            run.state.name(),
        )
    };
    format!(
        "<section class=\"card wide\"><h2>Last runs</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Last runs\"><table><thead><tr><th scope=\"col\">begun</th>\
         <th scope=\"col\">what</th><th scope=\"col\">result</th><th scope=\"col\">took</th></tr></thead>\
         <tbody>{}</tbody></table></div></section>",
        runs.iter().map(row).collect::<String>()
    )
}

/// A long text shows its beginning, and all of it when it is opened.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHORT) {
        None => escaped(text),
        Some((end, _)) => {
            let beginning = escaped(text.get(..end).unwrap_or_default());
            format!("<details><summary>{beginning}…</summary>{}</details>", escaped(text))
        }
    }
}

/// As text of a page, or within the quotes of an attribute.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
