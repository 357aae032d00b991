//! Timers: units that systemd accepts, crontabs that a real cron daemon runs, and command lines that work.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::program::Sandbox;

fn configured() -> Sandbox {
    let sandbox = Sandbox::new();
    Connection::open(sandbox.path("app.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    fs::write(
        sandbox.path("miyabi-backup.toml"),
        "zone = \"Europe/Berlin\"\n[[sqlite]]\npath = \"app.db\"\n[schedule]\nat = \"02:30\"\n",
    )
    .unwrap();
    sandbox
}

fn analyze(arguments: &[&str], folder: &Path) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("systemd-analyze is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    // Keys that it does not know are warnings only.
    assert!(output.status.success() && said.trim().is_empty(), "systemd-analyze {arguments:?}: {said}");
}

#[test]
fn units_are_accepted_and_their_commands_run() {
    let sandbox = configured();
    let shown = sandbox.run(&["schedule", "install", "--method", "systemd", "--dry-run", "--json"]).expect(0).json();
    let folder = sandbox.path("units");
    fs::create_dir(&folder).unwrap();
    let mut names = Vec::new();
    for file in shown["files"].as_array().unwrap() {
        let (path, text) = (file["path"].as_str().unwrap(), file["text"].as_str().unwrap());
        assert!(!Path::new(path).exists(), "a dry run wrote {path}");
        let name = Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
        fs::write(folder.join(&name), text).unwrap();
        for line in text.lines() {
            if let Some(calendar) = line.strip_prefix("OnCalendar=") {
                analyze(&["calendar", calendar], &folder);
            }
        }
        names.push((name, text.to_owned()));
    }
    assert_eq!(names.len(), 8);
    let mut verify = vec!["--man=no", "verify"];
    let files: Vec<String> = names.iter().map(|(name, _)| format!("./{name}")).collect();
    verify.extend(files.iter().map(String::as_str));
    analyze(&verify, &folder);
    let text = |wanted: &str| names.iter().find(|(name, _)| name == wanted).unwrap().1.clone();
    let timer = text("miyabi-backup.timer");
    assert!(timer.contains("OnCalendar=*-*-* 02:30:00 Europe/Berlin") && timer.contains("Persistent=true"), "{timer}");
    for unit in ["miyabi-backup", "miyabi-backup-verify", "miyabi-backup-drill", "miyabi-backup-watch"] {
        let service = text(&format!("{unit}.service"));
        assert!(service.contains("NoNewPrivileges=yes") && service.contains("UMask=0077"), "{service}");
        let line = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(sandbox.path(".")).env_clear().env("HOME", sandbox.path("."));
        let output = command.output().unwrap();
        // There is no channel to tell anybody: watch then answers as status does.
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    sandbox.run(&["logs"]).expect(0).says("backup").says("drill").says("verify");
}

/// A crontab and a cron daemon of its own, in a mount namespace: nobody else's is touched. Needs root, as cron does.
#[test]
fn a_real_cron_daemon_runs_what_was_installed() {
    let sandbox = configured();
    let script = r#"
        set -e
        mount -t tmpfs none /var/spool/cron && mkdir -m 1730 /var/spool/cron/crontabs && chgrp crontab /var/spool/cron/crontabs
        mount -t tmpfs none /run
        echo '# somebody else' | crontab -
        at=$(date -d '+70 seconds' +%H:%M)
        "$PROGRAM" schedule install --method cron --time $at
        crontab -l > installed
        "$PROGRAM" schedule install --method cron --time $at
        crontab -l | cmp - installed
        # A source that would fail every night is told, and the others have their timer.
        printf '[[sqlite]]\npath = "gone/*.db"\n[[sqlite]]\npath = "lost.db"\n' | cat miyabi-backup.toml - > lacking.toml
        "$PROGRAM" --config lacking.toml --json schedule install --method cron > lacking 2> lacking.said || echo $? > lacking.code
        "$PROGRAM" schedule install --method cron --time $at
        crontab -l | cmp - installed
        "$PROGRAM" schedule status > status
        cron -f & cron=$!
        trap 'kill $cron' EXIT
        n=0
        until ls backups/sqlite/daily/*.meta 2> /dev/null; do n=$((n + 1)); [ $n -lt 900 ] || exit 9; sleep 0.2; done
        "$PROGRAM" schedule uninstall
        crontab -l > left
    "#;
    fs::write(sandbox.path("script.sh"), script).unwrap();
    let mut command = sandbox.command::<&str>(&[]);
    let program = command.get_program().to_owned();
    command = Command::new("unshare");
    command.args(["--mount", "sh", "script.sh"]).current_dir(sandbox.path(".")).env("PROGRAM", program);
    command.env("HOME", sandbox.path(".")).env("MIYABI_BACKUP_STATE_DIR", sandbox.path("state")).stdin(Stdio::null());
    let began = Instant::now();
    let output = command.output().expect("unshare is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    let log = fs::read_to_string(sandbox.path("logs/backup-cron.log")).unwrap_or_default();
    assert!(output.status.success(), "{said}\n{log}\nafter {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(200));
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    assert!(read("installed").starts_with("# somebody else\n# BEGIN miyabi-backup"), "{}", read("installed"));
    assert_eq!(read("left"), "# somebody else\n");
    assert!(read("status").contains("crontab: installed"));
    let said = read("lacking.said");
    assert!(said.contains("error: the pattern gone/*.db") && said.contains("error: cannot read lost.db"), "{said}");
    let lacking: serde_json::Value = serde_json::from_str(&read("lacking")).unwrap();
    assert_eq!((read("lacking.code").as_str(), &lacking["exit_code"]), ("3\n", &3.into()), "{lacking}");
    assert_eq!((&lacking["wrote"][0], &lacking["failed"][1]["name"]), (&"crontab".into(), &"lost".into()), "{lacking}");
    sandbox.run(&["verify"]).expect(0);
}

/// What a timer of tonight would find out is found out when it is installed.
#[test]
fn a_trial_asks_for_what_encrypts_and_signs() {
    let sandbox = configured();
    let path = sandbox.path("miyabi-backup.toml");
    let usual = fs::read_to_string(&path).unwrap();
    // `install` makes the folders that it names.
    ["backups", "logs", "state"].into_iter().for_each(|name| fs::create_dir_all(sandbox.path(name)).unwrap());
    sandbox.run(&["schedule", "trial"]).expect(0);
    for (setting, what) in [("encrypt = \"gpg\"", "passphrase"), ("sign_key = \"missing.pem\"", "missing.pem")] {
        fs::write(&path, format!("{setting}\n{usual}")).unwrap();
        sandbox.run(&["schedule", "trial"]).expect(2).says(what);
    }
    // Nothing but sources that are missing is another thing than nothing.
    for (source, what) in [("gone/*.db", "matches no file"), ("gone.db", "cannot read gone.db")] {
        for more in ["", "[[sqlite]]\npath = \"app.db\"\n"] {
            fs::write(&path, format!("{more}[[sqlite]]\npath = \"{source}\"\n")).unwrap();
            sandbox.run(&["schedule", "trial"]).expect(3).blames(what);
        }
    }
    let postgres = "[[postgres]]\nurl = \"postgres://u@h/d\"\npassword_file = \"missing.password\"\n";
    fs::write(&path, format!("{usual}{postgres}")).unwrap();
    sandbox.run(&["schedule", "trial"]).expect(2).blames("missing.password");
    fs::write(&path, usual).unwrap();
    sandbox
        .run(&["schedule", "trial", "--protected", "/proc/self", "--protected", "/nowhere"])
        .expect(21)
        .says("is not protected");
}
