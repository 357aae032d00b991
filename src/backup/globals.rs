//! The globals of one server into one archive: read under one snapshot, one stream of statements.

use std::collections::BTreeMap;

use crate::archive::{ArchiveHeader, Section, SourceKind, StreamKind, StreamSpec, TocEntry, Trailer};
use crate::error::{Error, Kind, Result};
use crate::job::{BackupJob, Context, GlobalsSource};
use crate::manifest::meta::{Content, Source};
use crate::pg::globals::script::{Entry, Part, Script, script};
use crate::pg::globals::{self, Reading};
use crate::pipeline::joined;
use crate::policy::ArchiveKind;
use crate::text::{Text, Texts};

use super::outcome::BackedUp;
use super::publish::{Described, Shelf};
use super::recorder::{Packing, Recorder};
use super::sections::{SectionWriter, Span};
use super::{TOOL_VERSION, new_id};

pub async fn back_up(source: &GlobalsSource, job: &BackupJob, context: &Context) -> Result<BackedUp> {
    let cancel = context.cancel.child();
    let started = context.clock.zoned();
    context.progress.stage(format!("globals {}", source.label), 0);
    let reading = cancel.guard(globals::read(&source.server, source.passwords)).await?;
    let script = script(&reading.globals, &reading.passwords, reading.codec)?;

    let mut shelf = Shelf::open(job, ArchiveKind::Globals, &source.label, &started, context).await?;
    let described = describe(source, &reading, job);
    let packing = Packing { threads: 1, ..Packing::of(job) };
    let statements = StreamSpec {
        kind: StreamKind::PreData,
        schema: Text::default(),
        name: Text::default(),
        columns: Box::default(),
    };
    let header = header(source, &reading, context)?;
    let upload = shelf.begin(None, &described.series()?).await?;
    let recorder = Recorder::start(upload, &header, vec![statements], packing, &cancel, &context.progress)?;
    let recorded = match record(&script, &reading, &recorder).await {
        Ok(trailer) => recorder.finish(trailer).await?,
        Err(error) => return Err(recorder.abandon(error).await),
    };
    let context = context.clone();
    joined(tokio::task::spawn_blocking(move || shelf.publish(recorded, described, &context)).await)
}

async fn record(script: &Script, reading: &Reading, recorder: &Recorder) -> Result<Trailer> {
    let [stream] = recorder.streams() else {
        return Err(Error::new(Kind::Bug, "an archive of globals has one stream"));
    };
    let mut writer = SectionWriter::new(recorder.feed(), *stream);
    writer.add(&reading.codec.encode(&script.preamble)?).await?;
    let (mut toc, mut texts) = (Vec::new(), Texts::default());
    for chunk in &script.chunks {
        let mut bytes = Vec::new();
        let mut spans = Vec::new();
        for part in chunk {
            match part {
                Part::Psql(text) => bytes.extend(reading.codec.encode(text)?.iter()),
                Part::Entry(entry) => {
                    let sql = reading.codec.encode(&entry.sql)?;
                    spans.push((entry, bytes.len() as u64, sql.len() as u64));
                    bytes.extend(sql.iter());
                }
            }
        }
        let whole = writer.add(&bytes).await?;
        toc.extend(spans.into_iter().map(|(entry, offset, len)| {
            toc_entry(entry, Span { stream: *stream, offset: whole.offset + offset, len }, &mut texts)
        }));
    }
    writer.finish().await?;
    Ok(Trailer { toc, properties: reading.globals.to_json()? })
}

fn toc_entry(entry: &Entry, span: Span, texts: &mut Texts) -> TocEntry {
    TocEntry {
        section: Section::PreData,
        kind: texts.share(entry.kind),
        schema: Text::default(),
        name: texts.share(&entry.name),
        owner: Text::default(),
        table: None,
        stream: span.stream,
        offset: span.offset,
        len: span.len,
        depends: entry.depends.as_slice().into(),
    }
}

fn header(source: &GlobalsSource, reading: &Reading, context: &Context) -> Result<ArchiveHeader> {
    let facts = [
        ("name", source.label.clone()),
        ("server", reading.reached.describe_hosts()),
        ("server_version", reading.server_version.clone()),
        ("server_version_num", reading.server_version_num.to_string()),
        ("client_encoding", reading.codec.client_encoding().to_owned()),
        ("passwords", reading.passwords.word().to_owned()),
    ];
    Ok(ArchiveHeader {
        id: new_id()?,
        kind: SourceKind::Globals,
        created: context.clock.now(),
        tool_version: TOOL_VERSION.to_owned(),
        source: facts.map(|(key, value)| (key.to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>(),
        sections: vec!["pre-data".to_owned()],
    })
}

fn describe(source: &GlobalsSource, reading: &Reading, job: &BackupJob) -> Described {
    let host = reading.reached.hosts.first();
    Described {
        source: Source::Globals {
            server: host.map(|host| host.place.to_string()).unwrap_or_default(),
            port: host.map(|host| host.port.to_string()).unwrap_or_default(),
        },
        label: source.label.clone(),
        server_version: reading.server_version.clone(),
        snapshot_lsn: None,
        warnings: reading.warnings.clone(),
        sqlite: None,
        compression: job.compress.to_string(),
        content: Content::All,
        part: None,
        without: None,
        large_objects: None,
    }
}
