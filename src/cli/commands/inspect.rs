//! `inspect`: what one archive says of itself. Reads its header and index, none of its rows.

use serde_json::{Value, json};

use super::{Named, Run};
use crate::archive::{Archive, SNIFF_BYTES, Sniff, Stream, sniff};
use crate::cli::args::InspectArgs;
use crate::cli::{json, render};
use crate::error::{Context, Kind, Result};
use crate::store::Bytes;

pub fn run(args: &InspectArgs, run: &mut Run<'_>) -> Result<u8> {
    run.show_notes();
    let named = Named::find(&args.file, run)?;
    let bytes = named.open()?;
    if kind_of(&*bytes, &named)? != Sniff::Ours {
        return foreign(&named, run);
    }
    let archive =
        Archive::open(bytes).map_err(|error| error.while_doing(format!("cannot inspect {}", args.file.display())))?;
    run.terminal.answer(&format!("{}\n{}", render::header(archive.header()), render::streams(archive.streams())))?;
    run.terminal.json(&json!({
        "exit_code": 0,
        "path": args.file,
        "foreign": false,
        "header": json::to_value(archive.header())?,
        "streams": archive.streams().iter().map(stream).collect::<Vec<_>>(),
        "members": archive.members().count(),
        "objects": archive.toc().len(),
        "properties": archive.properties(),
        "meta": json::to_value(&named.row.meta)?,
    }));
    Ok(0)
}

fn kind_of(bytes: &dyn Bytes, named: &Named) -> Result<Sniff> {
    let length = bytes.len().min(SNIFF_BYTES as u64);
    let mut first = vec![0; usize::try_from(length).unwrap_or(SNIFF_BYTES)];
    bytes.read_at(0, &mut first).context(Kind::Place, || format!("cannot read {}", named.row.path))?;
    Ok(sniff(&first))
}

/// Of another tool: what its name, its `.meta` and its first bytes tell.
fn foreign(named: &Named, run: &Run<'_>) -> Result<u8> {
    let row = json::to_value(&named.row)?;
    run.terminal.answer(&format!("not an archive of ours; what is known of it:\n{}", render::plan(&row)))?;
    run.terminal.json(&json!({ "exit_code": 0, "path": named.row.path, "foreign": true, "listed": row }));
    Ok(0)
}

fn stream(stream: &Stream) -> Value {
    json!({
        "kind": stream.spec.kind.name(),
        "schema": stream.spec.schema,
        "name": stream.spec.name,
        "columns": stream.spec.columns,
        "rows": stream.rows,
        "raw_bytes": stream.raw,
        "stored_bytes": stream.stored,
        "members": stream.members,
        "digest": stream.digest,
    })
}
