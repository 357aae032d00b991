//! Units of systemd as text.

use std::path::Path;

use crate::error::Kind;

use super::plan::{Job, Plan};

/// A trial opens no connection.
const TRIAL_SECONDS_MAX: u32 = 60;

pub struct Unit {
    pub name: String,
    pub text: String,
}

/// Services and timers, each service before its timer.
pub fn units(plan: &Plan, sandbox: &[String]) -> Vec<Unit> {
    Job::ALL.into_iter().flat_map(|job| [service(plan, job, sandbox), timer(plan, job)]).collect()
}

/// Lines that hand a run its secrets and keep it from everything that it does not need. A manager that cannot apply one of them fails to
/// start the unit, so they are tried before they are installed.
pub fn sandbox(plan: &Plan) -> Vec<String> {
    // First what gives: a line that takes is tried with those before it. A folder that does not exist yet is no reason not to start.
    let mut lines: Vec<String> =
        plan.writable.iter().map(|path| format!("ReadWritePaths=-{}", quoted(&path.display().to_string()))).collect();
    for secret in plan.secrets.iter().filter(|_| plan.system) {
        let path = secret.display().to_string();
        lines.push(format!("LoadCredential={}:{}", credential_name(&path), path_value(&path)));
    }
    if !plan.system {
        // Without a user namespace the manager of a user has no right to any of what follows, and says of most of it nothing.
        lines.push("PrivateUsers=yes".to_owned());
    }
    let taken = [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        "ProtectControlGroups=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "PrivateDevices=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
    ];
    lines.extend(taken.map(str::to_owned));
    if plan.system {
        // Root reads SQLite files of other users, and gives restored ones their owner.
        lines.push("CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_CHOWN CAP_FOWNER".to_owned());
    }
    lines
}

fn service(plan: &Plan, job: Job, sandbox: &[String]) -> Unit {
    let mut lines = vec![
        "[Unit]".to_owned(),
        format!("Description={} (miyabi-backup)", job.describe()),
        "Documentation=man:miyabi-backup(1)".to_owned(),
    ];
    if plan.system {
        lines.extend(["Wants=network-online.target", "After=network-online.target"].map(str::to_owned));
    }
    lines.push(String::new());
    lines.extend(section(plan, &plan.words(job)));
    lines.push("TimeoutStartSec=infinity".to_owned());
    lines.extend(sandbox.iter().cloned());
    lines.push(String::new());
    Unit { name: format!("{}.service", job.unit()), text: lines.join("\n") }
}

/// What lines of the sandbox make read-only, if the manager does what they say.
const PROTECTED: [(&str, &str); 3] =
    [("ProtectSystem=strict", "/"), ("ProtectHome=read-only", "/home"), ("ProtectControlGroups=yes", "/sys/fs/cgroup")];

/// A copy of a job's service that does nothing of its work: started as the service will be, with its own lines, it only looks
/// whether it can read and write what the work needs. What it says is in the file `says`. It waits for no network.
pub fn trial(plan: &Plan, job: Job, sandbox: &[String], says: &Path) -> Unit {
    let mut lines = vec![
        "[Unit]".to_owned(),
        format!("Description=Trial of {}.service (miyabi-backup)", job.unit()),
        String::new(),
    ];
    let mut words = plan.trial_words();
    for (line, path) in PROTECTED {
        if sandbox.iter().any(|one| one == line) && !plan.writable.iter().any(|one| one == Path::new(path)) {
            words.extend(["--protected", path].map(str::to_owned));
        }
    }
    lines.extend(section(plan, &words));
    lines.push(format!("TimeoutStartSec={}", TRIAL_SECONDS_MAX));
    // Sources that would fail are no reason not to start.
    lines.push(format!("SuccessExitStatus={}", Kind::Partial.exit_code()));
    lines.push("StandardOutput=null".to_owned());
    lines.push(format!("StandardError=file:{}", path_value(&says.display().to_string())));
    lines.extend(sandbox.iter().cloned());
    lines.push(String::new());
    Unit { name: format!("{}-trial.service", job.unit()), text: lines.join("\n") }
}

/// What service and trial have in common.
fn section(plan: &Plan, words: &[String]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    vec![
        "[Service]".to_owned(),
        "Type=oneshot".to_owned(),
        format!("ExecStart={}", words.join(" ")),
        format!("WorkingDirectory={}", path_value(&plan.folder.display().to_string())),
        "UMask=0077".to_owned(),
        "Nice=10".to_owned(),
        "IOSchedulingClass=best-effort".to_owned(),
        "IOSchedulingPriority=7".to_owned(),
    ]
}

fn timer(plan: &Plan, job: Job) -> Unit {
    let calendar = calendar(plan, job);
    let mut lines = vec![
        "[Unit]".to_owned(),
        format!("Description={}, by the clock (miyabi-backup)", job.describe()),
        String::new(),
        "[Timer]".to_owned(),
        format!("OnCalendar={calendar}"),
    ];
    match job {
        // Hourly: what was missed while the machine slept comes soon enough.
        Job::Watch => lines.push("RandomizedDelaySec=2min".to_owned()),
        _ => lines.extend(["Persistent=true", "RandomizedDelaySec=5min"].map(str::to_owned)),
    }
    lines.extend(["", "[Install]", "WantedBy=timers.target", ""].map(str::to_owned));
    Unit { name: format!("{}.timer", job.unit()), text: lines.join("\n") }
}

/// A calendar expression: `*-*-* 03:00:00 Asia/Tokyo`.
pub fn calendar(plan: &Plan, job: Job) -> String {
    let when = match job {
        Job::Backup => format!("*-*-* {}", plan.at.strftime("%H:%M:%S")),
        Job::Verify => "Sun *-*-* 04:00:00".to_owned(),
        Job::Drill => "*-*-01 05:00:00".to_owned(),
        Job::Watch => return "*-*-* *:17:00".to_owned(),
    };
    match &plan.zone {
        Some(zone) => format!("{when} {zone}"),
        None => when,
    }
}

/// The name of a secret within the unit's credentials; the program looks for its file by the same name.
pub fn credential_name(path: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    path.trim_start_matches('/').chars().map(plain).collect()
}

/// A word of a command line: `%` and `$` would be replaced, quotes and spaces would split it.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@+,%$".contains(c);
    if !word.is_empty() && escaped.chars().all(is_plain) { escaped } else { format!("\"{escaped}\"") }
}

/// A value that is one path up to the line's end.
fn path_value(path: &str) -> String {
    path.replace('%', "%%")
}
