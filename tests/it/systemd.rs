//! Timers under a real systemd: PID 1 of namespaces of its own, with its own `/run`, `/etc` and cgroups, and none of the machine's
//! services but D-Bus and the journal. Needs root.

use std::fs;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::documents::blocks;
use crate::program::Sandbox;

mod user;

/// A manager that may not take capabilities away has none of the services that need it; nor do trials.
const PICKY_STEPS: &str = r#"
"$PROGRAM" schedule install > installed 2>&1
cat installed /etc/systemd/system/miyabi-backup-drill.service > drill
systemctl start miyabi-backup.service
ls backups/sqlite/daily/*.meta
"#;

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
exec $INIT_WITH /usr/lib/systemd/systemd --system --unit=basic.target
"#;

const OUTER: &str = r#"
set -e
# In a cgroup of its own: two that run at the same time would meet in one `system.slice`.
groups=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
own=$groups$(sed -n 's/^0:://p' /proc/self/cgroup)/miyabi-$$
[ -n "$groups" ] && mkdir "$own" || own=
( [ -z "$own" ] || echo $BASHPID > "$own/cgroup.procs"
  exec unshare --pid --fork --mount --mount-proc --cgroup --ipc --uts --kill-child bash boot.sh > boot.log 2>&1 ) & outer=$!
leave() {
  kill -KILL $outer
  wait $outer 2> /dev/null || true
  # What was killed is not gone at once.
  for _ in $(seq 50); do [ -n "$own" ] && [ -d "$own" ] || break; find "$own" -depth -type d -exec rmdir {} + 2> /dev/null || sleep 0.1; done
}
trap leave EXIT
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
PAGE
"$PROGRAM" doctor > doctor 2>&1 || [ $? = 40 ]
"$PROGRAM" schedule install > again 2>&1
cp miyabi-backup.toml aside.toml
sed -i '/sqlite/d; /app.db/d' miyabi-backup.toml
SQLITE_DATABASES=$PWD/app.db "$PROGRAM" schedule install > by_variable 2>&1 || [ $? = 3 ]
SQLITE_DATABASES=$PWD/app.db "$PROGRAM" --json schedule install > by_variable.json 2> /dev/null || [ $? = 3 ]
mv aside.toml miyabi-backup.toml
# A secret that whoever installs can read and the manager cannot.
mv secrets/smtp smtp.aside
unshare --mount sh -ec 'cd "$PWD" && mount -t tmpfs none secrets && echo secret > secrets/smtp && exec "$PROGRAM" schedule install' > by_secret 2>&1 || [ $? = 3 ]
mv smtp.aside secrets/smtp
# Sources that are not there.
cp miyabi-backup.toml aside.toml
printf '[[sqlite]]\npath = "gone/*.db"\n[[sqlite]]\npath = "lost.db"\n' >> miyabi-backup.toml
"$PROGRAM" schedule install > lacking 2>&1 || echo "exit code $?" >> lacking
"$PROGRAM" --json schedule install > lacking.json 2> /dev/null || [ $? = 3 ]
mv aside.toml miyabi-backup.toml
"$PROGRAM" schedule install
ls -A /run/systemd/system > passing
systemctl list-units --failed --no-legend 'miyabi-backup*-trial*' > failures
"$PROGRAM" schedule uninstall
"$PROGRAM" schedule status > after || [ $? = 5 ]
[ -z "$(systemctl list-timers --all --no-legend 'miyabi-backup*')" ]
[ -z "$(ls /etc/systemd/system/miyabi-backup* 2> /dev/null)" ]
"#;

/// A world in which these steps are run beside a systemd that `init_with` has started, and what they said.
fn under_systemd(init_with: &str, steps: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    Connection::open(sandbox.path("app.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .unwrap();
    fs::create_dir(sandbox.path("secrets")).unwrap();
    fs::write(sandbox.path("secrets/smtp"), "secret\n").unwrap();
    let toml = "[[sqlite]]\npath = \"app.db\"\n[schedule]\nat = \"02:30\"\n[status]\nmin_free = 0\n\
        [alerts]\ncommand = \"cat >> backups/told\"\nsmtp_password_file = \"secrets/smtp\"\nsmtp = \"smtps://127.0.0.1:1\"\n\
        email_to = \"a@example.com\"\nemail_from = \"b@example.com\"\n";
    fs::write(sandbox.path("miyabi-backup.toml"), toml).unwrap();
    for (name, text) in [("boot.sh", BOOT), ("outer.sh", OUTER), ("steps.sh", steps)] {
        fs::write(sandbox.path(name), text).unwrap();
    }
    let program = sandbox.command::<&str>(&[]).get_program().to_owned();
    let mut command = Command::new("bash");
    command.arg("outer.sh").current_dir(sandbox.path(".")).stdin(Stdio::null());
    command.env("PROGRAM", program).env("INIT_WITH", init_with);
    command
        .env("HOME", sandbox.path("."))
        .env("MIYABI_BACKUP_STATE_DIR", sandbox.path("state"))
        .env_remove("JOURNAL_STREAM");
    let output = command.output().expect("bash");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    sandbox
}

const ALL: &str = "started for trial, and well: miyabi-backup.service, miyabi-backup-verify.service, miyabi-backup-drill.service, \
    miyabi-backup-watch.service\n";

#[test]
fn a_real_systemd_runs_what_was_installed() {
    let page = include_str!("../../docs/deploy/systemd.md");
    let page: String = blocks(page).into_iter().map(|block| block.text).collect();
    assert!(page.contains("systemctl list-timers 'miyabi-backup*'"), "{page}");
    let sandbox = under_systemd("", &STEPS.replace("PAGE", &page));
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    assert_eq!(read("timers").lines().count(), 4, "{}", read("timers"));
    assert_eq!(read("status").matches(": active").count(), 4, "{}", read("status"));
    assert!(!read("installed").contains("cannot apply"), "a line was dropped: {}", read("installed"));
    assert!(read("installed").contains(ALL), "{}", read("installed"));
    assert!(read("entries").contains("backup of app is done"), "{}", read("entries"));
    let doctor = read("doctor");
    assert!(doctor.contains("miyabi-backup.timer is active") && !doctor.contains("error:"), "{doctor}");
    assert!(read("after").contains("nothing is installed"));
    // `systemd-analyze security` counts from 0 (safe) to 10.
    let security = read("security");
    let exposure: f64 = security.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(10.0);
    assert!(exposure < 4.0, "{security}");
    sandbox.run(&["logs"]).expect(0).says("backup   ok").says("drill    ok").says("verify   ok");
    // A trial is no run, and says why it fails.
    let by_variable = read("by_variable");
    let why =
        "error: miyabi-backup-watch.service was started for trial and failed: nothing is configured to be backed up";
    assert!(by_variable.contains(why) && by_variable.contains("variables of this shell"), "{by_variable}");
    let json: serde_json::Value = serde_json::from_str(&read("by_variable.json")).unwrap();
    assert_eq!(json["exit_code"], 3, "{json}");
    assert_eq!(json["trials"].as_array().unwrap().len(), 4, "{json}");
    let (lacking, why) = (read("lacking"), "miyabi-backup.service was started for trial and failed: the pattern");
    assert!(lacking.contains("exit code 3") && lacking.matches(" and failed: ").count() == 1, "{lacking}");
    assert!(lacking.contains(why) && lacking.contains("gone/*.db") && lacking.contains("lost.db"), "{lacking}");
    assert!(!lacking.contains("cannot apply"), "a line was blamed for a source: {lacking}");
    let json: serde_json::Value = serde_json::from_str(&read("lacking.json")).unwrap();
    assert_eq!((&json["exit_code"], json["failed"].as_array().map(Vec::len)), (&3.into(), Some(2)), "{json}");
    assert_eq!((read("passing").as_str(), read("failures").as_str()), ("", ""), "a trial left something behind");
    assert!(
        read("by_secret").contains("miyabi-backup.service was started for trial and failed: cannot read"),
        "{}",
        read("by_secret")
    );
}

#[test]
fn lines_that_a_manager_cannot_apply_are_left_out_and_named() {
    let sandbox = under_systemd("setpriv --bounding-set=-setpcap", PICKY_STEPS);
    let drill = fs::read_to_string(sandbox.path("drill")).unwrap();
    assert!(drill.contains("warning: this manager cannot apply CapabilityBoundingSet="), "{drill}");
    assert!(drill.contains(ALL), "{drill}");
    assert!(!drill.contains("\nCapabilityBoundingSet=") && drill.contains("\nProtectSystem=strict\n"), "{drill}");
}
