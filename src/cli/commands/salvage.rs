//! `salvage`: a sound archive from what is left of a damaged one, published like any other.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Named, Run};
use crate::archive::{Archive, ArchiveId, SalvageOptions, SalvageReport, SalvagedStream, salvage};
use crate::cancel::Cancel;
use crate::cli::args::SalvageArgs;
use crate::cli::{json, render};
use crate::error::{Context, Kind, Result};
use crate::store::output::{Existing, Output};
use crate::units::{human_bytes, human_count};

pub fn run(args: &SalvageArgs, run: &mut Run<'_>) -> Result<u8> {
    run.show_notes();
    let source = Named::find(&args.file, run)?.open()?;
    let existing = if args.force { Existing::Replace } else { Existing::Refuse };
    let output = Output::new(&args.output, existing)?;
    let mut upload = output.begin()?;
    let options = SalvageOptions {
        id: random_id()?,
        now: run.context.clock.now(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        keep_torn_pages: args.keep_torn_pages,
    };
    let cancel = &run.context.cancel;
    let report = match salvage(&*source, Stoppable { inner: &mut upload, cancel }, &options) {
        Err(_) if cancel.is_cancelled() => return Err(cancel.error()),
        salvaged => salvaged.map_err(|error| error.while_doing(format!("cannot salvage {}", args.file.display())))?,
    };
    upload.publish(&mut |stored| Archive::open(stored).map(|_| ()))?;
    let exit_code = if report.is_complete() { 0 } else { Kind::Partial.exit_code() };
    show(&report, args, run)?;
    run.terminal.json(&as_json(&report, args, exit_code)?);
    Ok(exit_code)
}

fn random_id() -> Result<ArchiveId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).context(Kind::Bug, || "cannot draw random bytes".to_owned())?;
    Ok(ArchiveId(id))
}

/// Refuses to write on once the run was asked to stop.
struct Stoppable<'a, W> {
    inner: W,
    cancel: &'a Cancel,
}

impl<W: Write> Write for Stoppable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn show(report: &SalvageReport, args: &SalvageArgs, run: &Run<'_>) -> Result<()> {
    let mut table = render::table(&["STREAM", "ROWS KEPT", "ROWS LOST", "MEMBERS KEPT", "MEMBERS LOST"]);
    render::align_right(&mut table, &[1, 2, 3, 4]);
    for stream in &report.streams {
        let at_least = if stream.exact { "" } else { "at least " };
        table.add_row(vec![
            stream.spec.label(),
            human_count(stream.rows_kept),
            format!("{at_least}{}", human_count(stream.rows_lost)),
            human_count(stream.members_kept),
            format!("{at_least}{}", human_count(stream.members_lost)),
        ]);
    }
    run.terminal.result(&table.trim_fmt())?;
    for object in &report.objects_lost {
        run.terminal.warning(&format!("no longer whole: {object}"));
    }
    if report.header_lost {
        run.terminal.warning("the header was lost: what is known of the source is missing");
    }
    if report.index_lost {
        run.terminal.warning("the index was lost: empty tables and database properties are missing");
    }
    let verdict = if report.is_complete() { "everything was kept" } else { "some was lost" };
    let size = human_bytes(report.summary.stored.0);
    run.terminal.result(&format!("{verdict}; wrote {} ({size})", args.output.display()))
}

fn as_json(report: &SalvageReport, args: &SalvageArgs, exit_code: u8) -> Result<Value> {
    let findings = report.damage.findings.iter().map(|finding| {
        json!({
            "what": finding.what, "at": finding.at, "stream": finding.stream, "rows_lost": finding.rows_lost,
        })
    });
    Ok(json!({
        "exit_code": exit_code,
        "path": args.output,
        "archive_id": json::to_value(&report.summary.id)?,
        "complete": report.is_complete(),
        "streams": report.streams.iter().map(stream).collect::<Vec<_>>(),
        "objects_lost": report.objects_lost,
        "header_lost": report.header_lost,
        "index_lost": report.index_lost,
        "findings": findings.collect::<Vec<_>>(),
    }))
}

fn stream(stream: &SalvagedStream) -> Value {
    json!({
        "kind": stream.spec.kind.name(),
        "schema": stream.spec.schema,
        "name": stream.spec.name,
        "rows_kept": stream.rows_kept,
        "rows_lost": stream.rows_lost,
        "members_kept": stream.members_kept,
        "members_lost": stream.members_lost,
        "exact": stream.exact,
    })
}
