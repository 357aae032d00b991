//! What to back up: databases and files with labels that cannot clash.
//!
//! A pattern that matches no file is one failed source and does not stop the others; a clash of labels stops all,
//! because two databases would write under one name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::filter::filter;
use super::server::{self, Layer, Merged};
use super::{Failure, Notes};
use crate::cli::args::FilterArgs;
use crate::cli::config::{Config, Entry, Setting};
use crate::error::{Error, Kind, Result};
use crate::job::{Limits, PostgresSource, SqliteSource};
use crate::pg::connect::Server;
use crate::policy::Label;

/// The databases that `urls` name.
pub fn postgres_by_url(
    config: &Config,
    urls: &[String],
    part: &FilterArgs,
    notes: &mut Notes,
) -> Result<Vec<PostgresSource>> {
    let variables = Layer::from_variables(config)?;
    let source = |url: &String| {
        let flag = Layer::from_flag(url)?;
        warn_of_password(&flag, notes);
        let layers: Vec<&Layer> = std::iter::once(&flag).chain(&variables).collect();
        let Merged { server, .. } = server::merge(config, &layers)?;
        Ok(PostgresSource { label: server.database.clone(), server, filter: filter(part, None)? })
    };
    urls.iter().map(source).collect()
}

pub fn warn_of_password(flag: &Layer, notes: &mut Notes) {
    if flag.has_password() {
        notes.warn(
            "the password in --url can be seen by every user of this machine while we run; \
             use PGPASSWORD, ~/.pgpass or password_file",
        );
    }
}

/// The databases of the configuration file and the environment.
pub fn postgres_configured(config: &Config, part: &FilterArgs, notes: &mut Notes) -> Result<Vec<PostgresSource>> {
    let variables = Layer::from_variables(config)?;
    let entries = config.postgres();
    if entries.is_empty() {
        if !variables.iter().any(Layer::names_a_source) {
            return Ok(Vec::new());
        }
        let layers: Vec<&Layer> = variables.iter().collect();
        let server = without_conflicts(server::merge(config, &layers)?, notes);
        return Ok(vec![PostgresSource { label: server.database.clone(), server, filter: filter(part, None)? }]);
    }
    let files = entries.iter().map(|entry| Layer::from_entry(config, entry)).collect::<Result<Vec<_>>>()?;
    if files.len() > 1 {
        refuse_strangers(&variables, &files)?;
    }
    let mut sources = Vec::new();
    for (entry, file) in entries.iter().zip(&files) {
        let fitting = variables.iter().filter(|layer| files.len() == 1 || !layer.contradicts(file));
        let layers: Vec<&Layer> = fitting.chain([file]).collect();
        let server = without_conflicts(server::merge(config, &layers)?, notes);
        let label = entry.get("name").map_or_else(|| server.database.clone(), |name| name.value.clone());
        sources.push(PostgresSource { label, server, filter: filter(part, Some(entry))? });
    }
    Ok(sources)
}

fn without_conflicts(merged: Merged, notes: &mut Notes) -> Server {
    for conflict in &merged.conflicts {
        notes.warn(format!("{}, but {}: the first one is used", conflict.used, conflict.ignored));
    }
    merged.server
}

/// Variables that fit none of several entries would have to replace them all, and nobody would notice in cron.
fn refuse_strangers(variables: &[Layer], files: &[Layer]) -> Result<()> {
    let stranger = variables.iter().find(|layer| files.iter().all(|file| layer.contradicts(file)));
    let Some(layer) = stranger else { return Ok(()) };
    let names: Vec<String> = files.iter().map(Layer::describe).collect();
    let what = format!("{}, which is none of the configured databases: {}", layer.describe(), names.join(", "));
    Err(Error::new(Kind::Usage, what).hint("unset the variable, name the database by --url, or keep one entry"))
}

/// The files of flags; of `SQLITE_DATABASES`; else of the configuration file.
pub fn sqlite(
    config: &Config,
    files: &[String],
    limits: Limits,
    notes: &mut Notes,
) -> Result<(Vec<SqliteSource>, Vec<Failure>)> {
    let mut found = Found { limits, sources: Vec::new(), failures: Vec::new() };
    let listed = config.levels.iter().find_map(|level| level.get("SQLITE_DATABASES"));
    if !files.is_empty() {
        files.iter().try_for_each(|file| found.add(Path::new(file), None, "--file"))?;
    } else if let Some(setting) = listed {
        if !config.sqlite().is_empty() {
            notes.warn(format!("{} takes the place of all [[sqlite]] entries", setting.origin));
        }
        for path in setting.value.split(':').filter(|path| !path.is_empty()) {
            let one = Setting { value: path.to_owned(), origin: setting.origin.clone() };
            found.add(&config.path(&one), None, &setting.origin.to_string())?;
        }
    } else {
        config.sqlite().iter().try_for_each(|entry| found.add_entry(config, entry))?;
    }
    Ok((found.sources, found.failures))
}

struct Found {
    limits: Limits,
    sources: Vec<SqliteSource>,
    failures: Vec<Failure>,
}

impl Found {
    fn add_entry(&mut self, config: &Config, entry: &Entry) -> Result<()> {
        let Some(path) = entry.get("path") else {
            let file = config.file.as_ref().map(|file| file.path.display().to_string()).unwrap_or_default();
            let what = format!("the [[sqlite]] entry of {file}, line {}, has no `path`", entry.line);
            return Err(Error::new(Kind::Usage, what));
        };
        let name = entry.get("name").map(|name| name.value.as_str());
        self.add(&config.path(path), name, &path.origin.to_string())
    }

    /// A path that stands is itself, whatever characters it has; else it may be a pattern.
    fn add(&mut self, path: &Path, name: Option<&str>, origin: &str) -> Result<()> {
        let text = path.to_string_lossy().into_owned();
        if path.exists() || !text.contains(['*', '?', '[']) {
            let label = name.map_or_else(|| stem(path), str::to_owned);
            self.push(label, path.to_owned());
            return Ok(());
        }
        let matches = expand(&text, origin)?;
        if matches.is_empty() {
            let error = Error::new(Kind::Nothing, format!("the pattern {text} of {origin} matches no file"));
            let error = error.hint("was the application moved, or is the pattern relative to another folder?");
            self.failures.push(Failure { label: name.unwrap_or(&text).to_owned(), error });
        }
        for path in matches {
            let label = name.map_or_else(|| stem(&path), |name| format!("{name}-{}", stem(&path)));
            self.push(label, path);
        }
        Ok(())
    }

    /// One file that two patterns match is backed up once.
    fn push(&mut self, label: String, path: PathBuf) {
        if !self.sources.iter().any(|source| source.path == path) {
            self.sources.push(SqliteSource { label, path, limits: self.limits });
        }
    }
}

fn expand(pattern: &str, origin: &str) -> Result<Vec<PathBuf>> {
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let cannot = |cause: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(Kind::Usage, format!("cannot use the pattern {pattern} of {origin}")).because(cause)
    };
    let mut found = Vec::new();
    for path in glob::glob_with(pattern, options).map_err(|cause| cannot(cause.into()))? {
        let path = path.map_err(|cause| cannot(cause.into()))?;
        if path.is_file() && !is_companion(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

/// SQLite's own files beside a database; they are part of it.
fn is_companion(path: &Path) -> bool {
    let text = path.to_string_lossy();
    ["-wal", "-shm", "-journal"]
        .iter()
        .any(|suffix| text.strip_suffix(suffix).is_some_and(|database| Path::new(database).exists()))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Refuses labels that would share file names, naming both sources.
pub fn refuse_clashes<'a>(all: impl Iterator<Item = (&'a str, String)>) -> Result<()> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (label, source) in all {
        let Some(encoded) = Label::encode(label) else {
            return Err(Error::new(Kind::Usage, format!("the name of {source} is empty")));
        };
        if let Some(earlier) = seen.insert(encoded.clash_key(), source.clone()) {
            let what = format!("{earlier} and {source} would both be backed up as `{label}`");
            return Err(Error::new(Kind::Usage, what).hint("give one of them another `name`"));
        }
    }
    Ok(())
}
