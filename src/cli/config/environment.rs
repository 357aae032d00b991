//! Variables: those of the process, or those of a `.env` file. Both are the same kind of level.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Origin, Setting, keys};
use crate::error::{Error, Kind, Result};

pub struct Variables(BTreeMap<String, Setting>);

impl Variables {
    /// A variable of ours that is not UTF-8 is an error, any other one is nobody's business.
    pub fn from_environment(pairs: impl Iterator<Item = (OsString, OsString)>) -> Result<Variables> {
        let mut all = BTreeMap::new();
        for (name, value) in pairs {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) if value.is_empty() => {}
                Ok(value) => {
                    let origin = Origin::Variable(name.clone());
                    all.insert(name, Setting { value, origin });
                }
                Err(_) if concerns_us(&name) => {
                    return Err(Error::new(Kind::Usage, format!("cannot use {name}: its value is not UTF-8")));
                }
                Err(_) => {}
            }
        }
        Ok(Variables(all))
    }

    /// Messages never quote a line of the file: it may hold a password.
    pub fn from_env_file(path: &Path, text: &str) -> Result<Variables> {
        let mut all: BTreeMap<String, Setting> = BTreeMap::new();
        let mut previous = None;
        for item in dotenvy::from_read_iter(text.as_bytes()) {
            let Ok((name, value)) = item else {
                let spot = previous.map_or("the first entry".to_owned(), |name| format!("the entry after {name}"));
                let what = format!("cannot read {}: {spot} is not KEY=value", path.display());
                return Err(Error::new(Kind::Usage, what).hint("put values with spaces, # or $ into single quotes"));
            };
            previous = Some(name.clone());
            let origin = Origin::EnvFile { path: path.to_owned(), name: name.clone() };
            if !value.is_empty() {
                all.entry(name).or_insert(Setting { value, origin });
            }
        }
        Ok(Variables(all))
    }

    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// A misspelt variable of ours would be ignored in silence.
    pub fn unknown_settings(&self) -> Vec<String> {
        let known: Vec<String> = keys::KEYS
            .iter()
            .flat_map(keys::Key::environment)
            .filter(|name| name.starts_with(keys::PREFIX))
            .chain([keys::CONFIG_VARIABLE.to_owned()])
            .collect();
        let ours = self.0.iter().filter(|(name, _)| name.starts_with(keys::PREFIX));
        ours.filter(|(name, _)| !known.contains(name))
            .filter_map(|(name, setting)| {
                let near = keys::nearest(name, known.iter().map(String::as_str))?;
                Some(format!("{} is not a setting and was ignored; did you mean {near}?", describe(name, setting)))
            })
            .collect()
    }

    /// Says so when others may read a file that holds a password.
    pub fn exposed_secret(&self, path: &Path) -> Option<String> {
        let secret = ["DATABASE_PASSWORD", "PGPASSWORD", "DATABASE_URL", "AWS_SECRET_ACCESS_KEY"]
            .iter()
            .find(|name| self.get(name).is_some())?;
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        let shown = path.display();
        (mode & 0o004 != 0)
            .then(|| format!("{shown} holds {secret} and any user of this machine can read it: chmod 600 {shown}"))
    }
}

fn describe(name: &str, setting: &Setting) -> String {
    match &setting.origin {
        Origin::EnvFile { path, .. } => format!("{name} of {}", path.display()),
        _ => name.to_owned(),
    }
}

fn concerns_us(name: &str) -> bool {
    name.starts_with("DATABASE_")
        || name.starts_with("PG")
        || name.starts_with(keys::PREFIX)
        || name.starts_with("AWS_")
        || matches!(name, "SQLITE_DATABASES" | "HOME")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_env_file_is_named_without_its_content() {
        let Err(error) = Variables::from_env_file(Path::new("x.env"), "DATABASE_USER=u\nDATABASE_PASSWORD 's3cret\n")
        else {
            panic!("a line without = was accepted");
        };
        assert_eq!(error.chain(), "cannot read x.env: the entry after DATABASE_USER is not KEY=value");
    }

    #[test]
    fn the_first_of_two_lines_and_quotes_count() {
        let level = Variables::from_env_file(Path::new(".env"), "A='x # $y'\nA=2\nexport B=3\n").unwrap();
        assert_eq!(level.get("A").map(|setting| setting.value.as_str()), Some("x # $y"));
        assert_eq!(level.get("B").map(|setting| setting.value.as_str()), Some("3"));
    }

    #[test]
    fn a_misspelt_variable_is_mentioned() {
        let pairs = [("MIYABI_BACKUP_PLACES_ROT", "x"), ("MIYABI_BACKUP_JOBS", "1"), ("OTHER", "y")];
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let said = Variables::from_environment(pairs).unwrap().unknown_settings();
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("did you mean MIYABI_BACKUP_PLACES_ROOT?"), "{said:?}");
    }
}
