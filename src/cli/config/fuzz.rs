//! What the fuzz target `config` asserts; the committed seeds run as a test, too.

use std::path::Path;

use super::{Entry, FileConfig, Origin, Setting, Variables, file, keys};
use crate::error::{Error, Kind};

const PATH: &str = "miyabi-backup.toml";

/// Any text as `miyabi-backup.toml` and as `.env`: every setting that is accepted has a known key and a line of the
/// text, and every refusal says which file, and no value of it.
pub fn fuzz_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match file::parse(Path::new(PATH), text) {
        Ok(file) => check_file(&file, text),
        Err(error) => check_refusal(&error, PATH),
    }
    match Variables::from_env_file(Path::new(".env"), text) {
        Ok(level) => drop(level.unknown_settings()),
        Err(error) => {
            check_refusal(&error, ".env");
            assert!(error.to_string().ends_with(" is not KEY=value"), "{error}");
        }
    }
}

fn check_file(file: &FileConfig, text: &str) {
    let lines = 1 + text.matches('\n').count();
    for (path, setting) in &file.settings {
        check_setting(setting, lines, |key| key.path() == *path);
    }
    for (section, entries) in [(keys::Section::Postgres, &file.postgres), (keys::Section::Sqlite, &file.sqlite)] {
        for entry in entries {
            check_entry(entry, section, lines);
        }
    }
}

fn check_entry(entry: &Entry, section: keys::Section, lines: usize) {
    assert!((1..=lines).contains(&entry.line));
    let all = entry.settings.iter().flat_map(|(name, items)| items.iter().map(move |setting| (name, setting)));
    for (name, setting) in all {
        check_setting(setting, lines, |key| key.section == section && key.name == *name);
    }
}

fn check_setting(setting: &Setting, lines: usize, is_meant: impl Fn(&keys::Key) -> bool) {
    assert!(keys::KEYS.iter().any(is_meant), "a key that is not ours was accepted: {}", setting.origin);
    match &setting.origin {
        Origin::File { path, line, .. } => {
            assert!(path == Path::new(PATH) && (1..=lines).contains(line), "{}", setting.origin)
        }
        other => panic!("a setting of the file says that it is from {other}"),
    }
}

fn check_refusal(error: &Error, file: &str) {
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains(file), "a refusal does not name its file: {error}");
}
