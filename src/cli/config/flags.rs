//! Flags that stand for one key of the configuration, as the highest level.

use std::collections::BTreeMap;

use super::{Origin, Setting};
use crate::cli::args::{Args, Command};

pub fn settings(args: &Args) -> BTreeMap<&'static str, Setting> {
    let mut typed: Vec<(&'static str, &'static str, &Option<String>)> =
        vec![("zone", "--zone", &args.common.zone), ("state_dir", "--state-dir", &args.common.state_dir)];
    let s3 = &args.common.s3;
    typed.extend([
        ("places.s3_endpoint", "--s3-endpoint", &s3.s3_endpoint),
        ("places.s3_region", "--s3-region", &s3.s3_region),
        ("places.s3_path_style", "--s3-path-style", &s3.s3_path_style),
        ("places.s3_ca", "--s3-ca", &s3.s3_ca),
        ("places.s3_max_parts", "--s3-max-parts", &s3.s3_max_parts),
        ("places.s3_memory", "--s3-memory", &s3.s3_memory),
        ("places.s3_storage_class", "--s3-storage-class", &s3.s3_storage_class),
        ("places.s3_sse", "--s3-sse", &s3.s3_sse),
        ("places.s3_retain", "--s3-retain", &s3.s3_retain),
    ]);
    let listed = |values: &[String]| (!values.is_empty()).then(|| values.join(","));
    let identities = listed(&args.common.identities);
    let encrypt_to = match &args.command {
        Command::Backup(backup) => listed(&backup.encrypt_to),
        _ => None,
    };
    typed.extend([
        ("identity", "--identity", &identities),
        ("encrypt_to", "--encrypt-to", &encrypt_to),
        ("passphrase_file", "--passphrase-file", &args.common.passphrase_file),
        ("require_signature", "--require-signature", &args.common.require_signature),
    ]);
    let off = |switch: bool| switch.then(|| "false".to_owned());
    let on = |switch: bool| switch.then(|| "true".to_owned());
    let (globals, role_passwords, gentle, automatic) = match &args.command {
        Command::Backup(backup) => {
            (off(backup.no_globals), off(backup.no_role_passwords), on(backup.gentle), off(backup.no_prune))
        }
        _ => (None, None, None, None),
    };
    typed.push(("retention.automatic", "--no-prune", &automatic));
    typed.push(("gentle", "--gentle", &gentle));
    typed.push(("globals", "--no-globals", &globals));
    typed.push(("role_passwords", "--no-role-passwords", &role_passwords));
    match &args.command {
        Command::Backup(backup) => typed.extend([
            ("jobs", "--jobs", &backup.jobs),
            ("threads", "--threads", &backup.threads),
            ("limit_rate", "--limit-rate", &backup.limit_rate),
            ("compress", "--compress", &backup.compress),
            ("gzip_engine", "--gzip-engine", &backup.gzip_engine),
            ("encrypt", "--encrypt", &backup.encrypt),
            ("sign_key", "--sign-key", &backup.sign_key),
            ("lock_timeout", "--lock-timeout", &backup.lock_timeout),
            ("staging", "--staging", &backup.staging),
            ("sqlite_yield", "--sqlite-yield", &backup.sqlite_yield),
            ("sqlite_busy", "--sqlite-busy", &backup.sqlite_busy),
        ]),
        Command::Restore(restore) => typed.extend([
            ("places.root", "--from", &restore.from),
            ("jobs", "--jobs", &restore.jobs),
            ("threads", "--threads", &restore.threads),
            ("lock_timeout", "--lock-timeout", &restore.lock_timeout),
            ("staging", "--staging", &restore.staging),
            ("sqlite_busy", "--sqlite-busy", &restore.sqlite_busy),
        ]),
        Command::Verify(verify) => typed.extend([
            ("places.root", "--from", &verify.from),
            ("staging", "--staging", &verify.staging),
            ("threads", "--threads", &verify.threads),
        ]),
        Command::Prune(prune) => typed
            .extend([("places.root", "--from", &prune.from), ("retention.keep_last", "--keep-last", &prune.keep_last)]),
        Command::Drill(drill) => typed.extend([
            ("places.root", "--from", &drill.from),
            ("drill.url", "--url", &drill.url),
            ("staging", "--staging", &drill.staging),
        ]),
        Command::Doctor(doctor) => typed.push(("places.root", "--from", &doctor.from)),
        Command::Dashboard(dashboard) => typed.push(("places.root", "--from", &dashboard.from)),
        Command::Metrics(metrics) => typed.push(("places.root", "--from", &metrics.from)),
        Command::Schedule(schedule) => typed.push(("schedule.at", "--time", &schedule.time)),
        Command::Status(status) => typed.push(("places.root", "--from", &status.from)),
        Command::List(list) => typed.push(("places.root", "--from", &list.from)),
        _ => {}
    }
    let setting = |(key, flag, value): (_, _, &Option<String>)| {
        let value = value.clone()?;
        Some((key, Setting { value, origin: Origin::Flag(flag) }))
    };
    typed.into_iter().filter_map(setting).collect()
}
