//! `schedule`

use std::path::{Path, PathBuf};

use jiff::civil::Time;
use serde_json::json;

use super::Run;
use crate::cli::args::{ScheduleAction, ScheduleArgs, ScheduleMethod};
use crate::cli::resolve::Schedule;
use crate::cli::{json, resolve};
use crate::error::{Error, Kind, Result};
use crate::ops::schedule::install::{self, Systemd, passing_folder, unit_folder};
use crate::ops::schedule::{Installed, Plan, cron, systemd, trial as trials};

/// There where systemd is the machine's: sd_booted(3).
const BOOTED: &str = "/run/systemd/system";

pub async fn run(args: &ScheduleArgs, run: &mut Run<'_>) -> Result<u8> {
    let manager = manager(args.system, run)?;
    match args.what {
        ScheduleAction::Install => install(args, &manager, run),
        ScheduleAction::Status => status(&manager, run),
        ScheduleAction::Uninstall => uninstall(args, &manager, run),
        ScheduleAction::Trial => trial(args, run),
    }
}

/// What is installed for whoever runs this.
pub struct Standing {
    /// Timers of systemd, each with its state.
    pub timers: Vec<(String, String)>,
    pub crontab: bool,
    /// When the crontab starts the backup, in the machine's zone.
    pub crontab_at: Option<Time>,
    /// The timers are a user's, not the machine's.
    pub of_user: bool,
}

pub fn installed(run: &Run<'_>) -> Result<Standing> {
    let manager = manager(false, run)?;
    let text = if install::has_cron() { install::crontab()? } else { String::new() };
    Ok(Standing {
        timers: manager.status(),
        crontab: cron::has_block(&text),
        crontab_at: cron::starts_at(&text),
        of_user: !manager.system,
    })
}

fn manager(system: bool, run: &Run<'_>) -> Result<Systemd> {
    let system = system || rustix::process::geteuid().is_root();
    let home = run.config.variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| run.config.variable("HOME").map(|home| PathBuf::from(home).join(".config")));
    let folder = unit_folder(system, home.as_deref())
        .ok_or_else(|| Error::new(Kind::Usage, "cannot tell where units belong: HOME is not set"))?;
    let runtime = run.config.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.unwrap_or_else(|| format!("/run/user/{}", rustix::process::geteuid().as_raw()).into());
    let passing = passing_folder(system, &runtime);
    let user = resolve::user(run.config).unwrap_or_else(|| rustix::process::geteuid().as_raw().to_string());
    Ok(Systemd { folder, passing, system, user, runtime_dir: runtime })
}

fn install(args: &ScheduleArgs, manager: &Systemd, run: &mut Run<'_>) -> Result<u8> {
    let Schedule { plan, failures } = resolve::schedule(args, run.config, &mut run.notes)?;
    run.show_notes();
    let method = match args.method {
        Some(method) => method,
        None if manager.is_running() => ScheduleMethod::Systemd,
        None if install::has_cron() => ScheduleMethod::Cron,
        // A user without a session has no manager yet.
        None if Path::new(BOOTED).is_dir() => ScheduleMethod::Systemd,
        None => {
            return Err(Error::new(Kind::Nothing, "neither systemd nor cron answers here")
                .hint("install cron, or start `miyabi-backup backup` by a scheduler of your own: docs/deploy"));
        }
    };
    if args.dry_run {
        return show(method, manager, &plan, run);
    }
    let installed = match method {
        ScheduleMethod::Systemd => manager.install(&plan)?,
        ScheduleMethod::Cron => install::install_cron(&plan)?,
    };
    told(&installed, run)?;
    // Units have said so themselves, and may see other sources than this shell.
    if installed.trials.is_empty() {
        failures.iter().for_each(|failure| run.terminal.error(&failure.error));
    }
    let exit_code = if all_start(&installed) && failures.is_empty() { 0 } else { Kind::Partial.exit_code() };
    let mut object = json::outcome(&installed, exit_code, &run.notes)?;
    object["failed"] = failures.iter().map(json::failed_source).collect();
    run.terminal.json(&object);
    Ok(exit_code)
}

fn all_start(installed: &Installed) -> bool {
    installed.trials.iter().all(|tried| tried.why.is_none())
}

/// Runs in a copy of a unit: can it read the configuration with its secrets, and write where runs write and nowhere else?
fn trial(args: &ScheduleArgs, run: &mut Run<'_>) -> Result<u8> {
    let Schedule { plan, failures } = resolve::schedule(args, run.config, &mut run.notes)?;
    resolve::alerts(run.config, &run.context.host)?;
    resolve::recipients(run.config)?;
    resolve::signer(run.config)?;
    trials::look(&plan)?;
    trials::look_for_protection(&args.protected)?;
    failures.iter().for_each(|failure| run.terminal.error(&failure.error));
    Ok(if failures.is_empty() { 0 } else { Kind::Partial.exit_code() })
}

fn show(method: ScheduleMethod, manager: &Systemd, plan: &Plan, run: &Run<'_>) -> Result<u8> {
    let files: Vec<(String, String)> = match method {
        ScheduleMethod::Cron => vec![("crontab".to_owned(), cron::with_block(&install::crontab()?, plan))],
        ScheduleMethod::Systemd => {
            let path = |name: &str| manager.folder.join(name).display().to_string();
            let units = systemd::units(plan, &systemd::sandbox(plan));
            units.into_iter().map(|unit| (path(&unit.name), unit.text)).collect()
        }
    };
    let text: Vec<String> = files.iter().map(|(name, text)| format!("# {name}\n{text}")).collect();
    run.terminal.answer(&text.join("\n"))?;
    let files: Vec<_> = files.into_iter().map(|(path, text)| json!({ "path": path, "text": text })).collect();
    run.terminal.json(&json!({ "exit_code": 0, "dry_run": true, "files": files }));
    Ok(0)
}

fn told(installed: &Installed, run: &Run<'_>) -> Result<()> {
    match installed.wrote.is_empty() {
        true => run.terminal.result("everything stands as it should: nothing was changed")?,
        false => installed.wrote.iter().try_for_each(|path| run.terminal.result(&format!("wrote {path}")))?,
    }
    for line in &installed.dropped {
        run.terminal.warning(&format!("this manager cannot apply {line}: it was left out"));
    }
    let (bad, good): (Vec<_>, Vec<_>) = installed.trials.iter().partition(|tried| tried.why.is_some());
    if !good.is_empty() {
        let names: Vec<&str> = good.iter().map(|tried| tried.unit.as_str()).collect();
        run.terminal.result(&format!("started for trial, and well: {}", names.join(", ")))?;
    }
    for tried in bad {
        let why = tried.why.as_deref().unwrap_or_default();
        run.terminal.failure(&format!("{} was started for trial and failed: {why}", tried.unit));
    }
    if !all_start(installed) {
        run.terminal.hint(
            "units see no variables of this shell: what they need belongs in miyabi-backup.toml; then run this again",
        );
    }
    installed.warnings.iter().for_each(|warning| run.terminal.warning(warning));
    Ok(())
}

fn status(manager: &Systemd, run: &Run<'_>) -> Result<u8> {
    let timers = manager.status();
    let has_block = install::has_cron() && cron::has_block(&install::crontab()?);
    for (name, state) in &timers {
        run.terminal.answer(&format!("{name}: {state}"))?;
    }
    if has_block {
        run.terminal.answer("crontab: installed")?;
    }
    let exit_code = if timers.is_empty() && !has_block { Kind::Nothing.exit_code() } else { 0 };
    if exit_code != 0 {
        run.terminal.answer("nothing is installed")?;
        run.terminal.hint("miyabi-backup schedule install sets the timers up, --dry-run shows them");
    }
    let timers: Vec<_> = timers.iter().map(|(name, state)| json!({ "name": name, "state": state })).collect();
    run.terminal.json(&json!({ "exit_code": exit_code, "timers": timers, "crontab": has_block }));
    Ok(exit_code)
}

fn uninstall(args: &ScheduleArgs, manager: &Systemd, run: &Run<'_>) -> Result<u8> {
    let mut removed = Vec::new();
    if args.method != Some(ScheduleMethod::Cron) {
        removed.extend(manager.uninstall()?);
    }
    if args.method != Some(ScheduleMethod::Systemd) && install::has_cron() && install::uninstall_cron()? {
        removed.push("crontab".to_owned());
    }
    removed.iter().try_for_each(|path| run.terminal.result(&format!("removed {path}")))?;
    if removed.is_empty() {
        run.terminal.result("nothing was installed")?;
    } else if manager.lingers() {
        let user = &manager.user;
        run.terminal.hint(&format!("{user} still lingers; if nothing else needs that: loginctl disable-linger {user}"));
    }
    run.terminal.json(&json!({ "exit_code": 0, "removed": removed }));
    Ok(0)
}
