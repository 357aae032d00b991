//! The index: all streams, members and script objects, and the archive's properties. FORMAT.md §6.
//!
//! Invariants of a decoded index: every number adds up (members lie side by side between head and index, totals of
//! streams are the sums of their members), every reference points to something, text is UTF-8.

use std::io::{BufReader, BufWriter, IntoInnerError, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde_json::Value;

use crate::checksum::RowDigest;
use crate::ident::StreamId;
use crate::text::{Text, Texts};
use crate::units::{RawBytes, StoredBytes};

use super::fault::{Fault, Flaw};
use super::footer::Footer;
use super::framing::Framing;
use super::header::ArchiveHeader;
use super::layout::{COMPATIBLE_KNOWN, HEADER_JSON_BYTES_MAX, PRELUDE_BYTES, wide};
use super::member::{stream_code, stream_kind};
use super::model::{Section, Stream, StreamKind, StreamSpec, TocEntry};
use super::table::{Span, Table, position_of};
use super::varint::{Input, Output};

#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// Of the archive, not of the index, which is encoded the same way in all.
    pub framing: Framing,
    pub header: ArchiveHeader,
    /// The head member's JSON, byte for byte.
    pub header_json: Vec<u8>,
    pub streams: Vec<Stream>,
    pub table: Table,
    pub toc: Vec<TocEntry>,
    pub properties: Value,
}

/// What becomes of the objects of the script when an index is read. They are checked in any case; of a large database they
/// are most of it, and who wants members only has no use for them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Objects {
    Kept,
    Passed,
}

/// A deflated index and what the footer says of it.
pub struct Encoded {
    pub deflate: Vec<u8>,
    pub raw: u64,
    pub crc32: u32,
}

/// FORMAT.md §6: a small file does not make a reader inflate gigabytes.
fn index_raw_max(deflate_len: usize) -> u64 {
    wide(deflate_len).saturating_mul(100).saturating_add(1 << 20)
}

/// Where the head member that carries `json` ends and the first data member begins.
fn head_end(framing: Framing, json: &[u8]) -> u64 {
    let body = wide(PRELUDE_BYTES).saturating_add(wide(json.len()));
    framing.head_at().saturating_add(wide(framing.member_bytes_min())).saturating_add(body)
}

impl Index {
    pub fn first_member_at(&self) -> u64 {
        head_end(self.framing, &self.header_json)
    }

    /// Deflated unless it would then inflate beyond what a reader takes.
    pub fn encode(&self) -> std::io::Result<Encoded> {
        let encoded = self.encode_at(Compression::new(6))?;
        match encoded.raw <= index_raw_max(encoded.deflate.len()) {
            true => Ok(encoded),
            false => self.encode_at(Compression::none()),
        }
    }

    fn encode_at(&self, level: Compression) -> std::io::Result<Encoded> {
        // Numbers of a few bytes each: the compressor is called for many of them at once.
        let mut out = Output::new(BufWriter::with_capacity(64 << 10, DeflateEncoder::new(Vec::new(), level)));
        out.bytes(&self.header_json)?;
        out.count(self.streams.len())?;
        for stream in &self.streams {
            encode_stream(&mut out, stream)?;
        }
        out.count(self.table.len())?;
        for span in self.table.spans() {
            out.varint(u64::from(span.stream.0))?;
            out.varint(span.stored)?;
            out.varint(span.raw)?;
            out.varint(span.rows)?;
            out.fixed(&span.crc32.to_le_bytes())?;
            out.fixed(&span.stored_crc32.to_le_bytes())?;
        }
        out.count(self.toc.len())?;
        for entry in &self.toc {
            encode_toc_entry(&mut out, entry)?;
        }
        out.bytes(&serde_json::to_vec(&self.properties)?)?;
        let (buffered, raw, crc32) = out.finish();
        let encoder = buffered.into_inner().map_err(IntoInnerError::into_error)?;
        Ok(Encoded { deflate: encoder.finish()?, raw, crc32 })
    }

    /// Decodes a deflated index as the footer describes it and checks it; `at` is the footer's offset.
    pub fn decode(deflate: &[u8], footer: &Footer, at: u64, objects: Objects) -> Result<Self, Fault> {
        let index = Index::decode_apart(deflate, footer, at, objects)?;
        index.check(footer.index_at).map_err(|flaw| flaw.at(at))?;
        Ok(index)
    }

    /// Decodes an index whose members may lie elsewhere than it says: bytes were lost or put in between.
    pub fn decode_apart(deflate: &[u8], footer: &Footer, at: u64, objects: Objects) -> Result<Self, Fault> {
        if footer.index_raw > index_raw_max(deflate.len()) {
            return Err(Flaw::FooterField("length of the index").at(at));
        }
        let decoder = DeflateDecoder::new(deflate);
        let mut input = Input::new(BufReader::with_capacity(64 << 10, decoder), footer.index_raw);
        let parsed = parse(&mut input, footer, deflate.len(), objects);
        // Whatever a damaged index made of itself, the damage is the reason.
        let index = match parsed {
            Ok(index) => index,
            Err(flaw) => return Err(if input.crc_holds(footer.index_crc32) { flaw } else { Flaw::IndexCrc }.at(at)),
        };
        if !input.crc_holds(footer.index_crc32) {
            return Err(Flaw::IndexCrc.at(at));
        }
        if input.into_inner().get_ref().total_in() != wide(deflate.len()) {
            return Err(Flaw::IndexField("length").at(at));
        }
        Ok(index)
    }

    /// Where the members end as the index tells it.
    pub fn members_end(&self) -> u64 {
        self.table.spans().fold(self.first_member_at(), |end, span| end.saturating_add(span.stored))
    }

    /// Everything that must add up. The writer asks this of itself, too.
    pub fn check(&self, index_at: u64) -> Result<(), Flaw> {
        let mut sums = vec![Sums::default(); self.streams.len()];
        let mut end = self.first_member_at();
        for span in self.table.spans() {
            let (Some(sum), Some(stream)) =
                (sums.get_mut(position_of(span.stream)), self.streams.get(position_of(span.stream)))
            else {
                return Err(Flaw::IndexField("stream of a member"));
            };
            if span.raw == 0 || span.stored < wide(self.framing.member_bytes_min()) {
                return Err(Flaw::IndexField("length of a member"));
            }
            if span.rows > span.raw || (stream.spec.kind != StreamKind::Rows && span.rows != 0) {
                return Err(Flaw::IndexField("row count of a member"));
            }
            end = end.checked_add(span.stored).ok_or(Flaw::IndexField("length of a member"))?;
            sum.add(&span);
        }
        if end != index_at {
            return Err(Flaw::IndexField("sum of stored lengths"));
        }
        for (stream, sum) in self.streams.iter().zip(&sums) {
            let totals =
                Sums { members: stream.members, rows: stream.rows, raw: stream.raw.0, stored: stream.stored.0 };
            if totals != *sum {
                return Err(Flaw::IndexField("total of a stream"));
            }
            if stream.spec.kind != StreamKind::Rows && stream.digest != RowDigest::default() {
                return Err(Flaw::IndexField("digest of a stream without rows"));
            }
        }
        let objects = wide(self.toc.len());
        self.toc.iter().try_for_each(|entry| check_object(entry, &self.streams, objects))
    }
}

/// `objects` are all of the script's.
fn check_object(entry: &TocEntry, streams: &[Stream], objects: u64) -> Result<(), Flaw> {
    let stream = streams.get(position_of(entry.stream)).ok_or(Flaw::IndexField("stream of an object"))?;
    let fits = entry.offset.checked_add(entry.len).is_some_and(|end| end <= stream.raw.0);
    if !fits {
        return Err(Flaw::IndexField("span of an object"));
    }
    if let Some(table) = entry.table
        && streams.get(position_of(table)).is_none_or(|stream| stream.spec.kind != StreamKind::Rows)
    {
        return Err(Flaw::IndexField("table of an object"));
    }
    match entry.depends.iter().all(|id| u64::from(*id) < objects) {
        true => Ok(()),
        false => Err(Flaw::IndexField("dependency of an object")),
    }
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Sums {
    members: u64,
    rows: u64,
    raw: u64,
    stored: u64,
}

impl Sums {
    fn add(&mut self, span: &Span) {
        self.members = self.members.saturating_add(1);
        self.rows = self.rows.saturating_add(span.rows);
        self.raw = self.raw.saturating_add(span.raw);
        self.stored = self.stored.saturating_add(span.stored);
    }
}

fn encode_stream<W: Write>(out: &mut Output<W>, stream: &Stream) -> std::io::Result<()> {
    out.fixed(&[stream_code(stream.spec.kind)])?;
    out.bytes(stream.spec.schema.as_bytes())?;
    out.bytes(stream.spec.name.as_bytes())?;
    out.count(stream.spec.columns.len())?;
    for column in &stream.spec.columns {
        out.bytes(column.as_bytes())?;
    }
    for total in [stream.members, stream.rows, stream.raw.0, stream.stored.0] {
        out.varint(total)?;
    }
    out.fixed(&stream.digest.0.to_le_bytes())
}

fn encode_toc_entry<W: Write>(out: &mut Output<W>, entry: &TocEntry) -> std::io::Result<()> {
    let section = match entry.section {
        Section::PreData => 0,
        Section::Data => 1,
        Section::PostData => 2,
    };
    out.fixed(&[section])?;
    for text in [entry.kind.as_str(), &entry.schema, &entry.name, &entry.owner] {
        out.bytes(text.as_bytes())?;
    }
    out.varint(entry.table.map_or(0, |table| u64::from(table.0).saturating_add(1)))?;
    out.varint(u64::from(entry.stream.0))?;
    out.varint(entry.offset)?;
    out.varint(entry.len)?;
    out.count(entry.depends.len())?;
    entry.depends.iter().try_for_each(|id| out.varint(u64::from(*id)))
}

fn parse<R: Read>(input: &mut Input<R>, footer: &Footer, deflate_len: usize, objects: Objects) -> Result<Index, Flaw> {
    let header_json = input.bytes()?;
    if header_json.len() > HEADER_JSON_BYTES_MAX {
        return Err(Flaw::IndexField("archive header"));
    }
    let header = ArchiveHeader::from_json(&header_json, footer.archive, 0).map_err(|fault| fault.flaw)?;
    let mut texts = Texts::default();
    let streams = parse_streams(input, &mut texts)?;
    let members = input.count()?;
    // A member's two CRCs do not compress: more members than deflated bytes cannot be.
    let mut table = Table::with_capacity(members.min(deflate_len));
    let mut room = footer.index_at;
    for _ in 0..members {
        let span = parse_span(input, footer.framing)?;
        // Bounds the number of members by the bytes that they lie in.
        room = room.checked_sub(span.stored).ok_or(Flaw::IndexField("sum of stored lengths"))?;
        table.push(span);
    }
    let toc = parse_toc(input, &streams, texts, objects)?;
    let properties = serde_json::from_slice(&input.bytes()?).map_err(|_| Flaw::IndexField("properties (JSON)"))?;
    if footer.prelude.compatible & !COMPATIBLE_KNOWN != 0 {
        input.skip_rest()?;
    }
    if input.left() != 0 {
        return Err(Flaw::IndexField("length"));
    }
    Ok(Index { framing: footer.framing, header, header_json, streams, table, toc, properties })
}

fn parse_streams<R: Read>(input: &mut Input<R>, texts: &mut Texts) -> Result<Vec<Stream>, Flaw> {
    let count = input.count()?;
    let mut streams = Vec::new();
    for position in 0..count {
        let id = StreamId(u32::try_from(position).map_err(|_| Flaw::IndexField("number of streams"))?);
        let [code] = input.fixed::<1>()?;
        let kind = stream_kind(code).ok_or(Flaw::IndexField("kind of a stream"))?;
        let (schema, name) = (shared(input, texts)?, shared(input, texts)?);
        let mut columns = Vec::new();
        for _ in 0..input.count()? {
            columns.push(shared(input, texts)?);
        }
        let columns = columns.into();
        let (members, rows) = (input.varint()?, input.varint()?);
        let (raw, stored) = (RawBytes(input.varint()?), StoredBytes(input.varint()?));
        let digest = RowDigest(u128::from_le_bytes(input.fixed()?));
        let spec = StreamSpec { kind, schema, name, columns };
        streams.push(Stream { id, spec, members, rows, raw, stored, digest });
    }
    Ok(streams)
}

fn parse_span<R: Read>(input: &mut Input<R>, framing: Framing) -> Result<Span, Flaw> {
    let (stream, stored) = (StreamId(input.varint32()?), input.varint()?);
    let (raw, rows) = (input.varint()?, input.varint()?);
    let (crc32, stored_crc32) = (u32::from_le_bytes(input.fixed()?), u32::from_le_bytes(input.fixed()?));
    if raw == 0 || stored < wide(framing.member_bytes_min()) {
        return Err(Flaw::IndexField("length of a member"));
    }
    Ok(Span { stream, stored, raw, rows, crc32, stored_crc32 })
}

/// A text of which there may be many alike.
fn shared<R: Read>(input: &mut Input<R>, texts: &mut Texts) -> Result<Text, Flaw> {
    Ok(texts.share(&input.text()?))
}

fn parse_toc<R: Read>(
    input: &mut Input<R>,
    streams: &[Stream],
    mut texts: Texts,
    objects: Objects,
) -> Result<Vec<TocEntry>, Flaw> {
    let mut toc = Vec::new();
    let count = input.count()?;
    for _ in 0..count {
        let entry = parse_toc_entry(input, &mut texts)?;
        if objects == Objects::Passed {
            check_object(&entry, streams, wide(count))?;
            continue;
        }
        toc.push(entry);
    }
    Ok(toc)
}

fn parse_toc_entry<R: Read>(input: &mut Input<R>, texts: &mut Texts) -> Result<TocEntry, Flaw> {
    let section = match input.fixed::<1>()? {
        [0] => Section::PreData,
        [1] => Section::Data,
        [2] => Section::PostData,
        _ => return Err(Flaw::IndexField("section of an object")),
    };
    let (kind, schema) = (shared(input, texts)?, shared(input, texts)?);
    let (name, owner) = (shared(input, texts)?, shared(input, texts)?);
    let table = match input.varint()?.checked_sub(1) {
        None => None,
        Some(id) => Some(StreamId(u32::try_from(id).map_err(|_| Flaw::IndexField("table of an object"))?)),
    };
    let stream = StreamId(input.varint32()?);
    let (offset, len) = (input.varint()?, input.varint()?);
    let mut depends = Vec::new();
    for _ in 0..input.count()? {
        depends.push(input.varint32()?);
    }
    let depends = depends.into();
    Ok(TocEntry { section, kind, schema, name, owner, table, stream, offset, len, depends })
}
