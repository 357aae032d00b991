//! `dashboard`

use std::path::Path;
use std::sync::Arc;

use super::{Run, metrics, status};
use crate::cli::args::DashboardArgs;
use crate::cli::resolve;
use crate::error::{Context as _, Error, Kind, Result};
use crate::ops::dashboard::{self, serve};

pub async fn run(args: &DashboardArgs, run: &mut Run<'_>) -> Result<u8> {
    let resolve::Status { roots, job, .. } = resolve::status(run.config, &mut run.notes)?;
    run.show_notes();
    let host = run.context.host.clone();
    if let Some(path) = &args.output {
        let status = status::of_places(&roots, &job, run.context).await?;
        metrics::write(path, &dashboard::page(&status, &host)?)?;
        run.terminal.result(&format!("wrote {}", path.display()))?;
        return Ok(0);
    }
    let Some(at) = args.listen else { return Err(Error::new(Kind::Usage, "give --output or --listen")) };
    let token = args.token_file.as_deref().map(token).transpose()?;
    let context = run.context.clone();
    let look: Arc<serve::Look> = Arc::new(move || {
        let (roots, job, context) = (roots.clone(), job.clone(), context.clone());
        Box::pin(async move { status::of_places(&roots, &job, &context).await })
    });
    let terminal = run.terminal;
    let listening = |at| terminal.note(&format!("listening on http://{at}"));
    serve::serve(at, token, host, look, &run.context.cancel, listening).await?;
    Ok(0)
}

fn token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).context(Kind::Usage, || format!("cannot read {}", path.display()))?;
    let token = text.lines().next().unwrap_or_default().trim().to_owned();
    match token.is_empty() {
        true => Err(Error::new(Kind::Usage, format!("{} has no token in its first line", path.display()))),
        false => Ok(token),
    }
}
