//! `miyabi-backup.toml` → settings that are still text, each with its line. Structure and key names are judged here,
//! values are not. An unknown key is an error: a setting that is silently ignored is a backup that is silently wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Section};
use super::{Origin, Setting};
use crate::error::{Error, Kind, Result};

/// One `[[postgres]]` or `[[sqlite]]` table.
pub struct Entry {
    pub line: usize,
    /// One item for each value of a list, one for anything else.
    pub settings: BTreeMap<&'static str, Vec<Setting>>,
}

impl Entry {
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.list(key).first()
    }

    /// The items of a key that holds a list.
    pub fn list(&self, key: &str) -> &[Setting] {
        self.settings.get(key).map_or(&[], Vec::as_slice)
    }
}

pub struct FileConfig {
    pub path: PathBuf,
    /// Settings outside of lists, by their path: `jobs`, `places.root`.
    pub settings: BTreeMap<String, Setting>,
    pub postgres: Vec<Entry>,
    pub sqlite: Vec<Entry>,
    /// `[[drill.check]]`
    pub checks: Vec<Entry>,
}

pub fn parse(path: &Path, text: &str) -> Result<FileConfig> {
    let document = DeTable::parse(text).map_err(|fault| {
        let line = fault.span().map_or(1, |span| line_of(text, span.start));
        let what = fault.message().trim().replace('\n', ", ");
        Error::new(Kind::Usage, format!("cannot read {}, line {line}: {what}", path.display()))
    })?;
    let reader = Reader { path, text };
    let mut file = FileConfig {
        path: path.to_owned(),
        settings: BTreeMap::new(),
        postgres: Vec::new(),
        sqlite: Vec::new(),
        checks: Vec::new(),
    };
    for (key, value) in document.get_ref() {
        let name: &str = key.get_ref();
        let section = Section::ALL.into_iter().find(|section| *section != Section::Top && section.name() == name);
        match section {
            Some(Section::Postgres) => file.postgres = reader.list(Section::Postgres, value)?,
            Some(Section::Sqlite) => file.sqlite = reader.list(Section::Sqlite, value)?,
            Some(section) => {
                if let (Section::Drill, Some(checks)) = (section, value.get_ref().as_table().and_then(|t| t.get(CHECK)))
                {
                    file.checks = reader.list(Section::DrillCheck, checks)?;
                }
                for (name, settings) in reader.table(section, value)? {
                    file.settings.extend(settings.into_iter().map(|one| (format!("{}.{name}", section.name()), one)));
                }
            }
            None => {
                let (name, settings) = reader.setting(Section::Top, key, value)?;
                file.settings.extend(settings.into_iter().map(|one| (name.to_owned(), one)));
            }
        }
    }
    Ok(file)
}

/// The one list that stands inside of a section.
const CHECK: &str = "check";

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn at<T>(&self, spot: &Spanned<T>) -> usize {
        line_of(self.text, spot.span().start)
    }

    fn fault<T>(&self, spot: &Spanned<T>, what: String) -> Error {
        Error::new(Kind::Usage, format!("{what} ({}, line {})", self.path.display(), self.at(spot)))
    }

    fn list(&self, section: Section, value: &Spanned<DeValue<'_>>) -> Result<Vec<Entry>> {
        let Some(array) = value.get_ref().as_array() else {
            let name = section.name();
            let fault = self.fault(value, format!("cannot use `{name}`: expected a list of tables"));
            return Err(fault.hint(format!("write {} above the settings of each source", section.heading())));
        };
        let entry = |item: &Spanned<DeValue<'_>>| {
            Ok(Entry { line: self.at(item), settings: self.table(section, item)?.into_iter().collect() })
        };
        array.iter().map(entry).collect()
    }

    fn table(&self, section: Section, value: &Spanned<DeValue<'_>>) -> Result<Vec<(&'static str, Vec<Setting>)>> {
        let Some(table) = value.get_ref().as_table() else {
            let found = value.get_ref().type_str();
            let what = format!("cannot use `{}`: expected {}, found {found}", section.name(), section.heading());
            return Err(self.fault(value, what));
        };
        let settings = table.iter().filter(|(key, _)| section != Section::Drill || key.get_ref() != CHECK);
        settings.map(|(key, value)| self.setting(section, key, value)).collect()
    }

    /// One setting, or one for each item of a key that takes a list.
    fn setting(
        &self,
        section: Section,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(&'static str, Vec<Setting>)> {
        let word: &str = key.get_ref();
        let Some(known) = keys::in_section(section).find(|known| known.name == word) else {
            let fault = self.fault(key, format!("unknown key `{word}` in {}", section.heading()));
            return Err(match keys::suggestion(section, word) {
                Some(hint) => fault.hint(hint),
                None => fault,
            });
        };
        let origin = |line| Origin::File { path: self.path.to_owned(), line, key: known.path() };
        if let (DeValue::Array(items), true) = (value.get_ref(), known.is_list()) {
            let item = |item| Ok(Setting { value: self.text(word, item)?, origin: origin(self.at(item)) });
            return Ok((known.name, items.iter().map(item).collect::<Result<_>>()?));
        }
        Ok((known.name, vec![Setting { value: self.text(word, value)?, origin: origin(self.at(key)) }]))
    }

    fn text(&self, word: &str, value: &Spanned<DeValue<'_>>) -> Result<String> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
            DeValue::Boolean(flag) => Ok(flag.to_string()),
            other => {
                let what = format!("cannot use `{word}`: expected text or a number, found {}", other.type_str());
                Err(self.fault(value, what))
            }
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    memchr::memchr_iter(b'\n', before).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Error {
        match parse(Path::new("m.toml"), text) {
            Ok(_) => panic!("was accepted: {text}"),
            Err(fault) => fault,
        }
    }

    #[test]
    fn unknown_keys_name_line_and_nearest_key() {
        let error = fault("jobs = 2\n\n[[postgres]]\nhots = \"db\"\n");
        assert_eq!(error.to_string(), "unknown key `hots` in [[postgres]] (m.toml, line 4)");
        assert_eq!(error.hint_text(), Some("did you mean `host`?"));
        assert_eq!(error.kind(), Kind::Usage);

        let error = fault("[retentoin]\ndaily = 7\n");
        assert_eq!(error.to_string(), "unknown key `retentoin` in the top level (m.toml, line 1)");
        assert_eq!(error.hint_text(), Some("did you mean `retention`?"));

        let error = fault("daily = 7\n");
        assert_eq!(error.hint_text(), Some("did you mean `daily` of [retention]?"));
    }

    #[test]
    fn structure_is_checked() {
        assert!(fault("[postgres]\nhost = \"a\"\n").hint_text().is_some_and(|hint| hint.contains("[[postgres]]")));
        assert!(fault("jobs = [1]\n").to_string().contains("found array"));
        assert!(fault("a = = 1").to_string().starts_with("cannot read m.toml, line 1"));
    }

    #[test]
    fn every_setting_knows_its_line() {
        let file = parse(Path::new("m.toml"), "[places]\nroot = \"/b\"\n[[sqlite]]\npath = \"x.db\"\n").unwrap();
        let root = file.settings.get("places.root").unwrap();
        assert_eq!(root.value, "/b");
        assert_eq!(root.origin.to_string(), "places.root (m.toml, line 2)");
        assert_eq!(file.sqlite.len(), 1);
        assert_eq!(file.sqlite[0].line, 3);
        assert_eq!(file.sqlite[0].get("path").map(|path| path.value.as_str()), Some("x.db"));
    }
}
