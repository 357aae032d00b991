//! docs/deploy: the pages' commands, the configuration to begin with, and what a cluster would start. The commands of systemd.md are
//! run by `systemd`, beside a real one.

use super::{DATABASES, Document, PROLOGUE, Step, World, file, run};

/// A configuration where the pages expect it, with everything below one folder.
const CONFIGURED: &str = r#"
mkdir /etc/miyabi-backup /srv/work /srv/app
sqlite3 /srv/app/app.db 'CREATE TABLE t (a); INSERT INTO t VALUES (1)'
cat > /etc/miyabi-backup/miyabi-backup.toml <<'TOML'
state_dir = "/srv/state"
[places]
root = "/srv/backups"
[[sqlite]]
path = "/srv/app/*.db"
TOML
"#;

#[test]
fn cron() {
    // The file's lines are run as cron runs them: by the shell that it names, with its PATH and nothing else.
    const LINES: &str = r#"
        [ "$(grep -c '^[0-9]' /etc/cron.d/miyabi-backup)" = 4 ]
        mkdir -p /srv/bin && ln -s "$PROGRAM" /srv/bin/miyabi-backup
        sed -n 's/^[0-9*][0-9 *]*root  *//p' /etc/cron.d/miyabi-backup > /srv/lines
        [ "$(wc -l < /srv/lines)" = 4 ]
        shell=$(sed -n 's/^SHELL=//p' /etc/cron.d/miyabi-backup)
        while read -r line; do
          (cd "$HOME" && env -i HOME="$HOME" PATH=/srv/bin:/usr/bin:/bin MIYABI_BACKUP_STATUS_MIN_FREE=0 "$shell" -c "${line//\/var\/log/\/srv}") || { cat /srv/miyabi-backup.log; exit 1; }
        done < /srv/lines
        ls /srv/backups/sqlite/daily/*.meta
        cat /srv/miyabi-backup.log
    "#;
    const STEPS: &[Step] = &[
        run("miyabi-backup schedule install --method cron --dry-run", "", "[ -z \"$(crontab -l 2> /dev/null)\" ]"),
        file("SHELL=/bin/sh", "/etc/cron.d/miyabi-backup", LINES),
    ];
    let document = Document {
        name: "docs/deploy/cron.md",
        before: CONFIGURED.to_owned(),
        steps: STEPS,
        replaced: &[],
        codes: &[],
    };
    document.check();
}

#[test]
fn completions_and_manual_pages() {
    const STEPS: &[Step] = &[run(
        "miyabi-backup completions",
        "mkdir -p /etc/bash_completion.d",
        "bash -n /etc/bash_completion.d/miyabi-backup; ls /srv/man1/miyabi-backup.1 /srv/man1/miyabi-backup-schedule.1",
    )];
    let document = Document {
        name: "docs/deploy/README.md",
        before: String::new(),
        steps: STEPS,
        replaced: &[("/usr/local/share/man/man1", "/srv/man1", "a folder of this machine")],
        codes: &[],
    };
    document.check();
}

#[test]
fn the_configuration_to_begin_with() {
    // Every commented key is switched on: what is left of the comments are sentences.
    const STEPS: &str = r#"
        mount -t tmpfs none /var/lib && mount -t tmpfs none /var/backups && mkdir /var/lib/app /etc/miyabi-backup
        sqlite3 /var/lib/app/app.db 'CREATE TABLE t (a); INSERT INTO t VALUES (1)'
        echo secret > /etc/miyabi-backup/shop.password
        psql -X -q -v ON_ERROR_STOP=1 -h db.internal -U postgres -d postgres <<'SQL'
CREATE ROLE backup LOGIN; GRANT pg_read_all_data TO backup; CREATE ROLE miyabi_drill LOGIN CREATEDB;
ALTER DATABASE miyabi RENAME TO shop
SQL
        printf '#!/bin/sh\ncat >> "$WORLD/told"\n' > "$WORLD/bin/mail" && chmod +x "$WORLD/bin/mail"
        sed -E 's/^# (\[|[a-z_]+ = )/\1/' "$PAGES/miyabi-backup.toml" > /etc/miyabi-backup/miyabi-backup.toml
        [ "$(grep -c '^#' /etc/miyabi-backup/miyabi-backup.toml)" = 1 ]
        miyabi-backup backup
        ls /var/backups/miyabi-backup/postgres/daily/postgres-shop-*.meta /var/backups/miyabi-backup/sqlite/daily/sqlite-app-*.meta
        miyabi-backup drill
        miyabi-backup alert test
        grep -q 'this is only a test' "$WORLD/told"
        expect 40 miyabi-backup doctor
        # As it stands it says nothing yet, and the doctor says what is missing.
        cp "$PAGES/miyabi-backup.toml" /etc/miyabi-backup/miyabi-backup.toml
        expect 41 miyabi-backup doctor > doctor 2>&1 || { cat doctor; exit 1; }
        grep -q 'no database is configured' doctor
    "#;
    by_steps(&[DATABASES, STEPS].concat());
}

/// Each container as a cluster starts it: its command, arguments and variables alone, as that user, without any right, a root that cannot be
/// written, volumes that belong to the group.
#[test]
fn what_a_cluster_starts() {
    const READ: &str = r#"
import shlex, sys, yaml
jobs = [job for job in yaml.safe_load_all(open(sys.argv[1]))]
assert [job["metadata"]["name"] for job in jobs] == ["miyabi-backup", "miyabi-backup-watch"], jobs
for job in jobs:
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert len(job["spec"]["schedule"].split()) == 5 and job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    volumes = {volume["name"] for volume in pod["volumes"]}
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes and mounts == {"/backups", "/backups-state", "/etc/miyabi-backup"}
    [secret] = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    user, group = (pod["securityContext"][key] for key in ("runAsUser", "fsGroup"))
    assert user != 0 and pod["securityContext"]["runAsGroup"] == group
    print("GROUP=%d MODE=%o" % (group, secret["defaultMode"]))
    line = shlex.join(["%(name)s=%(value)s" % one for one in container["env"]] + container["command"] + container["args"])
    print("run_%s() { chroot /srv/root /usr/bin/setpriv --reuid %d --regid %d --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all -- env -i %s; }" % (
        container["name"], user, group, line))
"#;
    const STEPS: &str = r#"
        psql -X -q -h db.internal -U postgres -d postgres -c 'CREATE ROLE backup LOGIN' -c 'GRANT pg_read_all_data TO backup'
        python3 read.py "$PAGES/kubernetes-cronjob.yaml" > containers.sh
        cat containers.sh
        . ./containers.sh
        mkdir /srv/root && mount -t tmpfs none /srv/root && cd /srv/root
        mkdir -p usr lib lib64 bin dev etc/miyabi-backup backups backups-state
        for folder in usr lib lib64 bin dev; do [ ! -d /$folder ] || mount --rbind /$folder $folder; done
        cp /etc/hosts etc/hosts
        # The image's program, where its command expects it.
        mount -t tmpfs none usr/local && mkdir usr/local/bin && touch usr/local/bin/miyabi-backup && mount --bind "$PROGRAM" usr/local/bin/miyabi-backup
        mount -t tmpfs none etc/miyabi-backup
        printf '[[postgres]]\nurl = "postgres://backup@db.internal/miyabi"\n[status]\nmin_free = 0\n' > etc/miyabi-backup/miyabi-backup.toml
        chgrp $GROUP etc/miyabi-backup/miyabi-backup.toml && chmod $MODE etc/miyabi-backup/miyabi-backup.toml
        for volume in backups backups-state; do mount -t tmpfs none $volume && chgrp $GROUP $volume && chmod 2775 $volume; done
        mount -o remount,ro,bind etc/miyabi-backup && mount -o remount,ro /srv/root
        # The watch notices that there is none yet, and then that there is one.
        run_watch || [ $? = 41 ]
        run_backup
        ls backups/postgres/daily/postgres-miyabi-*.sql.gz.meta
        run_watch
    "#;
    by_steps(&[DATABASES, "cat > read.py <<'PYTHON'\n", READ, "PYTHON\n", STEPS].concat());
}

/// Commands of this test's own, in the world of the documents.
fn by_steps(steps: &str) {
    let world = World::new();
    let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/deploy");
    let path = world.write("steps/all.sh", &format!(". ../facts\nPAGES='{pages}'\n{steps}\n"));
    world.run(&format!("{PROLOGUE}\nstage 'docs/deploy' {}", path.display()));
}
