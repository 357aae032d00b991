//! From what was read to the script: the dependency graph, its order, the statements. No server is asked, and with many
//! thousands of objects it takes a second: it runs on a thread of its own.

use std::collections::HashMap;

use crate::error::Result;
use crate::pg::catalog::Catalog;
use crate::pg::catalog::object::ObjectId;
use crate::pg::encoding::Codec;
use crate::pg::graph::build::build;
use crate::pg::graph::census::unread;
use crate::pg::piece::collect::Found;
use crate::pg::script::{self, Entry, Script, TableData, preamble};

/// Everything that the server was asked for.
pub struct Gathered {
    pub catalog: Catalog,
    pub found: Found,
    pub tables: Vec<TableData>,
    /// Statements of the data section besides rows.
    pub data: Vec<Entry>,
    pub analysed: HashMap<u32, Option<usize>>,
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
    let Gathered { mut catalog, found, tables, data, analysed, codec, threads } = gathered;
    let graph = build(&catalog, &found.pieces);
    let unread = unread(&graph, &catalog.dependencies, &catalog.known_parts());
    // Of a large schema they are a tenth of what is held; from here on the graph knows better.
    catalog.dependencies = Vec::new();
    let ordered = graph.order()?;
    let parts = script::Parts { catalog: &catalog, pieces: &found.pieces, tables: &tables };
    let entries = script::entries(&parts, data, &ordered, threads)?;
    let roles = script::roles(&parts, &entries, &found.roles);
    let large_objects = found.large_objects.iter().map(|one| one.base.id.oid).collect();
    let preamble = preamble::preamble(codec, &roles);
    let script = Script { preamble, entries, tables, large_objects, analysed, roles };
    Ok(Composed { script, unread, broken: ordered.broken })
}
