#!/usr/bin/env python3
"""Is the restored database the same database? Stock pg_dump is the judge.

For every fixture and every major: a source database is made, backed up by our binary, and restored twice, by the binary
and by `gunzip -c | psql`. Then stock pg_dump of source and copy are compared entry by entry, and every table, sequence
and large object by a digest of its contents. Standard library only; servers are those of scripts/servers.sh.

usage: judge.py [--binary FILE] [--servers DIR] [--majors 13,18] [--keep DIR] [--stock] [FIXTURE…]
  --stock   judges pg_dump | gzip instead of our binary: what a perfect score means for this fixture
exit: 0 all the same, 1 something differs or a command failed
"""
import argparse
import collections
import difflib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
HEADER = re.compile(r"^-- (?:Data for )?Name: (.*); Type: ([A-Z ]+); Schema: (.*); Owner: (.*)$")
NOISE = re.compile(r"^(\\(un)?restrict |-- Dumped (from|by) )")
# Both sides are read with the same eyes, whatever the database's own settings are.
PINNED = dict(search_path="pg_catalog", statement_timeout="0", lock_timeout="0", default_transaction_read_only="off", extra_float_digits="3",
              datestyle="ISO", intervalstyle="postgres", timezone="UTC", bytea_output="hex", standard_conforming_strings="on",
              default_transaction_isolation="read\\ committed", quote_all_identifiers="off", row_security="on", backslash_quote="safe_encoding")

DIGESTS = r"""
SELECT 'table ' || c.oid::regclass, (xpath('/row/r/text()', query_to_xml(format(
         'SELECT count(*) || ''/'' || coalesce(sum(hashtextextended(t::text, 0)), 0) AS r FROM ONLY %s t', c.oid::regclass), false, true, '')))[1]::text
  FROM pg_class c WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
UNION ALL
SELECT 'sequence ' || c.oid::regclass, (xpath('/row/r/text()', query_to_xml(format('SELECT last_value || ''/'' || is_called AS r FROM %s', c.oid::regclass), false, true, '')))[1]::text
  FROM pg_class c WHERE c.relkind = 'S'
UNION ALL
SELECT 'large object ' || oid, md5(lo_get(oid)) FROM pg_largeobject_metadata
ORDER BY 1
"""


class Failed(Exception):
    """A command of the measurement failed; its text is the verdict's reason."""


class Server:
    def __init__(self, folder, major):
        self.major, self.folder = major, pathlib.Path(folder)
        self.url = self.fact(major, "url")
        clients = max(major, 14)  # the build of 13 has a server alone
        self.bindir, libdir = self.fact(clients, "bindir"), self.fact(clients, "libdir")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "DATABASE_"))}
        self.env.update(LD_LIBRARY_PATH=libdir, LC_ALL="C.UTF-8")
        self.pinned = self.env | {"PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in PINNED.items())}

    def fact(self, major, name):
        try:
            return (self.folder / str(major) / name).read_text().strip()
        except OSError as cause:
            raise SystemExit(f"error: no PostgreSQL {major} to judge with: {cause}\nhint: run scripts/servers.sh start")

    def psql(self, database, sql=None, script=None, pinned=True):
        command = [f"{self.bindir}/psql", "-XAtq", "-F", "\x1f", "-R", "\x1e", "-v", "ON_ERROR_STOP=1", "-d", f"{self.url}/{database}"]
        done = subprocess.run(command + ["-f", script or "-"], input=(sql or "").encode(), capture_output=True,
                              env=self.pinned if pinned else self.env)
        if done.returncode:
            raise Failed(f"psql on {database}: {done.stderr.decode(errors='replace').strip()[-600:]}")
        return done.stdout.decode(errors="surrogateescape").rstrip("\x1e\n")

    def drop(self, database):
        self.psql("postgres", f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def create(self, database, options):
        self.drop(database)
        self.psql("postgres", f'CREATE DATABASE "{database}" TEMPLATE template0 {options}')

    def shell(self, line, **names):
        for name, value in names.items():
            line = line.replace("{" + name + "}", "'" + str(value).replace("'", "'\\''") + "'")
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, env=self.env, cwd="/")
        if done.returncode:
            raise Failed(f"exit {done.returncode} of `{line}`: {done.stderr.decode(errors='replace').strip()[-800:]}")

    def dump(self, database):
        done = subprocess.run([f"{self.bindir}/pg_dump", "--schema-only", "-d", f"{self.url}/{database}"], capture_output=True, env=self.pinned)
        if done.returncode:
            raise Failed(f"pg_dump of {database}: {done.stderr.decode(errors='replace').strip()[-600:]}")
        return entries(done.stdout.decode(errors="surrogateescape"))

    def contents(self, database):
        rows = self.psql(database, DIGESTS).split("\x1e")
        return collections.Counter(tuple(row.split("\x1f")) for row in rows if row)

    def properties(self, database):
        columns = "pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, datacl, pg_get_userbyid(datdba), shobj_description(oid, 'pg_database')"
        settings = f"(SELECT string_agg(s, E'\\n' ORDER BY s) FROM pg_db_role_setting r, unnest(r.setconfig) s WHERE r.setdatabase = d.oid)"
        return self.psql("postgres", f"SELECT {columns}, {settings} FROM pg_database d WHERE datname = '{database}'")


def entries(script):
    """A plain dump as a bag of entries. Settings in front of an entry belong to it, for they decide what it makes."""
    bag, title, body, context = collections.Counter(), "preamble", [], {}
    lines = iter(script.split("\n"))
    for line in lines:
        found = HEADER.match(line)
        if found:
            while body and (body[-1] in ("--", "") or body[-1].startswith("SET default_t")):
                if (last := body.pop()).startswith("SET"):
                    context[last.split(" = ")[0]] = last
            bag[title, "\n".join(body).rstrip()] += 1
            name, kind, schema, owner = found.groups()
            title = f"{kind} {schema}.{name}"
            body = [f"owner {owner}"] + (sorted(context.values()) if kind in ("TABLE", "INDEX", "MATERIALIZED VIEW", "CONSTRAINT") else [])
        elif not NOISE.match(line):
            body.append(line)
    bag[title, "\n".join(body).rstrip()] += 1
    return bag


def differences(left, right):
    """Lines that tell a person what differs between two bags of (title, text)."""
    gone, new = left - right, right - left
    by_title = {title: text for title, text in new}
    out = []
    for title, text in sorted(gone):
        other = by_title.pop(title, None)
        out.append(f"{'missing' if other is None else 'different'}: {title}")
        out += [f"    {line}" for line in difflib.unified_diff(text.split("\n"), (other or "").split("\n"), "source", "copy", lineterm="", n=1)][2:22]
    out += [f"surplus: {title}" for title in sorted(by_title)]
    return out


def judge(server, source, copy, native):
    """(entries alike, entries, contents alike, contents, findings)"""
    schema = server.dump(source), server.dump(copy)
    rows = server.contents(source), server.contents(copy)
    findings = differences(*schema) + differences(*rows)
    if native:
        wanted, found = server.properties(source), server.properties(copy)
        if wanted != found:
            findings.append(f"database properties: expected {wanted!r}, found {found!r}")
    alike = [sum((a & b).values()) for a, b in (schema, rows)]
    return alike[0], sum(schema[0].values()), alike[1], sum(rows[0].values()), findings


def commands(options, server):
    stock_restore = "gunzip -c {archive} | " + server.bindir + "/psql -XAtq -v ON_ERROR_STOP=1 -d {url} >/dev/null"
    if options.stock:
        return server.bindir + "/pg_dump -d {url} | gzip -1 > {archive}", {"psql": stock_restore}
    binary = str(options.binary)
    return (binary + " backup postgres --url {url} --output {archive} --quiet",
            {"native": binary + " restore --type postgres --file {archive} --url {url} --confirm --quiet", "psql": stock_restore})


def measure(options, server, fixture, workdir):
    """Yields (path, verdict columns, findings) for one fixture on one major."""
    first = fixture.read_text().split("\n", 1)[0]
    create_options = first.removeprefix("-- createdb:").strip() if first.startswith("-- createdb:") else ""
    source = f"fid_{fixture.stem}"
    archive = workdir / f"{server.major}-{fixture.stem}.sql.gz"
    backup, restores = commands(options, server)
    try:
        server.create(source, create_options)
        server.psql(source, script=str(fixture), pinned=False)
        server.shell(backup, url=f"{server.url}/{source}", archive=archive)
    except Failed as reason:
        yield "backup", None, [str(reason)]
        server.drop(source)
        return
    for path, restore in restores.items():
        copy = f"{source}_{path}"
        try:
            server.drop(copy)
            if path != "native":
                server.create(copy, create_options)
            server.shell(restore, url=f"{server.url}/{copy}", archive=archive)
            *columns, findings = judge(server, source, copy, path == "native")
            yield path, columns, findings
        except Failed as reason:
            yield path, None, [str(reason)]
        server.drop(copy)
    server.drop(source)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", type=pathlib.Path, default=HERE.parents[1] / "target/release/miyabi-backup")
    parser.add_argument("--servers", default=os.environ.get("MIYABI_TEST_SERVERS") or HERE.parents[1] / ".servers")
    parser.add_argument("--majors", default="13,14,15,16,17,18")
    parser.add_argument("--keep", type=pathlib.Path, help="archives and findings stay in this folder")
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("fixture", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    fixtures = options.fixture or sorted(HERE.glob("*.sql"))
    workdir = options.keep or pathlib.Path(tempfile.mkdtemp(prefix="fidelity-"))
    workdir.mkdir(parents=True, exist_ok=True)
    print(f"{'database':14} {'major':>5}  {'path':7} {'entries':>11} {'contents':>11} {'seconds':>8}  verdict")
    perfect = True
    for major in map(int, options.majors.split(",")):
        server = Server(options.servers, major)
        for fixture in fixtures:
            (workdir / f"{major}-{fixture.stem}.sql.gz").unlink(missing_ok=True)
            (workdir / f"{major}-{fixture.stem}.sql.gz.meta").unlink(missing_ok=True)
            began = time.monotonic()
            for path, columns, findings in measure(options, server, fixture, workdir):
                alike = "{}/{}|{}/{}".format(*columns).split("|") if columns else ["-", "-"]
                verdict = "the same" if not findings else "DIFFERENT" if columns else "FAILED"
                print(f"{fixture.stem:14} {major:>5}  {path:7} {alike[0]:>11} {alike[1]:>11} {time.monotonic() - began:>8.1f}  {verdict}", flush=True)
                for line in findings[:60]:
                    print(f"      {line}", flush=True)
                perfect = perfect and not findings
                began = time.monotonic()
    if not options.keep:
        shutil.rmtree(workdir)
    print("every copy is the same as its source" if perfect else "some copies are not the same as their source")
    return 0 if perfect else 1


if __name__ == "__main__":
    sys.exit(main())
