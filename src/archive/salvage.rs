//! A sound archive from what is left of a damaged one. FORMAT.md §10.
//!
//! Every sound member is kept, byte for byte as it was compressed; nothing is repaired or guessed. The result has an
//! id of its own. Script objects stay in the table of contents only if all of their bytes survived.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;
use crate::read_at::ReadAt;

use super::check::{Report, report};
use super::codec::{Form, Packed};
use super::header::{ArchiveHeader, ArchiveId, SALVAGED, SourceKind};
use super::index::{Index, Objects};
use super::layout::{HEADER_BYTES, wide};
use super::member::unpack;
use super::model::{StreamKind, StreamSpec, Summary, TocEntry, Trailer};
use super::survey::Survey;
use super::tail::read_span;
use super::writer::Writer;

/// What the caller decides.
#[derive(Clone, Debug)]
pub struct SalvageOptions {
    /// Of the new archive: random.
    pub id: ArchiveId,
    /// For the header, where it is lost.
    pub now: Timestamp,
    pub tool_version: String,
    /// A SQLite file that lacks pages is not a database. Keep what there is of it all the same?
    pub keep_torn_pages: bool,
}

/// What is kept and lost of one stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SalvagedStream {
    /// Id in the new archive; none if nothing of the stream is left and not even its name is known.
    pub id: Option<StreamId>,
    pub spec: StreamSpec,
    pub members_kept: u64,
    pub rows_kept: u64,
    pub members_lost: u64,
    pub rows_lost: u64,
    /// Whether the losses are exact, not lower bounds.
    pub exact: bool,
}

#[derive(Clone, Debug)]
pub struct SalvageReport {
    pub summary: Summary,
    pub streams: Vec<SalvagedStream>,
    /// Script objects that are no longer whole, as `KIND schema.name`.
    pub objects_lost: Vec<String>,
    /// The header was lost and made up from the members: source facts are missing.
    pub header_lost: bool,
    /// The index was lost: empty tables, names of script objects and database properties went with it.
    pub index_lost: bool,
    /// What is wrong with the old archive.
    pub damage: Report,
}

impl SalvageReport {
    /// Whether the new archive holds all that the old one did.
    pub fn is_complete(&self) -> bool {
        let whole = self.streams.iter().all(|stream| stream.members_lost == 0 && stream.exact);
        whole && !self.header_lost && !self.index_lost
    }
}

/// Goes through `source` twice: first everything is found and checked, then the sound members are written.
pub fn salvage<R: ReadAt, W: io::Write>(source: R, sink: W, options: &SalvageOptions) -> Result<SalvageReport> {
    let survey = Survey::take(&source, Objects::Kept, &mut |_| {})?;
    if survey.found.sound.is_empty() {
        return Err(Error::new(Kind::Damaged, "cannot salvage the archive: no sound member is left"));
    }
    refuse_torn_pages(&survey, options)?;
    let header = header_of(&survey, options);
    let mut writer = Writer::begin(sink, &header, survey.framing)?;
    let ids = open_streams(&mut writer, &survey);
    let kept = copy_members(&source, &survey, &mut writer, &ids)?;
    for id in ids.values() {
        writer.end_stream(*id, None)?;
    }
    let (trailer, objects_lost) = match &survey.index {
        Some(index) => trailer_of(index, &kept),
        None => (Trailer { toc: Vec::new(), properties: Value::Object(Map::new()) }, Vec::new()),
    };
    let (_, summary) = writer.finish(trailer)?;
    let streams = survey.found.tallies.iter().map(|(old, tally)| SalvagedStream {
        id: ids.get(old).copied(),
        spec: tally.spec.clone(),
        members_kept: tally.members,
        rows_kept: tally.rows,
        members_lost: tally.members_lost,
        rows_lost: tally.rows_lost,
        exact: tally.exact,
    });
    Ok(SalvageReport {
        streams: streams.collect(),
        summary,
        objects_lost,
        header_lost: survey.header.is_none(),
        index_lost: survey.index.is_none(),
        damage: report(survey, source.len()),
    })
}

fn refuse_torn_pages(survey: &Survey, options: &SalvageOptions) -> Result<()> {
    let torn = survey
        .found
        .tallies
        .values()
        .find(|tally| tally.spec.kind == StreamKind::Pages && (tally.members_lost > 0 || !tally.exact));
    match torn {
        Some(tally) if !options.keep_torn_pages => {
            let doing = match tally.exact {
                true => format!("cannot salvage the SQLite file: {} runs of its pages are lost", tally.members_lost),
                false => "cannot salvage the SQLite file: pages at its end may be lost".to_owned(),
            };
            Err(Error::new(Kind::Refused, doing).hint("a SQLite file needs every page; is there an older backup?"))
        }
        _ => Ok(()),
    }
}

fn header_of(survey: &Survey, options: &SalvageOptions) -> ArchiveHeader {
    let mark = (SALVAGED.to_owned(), "true".to_owned());
    if let Some(header) = &survey.header {
        let mut header = ArchiveHeader { id: options.id, ..header.clone() };
        header.source.extend([mark]);
        return header;
    }
    let kinds: BTreeSet<&str> = survey.found.tallies.values().map(|tally| section_of(tally.spec.kind)).collect();
    let is_sqlite = survey.found.tallies.values().any(|tally| tally.spec.kind == StreamKind::Pages);
    ArchiveHeader {
        id: options.id,
        kind: if is_sqlite { SourceKind::Sqlite } else { SourceKind::Postgres },
        created: options.now,
        tool_version: options.tool_version.clone(),
        source: BTreeMap::from([mark]),
        sections: ["pre-data", "data", "post-data"]
            .into_iter()
            .filter(|name| kinds.contains(name))
            .map(str::to_owned)
            .collect(),
    }
}

fn section_of(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::PreData => "pre-data",
        StreamKind::PostData => "post-data",
        StreamKind::Rows | StreamKind::LargeObjects | StreamKind::Sequences | StreamKind::Pages => "data",
    }
}

/// New ids by old ones; the same where the index survived. Without it a stream of no sound member has no name.
fn open_streams<W: io::Write>(writer: &mut Writer<W>, survey: &Survey) -> BTreeMap<StreamId, StreamId> {
    let named = survey.found.tallies.iter().filter(|(_, tally)| survey.index.is_some() || tally.members > 0);
    named.map(|(old, tally)| (*old, writer.open_stream(tally.spec.clone()))).collect()
}

/// Sequence numbers of the members that were kept, by old stream.
type Kept = BTreeMap<StreamId, BTreeSet<u64>>;

/// Every member is checked once more while it is copied: a failing medium may read differently now.
fn copy_members<R: ReadAt, W: io::Write>(
    source: &R,
    survey: &Survey,
    writer: &mut Writer<W>,
    ids: &BTreeMap<StreamId, StreamId>,
) -> Result<Kept> {
    let (mut stored, mut raw, mut kept) = (Vec::new(), Vec::new(), Kept::new());
    for (at, len) in &survey.found.sound {
        read_span(source, *at, *len, &mut stored)?;
        let contents = unpack(survey.framing, &stored, survey.id, *at, &mut raw)?;
        let lost = || Error::new(Kind::Bug, format!("cannot copy the member at byte {at}: it belongs to no stream"));
        let id = ids.get(&contents.tag.stream).ok_or_else(lost)?;
        let (bytes, _) = survey.framing.split(&stored, HEADER_BYTES).ok_or_else(lost)?;
        let packed = Packed {
            framing: survey.framing,
            raw_len: wide(raw.len()),
            rows: contents.tag.rows,
            crc32: contents.crc32,
            digest: contents.digest,
            form: Form::Encoded,
            bytes: bytes.to_vec(),
        };
        writer.append(*id, &packed)?;
        if contents.kind != StreamKind::Rows && contents.kind != StreamKind::Pages {
            kept.entry(contents.tag.stream).or_default().insert(contents.tag.seq);
        }
    }
    Ok(kept)
}

/// Where a script's bytes went: spans of its old raw bytes with the place of their first byte in the new ones.
struct Moved(Vec<(u64, u64, Option<u64>)>);

impl Moved {
    fn of(index: &Index, stream: StreamId, kept: &Kept) -> Self {
        let seqs = kept.get(&stream);
        let (mut old, mut new) = (0u64, 0u64);
        let members = index.table.spans().filter(|span| span.stream == stream).zip(0u64..);
        Moved(
            members
                .map(|(span, seq)| {
                    let start = old;
                    old = old.saturating_add(span.raw);
                    let place = seqs.is_some_and(|seqs| seqs.contains(&seq)).then_some(new);
                    new = if place.is_some() { new.saturating_add(span.raw) } else { new };
                    (start, old, place)
                })
                .collect(),
        )
    }

    /// The new place of a span, if all of its bytes were kept.
    fn place(&self, offset: u64, len: u64) -> Option<u64> {
        if len == 0 {
            return Some(0);
        }
        let end = offset.saturating_add(len);
        let mut parts = self.0.iter().filter(|(start, stop, _)| *start < end && offset < *stop);
        let (start, _, first) = parts.next()?;
        let place = (*first)?.saturating_add(offset.saturating_sub(*start));
        parts.all(|(_, _, place)| place.is_some()).then_some(place)
    }
}

/// The table of contents with the objects that are whole, and the names of those that are not.
fn trailer_of(index: &Index, kept: &Kept) -> (Trailer, Vec<String>) {
    let mut moved: BTreeMap<StreamId, Moved> = BTreeMap::new();
    let (mut toc, mut lost, mut new_ids) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (old_id, entry) in (0u32..).zip(&index.toc) {
        let script = moved.entry(entry.stream).or_insert_with(|| Moved::of(index, entry.stream, kept));
        match script.place(entry.offset, entry.len) {
            Some(offset) => {
                new_ids.insert(old_id, u32::try_from(toc.len()).unwrap_or(u32::MAX));
                toc.push(TocEntry { offset, ..entry.clone() });
            }
            None if entry.schema.is_empty() => lost.push(format!("{} {}", entry.kind, entry.name)),
            None => lost.push(format!("{} {}.{}", entry.kind, entry.schema, entry.name)),
        }
    }
    for entry in &mut toc {
        entry.depends = entry.depends.iter().filter_map(|old| new_ids.get(old).copied()).collect();
    }
    (Trailer { toc, properties: index.properties.clone() }, lost)
}
