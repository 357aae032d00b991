//! From what was read to the script: the dependency graph, its order, the statements. No server is asked, and with many
//! thousands of objects it takes a second: it runs on a thread of its own.

use crate::error::Result;
use crate::pg::catalog::Catalog;
use crate::pg::catalog::object::ObjectId;
use crate::pg::catalog::sequence::SequenceValue;
use crate::pg::encoding::Codec;
use crate::pg::graph::build::build;
use crate::pg::graph::census::unread;
use crate::pg::piece::collect::Found;
use crate::pg::script::{self, Script, TableData, preamble};

/// Everything that the server was asked for.
pub struct Gathered {
    pub catalog: Catalog,
    pub found: Found,
    pub tables: Vec<TableData>,
    /// Of sequences, by OID.
    pub values: Vec<(u32, SequenceValue)>,
    pub analysed: Vec<(u32, Option<u32>)>,
    pub codec: Codec,
    /// That write the statements.
    pub threads: usize,
}

pub struct Composed {
    pub script: Script,
    /// Objects that are there and that nobody read.
    pub unread: Vec<ObjectId>,
    /// Loops that no rule knew, by the names of their nodes.
    pub broken: Vec<String>,
}

pub fn compose(gathered: Gathered) -> Result<Composed> {
    let Gathered { mut catalog, mut found, tables, values, analysed, codec, threads } = gathered;
    let graph = build(&catalog, &found.pieces);
    let unread = unread(&graph, &catalog.dependencies, &catalog.known_parts());
    // Of a large schema they are a tenth of what is held; from here on the graph knows better.
    catalog.dependencies = Vec::new();
    let ordered = graph.order()?;
    let statements = std::mem::take(&mut found.large_objects.statements);
    let parts = script::Parts {
        catalog: &catalog,
        pieces: &found.pieces,
        tables: &tables,
        values: &values,
        said: &found.large_objects.said,
    };
    let (entries, statements) = script::entries(&parts, &ordered, statements, threads)?;
    let roles = script::roles(&parts, &entries, &found.roles);
    let large_objects = std::mem::take(&mut found.large_objects.oids);
    let preamble = preamble::preamble(codec, &roles);
    let script = Script { preamble, entries, statements, tables, large_objects, analysed, roles };
    Ok(Composed { script, unread, broken: ordered.broken })
}
