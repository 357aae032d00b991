//! `schedule`: which program, which configuration, what it may write to.

use std::env;
use std::path::{Path, PathBuf};

use jiff::civil::Time;
use rustix::fs::{Access, access};

use super::backup::configured;
use super::status::schedule as time_of_day;
use super::{Failure, Notes, machine, places};
use crate::cli::args::ScheduleArgs;
use crate::cli::config::Config;
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::Source;
use crate::ops::schedule::Plan;
use crate::store::Places;

const AT: Time = Time::constant(3, 0, 0, 0);

pub struct Schedule {
    pub plan: Plan,
    /// Sources that would fail every night, as far as can be told without opening them.
    pub failures: Vec<Failure>,
}

pub fn schedule(args: &ScheduleArgs, config: &Config, notes: &mut Notes) -> Result<Schedule> {
    let program = env::current_exe().context(Kind::Usage, || "cannot tell where this program is".to_owned())?;
    let folder = env::current_dir().context(Kind::Usage, || "cannot tell the working folder".to_owned())?;
    let absolute = |path: &Path| folder.join(path);
    let mut arguments = Vec::new();
    let mut add = |flag: &str, path: PathBuf| arguments.extend([flag.to_owned(), path.display().to_string()]);
    if let Some(file) = &config.file {
        add("--config", absolute(&file.path));
    }
    let state_dir = absolute(&machine::state_dir(config)?);
    add("--state-dir", state_dir.clone());
    let (sources, mut failures) = configured(config, notes)?;
    failures.extend(sources.iter().filter_map(unreadable));
    if sources.is_empty() && failures.is_empty() {
        return Err(Error::new(Kind::Nothing, "nothing is configured to be backed up")
            .hint("write miyabi-backup.toml first: a timer has no flags that name databases"));
    }
    let tree = places::to_read(config)?;
    let tree = Places::bucket(&tree).is_none().then(|| absolute(&tree));
    let own_folders: Vec<PathBuf> = tree.into_iter().chain([state_dir, folder.join("logs")]).collect();
    let mut writable = own_folders.clone();
    for source in &sources {
        // Reading a database in WAL mode writes to its -shm.
        if let Source::Sqlite(file) = source {
            writable.extend(absolute(&file.path).parent().map(Path::to_owned));
        }
    }
    writable.extend(config.get("staging").map(|setting| absolute(&config.path(setting))));
    writable.sort();
    writable.dedup();
    let entries = config.postgres().iter().filter_map(|entry| entry.get("password_file"));
    let secrets = entries.chain(config.get("alerts.smtp_password_file"));
    let plan = Plan {
        at: time_of_day(config)?.unwrap_or(AT),
        zone: config.get("zone").map(|zone| zone.value.clone()),
        program,
        arguments,
        secrets: secrets.map(|setting| absolute(&config.path(setting))).collect(),
        folder: folder.clone(),
        writable,
        own_folders,
        system: args.system || rustix::process::geteuid().is_root(),
    };
    Ok(Schedule { plan, failures })
}

/// A file that is not there or belongs to somebody else. Whether it is a database, `doctor` says.
fn unreadable(source: &Source) -> Option<Failure> {
    let Source::Sqlite(file) = source else { return None };
    let cause = access(&file.path, Access::READ_OK).err()?;
    let error = Error::new(Kind::Source, format!("cannot read {}", file.path.display()))
        .because(std::io::Error::from(cause))
        .hint("is `path` of [[sqlite]] right, and may the user of the timers read it?");
    Some(Failure { label: file.label.clone(), error })
}
