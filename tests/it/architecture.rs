//! The shape of the tree: imports point down only, one line a module, files stay readable.

use std::fs;
use std::path::{Path, PathBuf};

const FLOORS: &[&[&str]] = &[
    &["error", "text"],
    &["units", "ident", "clock", "cancel", "progress", "checksum", "read_at"],
    &["archive", "manifest", "policy", "script"],
    &["pipeline", "store", "state", "seal"],
    &["pg", "sqlite", "listing"],
    &["job"],
    &["verify"],
    &["backup", "copy", "restore", "inspect", "salvage", "prune"],
    &["drill", "ops"],
    &["cli"],
];

fn floor_of(module: &str) -> usize {
    FLOORS
        .iter()
        .position(|row| row.contains(&module))
        .unwrap_or_else(|| panic!("module `{module}` has no floor: add it to FLOORS"))
}

fn rust_files(under: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files
        .into_iter()
        .filter(|path| !path.ends_with("src/lib.rs") && !path.ends_with("src/main.rs"))
        .map(|path| {
            let first = path.strip_prefix(&root).unwrap().components().next().unwrap();
            let module = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (module, path, text)
        })
        .collect()
}

#[test]
fn imports_only_point_down() {
    for (me, path, text) in sources() {
        for line in text.lines().map(str::trim) {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let Some(rest) = line.strip_prefix("use crate::") else {
                assert!(
                    line.starts_with("//") || !line.replace("pub(in crate::", "").contains("crate::"),
                    "{}: an inline `crate::` path hides an import: {line}",
                    path.display()
                );
                continue;
            };
            let them = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            assert!(!them.is_empty(), "{}: one `use crate::module::…` a module, not `{line}`", path.display());
            if them == me {
                continue;
            }
            let (mine, theirs) = (floor_of(&me), floor_of(them));
            assert!(theirs < mine, "{}: `{me}` (floor {mine}) imports `{them}` (floor {theirs})", path.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    for (_, path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines: split it", path.display());
        let is_test = path.ends_with("tests.rs");
        assert!(is_test || text.starts_with("//!"), "{} does not open with its contract", path.display());
    }
}

#[test]
fn the_pure_floor_is_pure() {
    const FORBIDDEN: [&str; 6] = ["tokio", "std::fs", "std::env", "std::net", "Timestamp::now", "SystemTime::now"];
    for (module, path, text) in sources() {
        if floor_of(&module) != floor_of("archive") {
            continue;
        }
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{} names {word}: floor 1 is pure", path.display());
        }
    }
}

#[test]
fn only_cli_touches_clock_environment_and_stdout() {
    const FORBIDDEN: [&str; 8] = [
        "println!",
        "eprintln!",
        "print!(",
        "env::var",
        "Timestamp::now",
        "Zoned::now",
        "SystemTime::now",
        "process::exit",
    ];
    for (module, path, text) in sources() {
        if module == "cli" {
            continue;
        }
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{} uses {word}: only `cli` may", path.display());
        }
    }
}

#[test]
fn server_versions_are_compared_in_one_file() {
    for (module, path, text) in sources() {
        if module != "pg" || path.ends_with("pg/version.rs") {
            continue;
        }
        for line in text.lines() {
            let compares = [">= 1", "< 1", "> 1", "<= 1"].iter().any(|op| {
                line.split(op).skip(1).any(|rest| {
                    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '_').collect();
                    digits.replace('_', "").len() == 5
                })
            });
            assert!(!compares, "{} compares a server version: {line}", path.display());
        }
    }
}
