//! Script entries into the archive: statements are gathered into blocks, and each entry's place is noted for the
//! table of contents.
//!
//! A block ends on an entry's boundary, so every member of a section can be run, or lost, alone.

use std::mem;

use crate::archive::{Section, StreamKind, TocEntry};
use crate::error::Result;
use crate::ident::StreamId;
use crate::job::Content;
use crate::manifest::meta::LargeObjectFacts;
use crate::pg::catalog::large_object::{Piece, Reader};
use crate::pg::catalog::planner_statistics::{Reader as StatisticsReader, RelationStatistics};
use crate::pg::ddl::large_object;
use crate::pg::ddl::planner_statistics::restore as restore_statistics;
use crate::pg::encoding::Codec;
use crate::pg::script::{Entry, LENIENT, Script, Section as ScriptSection, TableData};
use crate::pg::session::Session;
use crate::pg::wire::pace::Limit;
use crate::pipeline::{BLOCK_BYTES, FeedSender};
use crate::text::{Text, Texts};

/// In the data section everything else belongs to large objects.
const SEQUENCE_KIND: &str = "SEQUENCE SET";

/// Fills a materialized view: data, although it is made at the very end.
const REFRESH_KIND: &str = "MATERIALIZED VIEW DATA";

/// The kind of the entries that hold bytes of large objects; those of owners and privileges follow them.
const LARGE_OBJECTS_KIND: &str = "BLOBS";

/// The kind of the entries that hold planner statistics.
const STATISTICS_KIND: &str = "STATISTICS DATA";

/// Where an entry's SQL stands in its stream's raw bytes; `len` 0 for one that this archive leaves out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub stream: StreamId,
    pub offset: u64,
    pub len: u64,
}

/// The script's entries and where each of them went.
pub struct Contents<'a> {
    script: Script,
    codec: Codec,
    tables: &'a [StreamId],
    spans: Vec<Option<Span>>,
    /// Bytes of large objects, which are no entries of the script.
    large_objects: Vec<Span>,
    /// No entries of the script either.
    statistics: Vec<TocEntry>,
    texts: Texts,
    left_out: Span,
    content: Content,
}

impl<'a> Contents<'a> {
    /// `pre_data` is named by entries that the archive leaves out.
    pub fn new(script: Script, codec: Codec, tables: &'a [StreamId], pre_data: StreamId, content: Content) -> Self {
        let left_out = Span { stream: pre_data, offset: 0, len: 0 };
        let spans = vec![None; script.entries.len()];
        Contents {
            script,
            codec,
            tables,
            spans,
            large_objects: Vec::new(),
            statistics: Vec::new(),
            texts: Texts::default(),
            left_out,
            content,
        }
    }

    /// Whether the script ends with planner statistics.
    pub fn has_statistics(&self) -> bool {
        !self.script.analysed.is_empty()
    }

    /// The tables with rows, and the stream of each: what is left of the script is about the other sections.
    pub fn take_tables(&mut self) -> impl Iterator<Item = (TableData, StreamId)> {
        mem::take(&mut self.script.tables).into_iter().zip(self.tables.iter().copied())
    }

    /// One entry for each of the script's, at the same position, so that `depends` stays right; then the rest.
    pub fn into_toc(mut self) -> Vec<TocEntry> {
        let spans = self.spans.iter().map(|span| span.unwrap_or(self.left_out));
        let entries = self.script.entries.into_iter().zip(spans);
        let entries = entries.map(|(entry, span)| toc_entry(entry, span, self.tables, &mut self.texts));
        let bytes = self.large_objects.iter().map(|span| bytes_entry(*span));
        entries.chain(bytes).chain(self.statistics).collect()
    }
}

/// Writes the entries that belong to `stream`; with `wanted` false the stream stays without them. The script's frame
/// for psql stands around them in any case.
pub async fn write_section(
    contents: &mut Contents<'_>,
    kind: StreamKind,
    stream: StreamId,
    wanted: bool,
    feed: &FeedSender,
) -> Result<()> {
    let mut writer = SectionWriter::new(feed, stream);
    if kind == StreamKind::PreData {
        writer.add(&contents.codec.encode(&contents.script.preamble)?).await?;
    }
    write_entries(contents, &mut writer, kind, wanted).await?;
    writer.finish().await
}

/// Planner statistics, of which some are read already: the session has nothing to do while rows are copied.
pub struct Statistics<'a> {
    reader: StatisticsReader<'a>,
    first: Vec<RelationStatistics>,
}

impl<'a> Statistics<'a> {
    pub async fn begin(session: &'a Session) -> Result<Self> {
        let mut reader = StatisticsReader::open(session).await?;
        let first = reader.batch().await?;
        Ok(Statistics { reader, first })
    }
}

/// Writes what is made after the rows and, last of all, planner statistics: building an index or filling a materialized
/// view would overwrite them.
pub async fn write_post_data(
    contents: &mut Contents<'_>,
    statistics: Option<Statistics<'_>>,
    stream: StreamId,
    wanted: bool,
    feed: &FeedSender,
) -> Result<()> {
    let mut writer = SectionWriter::new(feed, stream);
    write_entries(contents, &mut writer, StreamKind::PostData, wanted).await?;
    if let Some(statistics) = statistics {
        writer.add(LENIENT.as_bytes()).await?;
        write_statistics(contents, &mut writer, statistics).await?;
    }
    writer.finish().await
}

async fn write_statistics(
    contents: &mut Contents<'_>,
    writer: &mut SectionWriter<'_>,
    statistics: Statistics<'_>,
) -> Result<()> {
    let Statistics { mut reader, first: mut batch } = statistics;
    while !batch.is_empty() {
        for one in mem::take(&mut batch) {
            let analysed = &contents.script.analysed;
            let found = analysed.binary_search_by_key(&one.oid, |(oid, _)| *oid).ok().and_then(|at| analysed.get(at));
            let Some((_, table)) = found.copied() else { continue };
            let sql = restore_statistics(&one, reader.version());
            let span = writer.add(&contents.codec.encode(&sql)?).await?;
            let table = table.and_then(|at| contents.tables.get(at as usize)).copied();
            contents.statistics.push(statistics_entry(one, table, span, &mut contents.texts));
        }
        batch = reader.batch().await?;
    }
    Ok(())
}

async fn write_entries(
    contents: &mut Contents<'_>,
    writer: &mut SectionWriter<'_>,
    kind: StreamKind,
    wanted: bool,
) -> Result<()> {
    let Contents { script, codec, spans, content, .. } = contents;
    let mut statements = script.statements.reader();
    let fills = *content != Content::SchemaOnly;
    let is_in = |entry: &Entry| wanted && stream_of(entry) == kind && (fills || entry.kind != REFRESH_KIND);
    let mut strict = true;
    for (entry, span) in script.entries.iter().zip(spans).filter(|(entry, _)| is_in(entry)) {
        if entry.may_fail && strict {
            writer.add(LENIENT.as_bytes()).await?;
            strict = false;
        }
        *span = Some(writer.add(&codec.encode(statements.get(entry.sql)?)?).await?);
    }
    Ok(())
}

/// Writes the bytes of all large objects, batch by batch, and behind them what the script says of them. Returns what a
/// drill compares.
pub async fn write_large_objects(
    contents: &mut Contents<'_>,
    session: &Session,
    stream: StreamId,
    wanted: bool,
    limit: Option<&Limit>,
    feed: &FeedSender,
) -> Result<LargeObjectFacts> {
    let mut facts = LargeObjectFacts::default();
    let mut writer = SectionWriter::new(feed, stream);
    let oids = if wanted { mem::take(&mut contents.script.large_objects) } else { Vec::new() };
    let mut reader = Reader::new(oids);
    loop {
        let batch = reader.batch(session).await?;
        if batch.is_empty() {
            break;
        }
        batch.iter().for_each(|piece| count(&mut facts, piece));
        let sql: String = batch.iter().map(large_object::write).collect();
        if let Some(limit) = limit {
            limit.take(sql.len()).await;
        }
        contents.large_objects.push(writer.add(sql.as_bytes()).await?);
    }
    write_entries(contents, &mut writer, StreamKind::LargeObjects, wanted).await?;
    writer.finish().await?;
    Ok(facts)
}

fn count(facts: &mut LargeObjectFacts, piece: &Piece) {
    let Piece { oid, offset, hex } = piece;
    facts.count += u64::from(*offset == 0);
    facts.raw_bytes.0 += hex.len() as u64 / 2;
    facts.digest.add_row(format!("{oid} {offset} {hex}").as_bytes());
}

fn stream_of(entry: &Entry) -> StreamKind {
    match entry.section {
        ScriptSection::PreData => StreamKind::PreData,
        ScriptSection::PostData => StreamKind::PostData,
        ScriptSection::Data if entry.kind != SEQUENCE_KIND => StreamKind::LargeObjects,
        ScriptSection::Data => StreamKind::Sequences,
    }
}

/// Writes one section's stream.
pub(super) struct SectionWriter<'a> {
    feed: &'a FeedSender,
    stream: StreamId,
    block: Vec<u8>,
    /// Raw bytes of the stream before `block`.
    sent: u64,
}

impl<'a> SectionWriter<'a> {
    pub fn new(feed: &'a FeedSender, stream: StreamId) -> Self {
        SectionWriter { feed, stream, block: feed.buffer(), sent: 0 }
    }

    /// Adds whole statements; `sql` ends with a newline.
    pub async fn add(&mut self, sql: &[u8]) -> Result<Span> {
        if !self.block.is_empty() && self.block.len() + sql.len() > BLOCK_BYTES {
            self.flush().await?;
        }
        let span = Span { stream: self.stream, offset: self.sent + self.block.len() as u64, len: sql.len() as u64 };
        self.block.extend_from_slice(sql);
        Ok(span)
    }

    async fn flush(&mut self) -> Result<()> {
        let block = std::mem::replace(&mut self.block, self.feed.buffer());
        self.sent += block.len() as u64;
        self.feed.block(self.stream, block, None).await
    }

    pub async fn finish(mut self) -> Result<()> {
        if !self.block.is_empty() {
            self.flush().await?;
        }
        self.feed.end(self.stream, None).await
    }
}

/// Bytes of some large objects.
fn bytes_entry(span: Span) -> TocEntry {
    TocEntry {
        section: Section::Data,
        kind: LARGE_OBJECTS_KIND.into(),
        schema: Text::default(),
        name: "large objects".into(),
        owner: Text::default(),
        table: None,
        stream: span.stream,
        offset: span.offset,
        len: span.len,
        depends: Box::default(),
    }
}

fn statistics_entry(of: RelationStatistics, table: Option<StreamId>, span: Span, texts: &mut Texts) -> TocEntry {
    TocEntry {
        section: Section::PostData,
        kind: texts.share(STATISTICS_KIND),
        schema: texts.share(&of.schema),
        name: of.name.into(),
        owner: Text::default(),
        table,
        stream: span.stream,
        offset: span.offset,
        len: span.len,
        depends: Box::default(),
    }
}

fn toc_entry(entry: Entry, span: Span, tables: &[StreamId], texts: &mut Texts) -> TocEntry {
    TocEntry {
        section: match entry.section {
            ScriptSection::PreData => Section::PreData,
            ScriptSection::Data => Section::Data,
            ScriptSection::PostData => Section::PostData,
        },
        kind: texts.share(entry.kind),
        schema: entry.schema,
        name: entry.name,
        owner: entry.owner,
        table: entry.table.and_then(|at| tables.get(at as usize).copied()),
        stream: span.stream,
        offset: span.offset,
        len: span.len,
        depends: entry.depends,
    }
}
