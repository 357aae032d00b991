//! The machine: do the timers run when nobody is logged in, and at the time that was meant?

use std::path::Path;

use jiff::Zoned;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::Examined;

/// Where logind keeps a file for every user whose manager runs without a login.
pub const LINGERING: &str = "/var/lib/systemd/linger";

/// Timers of a user stop when that user logs out, unless the user lingers.
pub fn lingering(user: Option<&str>, folder: &Path) -> Option<Examined> {
    let user = user?;
    Some(match folder.join(user).exists() {
        true => Examined::fine("schedule", format!("{user} lingers: the timers run without a login")),
        false => Examined::bad("schedule", format!("{user} does not linger: the timers stop when {user} logs out"))
            .mend([format!("loginctl enable-linger {user}")]),
    })
}

/// cron knows the machine's zone alone, where the crontab starts the backup at `starts`; `at` of `[schedule]` counts in the
/// configured one.
pub fn cron_time(at: Time, starts: Time, now: &Zoned, machine: &TimeZone) -> Option<Examined> {
    let wanted = now.date().to_datetime(at).to_zoned(now.time_zone().clone()).ok()?;
    let here = wanted.with_time_zone(machine.clone());
    if here.time() == starts {
        return None;
    }
    let zone = |zone: &TimeZone| zone.iana_name().unwrap_or("its zone").to_owned();
    let (ours, machines) = (zone(now.time_zone()), zone(machine));
    let (at, here, starts) = (at.strftime("%H:%M"), here.strftime("%H:%M"), starts.strftime("%H:%M"));
    let what = format!(
        "cron starts the backup at {starts} of the machine's zone, {machines}; meant is {at} in {ours}, which is {here} there"
    );
    Some(Examined::warning("schedule", what).mend([
        format!("miyabi-backup schedule install --method cron --time {here}"),
        "miyabi-backup schedule install --method systemd".to_owned(),
    ]))
}

/// Where the schedule's clock, the names of backups and the machine stand.
pub fn zone(now: &Zoned, machine: &TimeZone) -> Examined {
    let (ours, machines) = (now.time_zone(), machine.iana_name().unwrap_or("an unnamed zone"));
    let told = now.strftime("%Y-%m-%d %H:%M %:z").to_string();
    match (ours.iana_name(), now.with_time_zone(machine.clone()).offset() == now.offset()) {
        (Some(name), false) => Examined::fine(
            "clock",
            format!("it is {told} in {name}, which names and days follow; this machine is in {machines}"),
        ),
        _ => Examined::fine("clock", format!("it is {told}, here and in names and days of backups")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::status::Level;

    #[test]
    fn cron_in_another_zone_gets_the_time_that_was_meant() {
        let now: Zoned = "2026-03-01T12:00[Asia/Tokyo]".parse().unwrap();
        let utc = TimeZone::UTC;
        let at = |hour| Time::constant(hour, 0, 0, 0);
        let found = cron_time(at(3), at(3), &now, &utc).unwrap();
        assert_eq!(found.level, Level::Warning);
        assert!(found.what.contains("meant is 03:00 in Asia/Tokyo, which is 18:00 there"), "{}", found.what);
        assert!(found.mend[0].ends_with("--time 18:00"), "{:?}", found.mend);
        assert!(cron_time(at(3), at(18), &now, &utc).is_none(), "what was mended is well");
        assert!(cron_time(at(3), at(3), &now, &now.time_zone().clone()).is_none());
        assert!(zone(&now, &utc).what.contains("this machine is in UTC"));
    }

    #[test]
    fn a_user_lingers_where_logind_says_so() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ada"), "").unwrap();
        assert_eq!(lingering(Some("ada"), folder.path()).unwrap().level, Level::Ok);
        let bad = lingering(Some("bob"), folder.path()).unwrap();
        assert_eq!((bad.level, bad.mend), (Level::Critical, vec!["loginctl enable-linger bob".to_owned()]));
        assert!(lingering(None, folder.path()).is_none());
    }
}
