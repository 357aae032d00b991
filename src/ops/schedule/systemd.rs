//! Units of systemd as text.

use super::plan::{Job, Plan};

pub struct Unit {
    pub name: String,
    pub text: String,
}

/// Services and timers, each service before its timer.
pub fn units(plan: &Plan, sandbox: &[String]) -> Vec<Unit> {
    Job::ALL.into_iter().flat_map(|job| [service(plan, job, sandbox), timer(plan, job)]).collect()
}

/// Lines that keep a run from everything that it does not need. A manager that cannot apply one of them fails to
/// start the unit, so they are tried before they are installed.
pub fn sandbox(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<String> = [
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
    ]
    .map(str::to_owned)
    .into();
    if plan.system {
        // Root reads SQLite files of other users, and gives restored ones their owner.
        lines.push("CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_CHOWN CAP_FOWNER".to_owned());
    }
    // A folder that does not exist yet is no reason not to start.
    lines.extend(plan.writable.iter().map(|path| format!("ReadWritePaths=-{}", quoted(&path.display().to_string()))));
    lines
}

fn service(plan: &Plan, job: Job, sandbox: &[String]) -> Unit {
    let words: Vec<String> = plan.words(job).iter().map(|word| quoted(word)).collect();
    let mut lines = vec![
        "[Unit]".to_owned(),
        format!("Description={} (miyabi-backup)", job.describe()),
        "Documentation=man:miyabi-backup(1)".to_owned(),
    ];
    if plan.system {
        lines.extend(["Wants=network-online.target", "After=network-online.target"].map(str::to_owned));
    }
    lines.extend(["", "[Service]", "Type=oneshot"].map(str::to_owned));
    lines.push(format!("ExecStart={}", words.join(" ")));
    lines.push(format!("WorkingDirectory={}", path_value(&plan.folder.display().to_string())));
    for secret in plan.secrets.iter().filter(|_| plan.system) {
        let path = secret.display().to_string();
        lines.push(format!("LoadCredential={}:{}", credential_name(&path), path_value(&path)));
    }
    lines.extend(
        ["UMask=0077", "Nice=10", "IOSchedulingClass=best-effort", "IOSchedulingPriority=7"].map(str::to_owned),
    );
    lines.push("TimeoutStartSec=infinity".to_owned());
    lines.extend(sandbox.iter().cloned());
    lines.push(String::new());
    Unit { name: format!("{}.service", job.unit()), text: lines.join("\n") }
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
