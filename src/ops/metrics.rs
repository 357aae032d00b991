//! Status as Prometheus reads it: gauges, in base units, one family after the other.

use std::fmt::Write as _;

use crate::ops::status::outcome::{DatabaseStatus, FurtherPlace, LastBackup, PlaceStatus, Status, TierStatus};

struct Family {
    name: &'static str,
    help: &'static str,
    samples: Vec<(String, f64)>,
}

pub fn render(status: &Status) -> String {
    let mut text = String::new();
    for family in families(status).into_iter().filter(|family| !family.samples.is_empty()) {
        let Family { name, help, samples } = family;
        // Writing into a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    text
}

fn families(status: &Status) -> Vec<Family> {
    let each = |name, help, value: &dyn Fn(&DatabaseStatus) -> Option<f64>| Family {
        name,
        help,
        samples: status.databases.iter().filter_map(|one| Some((labels(one, None), value(one)?))).collect(),
    };
    let last = |one: &DatabaseStatus, value: fn(&LastBackup) -> f64| one.last.as_ref().map(value);
    let mut all = vec![
        each("miyabi_backup_state", "How the backups are: 0 ok, 1 warning, 2 critical.", &|one| {
            Some(f64::from(one.state as u8))
        }),
        each("miyabi_backup_last_success_timestamp_seconds", "When the newest backup was begun.", &|one| {
            last(one, |last| last.timestamp.instant().as_second() as f64)
        }),
        each("miyabi_backup_age_seconds", "Age of the newest backup.", &|one| {
            last(one, |last| last.age_seconds as f64)
        }),
        each("miyabi_backup_duration_seconds", "How long the newest backup took.", &|one| {
            last(one, |last| last.duration_seconds)
        }),
        each("miyabi_backup_stored_bytes", "Size of the newest backup as it is stored.", &|one| {
            last(one, |last| last.size_bytes as f64)
        }),
        each("miyabi_backup_raw_bytes", "Size of the newest backup before compression.", &|one| {
            last(one, |last| last.raw_bytes as f64)
        }),
        each("miyabi_backup_rows", "Rows in the newest backup.", &|one| last(one, |last| last.rows as f64)),
        each("miyabi_backup_throughput_bytes_per_second", "Raw bytes a second of the newest backup.", &|one| {
            let last = one.last.as_ref().filter(|last| last.duration_seconds > 0.0)?;
            Some(last.raw_bytes as f64 / last.duration_seconds)
        }),
        each("miyabi_backup_verify_timestamp_seconds", "When a backup was last verified.", &|one| {
            one.last_verify.as_ref().map(|last| last.at.instant().as_second() as f64)
        }),
        each("miyabi_backup_verify_success", "Whether the last verification found nothing wrong.", &|one| {
            one.last_verify.as_ref().map(|last| f64::from(last.sound))
        }),
        each("miyabi_backup_drill_timestamp_seconds", "When a restore was last tried.", &|one| {
            one.last_drill.as_ref().map(|last| last.at.as_second() as f64)
        }),
        each("miyabi_backup_drill_success", "Whether the last drill brought back what was dumped.", &|one| {
            one.last_drill.as_ref().map(|last| f64::from(last.ok))
        }),
        each("miyabi_backup_drill_restore_seconds", "How long the restore of the last drill took.", &|one| {
            one.last_drill.as_ref()?.restore_seconds
        }),
    ];
    all.extend(tiers(status));
    all.extend(copies(status));
    all.extend(places(status));
    all
}

fn tiers(status: &Status) -> [Family; 2] {
    let samples = |value: fn(&TierStatus) -> f64| {
        let of = |one| move |tier: &TierStatus| (labels(one, Some(("tier", tier.tier.name()))), value(tier));
        status.databases.iter().flat_map(|one| one.tiers.iter().map(of(one)).collect::<Vec<_>>()).collect()
    };
    [
        Family {
            name: "miyabi_backup_tier_backups",
            help: "Good backups in a tier.",
            samples: samples(|tier| tier.count as f64),
        },
        Family {
            name: "miyabi_backup_tier_stored_bytes",
            help: "Bytes of the good backups in a tier.",
            samples: samples(|tier| tier.bytes as f64),
        },
    ]
}

fn places(status: &Status) -> Vec<Family> {
    let all = || std::iter::once(&status.place).chain(status.further_places.iter().map(|one| &one.place));
    let each = |name, help, value: &dyn Fn(&PlaceStatus) -> Option<u64>| Family {
        name,
        help,
        samples: all()
            .filter_map(|place| Some((format!("{{place=\"{}\"}}", escaped(&place.place)), value(place)? as f64)))
            .collect(),
    };
    vec![
        each("miyabi_backup_place_state", "How the place is: 0 ok, 1 warning, 2 critical.", &|place| {
            Some(place.state as u64)
        }),
        each("miyabi_backup_place_used_bytes", "Bytes of all backups in the place.", &|place| Some(place.used_bytes)),
        each("miyabi_backup_place_free_bytes", "Free bytes of the place.", &|place| place.free_bytes),
        each("miyabi_backup_place_size_bytes", "Size of the place.", &|place| place.total_bytes),
        each(
            "miyabi_backup_place_noncurrent_bytes",
            "Bytes of versions that are not current, where the place keeps versions.",
            &|place| place.noncurrent_bytes,
        ),
        each(
            "miyabi_backup_place_expected_used_bytes",
            "Bytes that all backups are expected to take in 30 days.",
            &|place| Some(place.used_in_30_days_bytes),
        ),
    ]
}

/// Of places beside the first.
fn copies(status: &Status) -> [Family; 2] {
    let samples = |value: &dyn Fn(&DatabaseStatus) -> Option<f64>| {
        let of = |further: &FurtherPlace| {
            let place = escaped(&further.place.place);
            let sample = |one| Some((labels(one, Some(("place", place.as_str()))), value(one)?));
            further.databases.iter().filter_map(sample).collect::<Vec<_>>()
        };
        status.further_places.iter().flat_map(of).collect()
    };
    [
        Family {
            name: "miyabi_backup_copy_state",
            help: "How the copies in a further place are: 0 ok, 1 warning, 2 critical.",
            samples: samples(&|one| Some(f64::from(one.state as u8))),
        },
        Family {
            name: "miyabi_backup_copy_last_success_timestamp_seconds",
            help: "When the newest backup in a further place was begun.",
            samples: samples(&|one| one.last.as_ref().map(|last| last.timestamp.instant().as_second() as f64)),
        },
    ]
}

/// `more`: a further label and its value as it is written.
fn labels(one: &DatabaseStatus, more: Option<(&str, &str)>) -> String {
    let more = more.map_or_else(String::new, |(name, value)| format!(",{name}=\"{value}\""));
    format!("{{name=\"{}\",kind=\"{}\"{more}}}", escaped(&one.name), one.kind)
}

/// As a label's value is written.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
