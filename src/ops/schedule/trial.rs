//! One start of each unit before it is relied on: a copy with the unit's own lines, whose program only looks whether it can read
//! and write what the night needs. Lines that keep it from starting are found and left out.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::io::Errno;
use serde::Serialize;

use crate::error::{Context as _, Error, Kind, Result};

use super::install::Systemd;
use super::plan::{Job, Plan};
use super::systemd;

#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    pub unit: String,
    /// Why it did not start, or what it would not do every night; nothing if all is well.
    pub why: Option<String>,
}

pub struct Chosen {
    /// The lines that all units get.
    pub sandbox: Vec<String>,
    pub dropped: Vec<String>,
    pub trials: Vec<Tried>,
}

/// A line that one unit cannot have is left out of all: it is the manager who cannot apply it.
pub fn of_all(manager: &Systemd, plan: &Plan) -> Result<Chosen> {
    let mut chosen = Chosen { sandbox: systemd::sandbox(plan), dropped: Vec::new(), trials: Vec::new() };
    for job in Job::ALL {
        let unit = format!("{}.service", job.unit());
        let mut lacks = None;
        let mut starts = |lines: &[String]| -> Result<Started> {
            let started = start(manager, plan, job, lines)?;
            Ok(started.map(|found| lacks = found))
        };
        match applicable(&chosen.sandbox, &mut starts)? {
            Ok((kept, dropped)) => {
                chosen.sandbox = kept;
                chosen.dropped.extend(dropped);
                // The other jobs work with the backups that there are.
                chosen.trials.push(Tried { unit, why: lacks.filter(|_| job == Job::Backup) });
            }
            Err(why) => chosen.trials.push(Tried { unit, why: Some(why) }),
        }
    }
    Ok(chosen)
}

/// Whether a start succeeded; if not, why.
type Started = std::result::Result<(), String>;
type Sorted = std::result::Result<(Vec<String>, Vec<String>), String>;

/// The lines with which it starts, and those that are in the way; why it does not start, if that is not for any of them.
fn applicable(wanted: &[String], starts: &mut dyn FnMut(&[String]) -> Result<Started>) -> Result<Sorted> {
    if starts(wanted)?.is_ok() {
        return Ok(Ok((wanted.to_vec(), Vec::new())));
    }
    if let Err(why) = starts(&[])? {
        return Ok(Err(why));
    }
    // Each with those that were found good before it, so that what is left has been started together.
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for line in wanted {
        kept.push(line.clone());
        if starts(&kept)?.is_err() {
            dropped.extend(kept.pop());
        }
    }
    Ok(Ok((kept, dropped)))
}

/// Starts the copy of a unit once; nothing of it is left. One that starts may still lack sources.
fn start(
    manager: &Systemd,
    plan: &Plan,
    job: Job,
    sandbox: &[String],
) -> Result<std::result::Result<Option<String>, String>> {
    let cannot = |what: &str, path: &Path| format!("cannot {what} {}", path.display());
    let folder = &manager.passing;
    fs::create_dir_all(folder).context(Kind::Target, || cannot("make", folder))?;
    let says = Passing(folder.join(format!(".{}-trial.says", job.unit())));
    drop(fs::remove_file(&says.0));
    let unit = systemd::trial(plan, job, sandbox, &says.0);
    let file = Passing(folder.join(&unit.name));
    fs::write(&file.0, &unit.text).context(Kind::Target, || cannot("write", &file.0))?;
    manager.systemctl(&["daemon-reload"])?;
    let started = manager.systemctl(&["start", &unit.name]);
    let outcome = started
        .map(|_| Some(errors(&says.0).join("; ")).filter(|all| !all.is_empty()))
        .map_err(|error| reason(manager, &unit.name, &says.0, &error));
    if outcome.is_err() {
        // Whoever looks at the manager's list of failed units is not to find trials there.
        drop(manager.systemctl(&["reset-failed", &unit.name]));
    }
    Ok(outcome)
}

/// Removed when it is done with, also after an error.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// What the program said; else what the manager says of it.
fn reason(manager: &Systemd, unit: &str, says: &Path, error: &Error) -> String {
    if let Some(line) = errors(says).into_iter().next() {
        return line;
    }
    let shown = manager.systemctl(&["show", "--value", "--property=ExecMainStatus", unit]).unwrap_or_default();
    match shown.trim().parse() {
        Ok(0) | Err(_) => error.chain(),
        Ok(status) => step(status).map_or_else(|| format!("it ended with status {status}"), str::to_owned),
    }
}

fn errors(says: &Path) -> Vec<String> {
    let said = fs::read_to_string(says).unwrap_or_default();
    said.lines().filter_map(|line| line.strip_prefix("error: ")).map(str::to_owned).collect()
}

/// What systemd could not do before it started the program: systemd.exec(5), "Process exit codes".
fn step(status: i32) -> Option<&'static str> {
    Some(match status {
        200 => "systemd cannot enter its working folder (status 200/CHDIR)",
        203 => "systemd cannot execute the program (status 203/EXEC)",
        217 => "systemd does not find the user (status 217/USER)",
        218 => "systemd cannot take capabilities away (status 218/CAPABILITIES)",
        226 => "systemd cannot make its file system namespace (status 226/NAMESPACE)",
        227 => "systemd cannot set NoNewPrivileges (status 227/NO_NEW_PRIVILEGES)",
        228 => "systemd cannot filter system calls (status 228/SECCOMP)",
        243 => "systemd cannot hand over its credentials (status 243/CREDENTIALS)",
        _ => return None,
    })
}

/// Managers that may not make namespaces, as those of users often may not, start a unit without what was to protect files from it.
pub fn look_for_protection(paths: &[PathBuf]) -> Result<()> {
    // What is not there, or cannot be looked at, nobody writes to.
    let open = |path: &&PathBuf| statvfs(*path).is_ok_and(|place| !place.f_flag.contains(StatVfsMountFlags::RDONLY));
    match paths.iter().find(open) {
        Some(path) => Err(Error::new(Kind::Place, format!("{} is not protected", path.display()))),
        None => Ok(()),
    }
}

/// What the copy itself looks at, once it has read the configuration with its secrets: where runs write.
pub fn look(plan: &Plan) -> Result<()> {
    let cannot = |path: &Path, cause: Errno| {
        Error::new(Kind::Place, format!("cannot write in {}", path.display())).because(std::io::Error::from(cause))
    };
    for path in &plan.writable {
        let is_ours = plan.own_folders.contains(path);
        match access(path, Access::WRITE_OK) {
            Ok(()) => {}
            // Others' folders are written to for a database in WAL mode alone, and only the sandbox is asked about.
            Err(cause) if !is_ours && cause != Errno::ROFS => {}
            Err(cause) => return Err(cannot(path, cause)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn refuse(why: &str) -> Started {
        Err(why.to_owned())
    }

    #[test]
    fn only_lines_in_the_way_are_dropped() {
        let wanted = lines(&["A", "B", "C", "D"]);
        let mut starts = 0;
        let all = applicable(&wanted, &mut |_| {
            starts += 1;
            Ok(Ok(()))
        });
        assert_eq!((all.unwrap().unwrap(), starts), ((wanted.clone(), Vec::new()), 1), "what starts is started once");
        // B never, D not beside C.
        let mut picky = |lines: &[String]| {
            let has = |name: &str| lines.iter().any(|line| line == name);
            Ok(if has("B") || (has("C") && has("D")) { refuse("no") } else { Ok(()) })
        };
        assert_eq!(applicable(&wanted, &mut picky).unwrap().unwrap(), (lines(&["A", "C"]), lines(&["B", "D"])));
        let none = applicable(&wanted, &mut |lines| Ok(refuse(&format!("with {}", lines.len()))));
        assert_eq!(none.unwrap().unwrap_err(), "with 0", "no line is to blame for what fails without any");
    }
}
