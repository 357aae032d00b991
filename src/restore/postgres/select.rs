//! What of an archive is restored: all of it, one section, or some tables with what belongs to them.

use std::collections::BTreeSet;

use crate::archive::{Archive, MemberEntry, ReadAt, Section, Stream, StreamKind, TocEntry};
use crate::error::{Error, Kind, Result};
use crate::ident::StreamId;
use crate::job::{Content, Selection, TableName};

/// The part of one archive that the user asked for.
#[derive(Clone, Debug)]
pub struct Chosen {
    content: Content,
    /// `None`: every table.
    tables: Option<BTreeSet<StreamId>>,
}

/// Of a table restored alone these may need objects that the target lacks; what fails is listed.
const MAY_STAY_BEHIND: [&str; 8] =
    ["FK CONSTRAINT", "TRIGGER", "RULE", "POLICY", "PUBLICATION TABLE", "ACL", "TABLE ATTACH", "INDEX ATTACH"];

impl Chosen {
    pub fn of<R: ReadAt>(archive: &Archive<R>, selection: &Selection) -> Result<Self> {
        let tables = match selection.tables.as_slice() {
            [] => None,
            names => Some(names.iter().map(|name| find_table(archive.streams(), name)).collect::<Result<_>>()?),
        };
        Ok(Chosen { content: selection.content, tables })
    }

    /// Only a whole archive may replace a database.
    pub fn is_whole(&self) -> bool {
        self.content == Content::All && self.tables.is_none()
    }

    pub fn content(&self) -> Content {
        self.content
    }

    pub fn has_tables(&self) -> bool {
        self.tables.is_some()
    }

    pub fn wants(&self, entry: &TocEntry) -> bool {
        let section = match self.content {
            Content::All => true,
            Content::SchemaOnly => entry.section != Section::Data,
            Content::DataOnly => entry.section == Section::Data,
        };
        let table = match (&self.tables, entry.table) {
            (None, _) => true,
            (Some(wanted), Some(table)) => wanted.contains(&table),
            (Some(_), None) => false,
        };
        section && table
    }

    pub fn may_stay_behind(&self, kind: &str) -> bool {
        self.has_tables() && MAY_STAY_BEHIND.contains(&kind)
    }

    /// The tables whose rows are wanted, largest first, so that the last one to finish is a small one.
    pub fn row_streams<'a>(&self, streams: &'a [Stream]) -> Vec<&'a Stream> {
        let mut wanted: Vec<&Stream> = self.tables_in(streams);
        wanted.retain(|_| self.content != Content::SchemaOnly);
        wanted.sort_by_key(|stream| std::cmp::Reverse(stream.raw));
        wanted
    }

    /// The tables that are created or filled.
    pub fn tables_in<'a>(&self, streams: &'a [Stream]) -> Vec<&'a Stream> {
        streams
            .iter()
            .filter(|stream| stream.spec.kind == StreamKind::Rows)
            .filter(|stream| self.tables.as_ref().is_none_or(|wanted| wanted.contains(&stream.id)))
            .collect()
    }

    /// Members of the wanted tables, table by table.
    pub fn row_members<R: ReadAt>(&self, archive: &Archive<R>) -> Vec<MemberEntry> {
        self.row_streams(archive.streams()).into_iter().flat_map(|stream| archive.members_of(stream.id)).collect()
    }
}

/// The stream of the table; a name without a schema must be the only one.
fn find_table(streams: &[Stream], wanted: &TableName) -> Result<StreamId> {
    let tables = || streams.iter().filter(|stream| stream.spec.kind == StreamKind::Rows);
    let found: Vec<&Stream> = tables().filter(|stream| wanted.is(&stream.spec.schema, &stream.spec.name)).collect();
    match found.as_slice() {
        [one] => Ok(one.id),
        [] => Err(Error::new(Kind::Usage, format!("the archive has no table {wanted}"))
            .hint(nearest_table(&wanted.to_string(), tables().map(|stream| stream.spec.label())))),
        several => {
            let names: Vec<String> = several.iter().map(|stream| stream.spec.label()).collect();
            Err(Error::new(Kind::Usage, format!("table {wanted} stands in {} schemas", names.len()))
                .hint(format!("name one of: {}", names.join(", "))))
        }
    }
}

fn nearest_table(wanted: &str, tables: impl Iterator<Item = String>) -> String {
    match tables.max_by(|a, b| strsim::jaro(wanted, a).total_cmp(&strsim::jaro(wanted, b))) {
        Some(nearest) => format!("did you mean {nearest}? `miyabi-backup inspect` lists all tables"),
        None => "the archive holds no tables at all".to_owned(),
    }
}
