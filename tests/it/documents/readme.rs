//! README.md: from the configuration to a restore, on one server and onto another.

use super::{DATABASES, Document, Step, file, not_run, run};

const BEFORE: &str = r#"
psql -X -q -v ON_ERROR_STOP=1 -h db.internal -U postgres -d postgres <<'SQL'
CREATE ROLE backup LOGIN; GRANT pg_read_all_data TO backup; CREATE ROLE miyabi_drill LOGIN CREATEDB;
SQL
mkdir data /etc/miyabi-backup
echo secret > /etc/miyabi-backup/password
for name in miyabi persistence; do sqlite3 data/$name.db 'CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)'; done
"#;

const STEPS: &[Step] = &[
    not_run("make demo", "`.ci/run` and whoever reads this test have run `make test`; the demo installs packages"),
    not_run("sudo apt-get", "installs packages and builds a release, which takes minutes"),
    file(
        "DATABASE_HOST=",
        ".env",
        "miyabi-backup backup; ls backups/sqlite/daily/sqlite-persistence-*; rm -r .env backups",
    ),
    file("[[postgres]]", "miyabi-backup.toml", ""),
    run("miyabi-backup backup                 # everything", "", "ls status.html; crontab -l | grep -q miyabi-backup"),
    run(
        "miyabi-backup backup --encrypt-to",
        "age-keygen -o key.txt; age-keygen -o other.txt; age-keygen -y other.txt > team.pub; sleep 1.1",
        "[ $(sqlite3 look.db 'SELECT count(*) FROM t') = 2 ]; ls backups/postgres/daily/*.age; rm backups/*/*/*.age*",
    ),
    not_run("backups/postgres/daily/", "names of files, not commands"),
    run(
        "export DATABASE_USER",
        r#"
        for archive in backups/postgres/daily/postgres-miyabi-*.sql.gz; do
          for copy in backups/postgres/daily/postgres-miyabi-20260301-030000.sql.gz FILE; do cp $archive $copy; cp $archive.meta $copy.meta; done
        done
        sleep 1.1; echo "export ACCIDENT='$(date '+%FT%T')'" >> ../facts; sleep 1.1
        psql -X -h db.internal -U postgres -d miyabi -c 'DELETE FROM public.orders'
        sqlite3 data/miyabi.db 'DELETE FROM t'
        miyabi-backup backup postgres
        psql -X -h newhost -U postgres -d postgres -c 'CREATE ROLE miyabi_app'
        "#,
        r#"
        for database in miyabi miyabi_look; do [ "$(psql -XAt -h db.internal -U postgres -d $database -c 'SELECT count(*) FROM public.orders')" = 20000 ]; done
        [ "$(psql -XAt -h newhost -U postgres -d miyabi -c 'SELECT count(*) FROM public.users')" = 20000 ]
        [ "$(psql -XAt -h db.internal -U postgres -d miyabi_part -c 'SELECT count(*) FROM public.users')" = 20000 ]
        [ $(sqlite3 data/miyabi.db 'SELECT count(*) FROM t') = 2 ]
        "#,
    ),
    run(
        "miyabi-backup restore --type globals",
        r#"
        psql -X -h newhost -U postgres -XAt -c "SELECT datname FROM pg_database WHERE datname LIKE 'miyabi%'" | while read name; do dropdb -h newhost -U postgres $name; done
        psql -X -h newhost -U postgres -c 'DROP ROLE miyabi_app'
        "#,
        r#"[ "$(psql -XAt -h newhost -U postgres -c "SELECT count(*) FROM pg_roles WHERE rolname IN ('backup', 'miyabi_app', 'miyabi_drill')")" = 3 ]"#,
    ),
    run(
        "gunzip -c globals",
        r#"
        dropdb -h newhost -U postgres miyabi
        psql -X -h newhost -U postgres -c 'DROP ROLE miyabi_app'
        echo 'export PGHOST=newhost PGUSER=postgres' >> ../facts
        cp "$(ls backups/postgres/daily/globals-*[0-9].sql.gz | head -n 1)" globals-db.internal-20260301-030000.sql.gz
        cp FILE postgres-miyabi-20260301-030000.sql.gz
        cp "$(ls backups/sqlite/daily/sqlite-miyabi-*.db.gz | head -n 1)" sqlite-miyabi-20260301-030000.db.gz
        "#,
        r#"
        [ "$(psql -XAt -d miyabi -c 'SELECT count(*) FROM public.orders')" = 20000 ]
        [ $(sqlite3 miyabi.db 'SELECT count(*) FROM t') = 2 ]
        "#,
    ),
];

#[test]
fn readme() {
    let document = Document {
        name: "README.md",
        before: [DATABASES, BEFORE].concat(),
        steps: STEPS,
        replaced: &[
            ("s3://vault/miyabi", "$BUCKET", "a bucket of the test server, a prefix of this test alone"),
            ("--encrypt-to age1…", "--encrypt-to \"$(age-keygen -y key.txt)\"", "the document has no key of its own"),
            ("before:2026-03-01T12:00", "before:$ACCIDENT", "the accident was a moment ago"),
        ],
        // The page sets up no channel for alerts: the doctor warns of that.
        codes: &[("miyabi-backup doctor", 40)],
    };
    document.check();
}
