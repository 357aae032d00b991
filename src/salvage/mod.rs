//! Writes what is sound in a damaged archive as a sound archive of its own, with a `.meta` that says what was lost.
//!
//! The damaged file is only read. The new one is checked completely before it gets its name, and refused if it
//! would take the damaged one's place: until the rows are back in a database, both are needed.

pub mod outcome;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::archive::{
    self, ArchiveHeader, ArchiveId, SalvageOptions, SalvageReport, SourceKind, Stream, StreamKind, Summary,
};
use crate::checksum::HashingWriter;
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::Context;
use crate::listing::{Listed, at_path};
use crate::manifest::meta::{Content, FORMAT_VERSION};
use crate::manifest::{BackupType, Details, Format, Meta, Moment, Readback, Source, TableFacts};
use crate::seal;
use crate::store::{Bytes, Existing, Output, explain};
use crate::units::{StoredBytes, human_bytes};
use crate::verify::stored::{self, Stoppable};

pub use outcome::{SalvageOutcome, StreamOutcome};

const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Replace what stands under the new archive's name.
    pub force: bool,
    /// A SQLite file that lacks pages is not a database. Keep what there is of it all the same?
    pub keep_torn_pages: bool,
}

/// Blocks. `Kind::Unsupported` if `from` is not an archive of ours, `Kind::Damaged` if nothing in it is sound,
/// `Kind::Refused` if the new name is taken, or pages of a SQLite file are lost.
pub fn run(from: &Path, output: &Path, options: Options, context: &Context) -> Result<SalvageOutcome> {
    let doing = |error: Error| error.while_doing(format!("cannot salvage {}", from.display()));
    let (row, damaged) = open(from, context).map_err(doing)?;
    refuse_same_file(from, output)?;
    let output = Output::new(output, if options.force { Existing::Replace } else { Existing::Refuse })?;

    context.progress.stage("salvaging", 0);
    let begun = context.clock.now();
    let mut sink = HashingWriter::new(output.begin()?);
    let wanted = SalvageOptions {
        id: new_id()?,
        now: begun,
        tool_version: TOOL_VERSION.to_owned(),
        keep_torn_pages: options.keep_torn_pages,
    };
    let salvaged = archive::salvage(Stoppable::new(damaged.as_ref(), &context.cancel), &mut sink, &wanted);
    context.cancel.check()?;
    let report = salvaged.map_err(explain).map_err(doing)?;
    let (upload, bytes, sha256) = sink.finish();
    upload.publish(&mut |stored| is_sound(stored, context))?;

    let warnings = warnings(from, &report);
    let origin = Origin { row: &row, header: report.damage.header.as_ref(), from };
    let took = context.clock.now().duration_since(begun).as_secs_f64().max(0.0);
    let written = Written {
        summary: &report.summary,
        bytes,
        sha256: &sha256,
        warnings: &warnings,
        complete: report.is_complete(),
        took,
    };
    output.put_meta(&origin.meta(&written, context).to_json())?;
    Ok(SalvageOutcome {
        path: output.path().to_owned(),
        from: from.to_owned(),
        archive_id: report.summary.id.to_string(),
        size_bytes: StoredBytes(bytes),
        sha256,
        complete: report.is_complete(),
        streams: report.streams.iter().map(StreamOutcome::from).collect(),
        objects_lost: report.objects_lost,
        header_lost: report.header_lost,
        index_lost: report.index_lost,
        findings: report.damage.findings.into_iter().map(Into::into).collect(),
        warnings,
    })
}

fn open(from: &Path, context: &Context) -> Result<(Listed, Box<dyn Bytes>)> {
    if from.is_dir() {
        return Err(Error::new(Kind::Usage, "it is a folder").hint("name one archive"));
    }
    let (store, listing) = at_path(from, &context.places, context.clock.zone())?;
    let row = listing.rows.into_iter().next().ok_or_else(|| Error::new(Kind::Nothing, "there is no such file"))?;
    let bytes = seal::open(stored::open(store.as_ref(), &row)?, &context.keys)?;
    Ok((row, bytes))
}

/// Also by another name: a link, or a path written differently.
fn refuse_same_file(from: &Path, output: &Path) -> Result<()> {
    let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    match identity(output) {
        Some(there) if identity(from) == Some(there) => {
            Err(Error::new(Kind::Refused, format!("{} is the damaged archive itself", output.display()))
                .hint("write to another name: nothing else holds what is still in the damaged one"))
        }
        _ => Ok(()),
    }
}

fn is_sound(stored: &dyn Bytes, context: &Context) -> Result<()> {
    let report = archive::check(Stoppable::new(stored, &context.cancel), &mut |_| {});
    context.cancel.check()?;
    match report.findings.first() {
        None => Ok(()),
        Some(finding) => {
            Err(Error::new(Kind::Damaged, "the salvaged archive is damaged").because(finding.what.clone()))
        }
    }
}

fn new_id() -> Result<ArchiveId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).context(Kind::Bug, || "cannot draw random bytes".to_owned())?;
    Ok(ArchiveId(id))
}

fn warnings(from: &Path, report: &SalvageReport) -> Vec<String> {
    let losses = outcome::losses(report);
    let first = match losses.is_empty() {
        true => "nothing was lost".to_owned(),
        false => "not everything was there any more".to_owned(),
    };
    std::iter::once(format!("salvaged from {}: {first}", from.display())).chain(losses).collect()
}

/// Everything that tells whose backup this was.
struct Origin<'a> {
    row: &'a Listed,
    /// Of the damaged archive, as far as it survived.
    header: Option<&'a ArchiveHeader>,
    from: &'a Path,
}

/// The new archive.
struct Written<'a> {
    summary: &'a Summary,
    bytes: u64,
    sha256: &'a str,
    warnings: &'a [String],
    complete: bool,
    took: f64,
}

impl Origin<'_> {
    fn meta(&self, written: &Written<'_>, context: &Context) -> Meta {
        let old = self.row.meta.as_ref();
        let format = match self.is_sqlite(written.summary) {
            true => Format::Sqlite,
            false => Format::Sql,
        };
        let created = self.header.map(|header| Moment::from(header.created));
        let text = |old: Option<&String>| old.cloned().unwrap_or_default();
        Meta {
            timestamp: old.map(|old| old.timestamp).or(created).unwrap_or(Moment::from(&context.clock.zoned())),
            database: old.map(|old| old.database.clone()).unwrap_or_else(|| self.name()),
            host: text(old.map(|old| &old.host)),
            port: text(old.map(|old| &old.port)),
            backup_type: BackupType::Manual,
            size_bytes: StoredBytes(written.bytes),
            size_human: human_bytes(written.bytes),
            compression: old.map_or_else(|| written.summary.framing.name().to_owned(), |old| old.compression.clone()),
            format,
            details: Some(self.details(written, format)),
        }
    }

    fn details(&self, written: &Written<'_>, format: Format) -> Details {
        let old = self.row.meta.as_ref().and_then(|meta| meta.details.as_ref());
        let rows = written.summary.streams.iter().filter(|stream| stream.spec.kind == StreamKind::Rows);
        Details {
            format_version: FORMAT_VERSION,
            tool_version: TOOL_VERSION.to_owned(),
            archive_id: written.summary.id.to_string(),
            sha256: written.sha256.to_owned(),
            raw_bytes: written.summary.raw,
            label: old.map(|old| old.label.clone()).unwrap_or_else(|| self.name()),
            source: old.map(|old| old.source.clone()).unwrap_or_else(|| self.source(format)),
            server_version: old
                .map(|old| old.server_version.clone())
                .or_else(|| self.fact("server_version").or(self.fact("sqlite_version")))
                .unwrap_or_default(),
            duration_seconds: written.took,
            snapshot_lsn: old.and_then(|old| old.snapshot_lsn.clone()).or_else(|| self.fact("snapshot_lsn")),
            readback: Readback::Checked,
            content: match written.complete {
                true => old.map(|old| old.content).unwrap_or_default(),
                false => Content::Salvaged,
            },
            part: old.and_then(|old| old.part.clone()).or_else(|| self.fact(archive::PART)),
            without: old.and_then(|old| old.without.clone()).or_else(|| self.fact(archive::WITHOUT)),
            encryption: None,
            files: None,
            signature: None,
            sqlite: old.and_then(|old| old.sqlite.clone()),
            warnings: written.warnings.to_vec(),
            tables: rows.map(table).collect(),
            // What is left of them is not what was counted, unless nothing is missing.
            large_objects: old.filter(|_| written.complete).and_then(|old| old.large_objects),
        }
    }

    fn is_sqlite(&self, summary: &Summary) -> bool {
        match self.header {
            Some(header) => header.kind == SourceKind::Sqlite,
            None => summary.streams.iter().any(|stream| stream.spec.kind == StreamKind::Pages),
        }
    }

    fn fact(&self, key: &str) -> Option<String> {
        self.header.and_then(|header| header.source.get(key)).cloned()
    }

    /// Whose backup it was where no `.meta` says it.
    fn name(&self) -> String {
        let known = self.fact("name").or_else(|| self.fact("database")).filter(|name| !name.is_empty());
        let file = || self.from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        known.unwrap_or_else(|| if self.row.label.is_empty() { file() } else { self.row.label.clone() })
    }

    fn source(&self, format: Format) -> Source {
        if self.header.is_some_and(|header| header.kind == SourceKind::Globals) {
            return Source::Globals { server: self.name(), port: String::new() };
        }
        match format {
            Format::Sqlite => Source::Sqlite { host: String::new(), path: self.fact("path").unwrap_or_default() },
            Format::Sql => {
                let database = self.fact("database").unwrap_or_else(|| self.name());
                Source::Postgres { server: String::new(), port: String::new(), database }
            }
        }
    }
}

fn table(stream: &Stream) -> TableFacts {
    TableFacts {
        schema: stream.spec.schema.to_string(),
        name: stream.spec.name.to_string(),
        rows: stream.rows,
        raw_bytes: stream.raw,
        digest: stream.digest,
    }
}
