//! Looks into one stored file: of an archive its head and index, of anything else as much as there is to see.
//!
//! Rows are not checked here, so nothing is called sound. Of an archive that cannot be opened, what is readable of
//! it is told; a script of another tool is read to its end, because only its rows say what is in it.

pub mod outcome;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::archive::{
    self, Archive, ArchiveHeader, PipeReader, ReadAt, SNIFF_BYTES, Sniff, SourceKind, Stream, TocEntry, sniff,
};
use crate::error::{Context as _, Error, Kind, Result};
use crate::ident::Ident;
use crate::job::Context;
use crate::listing::{Listed, State, at_path};
use crate::pg::properties::Properties;
use crate::read_at::Sequential;
use crate::seal;
use crate::sqlite::{self, Facts};
use crate::store::Places;
use crate::units::StoredBytes;
use crate::verify::unpacked::Unpacked;
use crate::verify::{foreign, script, stored};

pub use outcome::{Inspected, ObjectFacts, StreamFacts, What};

/// How long a SQLite file that another process holds is waited for.
const BUSY_LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// List every object of the script, not only how many there are of each kind.
    pub objects: bool,
    /// Show the database's properties as SQL statements, too.
    pub properties_sql: bool,
    /// Where another tool's compressed SQLite file is unpacked; `None` is beside it.
    pub staging: Option<PathBuf>,
}

/// Blocks. `Kind::Nothing` if there is no such file, `Kind::Usage` if it is a folder.
pub fn run(path: &Path, options: &Options, context: &Context) -> Result<Inspected> {
    let is_folder = || {
        Error::new(Kind::Usage, format!("{} is a folder, not a file", path.display()))
            .hint("`list` shows what is in it")
    };
    if path.is_dir() {
        return Err(is_folder());
    }
    let doing = |error: Error| error.while_doing(format!("cannot inspect {}", path.display()));
    let (store, listing) = at_path(path, &context.places, context.clock.zone()).map_err(doing)?;
    if !listing.is_file {
        return Err(is_folder());
    }
    let row = listing.rows.into_iter().next().ok_or_else(|| Error::new(Kind::Nothing, "nothing to inspect"))?;
    let mut inspected = begin(path, &row);
    if let (State::Damaged, Some(note)) = (row.state, &row.note) {
        inspected.trouble(Kind::Damaged, note);
    }
    let bytes = stored::open(store.as_ref(), &row).map_err(doing)?;
    // Without a key there is still what its `.meta` says.
    let bytes = match context.keys.is_empty() || seal::reads_in_order(&bytes) {
        true => bytes,
        false => seal::open(bytes, &context.keys).map_err(doing)?,
    };
    let source = stored::Stoppable::new(bytes.as_ref(), &context.cancel);
    let look = Look { path: PathBuf::from(store.shown(&row.path)), options, context };
    let looked = look.at(&source, &mut inspected);
    context.cancel.check()?;
    looked.map_err(doing)?;
    Ok(inspected)
}

fn begin(path: &Path, row: &Listed) -> Inspected {
    Inspected {
        path: path.to_owned(),
        what: What::Unknown,
        foreign: false,
        size_bytes: StoredBytes(row.size),
        problems: Vec::new(),
        header: None,
        streams: Vec::new(),
        members: 0,
        objects: 0,
        object_kinds: Default::default(),
        object_list: None,
        properties: Value::Null,
        properties_sql: None,
        sqlite: None,
        meta: row.meta.clone(),
        kind: None,
    }
}

impl Inspected {
    /// The first trouble decides the exit code.
    fn trouble(&mut self, kind: Kind, what: impl Into<String>) {
        self.kind = self.kind.or(Some(kind));
        self.problems.push(what.into());
    }
}

struct Look<'a> {
    path: PathBuf,
    options: &'a Options,
    context: &'a Context,
}

impl Look<'_> {
    fn at(&self, source: &stored::Stoppable<'_>, into: &mut Inspected) -> Result<()> {
        let mut first = vec![0; SNIFF_BYTES.min(usize::try_from(source.len()).unwrap_or(SNIFF_BYTES))];
        source.read_at(0, &mut first).context(Kind::Place, || "its first bytes cannot be read".to_owned())?;
        match sniff(&first) {
            Sniff::PlainSql => self.script(Sequential::new(source), into),
            Sniff::PlainSqlite if Places::bucket(&self.path).is_some() => {
                (into.what, into.foreign) = (What::Database, true);
                into.trouble(Kind::Unsupported, "a plain SQLite file is looked at on a disk only");
                Ok(())
            }
            Sniff::PlainSqlite => {
                (into.what, into.foreign) = (What::Database, true);
                into.sqlite = Some(sqlite::inspect::run(&self.path, BUSY_LIMIT, &self.context.cancel)?);
                Ok(())
            }
            Sniff::Gpg if !self.context.keys.is_empty() => self.in_order(source, into),
            sealed @ (Sniff::Age | Sniff::Gpg) => {
                into.trouble(Kind::Unsupported, foreign::closed(sealed).chain());
                Ok(())
            }
            _ => match Archive::open(source) {
                Ok(archive) => {
                    let (streams, toc) = (archive.streams(), archive.toc());
                    self.archive(archive.header(), streams, toc, archive.properties(), into)
                }
                Err(error) => self.no_archive(source, &error, into),
            },
        }
    }

    /// What gpg encrypted must be read to its end: there is the index, and there it proves to be whole.
    fn in_order(&self, source: &stored::Stoppable<'_>, into: &mut Inspected) -> Result<()> {
        self.context.progress.stage("decrypting", source.len());
        let mut reader = PipeReader::open(seal::unseal_stream(Sequential::new(source), &self.context.keys)?)?;
        let mut raw = Vec::new();
        while reader.next_member(&mut raw)?.is_some() {
            self.context.progress.add_raw(raw.len() as u64, 0);
        }
        let header = reader.header().clone();
        let tail = reader.finish()?;
        self.archive(&header, &tail.streams, &tail.toc, &tail.properties, into)
    }

    fn archive(
        &self,
        header: &ArchiveHeader,
        streams: &[Stream],
        toc: &[TocEntry],
        properties: &Value,
        into: &mut Inspected,
    ) -> Result<()> {
        into.what = What::Archive;
        into.streams = streams.iter().map(StreamFacts::from).collect();
        into.members = into.streams.iter().map(|stream| stream.members).sum();
        into.objects = toc.len() as u64;
        for entry in toc {
            *into.object_kinds.entry(entry.kind.to_string()).or_default() += 1;
        }
        into.object_list = self.options.objects.then(|| toc.iter().map(ObjectFacts::from).collect());
        match header.kind {
            SourceKind::Sqlite => into.sqlite = properties.get("sqlite").and_then(facts),
            SourceKind::Postgres if self.options.properties_sql => {
                let database = header.source.get("database").map(String::as_str).unwrap_or_default();
                match properties_sql(properties, database) {
                    Ok(statements) => into.properties_sql = Some(statements),
                    Err(error) => into.trouble(error.kind(), error.chain()),
                }
            }
            SourceKind::Postgres | SourceKind::Globals => {}
        }
        into.properties = properties.clone();
        into.header = Some(header.clone());
        Ok(())
    }

    /// Damaged, or not ours at all: only going through all of it tells.
    fn no_archive(&self, source: &stored::Stoppable<'_>, why: &Error, into: &mut Inspected) -> Result<()> {
        self.context.progress.stage("looking for what is readable", source.len());
        let report = archive::check(source, &mut |passed| self.context.progress.add_raw(passed, 0));
        self.context.cancel.check()?;
        if report.kind() != Some(Kind::Unsupported) {
            into.what = What::Archive;
            into.trouble(Kind::Damaged, why.chain());
            into.problems.extend(report.findings.iter().map(|finding| match finding.at {
                Some(at) => format!("at byte {at}: {}", finding.what),
                None => finding.what.clone(),
            }));
            into.streams = report.streams.iter().map(StreamFacts::from).collect();
            into.members = into.streams.iter().map(|stream| stream.members).sum();
            into.header = report.header;
            return Ok(());
        }
        match foreign::inflate(source) {
            Ok((mut inflated, first)) => match sniff(&first) {
                Sniff::PlainSql => return self.script(inflated, into),
                Sniff::PlainSqlite => return self.database(source, &mut inflated, into),
                _ => {}
            },
            Err(_) => self.context.cancel.check()?,
        }
        into.trouble(Kind::Unsupported, why.chain());
        Ok(())
    }

    fn script(&self, reader: impl std::io::Read, into: &mut Inspected) -> Result<()> {
        self.context.progress.stage("reading the script", 0);
        let (script, trouble) = script::read(reader, &self.context.cancel)?;
        (into.what, into.foreign) = (What::Script, true);
        into.streams = script.tables.iter().map(StreamFacts::from).collect();
        into.objects = script.statements;
        if let Some(trouble) = trouble {
            let kind = if trouble.is_damage() { Kind::Damaged } else { Kind::Unsupported };
            into.trouble(kind, trouble.to_string());
        }
        Ok(())
    }

    fn database<R: ReadAt>(&self, source: &R, inflated: &mut impl std::io::Read, into: &mut Inspected) -> Result<()> {
        self.context.progress.stage("unpacking", 0);
        (into.what, into.foreign) = (What::Database, true);
        let needed = u64::from(foreign::inflated_size(source).unwrap_or(0));
        let is_far = Places::bucket(&self.path).is_some();
        let staging = self.options.staging.as_deref().or(is_far.then_some(self.context.scratch.as_path()));
        let mut copy = Unpacked::begin(&self.path, staging, needed)?;
        let looked = copy.fill(inflated, &self.context.cancel).and_then(|_| sqlite::inspect::staged(copy.path()));
        match looked {
            Ok(facts) => into.sqlite = Some(facts),
            Err(error) if error.kind() == Kind::Damaged => into.trouble(Kind::Damaged, error.chain()),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What the backup wrote down of the file that it copied.
fn facts(stored: &Value) -> Option<Facts> {
    serde_json::from_value(stored.clone()).ok()
}

fn properties_sql(properties: &Value, database: &str) -> Result<Vec<String>> {
    Properties::from_archive(properties)?.statements(&Ident::new(database))
}
