//! The program: arguments, environment, terminal and exit code. Nothing below this floor touches any of them.
//!
//! [`args`] (what was typed) → [`config`] (all levels merged, still text) → [`resolve`] (one typed job) →
//! [`commands`] (run it, show what came of it).

mod args;
mod commands;
mod config;
mod hooks;
mod journal;
mod json;
mod panics;
mod progress;
mod prompt;
mod record;
mod render;
mod resolve;
mod signals;
mod terminal;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use args::{Args, Command};
use commands::Run;
use config::{Config, Variables};
use terminal::Terminal;

#[cfg(any(test, feature = "testkit"))]
pub use config::fuzz_config;

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::job::Context;
use crate::progress::Progress;
use crate::store::Places;

/// Runs one command line. The only way in, and every way out.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let args = match Args::try_parse_from(&arguments) {
        Ok(args) => args,
        Err(fault) => return ExitCode::from(not_understood(&fault, &arguments)),
    };
    let logs_json = args.common.log_format == args::LogFormat::Json;
    // Whoever asks for objects wants them where standard error goes.
    let stream = env::var("JOURNAL_STREAM").ok().filter(|_| !logs_json);
    let journal = journal::Journal::of_stream(stream.as_deref());
    let terminal = Terminal::new(args.common.json, args.common.quiet).logging_json(logs_json).logging_to(journal);
    let done = panics::caught(|| execute(&args, &terminal));
    ExitCode::from(done.unwrap_or_else(|error| {
        terminal.error(&error);
        terminal.json(&json::failure(&error));
        error.kind().exit_code()
    }))
}

fn execute(args: &Args, terminal: &Terminal) -> Result<u8> {
    terminal.start_log(args.common.verbose)?;
    let environment = Variables::from_environment(env::vars_os())?;
    let config = Config::load(args, environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::new(Kind::Bug, "cannot start the runtime").because(cause))?;
    let cancel = Cancel::new();
    let done = runtime.block_on(async {
        signals::watch(&cancel, terminal)?;
        let context = Context {
            clock: resolve::clock(&config)?,
            progress: Progress::new(),
            host: resolve::host_name(),
            places: Places::new(resolve::s3_settings(&config)?, &cancel),
            scratch: resolve::scratch(&config),
            keys: Arc::new(resolve::keys(&config)?),
            signed_by: resolve::signed_by(&config)?,
            cancel,
        };
        let mut run = Run::new(&config, terminal, &context);
        let done = match &args.command {
            Command::Backup(args) => commands::backup::run(args, &mut run).await,
            Command::Restore(args) => commands::restore::run(args, &mut run).await,
            Command::Verify(args) => commands::verify::run(args, &mut run),
            Command::List(args) => commands::list::run(args, &mut run),
            Command::Inspect(args) => commands::inspect::run(args, &mut run),
            Command::Salvage(args) => commands::salvage::run(args, &mut run),
            Command::Copy(args) => commands::copy::run(args, &mut run),
            Command::Prune(args) => commands::prune::run(args, &mut run).await,
            Command::Status(args) => commands::status::run(args, &mut run).await,
            Command::Logs(args) => commands::logs::run(args, &mut run).await,
            Command::Drill(args) => commands::drill::run(args, &mut run).await,
            Command::Watch(_) => commands::alert::watch(&mut run).await,
            Command::Doctor(_) => commands::doctor::run(&mut run).await,
            Command::Dashboard(args) => commands::dashboard::run(args, &mut run).await,
            Command::Alert(_) => commands::alert::test(&mut run).await,
            Command::Metrics(args) => commands::metrics::run(args, &mut run).await,
            Command::Schedule(args) => commands::schedule::run(args, &mut run).await,
            Command::Completions(args) => commands::manual::completions(args, &run),
            Command::Man(args) => commands::manual::pages(args, &run),
        };
        run.end(&done).await;
        done
    });
    // A question that was interrupted still reads from the terminal; nothing else is left to wait for.
    runtime.shutdown_background();
    done
}

/// Help and version are answers; everything else is an error of ours in our own form.
fn not_understood(fault: &clap::Error, arguments: &[OsString]) -> u8 {
    if !fault.use_stderr() {
        return match fault.print() {
            Ok(()) => 0,
            Err(_) => Kind::Place.exit_code(),
        };
    }
    let mut pairs = arguments.iter().zip(arguments.iter().skip(1));
    let logs_json = arguments.iter().any(|argument| argument == "--log-format=json")
        || pairs.any(|(flag, value)| flag == "--log-format" && value == "json");
    let terminal = Terminal::new(arguments.iter().any(|argument| argument == "--json"), false).logging_json(logs_json);
    let error = as_ours(fault);
    terminal.error(&error);
    terminal.json(&json::failure(&error));
    error.kind().exit_code()
}

fn as_ours(fault: &clap::Error) -> Error {
    let text = fault.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(first).replace("\n  ", " ");
    let error = match fault.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Error::new(Kind::Usage, "no command is given"),
        _ => Error::new(Kind::Usage, what.trim().to_owned()),
    };
    let suggested = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let near = suggested.into_iter().find_map(|kind| match fault.get(kind)? {
        ContextValue::String(near) => Some(near.clone()),
        ContextValue::Strings(near) => near.first().cloned(),
        _ => None,
    });
    match near {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("see `miyabi-backup --help`, or --help behind a command for examples"),
    }
}
