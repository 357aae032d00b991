//! From a staged archive to a backup: read back, name, `.meta`, tiers — always in this order, in every tree.
//!
//! A backup exists when its `.meta` exists. A tier that falls due gets a second name for the same bytes and a
//! `.meta` of its own; the source is never read twice.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{Timestamp, Zoned};

use crate::archive::{Archive, Stream, StreamKind, Summary};
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{BackupJob, Context, Place, Retain};
use crate::manifest::meta::{
    BackupType, Content, Details, Encryption, FORMAT_VERSION, Format, LargeObjectFacts, Meta, Readback, Source,
    SqliteFacts, TableFacts,
};
use crate::manifest::moment::Moment;
use crate::pipeline::joined;
use crate::policy::{ArchiveKind, ArchiveName, Compression, Label, Seal};
use crate::seal::{Recipients, Signer};
use crate::store::{Bytes, Existing, Lanes, Output, Published, Tee, Upload};
use crate::units::{StoredBytes, human_bytes};

use super::TOOL_VERSION;
use super::outcome::{BackedUp, PlaceFailure};
use super::recorder::Recorded;
use super::trees::{Filing, Series, Tree, signed};

/// What `.meta` says of the source, beyond what the archive itself knows.
#[derive(Clone, Debug)]
pub struct Described {
    pub source: Source,
    pub label: String,
    pub server_version: String,
    pub snapshot_lsn: Option<String>,
    pub warnings: Vec<String>,
    pub sqlite: Option<SqliteFacts>,
    pub compression: String,
    pub content: Content,
    /// The flags that left out objects or rows, and those that left out what objects have.
    pub part: Option<String>,
    pub without: Option<String>,
    pub large_objects: Option<LargeObjectFacts>,
}

impl Described {
    pub fn series(&self) -> Result<Series> {
        Series::of(&self.source, self.content, self.part.as_deref())
    }
}

/// The place of one archive: its name is chosen, nothing stands under it yet.
pub struct Shelf {
    spot: Spot,
    started: Zoned,
    retain: Option<Retain>,
    encryption: Option<Encryption>,
    signer: Option<Arc<Signer>>,
}

/// What the suffixes of a name tell.
#[derive(Clone, Copy)]
struct Form {
    compression: Compression,
    seal: Option<Seal>,
}

enum Spot {
    /// A tree that could not be opened is kept as its error; there is always one that could.
    Trees {
        name: ArchiveName,
        trees: Vec<(PathBuf, Result<Tree>)>,
        lanes: Option<Lanes>,
    },
    File(Output),
}

impl Shelf {
    /// Looks into every tree of the job.
    pub async fn open(
        job: &BackupJob,
        kind: ArchiveKind,
        label: &str,
        started: &Zoned,
        context: &Context,
    ) -> Result<Self> {
        let (job, label, started, context) = (job.clone(), label.to_owned(), started.clone(), context.clone());
        joined(tokio::task::spawn_blocking(move || Shelf::find(&job, kind, &label, &started, &context)).await)
    }

    fn find(job: &BackupJob, kind: ArchiveKind, label: &str, started: &Zoned, context: &Context) -> Result<Self> {
        let spot = match &job.place {
            Place::File { path, force } => {
                let existing = if *force { Existing::Replace } else { Existing::Refuse };
                Spot::File(Output::new(path, existing)?)
            }
            Place::Tree { root } => {
                let roots = std::iter::once(root).chain(&job.copies);
                let trees = roots.map(|root| (root.clone(), Tree::open(root, &job.state_dir, started, context)));
                let trees = one_at_least(trees.collect())?;
                let open: Vec<&Tree> = trees.iter().filter_map(|(_, tree)| tree.as_ref().ok()).collect();
                let form =
                    Form { compression: job.compress.suffix(), seal: job.recipients.as_deref().map(Recipients::seal) };
                let name = free_name(&open, kind, label, started, form)?;
                Spot::Trees { name, trees, lanes: None }
            }
        };
        let encryption = job.recipients.as_deref().map(|recipients| Encryption {
            method: recipients.seal().name().to_owned(),
            recipients: recipients.shown(),
        });
        Ok(Shelf { spot, started: started.clone(), retain: job.retain, encryption, signer: job.signer.clone() })
    }

    /// For an archive of about so many bytes.
    pub async fn begin(&mut self, expected: Option<u64>, series: &Series) -> Result<Box<dyn Upload>> {
        let (name, trees, lanes) = match &mut self.spot {
            Spot::File(output) => return output.begin(),
            Spot::Trees { name, trees, lanes } => (name.clone(), trees, lanes),
        };
        // Those that are not open have their errors already.
        let open: Vec<Tree> = trees.iter().filter_map(|(_, tree)| tree.as_ref().ok().cloned()).collect();
        let is_one = trees.len() == 1;
        let (series, started) = (series.clone(), self.started.clone());
        let begin = move || {
            let begun = open.iter().map(|tree| tree.begin(&name, expected, &series, &started));
            let (mut uploads, mut along) = (Vec::new(), Vec::new());
            for one in begun {
                let (upload, tiers) =
                    one.map_or_else(|error| (Err(error), None), |(upload, tiers)| (Ok(upload), tiers));
                uploads.push(upload);
                along.push(tiers);
            }
            match (is_one, uploads.pop()) {
                (true, Some(only)) => only.map(|upload| (upload, None, along)),
                (_, last) => {
                    uploads.extend(last);
                    let (tee, outcomes) = Tee::new(uploads)?;
                    Ok((Box::new(tee) as Box<dyn Upload>, Some(outcomes), along))
                }
            }
        };
        let (upload, outcomes, along) = joined(tokio::task::spawn_blocking(begin).await)?;
        let open = trees.iter_mut().filter_map(|(_, tree)| tree.as_mut().ok());
        open.zip(along).for_each(|(tree, along)| tree.goes_along(along));
        *lanes = outcomes;
        Ok(upload)
    }

    /// Blocks on the place; the archive gets its name, its `.meta`, and the tiers that are due.
    pub fn publish(self, recorded: Recorded, described: Described, context: &Context) -> Result<BackedUp> {
        let Recorded { upload, summary, sha256, bytes, sealed_tail } = recorded;
        let published = upload.publish(&mut |stored| match &sealed_tail {
            None => read_back(stored, &summary),
            Some(tail) => read_back_sealed(stored, bytes, tail),
        })?;
        let finished = context.clock.now();
        let (started, encryption) = (&self.started, self.encryption.as_ref());
        let facts = Facts { summary: &summary, sha256: &sha256, bytes, started, finished, encryption };
        match self.spot {
            Spot::File(output) => {
                let meta = facts.meta(described, published);
                let json = meta.with_type(BackupType::Manual).to_json();
                output.put_meta(&signed(json, self.signer.as_deref())?)?;
                Ok(BackedUp::new(output.path().to_owned(), Vec::new(), &meta))
            }
            Spot::Trees { name, trees, lanes } => {
                let filing =
                    Filing { started: &self.started, retain: self.retain.as_ref(), signer: self.signer.as_deref() };
                let outcomes = lanes.map_or_else(|| vec![Ok(published)], |lanes| lanes.take());
                file_in_all(&name, trees, outcomes, &filing, &|published| facts.meta(described.clone(), published))
            }
        }
    }
}

/// `outcomes` are those of the trees that could be opened.
fn file_in_all(
    name: &ArchiveName,
    trees: Vec<(PathBuf, Result<Tree>)>,
    outcomes: Vec<Result<Published>>,
    filing: &Filing<'_>,
    meta_of: &dyn Fn(Published) -> Meta,
) -> Result<BackedUp> {
    let mut outcomes = outcomes.into_iter();
    let mut done: Option<BackedUp> = None;
    let mut failed: Vec<(PathBuf, Error)> = Vec::new();
    for (root, tree) in trees {
        let filed = tree.and_then(|tree| {
            let lost = || Err(Error::new(Kind::Bug, "a tree was forgotten"));
            let published = outcomes.next().unwrap_or_else(lost)?;
            let meta = meta_of(published);
            tree.file(name, published, &meta, filing).map(|filed| (filed, meta))
        });
        match (filed, &mut done) {
            (Ok((filed, _)), Some(done)) => {
                done.copies.push(filed.path);
                done.warnings.extend(filed.warnings);
            }
            (Ok((filed, meta)), None) => {
                let mut first = BackedUp::new(filed.path, filed.tiers, &meta);
                first.warnings.extend(filed.warnings);
                done = Some(first);
            }
            (Err(error), _) => failed.push((root, error)),
        }
    }
    match done {
        Some(done) => Ok(BackedUp { failed: failed.into_iter().map(PlaceFailure::from).collect(), ..done }),
        None => Err(all_failed(failed)),
    }
}

fn one_at_least(trees: Vec<(PathBuf, Result<Tree>)>) -> Result<Vec<(PathBuf, Result<Tree>)>> {
    if trees.iter().any(|(_, tree)| tree.is_ok()) {
        return Ok(trees);
    }
    Err(all_failed(trees.into_iter().filter_map(|(root, tree)| Some((root, tree.err()?))).collect()))
}

/// The first error; the others are told with it.
fn all_failed(failed: Vec<(PathBuf, Error)>) -> Error {
    let mut failed = failed.into_iter();
    let first =
        failed.next().map_or_else(|| Error::new(Kind::Bug, "there is no place to write to"), |(_, error)| error);
    failed.fold(first, |first, (root, error)| first.note(format!("{}: {}", root.display(), error.chain())))
}

/// The first name from `started` on that stands in no tier, not even as an orphan.
fn free_name(trees: &[&Tree], kind: ArchiveKind, label: &str, started: &Zoned, form: Form) -> Result<ArchiveName> {
    let encoded = Label::encode(label)
        .ok_or_else(|| Error::new(Kind::Usage, format!("`{label}` cannot be the name of a backup")))?;
    ArchiveName::new(kind, encoded, started, form.compression, form.seal)
        .first_free(|stem| trees.iter().any(|tree| tree.is_taken(stem)))
        .ok_or_else(|| Error::new(Kind::Place, format!("no free name for {label} is left today")))
}

/// The archive as it lies there must open and be the one that was written.
fn read_back(stored: &dyn Bytes, summary: &Summary) -> Result<()> {
    let archive = Archive::open_for_members(stored)?;
    let same = archive.id() == summary.id && archive.streams() == summary.streams;
    match same {
        true => Ok(()),
        false => Err(Error::new(Kind::Damaged, "the archive that was read back is not the one that was written")),
    }
}

/// Nobody here can open it: the end must be the end that was written, at the same length. Index and footer were checked
/// before they were sealed.
fn read_back_sealed(stored: &dyn Bytes, bytes: u64, tail: &[u8]) -> Result<()> {
    let differs =
        || Error::new(Kind::Damaged, "the encrypted archive that was read back is not the one that was written");
    let at = bytes.checked_sub(tail.len() as u64).filter(|_| stored.len() == bytes).ok_or_else(differs)?;
    let mut found = vec![0; tail.len()];
    stored.read_at(at, &mut found).context(Kind::Place, || "cannot read the archive back".to_owned())?;
    if found == tail { Ok(()) } else { Err(differs()) }
}

/// Everything that `.meta` says of an archive itself.
struct Facts<'a> {
    summary: &'a Summary,
    sha256: &'a str,
    bytes: u64,
    started: &'a Zoned,
    finished: Timestamp,
    encryption: Option<&'a Encryption>,
}

impl Facts<'_> {
    fn meta(&self, described: Described, published: Published) -> Meta {
        let (database, host, port, format) = match &described.source {
            Source::Sqlite { host, .. } => (described.label.clone(), host.clone(), String::new(), Format::Sqlite),
            Source::Postgres { server, port, database } => {
                (database.clone(), server.clone(), port.clone(), Format::Sql)
            }
            Source::Globals { server, port } => (described.label.clone(), server.clone(), port.clone(), Format::Sql),
        };
        Meta {
            timestamp: Moment::from(self.started),
            database,
            host,
            port,
            backup_type: BackupType::Daily,
            size_bytes: StoredBytes(self.bytes),
            size_human: human_bytes(self.bytes),
            compression: described.compression.clone(),
            format,
            details: Some(self.details(described, published)),
        }
    }

    fn details(&self, described: Described, published: Published) -> Details {
        let duration = self.finished.duration_since(self.started.timestamp());
        Details {
            format_version: FORMAT_VERSION,
            tool_version: TOOL_VERSION.to_owned(),
            archive_id: self.summary.id.to_string(),
            sha256: self.sha256.to_owned(),
            raw_bytes: self.summary.raw,
            label: described.label,
            source: described.source,
            server_version: described.server_version,
            duration_seconds: duration.as_secs_f64().max(0.0),
            snapshot_lsn: described.snapshot_lsn,
            readback: if published.read_back { Readback::Checked } else { Readback::Denied },
            content: described.content,
            part: described.part,
            without: described.without,
            encryption: self.encryption.cloned(),
            files: (published.further > 0).then(|| published.further.saturating_add(1)),
            signature: None,
            sqlite: described.sqlite,
            warnings: described.warnings,
            tables: tables(self.summary),
            large_objects: described.large_objects,
        }
    }
}

/// Rows and digest of each table.
pub fn tables(summary: &Summary) -> Vec<TableFacts> {
    summary.streams.iter().filter(|stream| stream.spec.kind == StreamKind::Rows).map(table).collect()
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
