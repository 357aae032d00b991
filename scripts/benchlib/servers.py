"""The PostgreSQL test servers: their programs, databases made for measuring, and the processor time of their backends."""
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FACTS = os.environ.get("MIYABI_TEST_SERVERS") or os.path.join(ROOT, ".servers")
ORDERS_A_BYTE = 1 / 1100
TICKS = os.sysconf("SC_CLK_TCK")


def die(what, hint):
    sys.exit(f"error: {what}\nhint: {hint}")


class Server:
    def __init__(self, major, url=None, programs_of=None):
        self.major = major
        facts = os.path.join(FACTS, str(programs_of or major))
        if not os.path.exists(os.path.join(facts, "url")):
            die(f"PostgreSQL {major} is not running", f"run: scripts/servers.sh start {major}")
        self.bin, self.lib, shared = (open(os.path.join(facts, fact)).read().strip() for fact in ("bindir", "libdir", "url"))
        self.url = url or shared

    def at(self, database):
        return f"{self.url}/{database}"

    def program(self, name):
        """For a shell command: with the libraries that it was built with."""
        return f"env LD_LIBRARY_PATH={self.lib} {self.bin}/{name}"

    def psql(self, database, *arguments, sql=None):
        command = [f"{self.bin}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.at(database), *arguments]
        done = subprocess.run(command, env={**os.environ, "LD_LIBRARY_PATH": self.lib}, input=sql, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            sys.exit(f"error: psql on {self.at(database)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def version(self):
        return "PostgreSQL " + self.psql("postgres", "-c", "SHOW server_version").split()[0]

    def has(self, database):
        return self.psql("postgres", "-c", f"SELECT 1 FROM pg_database WHERE datname = '{database}'") == "1"

    def drop(self, database):
        self.psql("postgres", "-c", f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def create(self, database):
        self.drop(database)
        self.psql("postgres", "-c", f'CREATE DATABASE "{database}" TEMPLATE template0')

    def postmaster(self):
        folder = self.psql("postgres", "-c", "SHOW data_directory")
        return int(open(os.path.join(folder, "postmaster.pid")).readline())

    def backend_cpu(self):
        """Seconds of all backends that have ended: each is the postmaster's child, and its time is added when it is reaped."""
        if not hasattr(self, "_postmaster"):
            self._postmaster = self.postmaster()
        time.sleep(0.3)  # a backend ends a moment after its client
        fields = open(f"/proc/{self._postmaster}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[13]) + int(fields[14])) / TICKS


def fill_shop(server, database, size_bytes):
    """benches/shop.sql, of about this many bytes as COPY text."""
    if server.has(database):
        return
    print(f"making {database} on {server.version()} …", file=sys.stderr, flush=True)
    server.create(database)
    orders = max(int(size_bytes * ORDERS_A_BYTE), 100)
    server.psql(database, "-c", f"SET bench.orders = {orders}", "-f", os.path.join(ROOT, "benches", "shop.sql"))
    server.psql(database, "-c", "VACUUM")


def fill_one(server, database, source, table):
    """One table of another database, with its rows and indexes, alone."""
    if server.has(database):
        return
    print(f"making {database} …", file=sys.stderr, flush=True)
    server.create(database)
    pipe = (f"{server.program('pg_dump')} -t {table} -d {server.at(source)} "
            f"| {server.program('psql')} -XAtq -v ON_ERROR_STOP=1 -d {server.at(database)}")
    subprocess.run(["bash", "-o", "pipefail", "-c", pipe], check=True, stdout=subprocess.DEVNULL)
    server.psql(database, "-c", "VACUUM ANALYZE")


class OwnServer(Server):
    """A server of its own, for what the shared ones are not set up for. Gone after `stop`."""

    def __init__(self, major, folder, settings):
        self.folder = folder
        port = free_port()
        super().__init__(major, url=f"postgres://postgres@127.0.0.1:{port}")
        self.data = os.path.join(folder, "data")
        os.chmod(folder, 0o755)
        os.mkdir(self.data)
        log = os.path.join(folder, "log")
        open(log, "w").close()
        if os.geteuid() == 0:
            for path in (self.data, log):
                shutil.chown(path, "postgres", "postgres")
        self._server("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        options = f"-p {port} -k {self.data} -c listen_addresses=127.0.0.1 -c fsync=off " + " ".join(f"-c {one}" for one in settings)
        self._server("pg_ctl", "-D", self.data, "-w", "-t", "120", "-l", log, "-o", options, "start")

    def _server(self, program, *arguments):
        command = [f"{self.bin}/{program}", *arguments]
        if os.geteuid() == 0:
            pwd.getpwnam("postgres")
            command = ["runuser", "-u", "postgres", "--", "env", f"LD_LIBRARY_PATH={self.lib}", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", env={**os.environ, "LD_LIBRARY_PATH": self.lib})

    def stop(self):
        self._server("pg_ctl", "-D", self.data, "-m", "immediate", "stop")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


MANY_TABLES = """
CREATE SCHEMA app;
CREATE PROCEDURE app.make(count int) LANGUAGE plpgsql AS $$ BEGIN
  FOR i IN 1..count LOOP
    EXECUTE format('CREATE TABLE app.t%s (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text NOT NULL DEFAULT ''x'',
      at timestamptz DEFAULT now(), v numeric(10,2) DEFAULT 0 CHECK (v >= 0))', i);
    EXECUTE format('CREATE INDEX ON app.t%s (name)', i);
    EXECUTE format('COMMENT ON TABLE app.t%s IS ''table %s''; COMMENT ON COLUMN app.t%s.name IS ''the name''', i, i, i);
    EXECUTE format('GRANT SELECT, INSERT ON app.t%s TO PUBLIC', i);
    EXECUTE format('INSERT INTO app.t%s (name, v) SELECT md5((%s * n)::text), n FROM generate_series(1, %s) AS n', i, i, 1 + i % 3);
    IF i % 500 = 0 THEN COMMIT; END IF;
  END LOOP;
END $$;
"""


def fill_many_tables(server, database, tables):
    """Each with an identity, defaults, a CHECK, a primary key, an index, two comments, a grant, and up to three rows."""
    print(f"making {tables} tables …", file=sys.stderr, flush=True)
    server.create(database)
    server.psql(database, sql=MANY_TABLES)
    server.psql(database, "-c", f"CALL app.make({tables})")
    server.psql(database, "-c", "VACUUM ANALYZE")
    server.psql(database, "-c", "DROP PROCEDURE app.make")
