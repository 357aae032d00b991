//! What only the machine knows: who runs us, how many cores there are, what it is called, which zone it is in.

use std::path::{Path, PathBuf};
use std::thread;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::config::Config;
use crate::clock::Clock;
use crate::error::{Context, Error, Kind, Result};
use crate::ops::schedule::systemd::credential_name;

const CONNECTIONS_MAX: usize = 12;

pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Connections that restore by default: as many as there are cores. More than the maximum gains little and takes what others
/// need.
pub fn connections() -> usize {
    cores().min(CONNECTIONS_MAX)
}

pub fn host_name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// The user's name as libpq takes it: of the effective user id, else what the environment says.
pub fn user(config: &Config) -> Option<String> {
    let id = rustix::process::geteuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let listed = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    listed.or_else(|| ["USER", "LOGNAME"].iter().find_map(|name| config.variable(name).map(str::to_owned)))
}

/// The clock of this machine in the configured zone; without one in that of `TZ` or of the system.
pub fn clock(config: &Config) -> Result<Clock> {
    let zone = match config.get("zone") {
        Some(setting) => TimeZone::get(&setting.value).context(Kind::Usage, || {
            format!("cannot use {}: `{}` is not a known time zone", setting.origin, setting.value)
        })?,
        None => TimeZone::try_system().map_err(|cause| {
            let error = Error::new(Kind::Usage, "cannot tell this machine's time zone").because(cause);
            error.hint("set `zone` in miyabi-backup.toml, or TZ, for example to UTC")
        })?,
    };
    Ok(Clock::new(zone, Timestamp::now))
}

/// The zone in which cron counts; UTC where the machine does not say.
pub fn machine_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

/// Where a SQLite file out of a bucket is unpacked if no folder is named for that.
pub fn scratch(config: &Config) -> PathBuf {
    PathBuf::from(config.variable("TMPDIR").unwrap_or("/tmp"))
}

/// A file with a secret: where the manager of this process has handed it over, its copy there.
pub fn credential(config: &Config, path: &Path) -> PathBuf {
    let handed = config
        .variable("CREDENTIALS_DIRECTORY")
        .map(|folder| Path::new(folder).join(credential_name(&path.display().to_string())));
    handed.filter(|handed| handed.exists()).unwrap_or_else(|| path.to_owned())
}

pub fn state_dir(config: &Config) -> Result<PathBuf> {
    if let Some(setting) = config.get("state_dir") {
        return Ok(config.path(setting));
    }
    if let Some(folder) = config.variable("XDG_STATE_HOME") {
        return Ok(Path::new(folder).join("miyabi-backup"));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/miyabi-backup"));
    }
    let home = config.variable("HOME").ok_or_else(|| {
        Error::new(Kind::Usage, "cannot tell where locks and history belong: HOME is not set").hint("give --state-dir")
    })?;
    Ok(Path::new(home).join(".local/state/miyabi-backup"))
}
