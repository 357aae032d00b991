//! Stage 2: flags > environment > `.env` > `miyabi-backup.toml`, merged and still text. Every setting remembers where
//! it came from, so that the third stage can say so; defaults belong to the third stage alone.
//!
//! Values may be secret: neither [`Setting`] nor [`Config`] can be printed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::args::Args;
use crate::error::{Context, Error, Kind, Result};

mod environment;
mod file;
mod flags;
#[cfg(any(test, feature = "testkit"))]
mod fuzz;
pub mod keys;

pub use environment::Variables;
pub use file::{Entry, FileConfig};
#[cfg(any(test, feature = "testkit"))]
pub use fuzz::fuzz_config;

/// Where a setting was found, as messages name it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    Flag(&'static str),
    Variable(String),
    EnvFile { path: PathBuf, name: String },
    File { path: PathBuf, line: usize, key: String },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Variable(name) => write!(f, "{name} (environment)"),
            Origin::EnvFile { path, name } => write!(f, "{name} ({})", path.display()),
            Origin::File { path, line, key } => write!(f, "{key} ({}, line {line})", path.display()),
        }
    }
}

/// One value as it was written.
#[derive(Clone)]
pub struct Setting {
    pub value: String,
    pub origin: Origin,
}

pub struct Config {
    flags: BTreeMap<&'static str, Setting>,
    /// The environment, then the `.env` file: earlier ones win.
    pub levels: Vec<Variables>,
    pub file: Option<FileConfig>,
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the files that `args` and `environment` name, or those that are found in the usual folders.
    pub fn load(args: &Args, environment: Variables) -> Result<Config> {
        let mut warnings = environment.unknown_settings();
        let mut levels = vec![environment];
        if let Some((path, text)) = env_file(args)? {
            let level = Variables::from_env_file(&path, &text)?;
            warnings.extend(level.unknown_settings());
            warnings.extend(level.exposed_secret(&path));
            levels.push(level);
        }
        let file = match config_file(args, &levels)? {
            Some((path, text)) => Some(file::parse(&path, &text)?),
            None => None,
        };
        Ok(Config { flags: flags::settings(args), levels, file, warnings })
    }

    /// The setting at `path` (`jobs`, `places.root`) of the highest level that has it. Not for lists of sources.
    pub fn get(&self, path: &str) -> Option<&Setting> {
        let known = keys::KEYS.iter().find(|key| key.path() == path);
        let names = known.map(keys::Key::environment).unwrap_or_default();
        self.flags
            .get(path)
            .or_else(|| self.levels.iter().find_map(|level| names.iter().find_map(|name| level.get(name))))
            .or_else(|| self.file.as_ref().and_then(|file| file.settings.get(path)))
    }

    /// A variable of the process's environment itself, such as HOME.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.levels.first().and_then(|level| level.get(name)).map(|setting| setting.value.as_str())
    }

    /// A variable of the environment or of the `.env` file that is no setting of ours.
    pub fn any_variable(&self, name: &str) -> Option<&str> {
        self.levels.iter().find_map(|level| level.get(name)).map(|setting| setting.value.as_str())
    }

    /// A setting as a path. Relative ones of the configuration file count from its folder, all others from the working
    /// directory; `~/` is the home folder wherever no shell has seen the value.
    pub fn path(&self, setting: &Setting) -> PathBuf {
        if matches!(setting.origin, Origin::Flag(_)) {
            return PathBuf::from(&setting.value);
        }
        if let (Some(rest), Some(home)) = (setting.value.strip_prefix("~/"), self.variable("HOME")) {
            return Path::new(home).join(rest);
        }
        match &setting.origin {
            Origin::File { path, .. } => path.parent().unwrap_or(Path::new("")).join(&setting.value),
            _ => PathBuf::from(&setting.value),
        }
    }

    pub fn postgres(&self) -> &[Entry] {
        self.file.as_ref().map_or(&[], |file| &file.postgres)
    }

    pub fn checks(&self) -> &[Entry] {
        self.file.as_ref().map_or(&[], |file| &file.checks)
    }

    pub fn sqlite(&self) -> &[Entry] {
        self.file.as_ref().map_or(&[], |file| &file.sqlite)
    }
}

fn env_file(args: &Args) -> Result<Option<(PathBuf, String)>> {
    match &args.common.env_file {
        Some(path) => read(path).map(Some),
        None => read_if_present(Path::new(".env")),
    }
}

fn config_file(args: &Args, levels: &[Variables]) -> Result<Option<(PathBuf, String)>> {
    if let Some(path) = &args.common.config {
        return read(path).map(Some);
    }
    let variable = |name: &str| levels.first().and_then(|level| level.get(name)).map(|setting| setting.value.clone());
    if let Some(path) = levels.iter().find_map(|level| level.get(keys::CONFIG_VARIABLE)) {
        return read(Path::new(&path.value)).map(Some);
    }
    let in_home = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".config")))
        .map(|folder| folder.join("miyabi-backup").join(FILE_NAME));
    let candidates = [Some(PathBuf::from(FILE_NAME)), in_home, Some(Path::new("/etc/miyabi-backup").join(FILE_NAME))];
    for path in candidates.into_iter().flatten() {
        if let Some(found) = read_if_present(&path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

const FILE_NAME: &str = "miyabi-backup.toml";

fn read(path: &Path) -> Result<(PathBuf, String)> {
    let text = std::fs::read_to_string(path).context(Kind::Usage, || format!("cannot read {}", path.display()))?;
    Ok((path.to_owned(), text))
}

/// A file that stands but cannot be read is an error: to go on without it would be to back up something else.
fn read_if_present(path: &Path) -> Result<Option<(PathBuf, String)>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(cause) if matches!(cause.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(cause) => Err(Error::new(Kind::Usage, format!("cannot read {}", path.display())).because(cause)),
    }
}

#[cfg(test)]
pub mod testing {
    //! A configuration without files and without the environment of the test run.

    use super::*;
    use clap::Parser;

    pub fn config(arguments: &[&str], environment: &[(&str, &str)], env_file: &str, toml: &str) -> (Args, Config) {
        let args = Args::try_parse_from(std::iter::once(&"miyabi-backup").chain(arguments)).unwrap();
        let pairs = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let levels = vec![
            Variables::from_environment(pairs).unwrap(),
            Variables::from_env_file(Path::new(".env"), env_file).unwrap(),
        ];
        let file = Some(file::parse(Path::new("miyabi-backup.toml"), toml).unwrap());
        let flags = flags::settings(&args);
        (args, Config { flags, levels, file, warnings: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::testing::config;

    #[test]
    fn levels_win_in_their_order() {
        let toml = "jobs = 1\n";
        let jobs = |arguments: &[&str], environment: &[(&str, &str)], env_file: &str| {
            let (_, config) = config(arguments, environment, env_file, toml);
            config.get("jobs").map(|jobs| (jobs.value.clone(), jobs.origin.to_string())).unwrap()
        };
        let variable = [("MIYABI_BACKUP_JOBS", "3")];
        let line = "MIYABI_BACKUP_JOBS=2";
        assert_eq!(jobs(&["backup"], &[], ""), ("1".into(), "jobs (miyabi-backup.toml, line 1)".into()));
        assert_eq!(jobs(&["backup"], &[], line), ("2".into(), "MIYABI_BACKUP_JOBS (.env)".into()));
        assert_eq!(jobs(&["backup"], &variable, line), ("3".into(), "MIYABI_BACKUP_JOBS (environment)".into()));
        assert_eq!(jobs(&["backup", "--jobs", "4"], &variable, line), ("4".into(), "--jobs".into()));
    }

    #[test]
    fn an_empty_variable_is_unset() {
        let (_, config) = config(&["backup"], &[("MIYABI_BACKUP_JOBS", "")], "", "jobs = 1\n");
        assert_eq!(config.get("jobs").map(|jobs| jobs.value.as_str()), Some("1"));
    }
}
