//! The words of an alert.

use serde_json::{Value, json};

use crate::policy::alerts::{Change, Notice};

/// The version of [`as_json`].
const ALERT_VERSION: u32 = 1;

pub fn level_name(level: u8) -> &'static str {
    match level {
        0 => "ok",
        1 => "warning",
        _ => "critical",
    }
}

/// `[db1] backups: 2 critical, 1 recovered`
pub fn subject(notices: &[Notice], host: &str) -> String {
    let count = |wanted: &dyn Fn(&Notice) -> bool| notices.iter().filter(|notice| wanted(notice)).count();
    let is_over = |notice: &Notice| notice.change == Change::Recovered;
    let parts = [
        (count(&|one| !is_over(one) && one.about.level >= 2), "critical"),
        (count(&|one| !is_over(one) && one.about.level == 1), "warning"),
        (count(&is_over), "recovered"),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    format!("[{host}] backups: {}", parts.join(", "))
}

/// One line a notice, the worst first.
pub fn text(notices: &[Notice]) -> String {
    let mut sorted: Vec<&Notice> = notices.iter().collect();
    sorted.sort_by_key(|notice| (notice.change == Change::Recovered, std::cmp::Reverse(notice.about.level)));
    sorted.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(notice: &Notice) -> String {
    let about = &notice.about;
    match notice.change {
        Change::Recovered => format!("recovered: {}: {} (since {:.0})", about.subject, about.code, about.since),
        change => {
            let again = if change == Change::Reminder { format!(" (since {:.0})", about.since) } else { String::new() };
            format!("{}: {}: {}{again}", level_name(about.level), about.subject, about.message)
        }
    }
}

pub fn as_json(notices: &[Notice], host: &str) -> Value {
    let alerts = notices.iter().map(|notice| {
        json!({
            "change": notice.change.name(),
            "level": level_name(notice.about.level),
            "code": notice.about.code,
            "subject": notice.about.subject,
            "message": notice.about.message,
            "since": notice.about.since.to_string(),
        })
    });
    json!({
        "alert_version": ALERT_VERSION,
        "host": host,
        "summary": subject(notices, host),
        "alerts": alerts.collect::<Vec<_>>(),
    })
}
