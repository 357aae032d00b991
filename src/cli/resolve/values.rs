//! Text → numbers, durations, codecs, times. Each error names the setting, what was expected and what was found.

use std::num::NonZeroU64;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

use crate::cli::config::{Config, Setting};
use crate::error::{Error, Kind, Result};
use crate::job::{Compress, GzipEngine, TableName};

const COUNT_MAX: usize = 256;

/// What an error says about one value.
pub fn unusable(what: &dyn std::fmt::Display, expected: &str, found: &str) -> Error {
    Error::new(Kind::Usage, format!("cannot use {what}: expected {expected}, found `{found}`"))
}

pub fn count(config: &Config, key: &str, default: usize) -> Result<usize> {
    let Some(Setting { value, origin }) = config.get(key) else { return Ok(default) };
    let in_range = value.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
    in_range.ok_or_else(|| unusable(origin, &format!("a number from 1 to {COUNT_MAX}"), value))
}

pub fn duration(config: &Config, key: &str, default: Duration) -> Result<Duration> {
    let Some(Setting { value, origin }) = config.get(key) else { return Ok(default) };
    parse_duration(value).ok_or_else(|| unusable(origin, "a time such as 30s, 5min or 1h", value))
}

/// A number with a unit; without one it counts seconds.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "ms" => return Some(Duration::from_millis(number)),
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// Bytes a second.
pub fn rate(config: &Config, key: &str) -> Result<Option<NonZeroU64>> {
    let Some(Setting { value, origin }) = config.get(key) else { return Ok(None) };
    let rate = parse_bytes(value.strip_suffix("/s").unwrap_or(value)).and_then(NonZeroU64::new);
    rate.map(Some).ok_or_else(|| unusable(origin, "bytes a second such as 20M, 512K or 1G", value))
}

pub fn bytes(config: &Config, key: &str, default: u64) -> Result<u64> {
    let Some(Setting { value, origin }) = config.get(key) else { return Ok(default) };
    parse_bytes(value).ok_or_else(|| unusable(origin, "bytes such as 10G or 500M", value))
}

/// A number with `K`, `M` or `G`: 1024 of the next smaller each, as in `KiB`; without one it counts bytes.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit: u64 = match unit.trim() {
        "" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

pub fn compress(config: &Config) -> Result<Compress> {
    let engine = gzip_engine(config)?;
    let Some(Setting { value, origin }) = config.get("compress") else { return Ok(engine.compress()) };
    let (codec, level) = match value.split_once(':') {
        Some((codec, level)) => (codec, Some(level)),
        None => (value.as_str(), None),
    };
    let level_from = |lowest: u32, highest: u32| {
        let level = level.and_then(|level| level.parse().ok()).filter(|level| (lowest..=highest).contains(level));
        level.ok_or_else(|| unusable(origin, &format!("{codec}:{lowest} to {codec}:{highest}"), value))
    };
    match (codec, level) {
        ("none", None) => Ok(Compress::Stored),
        ("gzip", None) => Ok(engine.compress()),
        ("gzip", Some(_)) => Ok(Compress::Gzip { level: level_from(1, 9)?, engine }),
        ("zstd", None) => Ok(Compress::Zstd(Compress::ZSTD_LEVEL)),
        ("zstd", Some(_)) => Ok(Compress::Zstd(level_from(1, 19)?)),
        _ => Err(unusable(origin, "gzip, gzip:1 to gzip:9, zstd, zstd:1 to zstd:19, or none", value)),
    }
}

fn gzip_engine(config: &Config) -> Result<GzipEngine> {
    let Some(Setting { value, origin }) = config.get("gzip_engine") else { return Ok(GzipEngine::default()) };
    let engine = GzipEngine::ALL.into_iter().find(|engine| engine.name() == value);
    engine.ok_or_else(|| unusable(origin, &GzipEngine::ALL.map(GzipEngine::name).join(" or "), value))
}

pub fn switch(config: &Config, key: &str, default: bool) -> Result<bool> {
    let Some(Setting { value, origin }) = config.get(key) else { return Ok(default) };
    value.parse().map_err(|_| unusable(origin, "true or false", value))
}

/// Calendar days that backups of one tier are kept.
pub fn days(config: &Config, key: &str, default: u32) -> Result<u32> {
    let Some(Setting { value, origin }) = config.get(key) else { return Ok(default) };
    value.parse().ok().filter(|days| *days > 0).ok_or_else(|| unusable(origin, "a number of days above 0", value))
}

/// How many of something, 0 included.
pub fn number(config: &Config, key: &str, default: u32) -> Result<u32> {
    let Some(Setting { value, origin }) = config.get(key) else { return Ok(default) };
    value.parse().map_err(|_| unusable(origin, "a number", value))
}

pub fn time_of_day(config: &Config, key: &str) -> Result<Option<String>> {
    let Some(Setting { value, origin }) = config.get(key) else { return Ok(None) };
    let time = value.parse::<Time>().ok().filter(|_| value.len() == "03:00".len());
    time.map(|_| Some(value.clone())).ok_or_else(|| unusable(origin, "a time of day such as 03:00", value))
}

/// An instant with its offset, or a date or date and time in `zone`. A date alone is its first moment.
/// `origin`: the flag, for the message.
pub fn instant(origin: &str, text: &str, zone: &TimeZone) -> Result<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let civil =
        text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|date| date.to_datetime(Time::midnight())));
    let instant = civil.and_then(|civil| civil.to_zoned(zone.clone())).map(|zoned| zoned.timestamp());
    instant.map_err(|_| unusable(&origin, "a time such as 2026-11-21, or 2026-11-21 20:00, or with an offset", text))
}

/// As `instant`; or how long ago, such as `90min`, `12h` or `7 days`: a day is one of `now`'s zone.
pub fn since(origin: &str, text: &str, now: &Zoned) -> Result<Timestamp> {
    let ago = text.parse::<Span>().ok().filter(|span| !span.is_negative() && !text.starts_with('P'));
    match ago.map(|span| now.checked_sub(span)) {
        Some(Ok(then)) => Ok(then.timestamp()),
        Some(Err(_)) | None => instant(origin, text, now.time_zone()).map_err(|_| {
            unusable(&origin, "a time such as 2026-11-21 or '2026-11-21 20:00', or how long ago: 12h, 7d", text)
        }),
    }
}

/// `schema.table` or `table`; names that hold a dot or a quote are written in double quotes, as in SQL.
pub fn table_name(text: &str) -> Result<TableName> {
    let wrong = || unusable(&"--table", "TABLE or SCHEMA.TABLE, each in double quotes if it holds a dot", text);
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = if rest.starts_with('"') { quoted(rest).ok_or_else(wrong)? } else { plain(rest) };
        if part.is_empty() {
            return Err(wrong());
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => break,
            None => return Err(wrong()),
        }
    }
    let name = parts.pop().ok_or_else(wrong)?;
    let schema = parts.pop();
    if parts.is_empty() { Ok(TableName { schema, name }) } else { Err(wrong()) }
}

/// `OLD=NEW`; a name that holds `=` or a quote is written in double quotes, as in SQL.
pub fn role_pair(text: &str) -> Result<(String, String)> {
    let wrong = || unusable(&"--role-map", "OLD=NEW, each in double quotes if it holds `=`", text);
    let (old, rest) = match text.starts_with('"') {
        true => quoted(text).and_then(|(old, rest)| Some((old, rest.strip_prefix('=')?))).ok_or_else(wrong)?,
        false => text.split_once('=').map(|(old, rest)| (old.to_owned(), rest)).ok_or_else(wrong)?,
    };
    let new = match rest.starts_with('"') {
        true => quoted(rest).filter(|(_, rest)| rest.is_empty()).ok_or_else(wrong)?.0,
        false => rest.to_owned(),
    };
    if old.is_empty() || new.is_empty() { Err(wrong()) } else { Ok((old, new)) }
}

fn plain(text: &str) -> (String, &str) {
    let end = text.find('.').unwrap_or(text.len());
    let (part, rest) = text.split_at(end);
    (part.to_owned(), rest)
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text.strip_prefix('"')?;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                name.push('"');
                rest = next;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_with_and_without_units() {
        assert_eq!(parse_duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("5 min"), Some(Duration::from_secs(300)));
        for wrong in ["", "s", "-1s", "1d", "1.5s", "99999999999999999999", "18446744073709551615h", "ö"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn byte_counts_are_binary() {
        assert_eq!(parse_bytes("20M"), Some(20 << 20));
        assert_eq!((parse_bytes("7"), parse_bytes("512 KiB")), (Some(7), Some(512 << 10)));
        for wrong in ["", "M", "-1", "1.5M", "20MB", "20m", "20 M/s", "99999999999G"] {
            assert_eq!(parse_bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tables_are_named_as_in_sql() {
        let table = |schema: Option<&str>, name: &str| TableName { schema: schema.map(Into::into), name: name.into() };
        assert_eq!(table_name("orders").unwrap(), table(None, "orders"));
        assert_eq!(table_name("s.T").unwrap(), table(Some("s"), "T"));
        assert_eq!(table_name(r#""a.b"."c""d""#).unwrap(), table(Some("a.b"), "c\"d"));
        for wrong in ["", ".", "a.", ".a", "a.b.c", "\"a", "\"a\"b", "\"\".x"] {
            assert_eq!(table_name(wrong).map_err(|error| error.kind()).unwrap_err(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn roles_are_paired() {
        let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
        assert_eq!(role_pair("a=B").unwrap(), pair("a", "B"));
        assert_eq!(role_pair("a=b=c").unwrap(), pair("a", "b=c"));
        assert_eq!(role_pair(r#""a=b"="c""d""#).unwrap(), pair("a=b", "c\"d"));
        for wrong in ["", "a", "=", "a=", "=b", "\"a=b", "\"a\"b=c", "a=\"b\"c", "\"\"=a"] {
            assert_eq!(role_pair(wrong).map_err(|error| error.kind()).unwrap_err(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn an_instant_without_offset_is_in_the_zone() {
        let tokyo = TimeZone::fixed(jiff::tz::offset(9));
        let at = |text: &str| instant("--since", text, &tokyo).unwrap().to_string();
        assert_eq!(at("2026-11-21"), "2026-11-20T15:00:00Z");
        assert_eq!(at("2026-11-21 20:00"), "2026-11-21T11:00:00Z");
        assert_eq!(at("2026-11-21T20:00:00+01:00"), "2026-11-21T19:00:00Z");
        assert!(instant("--since", "yesterday", &tokyo).is_err());
    }

    #[test]
    fn a_time_is_also_told_by_how_long_ago_it_was() {
        let now: Zoned = "2026-03-30T12:00:00[Europe/Berlin]".parse().unwrap();
        let at = |text: &str| since("--since", text, &now).unwrap().to_string();
        assert_eq!(at("90min"), "2026-03-30T08:30:00Z");
        assert_eq!(at("12 h"), "2026-03-29T22:00:00Z");
        // Clocks were set forward in between.
        assert_eq!(at("2d"), "2026-03-28T11:00:00Z");
        assert_eq!(at("1 week"), "2026-03-23T11:00:00Z");
        assert_eq!(at("2026-03-28"), "2026-03-27T23:00:00Z");
        for wrong in ["yesterday", "", "12", "-3h", "99999999999y"] {
            assert_eq!(
                since("--since", wrong, &now).map_err(|error| error.kind()).unwrap_err(),
                Kind::Usage,
                "{wrong}"
            );
        }
    }
}
