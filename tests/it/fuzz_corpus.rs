//! Every committed seed of every fuzz target holds what the target asserts, without a fuzzer.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use miyabi_backup::archive::testkit::{fuzz_index, fuzz_member, fuzz_open, fuzz_roundtrip};
use miyabi_backup::cli::fuzz_config;
use miyabi_backup::manifest::fuzz_manifest;
use miyabi_backup::pg::copy_out::fuzz_copy_framing;
use miyabi_backup::pg::fuzz_url;
use miyabi_backup::script::fuzz_sql_framing;
use miyabi_backup::seal::fuzz_gpg;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 10] = [
    ("config", fuzz_config),
    ("copy_framing", fuzz_copy_framing),
    ("gpg", fuzz_gpg),
    ("index", fuzz_index),
    ("manifest", fuzz_manifest),
    ("member", fuzz_member),
    ("open", fuzz_open),
    ("roundtrip", fuzz_roundtrip),
    ("sql_framing", fuzz_sql_framing),
    ("url", fuzz_url),
];

fn names(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_target_has_seeds_and_runs_here() {
    let targets = TARGETS.map(|(name, _)| name);
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}

#[test]
fn every_seed_holds() {
    let mut failed = Vec::new();
    for (target, run) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let seeds: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
        assert!(!seeds.is_empty(), "{target} has no seed");
        for seed in seeds {
            let data = fs::read(&seed).unwrap();
            if catch_unwind(|| run(&data)).is_err() {
                failed.push(seed);
            }
        }
    }
    assert!(failed.is_empty(), "seeds do not hold: {failed:#?}");
}
