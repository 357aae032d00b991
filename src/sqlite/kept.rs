//! Safety copies that restores have left beside a SQLite file: `<file>.before-restore-YYYYMMDD-HHMMSS`, with journals.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};

const MARK: &str = ".before-restore-";

/// `20260301-030000`
const STAMP_BYTES: usize = 15;

#[derive(Clone, Debug)]
pub struct SafetyCopy {
    pub path: PathBuf,
    pub bytes: u64,
    /// The copy and what belongs to it.
    pub files: Vec<PathBuf>,
}

/// Oldest first. A file that is not there has none.
pub fn beside(path: &Path) -> Result<Vec<SafetyCopy>> {
    let doing = || format!("cannot look for what restores have kept of {}", path.display());
    let real = match fs::canonicalize(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => path.to_owned(),
        real => real.context(Kind::Target, doing)?,
    };
    let (Some(folder), Some(name)) = (real.parent(), real.file_name().and_then(|name| name.to_str())) else {
        return Err(Error::new(Kind::Target, doing()).because("it has no file name"));
    };
    let entries = match fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(Kind::Target, doing)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.context(Kind::Target, doing)?.file_name().into_string());
    }
    names.sort_unstable();
    let is_copy =
        |file: &&String| file.strip_prefix(name).and_then(|rest| rest.strip_prefix(MARK)).is_some_and(is_stamp);
    let copies = names.iter().filter(is_copy).map(|copy| {
        let belongs = |file: &&String| file.strip_prefix(copy.as_str()).is_some_and(is_companion);
        let files: Vec<PathBuf> = names.iter().filter(belongs).map(|file| folder.join(file)).collect();
        let bytes = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|found| found.len()).sum();
        SafetyCopy { path: folder.join(copy), bytes, files }
    });
    Ok(copies.collect())
}

fn is_stamp(text: &str) -> bool {
    text.len() == STAMP_BYTES
        && text.bytes().enumerate().all(|(at, b)| if at == 8 { b == b'-' } else { b.is_ascii_digit() })
}

fn is_companion(rest: &str) -> bool {
    matches!(rest, "" | "-wal" | "-journal" | "-shm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_restore_has_left_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let copy = "a.db.before-restore-20260301-030000";
        for file in ["a.db", copy, &format!("{copy}-wal"), "a.db.before-restore-mine", "a.db.backup-20260301-030000"] {
            fs::write(folder.path().join(file), b"12345").unwrap();
        }
        for file in ["b.db.before-restore-20260301-030000", &format!("{copy}.unfinished"), &format!("{copy}-note")] {
            fs::write(folder.path().join(file), b"12345").unwrap();
        }
        let found = beside(&folder.path().join("a.db")).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].path.ends_with(copy));
        assert_eq!((found[0].bytes, found[0].files.len()), (10, 2));
        assert!(beside(&folder.path().join("nowhere/a.db")).unwrap().is_empty());
    }
}
