//! `metrics`, and the textfile that is written after runs.

use std::io::Write;
use std::path::Path;

use super::{Run, status};
use crate::cli::args::MetricsArgs;
use crate::cli::resolve;
use crate::error::{Context as _, Kind, Result};
use crate::ops::metrics;
use crate::ops::status::Status;

pub async fn run(args: &MetricsArgs, run: &mut Run<'_>) -> Result<u8> {
    let resolve::Status { roots, job, .. } = resolve::status(run.config, &mut run.notes)?;
    run.show_notes();
    let status = status::of_places(&roots, &job, run.context).await?;
    match &args.output {
        Some(path) => write(path, &metrics::render(&status))?,
        None => run.terminal.answer(&metrics::render(&status))?,
    }
    Ok(0)
}

/// Where the configuration names a file.
pub fn write_textfile(status: &Status, run: &Run<'_>) -> Result<()> {
    match resolve::textfile(run.config) {
        Some(path) => write(&path, &metrics::render(status)),
        None => Ok(()),
    }
}

/// The old file or the new one, never half of it: node_exporter may read at any time, as another user.
pub fn write(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let doing = || format!("cannot write {}", path.display());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let staged = path.with_file_name(format!(".{name}.partial"));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&staged)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
        std::fs::rename(&staged, path)
    };
    write().context(Kind::Place, doing)
}
