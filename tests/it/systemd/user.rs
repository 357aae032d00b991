//! Timers of a user who is not root: a real logind, a real manager of that user, sessions that begin and end.

use std::fs;

use super::{ALL, under_systemd};
use crate::program::Sandbox;

/// `login` has a session of ada's, `as_ada` is her without one, as `sudo -u` makes her. What she leaves behind ends at once.
const ADA: &str = r#"
printf '[Login]\nUserStopDelaySec=0\n' > /etc/systemd/logind.conf
printf 'ada:x:4711:4711::%s:/bin/bash\n' "$PWD" >> /etc/passwd
printf 'ada:x:4711:\n' >> /etc/group
printf 'ada:!:1::::::\n' >> /etc/shadow
touch program && mount --bind "$PROGRAM" program
# What is mounted stands in the folder of this namespace; the shell came with the one outside.
cd "$PWD"
chown -R ada: .
login() { runuser -l ada -c "set -ex; cd '$PWD'; $1"; }
as_ada() { setpriv --reuid=ada --regid=ada --init-groups env -i HOME="$PWD" PATH="$PATH" TERM=dumb "$@"; }
of_ada() { as_ada XDG_RUNTIME_DIR=/run/user/4711 systemctl --user "$@"; }
within() { for _ in $(seq 100); do ! "$@" || return 0; sleep 0.1; done; echo "never: $*"; journalctl --no-pager -n 100; false; }
has_no_session() { [ -z "$(loginctl show-user ada --value --property=Sessions 2> /dev/null)" ]; }
has_no_manager() { ! systemctl is-active --quiet user@4711.service; }
is_active() { [ "$(of_ada is-active miyabi-backup.timer)" = active ]; }
systemctl start systemd-journald.service dbus.service systemd-logind.service
"#;

const STEPS: &str = r#"
[ ! -e /var/lib/systemd/linger/ada ]
cat > installs.sh <<'SH'
./program schedule install > installed 2>&1 || { cat installed; exit 1; }
./program schedule status > status
systemctl --user list-timers --all --no-legend 'miyabi-backup*' > timers
for unit in miyabi-backup miyabi-backup-verify miyabi-backup-drill miyabi-backup-watch; do
  systemctl --user start $unit.service || { systemctl --user status --no-pager $unit.service; exit 1; }
done
ls backups/sqlite/daily/*.meta
./program doctor > lingering 2>&1 || [ $? = 40 ]
SH
login '. ./installs.sh' || { journalctl --no-pager -n 200; exit 1; }

journalctl --sync
journalctl -q --no-pager -o cat _SYSTEMD_USER_UNIT=miyabi-backup.service MIYABI_EVENT=backup.done MIYABI_DATABASE=app > entries

# The session is over. Then the machine starts again: logind starts the managers of those who linger.
within has_no_session
is_active
systemctl stop user@4711.service systemd-logind.service
rm -f /run/systemd/users/* /run/systemd/sessions/*
systemctl start systemd-logind.service
within is_active

# A unit's lines do what they say: another program in place of ours writes where it may, and nowhere else.
mkdir -m 777 /var/log/open
folder=.config/systemd/user/miyabi-backup-verify.service.d
as_ada mkdir $folder
printf "[Service]\nExecStart=\nExecStart=/bin/sh -c 'touch backups/inside; touch /var/log/open/outside'\n" > $folder/other.conf
of_ada daemon-reload
! of_ada start miyabi-backup-verify.service
[ -e backups/inside ]
[ ! -e /var/log/open/outside ]
rm -r $folder
of_ada daemon-reload

# Nobody lingers, nobody is logged in: there is no manager.
loginctl disable-linger ada
within has_no_manager
as_ada ./program doctor > without 2>&1 || [ $? = 41 ]
as_ada ./program schedule status > asleep
as_ada ./program schedule uninstall > too_late 2>&1 || [ $? = 5 ]

# Who is not logged in can install all the same.
as_ada ./program schedule install --method systemd > by_sudo 2>&1 || { cat by_sudo; exit 1; }
within is_active

# Nobody decides who may linger, as on machines without polkit. Who may not is told what to run as root, and the timers are there meanwhile.
systemctl mask --runtime --now polkit.service
loginctl disable-linger ada
within has_no_manager
as_ada ./program schedule install --method systemd > refused 2>&1 || echo "exit code $?" >> refused
login './program schedule install > warned 2>&1; ./program doctor > warned_doctor 2>&1 || [ $? = 41 ]'
within has_no_session
loginctl enable-linger ada
within is_active

of_ada start miyabi-backup.service
mv app.db away.db
of_ada start miyabi-backup.service || [ $? = 1 ]
as_ada ./program schedule uninstall > uninstalled 2>&1
as_ada ./program schedule status > after || [ $? = 5 ]
of_ada list-units --all --no-legend 'miyabi-backup*' > units
find .config .local/share /run/user/4711/systemd -name '*miyabi*' > files
mv away.db app.db
"#;

#[test]
fn a_manager_of_a_user_runs_what_was_installed() {
    let sandbox = under_systemd("", &format!("{ADA}{STEPS}"));
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    let installed = read("installed");
    assert!(installed.contains("wrote /var/lib/systemd/linger/ada\n"), "{installed}");
    assert!(installed.contains(ALL) && !installed.contains("warning"), "{installed}");
    assert_eq!(read("timers").lines().count(), 4, "{}", read("timers"));
    assert_eq!(read("status").matches(": active").count(), 4, "{}", read("status"));
    assert!(read("entries").contains("backup of app is done"), "{}", read("entries"));
    let lingering = read("lingering");
    assert!(lingering.contains("ada lingers") && !lingering.contains("error:"), "{lingering}");
    assert_eq!(lingering.matches(".timer is active").count(), 4, "{lingering}");

    let without = read("without");
    assert!(without.contains("error: schedule: miyabi-backup.timer is not active"), "{without}");
    assert!(
        without.contains("ada does not linger") && without.contains("hint: loginctl enable-linger ada"),
        "{without}"
    );
    assert_eq!(read("asleep").matches(": not active").count(), 4, "{}", read("asleep"));
    assert!(read("too_late").contains("no manager of systemd runs for ada"), "{}", read("too_late"));
    assert!(read("by_sudo").contains("linger/ada\n") && read("by_sudo").contains(ALL), "{}", read("by_sudo"));
    let refused = read("refused");
    assert!(
        refused.contains("exit code 5") && refused.contains("as root run: loginctl enable-linger ada"),
        "{refused}"
    );
    let warned = read("warned");
    assert!(
        warned.contains("warning: ada does not linger") && warned.contains("as root run: loginctl enable-linger ada"),
        "{warned}"
    );
    assert!(warned.contains(ALL), "{warned}");
    let doctor = read("warned_doctor");
    assert!(doctor.contains("miyabi-backup.timer is active") && doctor.contains("ada does not linger"), "{doctor}");

    assert_eq!(read("uninstalled").matches("removed ").count(), 8, "{}", read("uninstalled"));
    assert!(read("uninstalled").contains("loginctl disable-linger ada"), "{}", read("uninstalled"));
    assert!(read("after").contains("nothing is installed"));
    assert_eq!((read("units").as_str(), read("files").as_str()), ("", ""), "something is left");
    let logs = log(&sandbox);
    assert!(["backup   ok", "drill    ok", "verify   ok"].iter().all(|one| logs.contains(one)), "{logs}");
}

fn log(sandbox: &Sandbox) -> String {
    let state = sandbox.path(".local/state/miyabi-backup");
    sandbox.run(&["logs", "--state-dir", state.to_str().unwrap()]).expect(0).stdout()
}

/// Where users get no user namespaces, their manager starts units without most of what was to protect files, and says nothing.
#[test]
fn what_a_manager_of_a_user_leaves_out_in_silence_is_named() {
    const BARRED: &str = r#"
mkdir -p /etc/systemd/system/user@.service.d
printf '[Service]\nRestrictNamespaces=yes\n' > /etc/systemd/system/user@.service.d/barred.conf
systemctl daemon-reload
login './program schedule install > installed 2>&1; systemctl --user start miyabi-backup.service; ls backups/sqlite/daily/*.meta'
cat .config/systemd/user/miyabi-backup.service > service
"#;
    let sandbox = under_systemd("", &format!("{ADA}{BARRED}"));
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    let (installed, service) = (read("installed"), read("service"));
    for line in ["PrivateUsers=yes", "ProtectSystem=strict", "ProtectHome=read-only", "PrivateDevices=yes"] {
        assert!(
            installed.contains(&format!("warning: this manager cannot apply {line}: it was left out")),
            "{installed}"
        );
        assert!(!service.contains(&format!("\n{line}\n")), "{service}");
    }
    assert!(installed.contains(ALL), "{installed}");
    assert!(
        service.contains("\nNoNewPrivileges=yes\n") && service.contains("\nSystemCallFilter=@system-service\n"),
        "{service}"
    );
}
