//! Writes timers, starts them, takes them away again.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, iter, thread};

use serde::Serialize;

use crate::error::{Context as _, Error, Kind, Result};
use crate::ops::doctor::machine::LINGERING;

use super::plan::{Job, Plan};
use super::trial::{self, Chosen, Tried};
use super::{cron, systemd};

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Systemd,
    Cron,
}

#[derive(Clone, Debug, Serialize)]
pub struct Installed {
    pub method: Method,
    /// Files that were written, or the crontab.
    pub wrote: Vec<String>,
    /// Sandbox lines that this manager cannot apply.
    pub dropped: Vec<String>,
    /// Of units: whether each could be started.
    pub trials: Vec<Tried>,
    pub warnings: Vec<String>,
}

/// Where units live and how the manager is asked.
pub struct Systemd {
    pub folder: PathBuf,
    /// Where units live that are gone with the next boot.
    pub passing: PathBuf,
    pub system: bool,
    /// Whose manager it is unless it is the machine's, and where it listens.
    pub user: String,
    pub runtime_dir: PathBuf,
}

/// How long the manager of a user may take to come up, asked ten times a second.
const ASKED_MAX: u32 = 100;

impl Systemd {
    pub(super) fn systemctl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("systemctl");
        if !self.system {
            // `sudo -u` starts shells that do not know where their user's manager is.
            command.arg("--user").env("XDG_RUNTIME_DIR", &self.runtime_dir);
        }
        run(command.args(arguments), None)
    }

    /// Whether a manager answers.
    pub fn is_running(&self) -> bool {
        self.systemctl(&["show", "--property=Version"]).is_ok()
    }

    /// Whether the user's manager runs without a login.
    pub fn lingers(&self) -> bool {
        !self.system && self.linger_file().exists()
    }

    fn linger_file(&self) -> PathBuf {
        Path::new(LINGERING).join(&self.user)
    }

    pub fn install(&self, plan: &Plan) -> Result<Installed> {
        let (mut wrote, warnings) = self.stay()?;
        // What a sandbox may write to must be there when it is made.
        for path in &plan.own_folders {
            make_folder(path)?;
        }
        let Chosen { sandbox, dropped, trials } = trial::of_all(self, plan)?;
        fs::create_dir_all(&self.folder).context(Kind::Target, || format!("cannot make {}", self.folder.display()))?;
        for unit in systemd::units(plan, &sandbox) {
            let path = self.folder.join(&unit.name);
            fs::write(&path, unit.text).context(Kind::Target, || format!("cannot write {}", path.display()))?;
            wrote.push(path.display().to_string());
        }
        self.systemctl(&["daemon-reload"])?;
        let timers = Job::ALL.map(|job| format!("{}.timer", job.unit()));
        let mut arguments = vec!["enable", "--now"];
        arguments.extend(timers.iter().map(String::as_str));
        self.systemctl(&arguments)?;
        Ok(Installed { method: Method::Systemd, wrote, dropped, trials, warnings })
    }

    /// Timers of a user stop with its last session unless it lingers, and one who is not logged in has a manager only then.
    /// Returns what was written and what is left to do.
    fn stay(&self) -> Result<(Vec<String>, Vec<String>)> {
        let (mut wrote, mut warnings) = (Vec::new(), Vec::new());
        if !self.system && !self.lingers() {
            // By name: else it is whoever opened the session, and not whom `sudo -u` made of them.
            match run(Command::new("loginctl").args(["enable-linger", &self.user]), None) {
                Ok(_) => wrote.push(self.linger_file().display().to_string()),
                Err(error) => warnings.push(format!(
                    "{0} does not linger, so the timers stop when {0} logs out: {1}; as root run: loginctl enable-linger {0}",
                    self.user,
                    error.chain()
                )),
            }
        }
        let mut asked = 0;
        while !self.is_running() {
            asked += 1;
            if asked == ASKED_MAX || self.system || !self.lingers() {
                return Err(self.no_manager());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok((wrote, warnings))
    }

    fn no_manager(&self) -> Error {
        match self.system {
            true => Error::new(Kind::Nothing, "no systemd answers here").hint("--method cron needs none"),
            false => Error::new(Kind::Nothing, format!("no manager of systemd runs for {}", self.user)).hint(format!(
                "as root run: loginctl enable-linger {}; then this again; --method cron needs none",
                self.user
            )),
        }
    }

    /// What was removed; nothing if nothing was installed.
    pub fn uninstall(&self) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        for job in Job::ALL {
            for suffix in ["timer", "service"] {
                let name = format!("{}.{suffix}", job.unit());
                let path = self.folder.join(&name);
                if !path.exists() {
                    continue;
                }
                if !self.system && removed.is_empty() && !self.is_running() {
                    return Err(self.no_manager());
                }
                if suffix == "timer" {
                    self.systemctl(&["disable", "--now", &name])?;
                    // When it last started: what is installed again next year has nothing to make up for. No systemd before 243
                    // knows how.
                    drop(self.systemctl(&["clean", "--what=state", &name]));
                } else {
                    // A service that failed would stay in the manager's list without its file.
                    drop(self.systemctl(&["reset-failed", &name]));
                }
                fs::remove_file(&path).context(Kind::Target, || format!("cannot remove {}", path.display()))?;
                removed.push(path.display().to_string());
            }
        }
        if !removed.is_empty() {
            self.systemctl(&["daemon-reload"])?;
        }
        Ok(removed)
    }

    /// The timers whose files stand, and what the manager says of them.
    pub fn status(&self) -> Vec<(String, String)> {
        let timer = |job: Job| {
            let name = format!("{}.timer", job.unit());
            let stands = self.folder.join(&name).exists();
            let says = self
                .systemctl(&["is-active", &name])
                .map_or_else(|_| "not active".to_owned(), |text| text.trim().to_owned());
            stands.then_some((name, says))
        };
        Job::ALL.into_iter().filter_map(timer).collect()
    }
}

/// The crontab of the user who runs this.
pub fn crontab() -> Result<String> {
    let output = Command::new("crontab").arg("-l").stdin(Stdio::null()).output().map_err(no_cron)?;
    // A user without a crontab is told so by an error.
    Ok(if output.status.success() { String::from_utf8_lossy(&output.stdout).into_owned() } else { String::new() })
}

pub fn install_cron(plan: &Plan) -> Result<Installed> {
    let before = crontab()?;
    let after = cron::with_block(&before, plan);
    let wrote = if after == before { Vec::new() } else { vec!["crontab".to_owned()] };
    if after != before {
        run(Command::new("crontab").arg("-"), Some(&after))?;
    }
    Ok(Installed { method: Method::Cron, wrote, dropped: Vec::new(), trials: Vec::new(), warnings: Vec::new() })
}

/// Whether there was a block to take away.
pub fn uninstall_cron() -> Result<bool> {
    let before = crontab()?;
    if !cron::has_block(&before) {
        return Ok(false);
    }
    let after = cron::without_block(&before);
    match after.trim().is_empty() {
        true => run(Command::new("crontab").arg("-r"), None)?,
        false => run(Command::new("crontab").arg("-"), Some(&after))?,
    };
    Ok(true)
}

pub fn has_cron() -> bool {
    Command::new("crontab").arg("-l").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn no_cron(cause: io::Error) -> Error {
    Error::new(Kind::Target, "cannot run crontab").because(cause).hint("install cron, or use --method systemd")
}

fn run(command: &mut Command, input: Option<&str>) -> Result<String> {
    let words: Vec<_> =
        iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    let line = words.join(" ");
    let doing = || format!("cannot run {line}");
    let mut child = command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(Kind::Target, doing)?;
    if let (Some(mut to), Some(text)) = (child.stdin.take(), input) {
        to.write_all(text.as_bytes()).context(Kind::Target, doing)?;
    }
    let output = child.wait_with_output().context(Kind::Target, doing)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            Err(Error::new(Kind::Target, doing()).because(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
        }
    }
}

/// For us alone, with what is missing above it.
fn make_folder(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.context(Kind::Target, || format!("cannot make {}", path.display()))
}

/// `/run/user/1000/systemd/user`, or the machine's.
pub fn passing_folder(system: bool, runtime_dir: &Path) -> PathBuf {
    match system {
        true => PathBuf::from("/run/systemd/system"),
        false => runtime_dir.join("systemd/user"),
    }
}

/// `~/.config/systemd/user`, or the machine's.
pub fn unit_folder(system: bool, config_home: Option<&Path>) -> Option<PathBuf> {
    match system {
        true => Some(PathBuf::from("/etc/systemd/system")),
        false => config_home.map(|home| home.join("systemd/user")),
    }
}
