//! What ANALYZE found out: pages and rows of relations (`pg_class`), values of their columns (`pg_stats`).
//!
//! The values of a column can take megabytes, so they are read by a cursor, a bounded number of rows at a time, while
//! the backup is written. The view shows a role only what it may read.

use crate::error::Result;
use crate::pg::session::{Row, Session};
use crate::pg::version::{Capability, ServerVersion};

/// Rows of the cursor that are held at once: one a column, mostly of a few KiB.
const BATCH_ROWS: u32 = 200;

/// A cursor is planned for its first rows, and `pg_stats` is expected to have next to none for a name: together they make
/// a nested loop of all relations by all columns, which 100,000 tables never come out of.
const ALL_OF_IT: &str = "SET LOCAL cursor_tuple_fraction = 1; SET LOCAL enable_nestloop = off";
const AS_BEFORE: &str = "SET LOCAL cursor_tuple_fraction TO DEFAULT; SET LOCAL enable_nestloop TO DEFAULT";

/// Arguments of a column's statistics: their names, and the type that each is passed as.
const ARGUMENTS: [(&str, &str); 11] = [
    ("null_frac", "float4"),
    ("avg_width", "int4"),
    ("n_distinct", "float4"),
    ("most_common_vals", "text"),
    ("most_common_freqs", "float4[]"),
    ("histogram_bounds", "text"),
    ("correlation", "float4"),
    ("most_common_elems", "text"),
    ("most_common_elem_freqs", "float4[]"),
    ("elem_count_histogram", "float4[]"),
    ("inherited", "bool"),
];

/// The same, of servers that keep them for ranges.
const RANGE_ARGUMENTS: [(&str, &str); 3] =
    [("range_length_histogram", "text"), ("range_empty_frac", "float4"), ("range_bounds_histogram", "text")];

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RelationStatistics {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// `name`, value and type of what is known of the relation.
    pub known: Vec<Argument>,
    pub columns: Vec<ColumnStatistics>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ColumnStatistics {
    pub column: StatisticsColumn,
    pub known: Vec<Argument>,
}

/// An index's columns are known by number: their names are the server's choice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StatisticsColumn {
    Name(String),
    Number(i16),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Argument {
    pub name: &'static str,
    pub value: String,
    pub type_name: &'static str,
}

/// Reads relation by relation, in the order of their OIDs, within the session's transaction.
pub struct Reader<'a> {
    session: &'a Session,
    arguments: Vec<(&'static str, &'static str)>,
    /// Of which more columns may follow.
    open: Option<RelationStatistics>,
    ended: bool,
}

impl<'a> Reader<'a> {
    pub async fn open(session: &'a Session) -> Result<Self> {
        let version = session.version();
        let ranges = version.has(Capability::RangeStatistics).then_some(RANGE_ARGUMENTS).into_iter().flatten();
        let arguments: Vec<_> = ARGUMENTS.into_iter().chain(ranges).collect();
        let query = select(version, &arguments);
        session
            .execute(&format!("{ALL_OF_IT}; DECLARE planner_statistics NO SCROLL CURSOR FOR {query}; {AS_BEFORE}"))
            .await?;
        Ok(Reader { session, arguments, open: None, ended: false })
    }

    pub fn version(&self) -> ServerVersion {
        self.session.version()
    }

    /// The next relations; empty when all are read.
    pub async fn batch(&mut self) -> Result<Vec<RelationStatistics>> {
        let mut done = Vec::new();
        while done.is_empty() && !self.ended {
            let rows = self.session.rows(&format!("FETCH FORWARD {BATCH_ROWS} FROM planner_statistics")).await?;
            for row in &rows {
                self.add(row, &mut done)?;
            }
            if rows.is_empty() {
                self.ended = true;
                done.extend(self.open.take());
                self.session.execute("CLOSE planner_statistics").await?;
            }
        }
        Ok(done)
    }

    fn add(&mut self, row: &Row, done: &mut Vec<RelationStatistics>) -> Result<()> {
        let oid = row.u32("oid")?;
        if self.open.as_ref().is_none_or(|open| open.oid != oid) {
            done.extend(self.open.take());
            self.open = Some(RelationStatistics {
                oid,
                schema: row.text("nspname")?,
                name: row.text("relname")?,
                known: known(row, &of_relation(self.session.version()))?,
                columns: Vec::new(),
            });
        }
        let (Some(open), Some(name)) = (&mut self.open, row.opt_text("attname")?) else { return Ok(()) };
        let column = match row.bool("is_index")? {
            true => StatisticsColumn::Number(row.i16("attnum")?),
            false => StatisticsColumn::Name(name),
        };
        for (argument, _) in &self.arguments {
            // What is no text cannot stand in a script; ANALYZE finds it again.
            if !row.is_text(argument)? {
                return Ok(());
            }
        }
        open.columns.push(ColumnStatistics { column, known: known(row, &self.arguments)? });
        Ok(())
    }
}

fn of_relation(version: ServerVersion) -> Vec<(&'static str, &'static str)> {
    let frozen = version.has(Capability::AllFrozenPages).then_some(("relallfrozen", "int4"));
    [("relpages", "int4"), ("reltuples", "float4"), ("relallvisible", "int4")].into_iter().chain(frozen).collect()
}

fn known(row: &Row, arguments: &[(&'static str, &'static str)]) -> Result<Vec<Argument>> {
    let mut known = Vec::new();
    for (name, type_name) in arguments.iter().copied() {
        known.extend(row.opt_text(name)?.map(|value| Argument { name, value, type_name }));
    }
    Ok(known)
}

/// Relations that were never analysed say nothing and are left out. Before 14 a count of 0 rows could mean either, and
/// -1 is the later word for "not known".
fn select(version: ServerVersion, arguments: &[(&str, &str)]) -> String {
    let tuples = version.pick(Capability::UnknownTuples, "c.reltuples", "NULLIF(c.reltuples, 0)");
    let frozen = version.pick(Capability::AllFrozenPages, "c.relallfrozen", "NULL::pg_catalog.int4");
    let columns: Vec<String> =
        arguments.iter().map(|(name, _)| format!("s.{name}::pg_catalog.text AS {name}")).collect();
    format!(
        "SELECT c.oid, n.nspname, c.relname, c.relpages::pg_catalog.text AS relpages,
           COALESCE({tuples}, -1)::pg_catalog.text AS reltuples, c.relallvisible::pg_catalog.text AS relallvisible,
           {frozen}::pg_catalog.text AS relallfrozen, c.relkind = ANY ('{{i,I}}'::\"char\"[]) AS is_index,
           a.attnum, s.attname, {columns}
         FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
         WHERE c.relkind = ANY ('{{r,p,m,f,i,I}}'::\"char\"[]) AND NOT n.nspname ^@ 'pg_'
           AND n.nspname <> 'information_schema' AND (c.relpages > 0 OR c.reltuples > 0 OR s.attname IS NOT NULL)
         ORDER BY c.oid, a.attnum, s.inherited",
        columns = columns.join(", ")
    )
}
