//! docs/RECOVERY.md: an accident, a lost machine, a damaged archive, and no program at all.

use super::{DATABASES, Document, Step, run};

/// A night before the accident. `FILE` is an archive of the database, by that very name.
const BEFORE: &str = r#"
mkdir -p /srv/app
sqlite3 /srv/app/app.db 'CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)'
cat > miyabi-backup.toml <<'TOML'
[[postgres]]
name = "miyabi"
url = "postgres://postgres@db.internal/miyabi"
[[sqlite]]
name = "app"
path = "/srv/app/app.db"
TOML
miyabi-backup backup
cp backups/postgres/daily/postgres-miyabi-*.sql.gz FILE
cp backups/postgres/daily/postgres-miyabi-*.sql.gz.meta FILE.meta
"#;

const STEPS: &[Step] = &[
    run(
        "miyabi-backup restore --type postgres --name miyabi --file latest\n",
        r#"
        sleep 1.1; echo "export ACCIDENT='$(date '+%F %T')'" >> ../facts; sleep 1.1
        psql -X -h db.internal -U postgres -d miyabi -c 'DELETE FROM public.orders'
        miyabi-backup backup
        "#,
        r#"[ "$(psql -XAt -h db.internal -U postgres -d miyabi -c 'SELECT count(*) FROM public.orders')" = 20000 ]"#,
    ),
    run(
        "miyabi-backup restore --type postgres --name miyabi --file latest --database miyabi_look",
        "",
        r#"[ "$(psql -XAt -h db.internal -U postgres -d miyabi_part -c 'SELECT count(*) FROM public.users')" = 20000 ]"#,
    ),
    run(
        "miyabi-backup restore --type sqlite",
        "sqlite3 /srv/app/app.db 'DELETE FROM t'",
        "[ $(sqlite3 /srv/app/app.db 'SELECT count(*) FROM t') = 2 ]; ls /srv/app/app.db.before-restore-*",
    ),
    run(
        "miyabi-backup list --from /mnt/rescued",
        r#"
        cp -a backups /mnt/rescued
        mkdir lost && mv backups miyabi-backup.toml /srv/app/app.db lost/
        psql -X -h newhost -U postgres -d postgres -c 'CREATE ROLE miyabi_drill LOGIN CREATEDB'
        cat > miyabi-backup.toml <<'TOML'
[[postgres]]
name = "miyabi"
url = "postgres://postgres@localhost/miyabi"
[[sqlite]]
name = "app"
path = "/srv/app/app.db"
[drill]
url = "postgres://miyabi_drill@localhost"
TOML
        "#,
        r#"
        [ "$(psql -XAt -h newhost -U postgres -d miyabi -c 'SELECT count(*) FROM public.users')" = 20000 ]
        [ $(sqlite3 /srv/app/app.db 'SELECT count(*) FROM t') = 2 ]
        crontab -l | grep -q 'miyabi-backup'
        "#,
    ),
    run(
        "miyabi-backup list --from s3://vault/miyabi",
        r#"
        age-keygen -o key.txt
        miyabi-backup backup --config lost/miyabi-backup.toml --to "$BUCKET" --encrypt-to "$(age-keygen -y key.txt)"
        psql -X -h newhost -U postgres -c 'DROP DATABASE miyabi' -c 'DROP ROLE miyabi_app'
        "#,
        r#"[ "$(psql -XAt -h newhost -U postgres -d miyabi -c 'SELECT count(*) FROM public.users')" = 20000 ]"#,
    ),
    run(
        "miyabi-backup verify FILE                        # where",
        r#"
        size=$(stat -c %s FILE)
        printf 'rotten' | dd of=FILE bs=1 seek=$((size / 2)) conv=notrunc
        "#,
        r#"
        rows=$(psql -XAt -h newhost -U postgres -d miyabi_rescued -c 'SELECT (SELECT count(*) FROM public.users) + (SELECT count(*) FROM public.orders)')
        [ "$rows" -gt 0 ] && [ "$rows" -lt 40000 ]
        "#,
    ),
    run(
        "gunzip -c globals",
        r#"
        for database in miyabi; do dropdb --if-exists -h newhost -U postgres $database; done
        psql -X -h newhost -U postgres -d miyabi_rescued -c 'REASSIGN OWNED BY miyabi_app TO postgres' -c 'DROP OWNED BY miyabi_app'
        psql -X -h newhost -U postgres -c 'DROP ROLE miyabi_app'
        echo "export PGHOST=newhost PGUSER=postgres" >> ../facts
        cp "$(ls /mnt/rescued/postgres/daily/globals-db.internal-*[0-9].sql.gz | head -n 1)" globals-db.internal-20260301-030000.sql.gz
        cp "$(ls lost/backups/postgres/daily/postgres-miyabi-*.sql.gz | head -n 1)" postgres-miyabi-20260301-030000.sql.gz
        cp "$(ls /mnt/rescued/sqlite/daily/sqlite-app-*.db.gz | head -n 1)" sqlite-app-20260301-030000.db.gz
        "#,
        r#"
        [ "$(psql -XAt -d miyabi -c 'SELECT count(*) FROM public.orders')" = 20000 ]
        [ $(sqlite3 app.db 'SELECT count(*) FROM t') = 2 ]
        "#,
    ),
    run(
        "createdb -T template0 of_age",
        r#"
        age -r "$(age-keygen -y key.txt)" -o postgres-miyabi-20260301-030000.sql.gz.age postgres-miyabi-20260301-030000.sql.gz
        echo 'open sesame' > phrase.txt
        gpg --batch --passphrase-file phrase.txt --symmetric --cipher-algo AES256 postgres-miyabi-20260301-030000.sql.gz
        split -n 3 -d -a 3 postgres-miyabi-20260301-030000.sql.gz cut.
        mv cut.000 long.sql.gz && mv cut.001 long.sql.gz.001 && mv cut.002 long.sql.gz.002
        miyabi-backup backup postgres --url postgres://postgres@db.internal/miyabi --compress zstd --output postgres-miyabi-20260301-030000.sql.zst
        "#,
        r#"
        gpgconf --kill gpg-agent
        for database in of_age of_gpg of_zst of_all; do [ "$(psql -XAt -d $database -c 'SELECT count(*) FROM public.orders')" = 20000 ]; done
        "#,
    ),
    run(
        "cat > sound.py",
        r#"
        cp FILE damaged.sql.gz
        "#,
        r#"
        rows=$(psql -XAt -d rest -c 'SELECT (SELECT count(*) FROM public.users) + (SELECT count(*) FROM public.orders)')
        [ "$rows" = "$(psql -XAt -d miyabi_rescued -c 'SELECT (SELECT count(*) FROM public.users) + (SELECT count(*) FROM public.orders)')" ]
        "#,
    ),
    run("miyabi-backup backup\nmiyabi-backup verify\n", "echo 'unset PGHOST PGUSER' >> ../facts", ""),
];

#[test]
fn recovery() {
    let document = Document {
        name: "docs/RECOVERY.md",
        before: [DATABASES, BEFORE].concat(),
        steps: STEPS,
        replaced: &[
            ("s3://vault/miyabi", "$BUCKET", "a bucket of the test server, a prefix of this test alone"),
            ("'before:2026-03-01 12:00'", "\"before:$ACCIDENT\"", "the accident was a moment ago"),
        ],
        codes: &[
            ("miyabi-backup verify FILE                        # where", 30),
            ("miyabi-backup salvage", 3),
            ("miyabi-backup restore --file rescued.sql.gz", 3),
        ],
    };
    document.check();
}
