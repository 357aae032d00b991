//! One PostgreSQL database into one archive.
//!
//! Pre-data, rows by parallel data connections, large objects and sequence values, post-data. The coordinator
//! holds the snapshot and does not stream; the backup counts only if its COMMIT succeeds after the last row.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::archive::{ArchiveHeader, PART, SourceKind, StreamKind, StreamSpec, Trailer, WITHOUT};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;
use crate::job::{BackupJob, Compress, Content, Context, PostgresSource};
use crate::manifest::meta::{self, LargeObjectFacts, Source, TableFacts};
use crate::pg::capture::{self, Capture, CaptureOptions, Facts};
use crate::pg::connect::Server;
use crate::pg::copy_out::{self, CopyTask};
use crate::pg::script::{Script, TableData};
use crate::pg::wire::pace::Limit;
use crate::pipeline::joined;
use crate::policy::ArchiveKind;
use crate::store::{Check, Published, Upload};
use crate::text::Text;

use super::outcome::BackedUp;
use super::publish::{Described, Shelf, tables};
use super::recorder::{Packing, Recorder};
use super::sections::{Contents, Statistics, write_large_objects, write_post_data, write_section};
use super::{TOOL_VERSION, new_id};

pub async fn back_up(source: &PostgresSource, job: &BackupJob, context: &Context) -> Result<BackedUp> {
    let cancel = context.cancel.child();
    let started = context.clock.zoned();
    context.progress.stage(format!("postgres {}: reading the schema", source.label), 0);
    let options = CaptureOptions {
        lock_timeout: job.lock_timeout,
        connections: job.jobs,
        rows: job.content != Content::SchemaOnly,
        filter: source.filter.clone(),
    };
    let capture = open(source.server.clone(), options, cancel.clone()).await?;

    let mut shelf = Shelf::open(job, ArchiveKind::Postgres, &source.label, &started, context).await?;
    let header = header(capture.facts(), source, job, context)?;
    let described = describe(source, &capture, job);
    let packing = Packing::of(job);
    context.progress.stage(format!("postgres {}", source.label), estimate(capture.script(), job.content));
    let upload = shelf.begin(Some(estimate(capture.script(), job.content)), &described.series()?).await?;
    let recorder = Recorder::start(upload, &header, streams(capture.script()), packing, &cancel, &context.progress)?;

    let (recorded, large_objects) = match record(capture, job, &recorder, &cancel).await {
        Ok((trailer, large_objects)) => (recorder.finish(trailer).await?, large_objects),
        Err(error) => return Err(recorder.abandon(error).await),
    };
    let large_objects = (job.content != Content::SchemaOnly).then_some(large_objects);
    let described = Described { large_objects, ..described };
    let context = context.clone();
    joined(tokio::task::spawn_blocking(move || shelf.publish(recorded, described, &context)).await)
}

/// What is in a database, as `.meta` tells it.
pub struct Digested {
    pub tables: Vec<TableFacts>,
    pub large_objects: LargeObjectFacts,
}

/// Reads every row and large object of a database as a backup does and keeps none. What a drill compares with the `.meta` of
/// the archive that it restored.
pub async fn digest(from: &PostgresSource, job: &BackupJob, context: &Context) -> Result<Digested> {
    let cancel = context.cancel.child();
    let options = CaptureOptions {
        lock_timeout: job.lock_timeout,
        connections: job.jobs,
        rows: true,
        filter: from.filter.clone(),
    };
    let capture = open(from.server.clone(), options, cancel.clone()).await?;
    let header = header(capture.facts(), from, job, context)?;
    let packing = Packing { compress: Compress::Stored, recipients: None, ..Packing::of(job) };
    context.progress.stage(format!("comparing {}", from.label), estimate(capture.script(), job.content));
    let streams = streams(capture.script());
    let recorder = Recorder::start(Box::new(Nowhere), &header, streams, packing, &cancel, &context.progress)?;
    match record(capture, job, &recorder, &cancel).await {
        Ok((trailer, large_objects)) => {
            Ok(Digested { tables: tables(&recorder.finish(trailer).await?.summary), large_objects })
        }
        Err(error) => Err(recorder.abandon(error).await),
    }
}

/// An archive that nobody will read.
struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Nowhere {
    fn publish(self: Box<Self>, _check: Check<'_>) -> Result<Published> {
        Err(Error::new(Kind::Bug, "an archive that is kept nowhere was to be published"))
    }

    fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// On a thread of the runtime, beside the task that moves the connection's bytes: waking the thread that waits for the
/// whole run, once for every few rows of the catalog, costs as much as reading them.
async fn open(server: Server, options: CaptureOptions, cancel: Cancel) -> Result<Capture> {
    joined(tokio::spawn(async move { cancel.guard(capture::open(&server, &options, &cancel)).await }).await)
}

/// Everything that goes into the archive, in the order of the script, and the coordinator's word that all of it was
/// one snapshot.
async fn record(
    mut capture: Capture,
    job: &BackupJob,
    recorder: &Recorder,
    cancel: &Cancel,
) -> Result<(Trailer, LargeObjectFacts)> {
    let streams = Streams::of(recorder)?;
    let codec = capture.session().codec();
    let mut contents = Contents::new(capture.take_script(), codec, streams.tables, streams.pre_data, job.content);
    let feed = recorder.feed();
    let limit = job.limit_rate.map(|rate| Arc::new(Limit::new(rate)));
    let (schema, data) = (job.content != Content::DataOnly, job.content != Content::SchemaOnly);

    cancel.guard(write_section(&mut contents, StreamKind::PreData, streams.pre_data, schema, feed)).await?;
    let tasks = contents.take_tables().map(|(table, stream)| task(table, stream)).collect();
    let statistics = async {
        match schema && contents.has_statistics() {
            true => Statistics::begin(capture.session()).await.map(Some),
            false => Ok(None),
        }
    };
    let rows = async {
        match data {
            true => copy_rows(&capture, tasks, source(&capture, job, limit.clone()), recorder, cancel).await,
            false => end_tables(streams.tables, recorder).await,
        }
    };
    let ((), statistics) = tokio::try_join!(rows, cancel.guard(statistics))?;
    let large_objects =
        write_large_objects(&mut contents, capture.session(), streams.large_objects, data, limit.as_deref(), feed);
    let large_objects = cancel.guard(large_objects).await?;
    cancel.guard(write_section(&mut contents, StreamKind::Sequences, streams.sequences, data, feed)).await?;
    cancel.guard(write_post_data(&mut contents, statistics, streams.post_data, schema, feed)).await?;

    let toc = contents.into_toc();
    let properties = capture.facts().properties.to_json()?;
    capture.commit().await?;
    Ok((Trailer { toc, properties }, large_objects))
}

/// The streams of a database archive, in the order in which they are opened.
#[derive(Clone, Copy)]
struct Streams<'a> {
    pre_data: StreamId,
    sequences: StreamId,
    large_objects: StreamId,
    post_data: StreamId,
    tables: &'a [StreamId],
}

impl<'a> Streams<'a> {
    fn of(recorder: &'a Recorder) -> Result<Self> {
        match recorder.streams() {
            [pre_data, sequences, large_objects, post_data, tables @ ..] => Ok(Streams {
                pre_data: *pre_data,
                sequences: *sequences,
                large_objects: *large_objects,
                post_data: *post_data,
                tables,
            }),
            _ => Err(Error::new(Kind::Bug, "the archive of a database lacks its sections")),
        }
    }
}

fn streams(script: &Script) -> Vec<StreamSpec> {
    let section = |kind| StreamSpec { kind, schema: Text::default(), name: Text::default(), columns: Box::default() };
    let sections = [StreamKind::PreData, StreamKind::Sequences, StreamKind::LargeObjects, StreamKind::PostData];
    let table = |table: &TableData| StreamSpec {
        kind: StreamKind::Rows,
        schema: table.rows.table.schema.text().clone(),
        name: table.rows.table.name.text().clone(),
        columns: table.rows.columns.iter().map(|column| column.text().clone()).collect(),
    };
    sections.into_iter().map(section).chain(script.tables.iter().map(table)).collect()
}

fn source(capture: &Capture, job: &BackupJob, limit: Option<Arc<Limit>>) -> copy_out::Source {
    copy_out::Source {
        server: capture.reached().server.clone(),
        snapshot: capture.snapshot_id().to_owned(),
        connections: NonZeroUsize::new(job.jobs).unwrap_or(NonZeroUsize::MIN),
        limit,
    }
}

/// Rows by data connections, for as long as the coordinator stands: if it dies, nobody vouches for the snapshot.
async fn copy_rows(
    capture: &Capture,
    tasks: Vec<CopyTask>,
    source: copy_out::Source,
    recorder: &Recorder,
    cancel: &Cancel,
) -> Result<()> {
    let copying = copy_out::run(&source, tasks, recorder.feed(), cancel);
    tokio::select! {
        copied = copying => copied.map(drop),
        error = capture.lost() => Err(error),
    }
}

/// `pg_class.relkind` of what has rows of its own.
const PLAIN_TABLE: char = 'r';

fn task(table: TableData, stream: StreamId) -> CopyTask {
    CopyTask {
        stream,
        rows: table.rows,
        oid: table.oid,
        relkind: PLAIN_TABLE,
        relfilenode: Some(table.filenode),
        bytes_estimate: table.bytes_estimate,
    }
}

/// A schema-only archive knows its tables, too: without rows.
async fn end_tables(tables: &[StreamId], recorder: &Recorder) -> Result<()> {
    for stream in tables {
        recorder.feed().end(*stream, Some(0)).await?;
    }
    Ok(())
}

/// Raw bytes to expect: what the tables take on the server's disk.
fn estimate(script: &Script, content: Content) -> u64 {
    match content {
        Content::SchemaOnly => 0,
        Content::All | Content::DataOnly => script.tables.iter().map(|table| table.bytes_estimate).sum(),
    }
}

fn header(facts: &Facts, from: &PostgresSource, job: &BackupJob, context: &Context) -> Result<ArchiveHeader> {
    let always = [
        ("database", facts.database.clone()),
        ("server_version", facts.server_version.clone()),
        ("server_version_num", facts.server_version_num.to_string()),
        ("encoding", facts.encoding.clone()),
        ("client_encoding", facts.client_encoding.clone()),
        ("locale_provider", facts.locale_provider.clone()),
        ("lc_collate", facts.lc_collate.clone()),
        ("lc_ctype", facts.lc_ctype.clone()),
    ];
    let sometimes = [
        ("locale", &facts.locale),
        ("icu_rules", &facts.icu_rules),
        ("collation_version", &facts.collation_version),
        ("snapshot_lsn", &facts.snapshot_lsn),
    ];
    let mut source: BTreeMap<String, String> = always.map(|(key, value)| (key.to_owned(), value)).into();
    source.extend(sometimes.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))));
    let filtered = [(PART, from.filter.part()), (WITHOUT, from.filter.without())];
    source.extend(filtered.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    let sections: &[&str] = match job.content {
        Content::All => &["pre-data", "data", "post-data"],
        Content::SchemaOnly => &["pre-data", "post-data"],
        Content::DataOnly => &["data"],
    };
    Ok(ArchiveHeader {
        id: new_id()?,
        kind: SourceKind::Postgres,
        created: context.clock.now(),
        tool_version: TOOL_VERSION.to_owned(),
        source,
        sections: sections.iter().map(|section| (*section).to_owned()).collect(),
    })
}

fn describe(source: &PostgresSource, capture: &Capture, job: &BackupJob) -> Described {
    let facts = capture.facts();
    let host = capture.reached().server.hosts.first();
    Described {
        source: Source::Postgres {
            server: host.map(|host| host.place.to_string()).unwrap_or_default(),
            port: host.map(|host| host.port.to_string()).unwrap_or_default(),
            database: facts.database.clone(),
        },
        label: source.label.clone(),
        server_version: facts.server_version.clone(),
        snapshot_lsn: facts.snapshot_lsn.clone(),
        warnings: capture.warnings().to_vec(),
        sqlite: None,
        compression: job.compress.to_string(),
        content: match job.content {
            Content::All => meta::Content::All,
            Content::SchemaOnly => meta::Content::SchemaOnly,
            Content::DataOnly => meta::Content::DataOnly,
        },
        part: source.filter.part(),
        without: source.filter.without(),
        large_objects: None,
    }
}
