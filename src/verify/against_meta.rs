//! The archive against what its `.meta` says of it. Every difference is a finding.

use std::collections::BTreeMap;

use crate::archive::{Stream, StreamKind};
use crate::manifest::{Details, Format, Meta, TableFacts};

use super::outcome::Finding;
use super::seen::{Ours, Seen};

/// What is compared with a `.meta` besides what was seen inside of the file.
pub struct Stored<'a> {
    pub size: u64,
    /// Missing where nobody asked for it, or where the bytes could not be read.
    pub sha256: Option<&'a str>,
}

pub fn compare(meta: &Meta, stored: &Stored<'_>, seen: &Seen) -> Vec<Finding> {
    let mut found = Differences(Vec::new());
    found.unless_same("bytes", &stored.size, &meta.size_bytes.0);
    if let Some(format) = seen.format {
        found.unless_same("format", &format_name(format), &format_name(meta.format));
    }
    let Some(details) = &meta.details else { return found.0 };
    if let Some(sha256) = stored.sha256 {
        found.unless_same("SHA-256", &sha256, &details.sha256.as_str());
    }
    match &seen.ours {
        Some(ours) => compare_contents(details, ours, &mut found),
        None if seen.foreign => {
            found.0.push(Finding::damage("it is not the archive that its .meta describes but another tool's file"));
        }
        // The damage to its index was found before.
        None => {}
    }
    found.0
}

fn compare_contents(details: &Details, ours: &Ours, found: &mut Differences) {
    found.unless_same("archive id", &ours.id, &details.archive_id);
    let raw: u64 = ours.streams.iter().map(|stream| stream.raw.0).fold(0, u64::saturating_add);
    found.unless_same("raw bytes", &raw, &details.raw_bytes.0);
    let mut described: BTreeMap<(&str, &str), &TableFacts> =
        details.tables.iter().map(|table| ((table.schema.as_str(), table.name.as_str()), table)).collect();
    for stream in ours.streams.iter().filter(|stream| stream.spec.kind == StreamKind::Rows) {
        match described.remove(&(stream.spec.schema.as_str(), stream.spec.name.as_str())) {
            Some(table) => found.compare_table(stream, table),
            None => found.0.push(Finding::damage_of(stream.spec.label(), "its .meta does not name this table")),
        }
    }
    for (schema, name) in described.into_keys() {
        let table = format!("{schema}.{name}");
        found.0.push(Finding::damage_of(table, "its .meta names this table, the archive does not have it"));
    }
}

struct Differences(Vec<Finding>);

impl Differences {
    fn unless_same<T: PartialEq + std::fmt::Display>(&mut self, what: &str, found: &T, described: &T) {
        if found != described {
            self.0.push(Finding::damage(format!("{what}: {found}, expected {described} by its .meta")));
        }
    }

    fn compare_table(&mut self, stream: &Stream, table: &TableFacts) {
        let mut inner = Differences(Vec::new());
        inner.unless_same("rows", &stream.rows, &table.rows);
        inner.unless_same("raw bytes", &stream.raw.0, &table.raw_bytes.0);
        inner.unless_same("digest of rows", &stream.digest, &table.digest);
        let label = Some(stream.spec.label());
        self.0.extend(inner.0.into_iter().map(|finding| Finding { stream: label.clone(), ..finding }));
    }
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Sql => "sql",
        Format::Sqlite => "sqlite",
    }
}
