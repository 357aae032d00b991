//! Timers under a real systemd: PID 1 of namespaces of its own, with its own `/run`, `/etc` and cgroups, and none of the machine's
//! services but D-Bus and the journal. Needs root.

use std::fs;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::program::Sandbox;

/// Becomes systemd. What the machine would start at boot is out of sight, and no file system is remounted.
const BOOT: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/etc /run/none && cp -a /etc/. /run/etc && mount --bind /run/etc /etc
rm -rf /etc/systemd/system && mkdir -p /etc/systemd/system && : > /etc/fstab
mount -t tmpfs none /var/lib/systemd
mount -t tmpfs none /var/log
for wants in sysinit sockets timers local-fs multi-user graphical; do
  [ ! -d /usr/lib/systemd/system/$wants.target.wants ] || mount --bind /run/none /usr/lib/systemd/system/$wants.target.wants
done
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup ||
  { mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd none /sys/fs/cgroup/systemd; }
export container=miyabi-test
exec /usr/lib/systemd/systemd --system --unit=basic.target
"#;

const OUTER: &str = r#"
set -e
unshare --pid --fork --mount --mount-proc --cgroup --ipc --uts --kill-child bash boot.sh > boot.log 2>&1 & outer=$!
trap 'kill -KILL $outer' EXIT
up=
for _ in $(seq 300); do
  init=$(cut -d' ' -f1 /proc/$outer/task/$outer/children)
  [ -z "$init" ] || case $(nsenter -t $init -a systemctl is-system-running 2> /dev/null) in running | degraded) up=1 && break ;; esac
  kill -0 $outer
  sleep 0.1
done
[ -n "$up" ] || { echo "systemd does not come up"; cat boot.log; exit 1; }
nsenter -t $init -a --wd="$PWD" bash -exo pipefail steps.sh
"#;

const STEPS: &str = r#"
systemctl start systemd-journald.service dbus.service
"$PROGRAM" schedule install > installed 2>&1
cat installed
"$PROGRAM" schedule status > status
systemctl list-timers --all --no-legend 'miyabi-backup*' > timers
for unit in miyabi-backup miyabi-backup-verify miyabi-backup-drill miyabi-backup-watch; do
  systemctl start $unit.service || { systemctl status --no-pager $unit.service; journalctl --no-pager -u $unit.service; exit 1; }
done
ls -l backups/sqlite/daily
journalctl --sync
journalctl -q --no-pager -o cat -u miyabi-backup.service MIYABI_EVENT=backup.done MIYABI_DATABASE=app > entries
systemd-analyze security --no-pager miyabi-backup.service | tail -n 1 > security
"$PROGRAM" doctor > doctor 2>&1 || [ $? = 40 ]
"$PROGRAM" schedule install > again 2>&1
"$PROGRAM" schedule uninstall
"$PROGRAM" schedule status > after || [ $? = 5 ]
[ -z "$(systemctl list-timers --all --no-legend 'miyabi-backup*')" ]
[ -z "$(ls /etc/systemd/system/miyabi-backup* 2> /dev/null)" ]
"#;

#[test]
fn a_real_systemd_runs_what_was_installed() {
    let sandbox = Sandbox::new();
    Connection::open(sandbox.path("app.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .unwrap();
    let toml = "[[sqlite]]\npath = \"app.db\"\n[schedule]\nat = \"02:30\"\n[status]\nmin_free = 0\n[alerts]\ncommand = \"cat >> backups/told\"\n";
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    for (name, text) in [("boot.sh", BOOT), ("outer.sh", OUTER), ("steps.sh", STEPS)] {
        fs::write(sandbox.path(name), text).unwrap();
    }
    let program = sandbox.command::<&str>(&[]).get_program().to_owned();
    let mut command = Command::new("bash");
    command.arg("outer.sh").current_dir(sandbox.path(".")).env("PROGRAM", program).stdin(Stdio::null());
    command
        .env("HOME", sandbox.path("."))
        .env("MIYABI_BACKUP_STATE_DIR", sandbox.path("state"))
        .env_remove("JOURNAL_STREAM");
    let output = command.output().expect("bash");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    assert_eq!(read("timers").lines().count(), 4, "{}", read("timers"));
    assert_eq!(read("status").matches(": active").count(), 4, "{}", read("status"));
    assert!(!read("installed").contains("cannot apply"), "a line was dropped: {}", read("installed"));
    assert!(read("entries").contains("backup of app is done"), "{}", read("entries"));
    let doctor = read("doctor");
    assert!(doctor.contains("miyabi-backup.timer is active") && !doctor.contains("error:"), "{doctor}");
    assert!(read("after").contains("nothing is installed"));
    // `systemd-analyze security` counts from 0 (safe) to 10.
    let security = read("security");
    let exposure: f64 = security.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(10.0);
    assert!(exposure < 4.0, "{security}");
    sandbox.run(&["logs"]).expect(0).says("backup   ok").says("drill    ok").says("verify   ok");
}
