//! Writing an archive, front to back, never seeking. FORMAT.md §2.
//!
//! Only [`Writer::finish`] makes an archive: a writer that is dropped leaves a file without a footer, and every
//! reader says so. After a failure every later call fails.

use std::io;

use crc32fast::Hasher;

use crate::checksum::{PIECE_BYTES, RowDigest};
use crate::error::{Context, Error, Kind, Result};
use crate::ident::StreamId;
use crate::units::{RawBytes, StoredBytes, human_count};

use super::codec::{Form, Packed, stored_blocks};
use super::footer::Footer;
use super::framing::Framing;
use super::header::{ArchiveHeader, Prelude, head_body};
use super::index::Index;
use super::layout::{BODY_BYTES_MAX, HEADER_BYTES, HEADER_JSON_BYTES_MAX, wide};
use super::member::{MemberKind, Tag, empty_member};
use super::model::{Stream, StreamKind, StreamSpec, Summary, Trailer};
use super::table::{Span, Table, position_of};

#[must_use = "an archive without `finish` is not an archive"]
pub struct Writer<W> {
    sink: W,
    framing: Framing,
    header: ArchiveHeader,
    header_json: Vec<u8>,
    offset: u64,
    streams: Vec<Stream>,
    ended: Vec<bool>,
    table: Table,
    failed: bool,
}

impl<W: io::Write> Writer<W> {
    /// Writes the head member. `framing` is that of the codec whose members follow.
    pub fn begin(sink: W, header: &ArchiveHeader, framing: Framing) -> Result<Self> {
        let header_json =
            serde_json::to_vec(header).context(Kind::Bug, || "cannot encode the archive's header".into())?;
        if header_json.len() > HEADER_JSON_BYTES_MAX {
            return Err(Error::new(
                Kind::Source,
                format!(
                    "cannot begin the archive: its header has {} bytes, at most {HEADER_JSON_BYTES_MAX} fit",
                    header_json.len()
                ),
            ));
        }
        let head = empty_member(framing, MemberKind::Head, header.id, 0, &head_body(&header_json));
        let mut writer = Writer {
            sink,
            framing,
            header: header.clone(),
            header_json,
            offset: 0,
            streams: Vec::new(),
            ended: Vec::new(),
            table: Table::default(),
            failed: false,
        };
        writer.write(&[framing.lead(), &head])?;
        Ok(writer)
    }

    /// Ids count from 0 in the order of opening. Nothing is written until the stream's first member.
    pub fn open_stream(&mut self, spec: StreamSpec) -> StreamId {
        let id = StreamId(u32::try_from(self.streams.len()).unwrap_or(u32::MAX));
        self.failed |= id.0 == u32::MAX;
        let (raw, stored) = (RawBytes(0), StoredBytes(0));
        self.streams.push(Stream { id, spec, members: 0, rows: 0, raw, stored, digest: RowDigest::default() });
        self.ended.push(false);
        id
    }

    /// Frames one block and writes it as the stream's next member.
    pub fn append(&mut self, stream: StreamId, packed: &Packed) -> Result<()> {
        self.check_open(stream)?;
        let Some(target) = self.streams.get(position_of(stream)) else { return Err(unknown(stream)) };
        let kind = target.spec.kind;
        let rows_in_place = kind == StreamKind::Rows || packed.rows == 0;
        if packed.raw_len == 0 || !rows_in_place || packed.framing != self.framing {
            self.failed = true;
            let label = target.spec.label();
            return Err(Error::new(
                Kind::Bug,
                format!("cannot append to {label}: an empty block, rows in a script, or another framing"),
            ));
        }
        let trailer = self.framing.trailer(packed.raw_len, packed.crc32);
        let around = wide(HEADER_BYTES).saturating_add(wide(trailer.len()));
        let stored = around.saturating_add(packed.stored_len());
        let tag = Tag {
            kind: MemberKind::Data(kind),
            archive: self.header.id,
            stream,
            seq: target.members,
            rows: packed.rows,
            raw: packed.raw_len,
            stored,
        };
        let header = tag.encode(self.framing, packed.crc32, &[]);
        let stored_crc32 = self.write_member(&header, packed, &trailer)?;
        let (raw, rows) = (packed.raw_len, packed.rows);
        self.table.push(Span { stream, stored, raw, rows, crc32: packed.crc32, stored_crc32 });
        if let Some(target) = self.streams.get_mut(position_of(stream)) {
            target.members = target.members.saturating_add(1);
            target.rows = target.rows.saturating_add(rows);
            target.raw = RawBytes(target.raw.0.saturating_add(raw));
            target.stored = StoredBytes(target.stored.0.saturating_add(stored));
            target.digest.merge(packed.digest);
        }
        Ok(())
    }

    /// Nothing follows for this stream. `rows` is the server's own count, compared with what was appended.
    pub fn end_stream(&mut self, stream: StreamId, rows: Option<u64>) -> Result<()> {
        self.check_open(stream)?;
        let (Some(target), Some(ended)) =
            (self.streams.get(position_of(stream)), self.ended.get_mut(position_of(stream)))
        else {
            return Err(unknown(stream));
        };
        if let Some(counted) = rows
            && counted != target.rows
        {
            self.failed = true;
            return Err(Error::new(
                Kind::Source,
                format!(
                    "cannot end {}: the server counted {} rows, {} were archived",
                    target.spec.label(),
                    human_count(counted),
                    human_count(target.rows)
                ),
            ));
        }
        *ended = true;
        Ok(())
    }

    /// Writes index and footer. Only after this does a reader accept the bytes.
    pub fn finish(mut self, trailer: Trailer) -> Result<(W, Summary)> {
        self.check_sound()?;
        if let Some((stream, _)) = self.streams.iter().zip(&self.ended).find(|(_, ended)| !**ended) {
            let label = stream.spec.label();
            return Err(Error::new(Kind::Bug, format!("cannot finish the archive: the stream {label} has no end")));
        }
        let index_at = self.offset;
        let index = Index {
            framing: self.framing,
            header: self.header.clone(),
            header_json: std::mem::take(&mut self.header_json),
            streams: std::mem::take(&mut self.streams),
            table: std::mem::take(&mut self.table),
            toc: trailer.toc,
            properties: trailer.properties,
        };
        index.check(index_at).map_err(|flaw| Error::new(Kind::Bug, format!("cannot finish the archive: {flaw}")))?;
        let encoded = index.encode().context(Kind::Bug, || "cannot encode the archive's index".into())?;
        for (seq, body) in encoded.deflate.chunks(BODY_BYTES_MAX).enumerate() {
            self.write(&[&empty_member(self.framing, MemberKind::Index, self.header.id, wide(seq), body)])?;
        }
        let footer = Footer {
            framing: self.framing,
            prelude: Prelude::OURS,
            archive: self.header.id,
            index_at,
            index_stored: self.offset.saturating_sub(index_at),
            index_raw: encoded.raw,
            index_crc32: encoded.crc32,
        };
        self.write(&[&footer.encode()])?;
        self.sink.flush().context(Kind::Place, || "cannot write the end of the archive".into())?;
        let summary = Summary {
            framing: self.framing,
            id: self.header.id,
            members: wide(index.table.len()),
            raw: index.streams.iter().map(|stream| stream.raw).sum(),
            stored: StoredBytes(self.offset),
            streams: index.streams,
        };
        Ok((self.sink, summary))
    }

    /// Bytes written so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn write_member(&mut self, header: &[u8], packed: &Packed, trailer: &[u8]) -> Result<u32> {
        if packed.form == Form::Encoded {
            return self.write(&[header, &packed.bytes, trailer]);
        }
        let mut crc = Hasher::new();
        self.write_part(header, &mut crc)?;
        for (head, block) in stored_blocks(&packed.bytes) {
            self.write_part(&head, &mut crc)?;
            self.write_part(block, &mut crc)?;
        }
        self.write_part(trailer, &mut crc)?;
        Ok(crc.finalize())
    }

    /// Returns the CRC of all parts together.
    fn write(&mut self, parts: &[&[u8]]) -> Result<u32> {
        let mut crc = Hasher::new();
        for part in parts.iter().flat_map(|part| part.chunks(PIECE_BYTES)) {
            self.write_part(part, &mut crc)?;
        }
        Ok(crc.finalize())
    }

    fn write_part(&mut self, part: &[u8], crc: &mut Hasher) -> Result<()> {
        self.check_sound()?;
        if let Err(cause) = self.sink.write_all(part) {
            self.failed = true;
            return Err(Error::new(Kind::Place, "cannot write the archive").because(cause));
        }
        crc.update(part);
        self.offset = self.offset.saturating_add(wide(part.len()));
        Ok(())
    }

    fn check_sound(&self) -> Result<()> {
        match self.failed {
            true => Err(Error::new(Kind::Bug, "an earlier write failed, this archive is abandoned")),
            false => Ok(()),
        }
    }

    fn check_open(&self, stream: StreamId) -> Result<()> {
        self.check_sound()?;
        match self.ended.get(position_of(stream)) {
            Some(false) => Ok(()),
            Some(true) => Err(Error::new(Kind::Bug, format!("stream {} of the archive has ended already", stream.0))),
            None => Err(unknown(stream)),
        }
    }
}

fn unknown(stream: StreamId) -> Error {
    Error::new(Kind::Bug, format!("the archive has no stream {}", stream.0))
}
