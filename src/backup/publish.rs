//! From a staged archive to a backup: read back, name, `.meta`, tiers, copies — always in this order.
//!
//! A backup exists when its `.meta` exists. A tier that falls due gets a second name for the same bytes and a
//! `.meta` of its own; the source is never read twice.

use std::io::Write;
use std::path::PathBuf;

use jiff::{Timestamp, Zoned};

use crate::archive::{Archive, Stream, StreamKind, Summary};
use crate::checksum::HashingWriter;
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{BackupJob, Context, Place};
use crate::listing::Listing;
use crate::manifest::meta::{
    BackupType, Content, Details, FORMAT_VERSION, Format, Meta, Readback, Source, SqliteFacts, TableFacts,
};
use crate::manifest::moment::Moment;
use crate::policy::naming::meta_name;
use crate::policy::tiers::due;
use crate::policy::{ArchiveKind, ArchiveName, Compression, Label, Tier};
use crate::store::{Bytes, Existing, LocalStore, Name, Output, Published, Store, Upload, explain};
use crate::units::{StoredBytes, human_bytes};

use super::TOOL_VERSION;
use super::outcome::BackedUp;
use super::recorder::Recorded;

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
}

/// The place of one archive: its name is chosen, nothing stands under it yet.
pub struct Shelf {
    spot: Spot,
    started: Zoned,
}

enum Spot {
    Tree { store: LocalStore, listing: Listing, name: ArchiveName, copies: Vec<PathBuf> },
    File(Output),
}

impl Shelf {
    pub fn find(job: &BackupJob, kind: ArchiveKind, label: &str, started: &Zoned) -> Result<Self> {
        let spot = match &job.place {
            Place::File { path, force } => {
                let existing = if *force { Existing::Replace } else { Existing::Refuse };
                Spot::File(Output::new(path, existing)?)
            }
            Place::Tree { root } => {
                let store = LocalStore::new(root);
                let listing = Listing::of(&store, started.time_zone())?;
                let mut listings = vec![&listing];
                let copies = job.copies.iter().map(|root| Listing::of(&LocalStore::new(root), started.time_zone()));
                let copies: Vec<Listing> = copies.collect::<Result<_>>()?;
                listings.extend(&copies);
                let name = free_name(&listings, kind, label, started, job.compress.suffix())?;
                Spot::Tree { store, listing, name, copies: job.copies.clone() }
            }
        };
        Ok(Shelf { spot, started: started.clone() })
    }

    pub fn begin(&self) -> Result<Box<dyn Upload>> {
        match &self.spot {
            Spot::File(output) => output.begin(),
            Spot::Tree { store, name, .. } => store.begin(&Name::new(name.path(Tier::Daily))?),
        }
    }

    /// Blocks on the disk; the archive gets its name, its `.meta`, and the tiers that are due.
    pub fn publish(self, recorded: Recorded, described: Described, context: &Context) -> Result<BackedUp> {
        let Recorded { upload, summary, sha256, bytes } = recorded;
        let published = upload.publish(&mut |stored| read_back(stored, &summary))?;
        let finished = context.clock.now();
        let meta = Facts { summary: &summary, sha256: &sha256, bytes, started: &self.started, finished, published }
            .meta(described);
        let (path, tiers, copies) = match self.spot {
            Spot::File(output) => {
                output.put_meta(&meta.with_type(BackupType::Manual).to_json())?;
                (output.path().to_owned(), Vec::new(), Vec::new())
            }
            Spot::Tree { store, listing, name, copies } => {
                let tiers = publish_tiers(&store, &listing, &name, &meta, &self.started)?;
                let copies = copy_to(&copies, &store, &name, &meta, &self.started)?;
                (store.path_of(&Name::new(name.path(Tier::Daily))?), tiers, copies)
            }
        };
        Ok(BackedUp::new(path, tiers, copies, &meta))
    }
}

/// The first name from `started` on that stands in no tier, not even as an orphan.
fn free_name(
    listings: &[&Listing],
    kind: ArchiveKind,
    label: &str,
    started: &Zoned,
    compression: Compression,
) -> Result<ArchiveName> {
    let encoded = Label::encode(label)
        .ok_or_else(|| Error::new(Kind::Usage, format!("`{label}` cannot be the name of a backup")))?;
    ArchiveName::new(kind, encoded, started, compression, false)
        .first_free(|stem| listings.iter().any(|listing| listing.is_taken(stem)))
        .ok_or_else(|| Error::new(Kind::Place, format!("no free name for {label} is left today")))
}

/// The archive as it lies there must open and be the one that was written.
fn read_back(stored: &dyn Bytes, summary: &Summary) -> Result<()> {
    let archive = Archive::open(stored)?;
    let same = archive.id() == summary.id && archive.streams() == summary.streams;
    match same {
        true => Ok(()),
        false => Err(Error::new(Kind::Damaged, "the archive that was read back is not the one that was written")),
    }
}

/// `.meta` of the daily one, then link and `.meta` of each further tier that is due.
fn publish_tiers(
    store: &LocalStore,
    listing: &Listing,
    name: &ArchiveName,
    meta: &Meta,
    now: &Zoned,
) -> Result<Vec<Tier>> {
    let due = match meta.is_regular() {
        true => due(now, &listing.tiers_of(&meta.source(), meta.part())),
        false => vec![Tier::Daily],
    };
    for &tier in &due {
        let archive = name.path(tier);
        if tier != Tier::Daily {
            store.link(&Name::new(name.path(Tier::Daily))?, &Name::new(archive.as_str())?)?;
        }
        store.put_new(&Name::new(meta_name(&archive))?, &meta.with_type(backup_type(tier)).to_json())?;
    }
    Ok(due)
}

/// Everything that `.meta` says of an archive itself.
struct Facts<'a> {
    summary: &'a Summary,
    sha256: &'a str,
    bytes: u64,
    started: &'a Zoned,
    finished: Timestamp,
    published: Published,
}

impl Facts<'_> {
    fn meta(&self, described: Described) -> Meta {
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
            details: Some(self.details(described)),
        }
    }

    fn details(&self, described: Described) -> Details {
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
            readback: if self.published.read_back { Readback::Checked } else { Readback::Denied },
            content: described.content,
            part: described.part,
            without: described.without,
            encryption: None,
            sqlite: described.sqlite,
            warnings: described.warnings,
            tables: tables(self.summary),
        }
    }
}

/// Rows and digest of each table.
pub fn tables(summary: &Summary) -> Vec<TableFacts> {
    summary.streams.iter().filter(|stream| stream.spec.kind == StreamKind::Rows).map(table).collect()
}

fn table(stream: &Stream) -> TableFacts {
    TableFacts {
        schema: stream.spec.schema.clone(),
        name: stream.spec.name.clone(),
        rows: stream.rows,
        raw_bytes: stream.raw,
        digest: stream.digest,
    }
}

fn backup_type(tier: Tier) -> BackupType {
    match tier {
        Tier::Daily => BackupType::Daily,
        Tier::Weekly => BackupType::Weekly,
        Tier::Monthly => BackupType::Monthly,
    }
}

/// The published archive into further trees, each with its own tiers and `.meta`. The bytes are compared by their
/// digest before the copy gets its name.
fn copy_to(roots: &[PathBuf], from: &LocalStore, name: &ArchiveName, meta: &Meta, now: &Zoned) -> Result<Vec<PathBuf>> {
    let mut copies = Vec::new();
    for root in roots {
        let store = LocalStore::new(root);
        let path = Name::new(name.path(Tier::Daily))?;
        let upload = pour(from.open(&path)?.as_ref(), store.begin(&path)?, meta)?;
        upload.publish(&mut |copy| Archive::open(copy).map(drop))?;
        let listing = Listing::of(&store, now.time_zone())?;
        publish_tiers(&store, &listing, name, meta, now)?;
        copies.push(store.path_of(&path));
    }
    Ok(copies)
}

/// Copies stored bytes and compares their digest with the one that `.meta` has.
fn pour(from: &dyn Bytes, upload: Box<dyn Upload>, meta: &Meta) -> Result<Box<dyn Upload>> {
    let mut writer = HashingWriter::new(upload);
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < from.len() {
        let take = usize::try_from(from.len() - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let piece = piece.get_mut(..take).unwrap_or_default();
        from.read_at(at, piece)
            .context(Kind::Place, || "cannot read the archive that was just published".to_owned())?;
        writer.write_all(piece).context(Kind::Place, || "cannot write the copy".to_owned()).map_err(explain)?;
        at += take as u64;
    }
    let (upload, _, sha256) = writer.finish();
    match meta.details.as_ref().is_some_and(|details| details.sha256 == sha256) {
        true => Ok(upload),
        false => Err(Error::new(Kind::Damaged, "the archive that was just published reads back differently")),
    }
}

const PIECE_BYTES: usize = 1 << 20;
