//! Tables whose rows may be loaded frozen: `COPY … WITH (FREEZE)` in the transaction that truncates the table.
//!
//! The target is asked, not the archive: it knows what became of the definitions. TRUNCATE must take nothing away, so
//! only tables qualify that are empty, that no extension filled, and into which no other table's rows go.

use std::collections::HashSet;

use crate::archive::{MemberEntry, Stream};
use crate::error::{Kind, Result};
use crate::ident::{Literal, QualifiedName, StreamId};
use crate::pg::wire::Conn;

use super::workers::FEW_BYTES;

/// Tables that are asked for at a time.
const BATCH: usize = 500;

/// The tables of these members, as COPY names them; smaller ones are not worth a transaction.
pub async fn freezable(conn: &mut Conn, streams: &[Stream], members: &[MemberEntry]) -> Result<HashSet<Vec<u8>>> {
    let loaded: HashSet<StreamId> = members.iter().map(|member| member.stream).collect();
    let is_worth_it = |stream: &&Stream| loaded.contains(&stream.id) && stream.raw.0 >= FEW_BYTES as u64;
    let wanted: Vec<&Stream> = streams.iter().filter(is_worth_it).collect();
    let mut found = HashSet::new();
    for batch in wanted.chunks(BATCH) {
        let sql = conn.codec().encode(&question(batch))?;
        let rows = conn.query(&sql).await;
        let rows =
            rows.map_err(|failure| failure.while_doing(Kind::Target, "cannot look at the tables to be loaded"))?;
        let numbers = rows.iter().filter_map(|row| std::str::from_utf8(row.first()?.as_deref()?).ok()?.parse().ok());
        for stream in numbers.filter_map(|number: usize| batch.get(number)) {
            let table = QualifiedName::new(stream.spec.schema.as_str(), stream.spec.name.as_str());
            found.insert(conn.codec().encode(&table.to_string())?);
        }
    }
    Ok(found)
}

/// Which of these tables are plain, empty heaps that belong to nobody else; their numbers.
fn question(tables: &[&Stream]) -> String {
    let names: Vec<String> = (0..)
        .zip(tables)
        .map(|(number, table)| format!("({number},{},{})", Literal(&table.spec.schema), Literal(&table.spec.name)))
        .collect();
    format!(
        "SELECT w.number FROM (VALUES {}) AS w (number, schema, name) \
         JOIN pg_catalog.pg_namespace AS n ON n.nspname OPERATOR(pg_catalog.=) w.schema::pg_catalog.text \
         JOIN pg_catalog.pg_class AS c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid \
           AND c.relname OPERATOR(pg_catalog.=) w.name::pg_catalog.text \
         WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND NOT c.relispartition AND c.relam OPERATOR(pg_catalog.=) 2 \
           AND pg_catalog.pg_relation_size(c.oid) OPERATOR(pg_catalog.=) 0 \
           AND pg_catalog.has_table_privilege(c.oid, 'TRUNCATE') \
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid) \
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d \
             WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
               AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e')",
        names.join(",")
    )
}
