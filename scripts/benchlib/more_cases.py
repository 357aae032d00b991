"""Memory, SQLite, and scale: the cases whose data are of their own shape."""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

from . import measure, sqlite_data
from .cases import GZIP, Table, Versus, case, compare, dump
from .measure import Command
from .servers import OwnServer, fill_many_tables, fill_shop

MIB = 1 << 20
MEMORY_BAR_MIB = 128


@case("memory", "peak memory of backup, verify and restore at several sizes, and with a huge field")
def memory(bench):
    table = Table("Peak memory", [["database", "backup", "verify", "restore", "bar"]])
    for size in bench.memory_sizes:
        database = f"bench_memory_{size // 1_000_000}"
        fill_shop(bench.server, database, size)
        row(bench, table, database, f"{size / 1e9:.2g} GB", MEMORY_BAR_MIB)
    field_mib = bench.field_mib
    database = "bench_memory_field"
    bench.server.create(database)
    bench.server.psql(database, "-c", "CREATE TABLE field AS SELECT string_agg(md5(n::text), ' ') AS value "
                      f"FROM generate_series(1, {field_mib * MIB // 33}) AS n")
    row(bench, table, database, f"a field of {field_mib} MiB", MEMORY_BAR_MIB + 4 * field_mib)
    return table


def row(bench, table, database, name, bar):
    archive, target = os.path.join(bench.workdir, "memory.sql.gz"), "bench_memory_restored"
    server, state = bench.server, f"--state-dir {bench.state}"
    steps = {
        "backup": dump(bench, name, server.at(database), "gzip").shell.replace("{out}", archive),
        "verify": f"{bench.binary} --quiet verify {archive} {state}",
        "restore": f"{bench.binary} --quiet restore --file {archive} --url {server.at(target)} --confirm {state}",
    }
    server.drop(target)
    peaks = {step: measure.in_turn([Command(f"{step} of {name}", shell)], 1, bench.workdir)[f"{step} of {name}"][0].peak_mib
             for step, shell in steps.items()}
    measure.remove(archive)
    server.drop(target)
    if not bench.keep:
        server.drop(database)
    table.rows.append([name, *(f"{peak:.0f} MiB" for peak in peaks.values()), f"{bar} MiB"])
    met = "met" if max(peaks.values()) <= bar else "**not met**"
    table.verdicts.append(f"{name}: at most **{max(peaks.values()):.0f} MiB**, bar ≤ {bar} MiB: {met}")


@case("sqlite", "a SQLite file: ours, and `.backup` with `gzip -9`")
def sqlite(bench):
    source = os.path.join(bench.workdir, f"source-{bench.sqlite_bytes // 1_000_000}.db")
    if not os.path.exists(source):
        sqlite_data.write(source, bench.sqlite_bytes)
    ours = lambda name, compress: Command(
        name, f"{bench.binary} --quiet backup sqlite --file {source} --output {{out}} --force --compress {compress} --state-dir {bench.state}")
    peer = "sqlite3 .backup, gzip -9"
    commands = [ours(GZIP, "gzip"),
                Command(peer, f"sqlite3 {source} '.backup {{out}}.db' && gzip -9 -c {{out}}.db > {{out}} && rm {{out}}.db && sync {{out}}")]
    if bench.has_zstd():
        commands.insert(1, ours("ours, zstd", "zstd"))
    size = os.path.getsize(source) / 1e6
    return compare(bench, f"SQLite, a file of {size:.0f} MB", commands, [Versus(GZIP, peer, least=6, size=1.0)],
                   notes=["Ours includes `integrity_check` and `foreign_key_check` of the copy; the peer has neither."])


# --- scale ---

@contextlib.contextmanager
def many_tables_server(bench):
    with tempfile.TemporaryDirectory(dir=bench.flags.workdir, prefix="miyabi-bench-server-") as folder:
        server = OwnServer(bench.server.major, folder, [
            "max_locks_per_transaction=8192", "shared_buffers=256MB", "max_wal_size=4GB", "autovacuum=off",
            "shared_preload_libraries=pg_stat_statements", "pg_stat_statements.max=20000", "pg_stat_statements.track=all"])
        try:
            yield server
        finally:
            server.stop()


@case("schema", "the schema of many tables against `pg_dump -s`")
def schema(bench):
    tables = bench.tables // 5
    with many_tables_server(bench) as server:
        fill_many_tables(server, "many", tables)
        url, peer = server.at("many"), "pg_dump -s"
        commands = [Command("ours", f"{bench.binary} --quiet backup postgres --url {url} --schema-only --output {{out}} --force --state-dir {bench.state}"),
                    Command(peer, f"{server.program('pg_dump')} -s -d {url} -f {{out}}")]
        return compare(bench, f"The schema of {tables:,} tables, {server.version()}", commands, [Versus("ours", peer, least=1.5)], rounds=5)


# Alike but for numbers in names and literals.
STATEMENTS = """
SELECT sum(calls)::bigint AS calls, round(sum(total_exec_time)::numeric) AS ms, left(regexp_replace(regexp_replace(query, '\\d+', 'N', 'g'), '\\s+', ' ', 'g'), 110)
FROM pg_stat_statements GROUP BY 3 ORDER BY 2 DESC LIMIT 25"""


# With more, pg_restore is not waited for.
PG_RESTORE_TABLES_MAX = 20_000


@case("tables", "many tables with a few rows each: backup, verify, restore; statements that the server saw")
def tables(bench):
    with many_tables_server(bench) as server:
        fill_many_tables(server, "many", bench.tables)
        server.psql("postgres", "-c", "CREATE EXTENSION pg_stat_statements")
        archive, state = os.path.join(bench.workdir, "tables.sql.gz"), f"--state-dir {bench.state}"
        steps = {
            "backup": dump(bench, "", server.at("many"), "gzip").shell.replace("{out}", archive),
            "verify": f"{bench.binary} --quiet verify {archive} {state}",
            "restore": f"{bench.binary} --quiet restore --file {archive} --url {server.at('again')} --confirm {state}",
            f"pg_dump -Fd -j{bench.cores}": f"{server.program('pg_dump')} -Fd -j{bench.cores} -d {server.at('many')} -f {bench.workdir}/tables.dir",
        }
        if bench.tables <= PG_RESTORE_TABLES_MAX:
            steps[f"pg_restore -j{bench.cores}"] = \
                f"{server.program('pg_restore')} -j{bench.cores} -d {server.at('peer')} {bench.workdir}/tables.dir"
        server.create("peer")
        table = Table(f"{bench.tables:,} tables of up to three rows, {server.version()}",
                      [["step", "wall clock", "CPU time", "peak memory", "statements", "a table"]])
        for step, shell in steps.items():
            server.psql("postgres", "-c", "SELECT pg_stat_statements_reset()")
            sample = measure.in_turn([Command(step, shell)], 1, bench.workdir)[step][0]
            table.rows.append([step, f"{sample.wall:.1f} s", f"{sample.cpu:.1f} s", f"{sample.peak_mib:.0f} MiB", *statements(server, bench.tables)])
            if bench.show_statements:
                print(server.psql("postgres", "-c", STATEMENTS), file=sys.stderr, flush=True)
        measure.remove(archive)
        measure.remove(os.path.join(bench.workdir, "tables.dir"))
        return table


def statements(server, tables):
    """How many the server has seen, and for each table. Nobody knows once their texts were more than are kept."""
    lost = int(server.psql("postgres", "-c", "SELECT dealloc FROM pg_stat_statements_info"))
    if lost:
        return "–", "–"
    seen = int(server.psql("postgres", "-c", "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements"))
    return f"{seen:,}", f"{seen / tables:.2f}"


@case("index", "an archive of 1,000,000 members is opened")
def index(bench):
    path = os.path.join(bench.workdir, "members.sql.gz")
    subprocess.run([bench.parts(), "many-members", path, "1000000"], check=True)
    command = Command("inspect", f"{bench.binary} --quiet inspect {path} --state-dir {bench.state}")
    table = compare(bench, "An archive of 1,000,000 members (1 TiB) is opened", [command], [], rounds=5)
    measure.remove(path)
    return table


@case("list", "a tree of 5,000 databases is listed")
def listing(bench):
    tree = os.path.join(bench.workdir, "tree")
    make_tree(bench, tree, 5000)
    command = Command("list", f"{bench.binary} list --from {tree} --state-dir {bench.state}")
    table = compare(bench, "A tree of 5,000 databases is listed", [command], [], rounds=5)
    shutil.rmtree(tree)
    return table


def make_tree(bench, tree, databases):
    """One true archive, copied; each with its own `.meta`, which tells of twenty tables."""
    seed, source = os.path.join(bench.workdir, "seed.db.gz"), os.path.join(bench.workdir, "seed.db")
    sqlite_data.write(source, 100_000)
    subprocess.run(f"{bench.binary} --quiet backup sqlite --file {source} --output {seed} --force --state-dir {bench.state}",
                   shell=True, check=True)
    with open(seed + ".meta") as file:
        meta = json.load(file)
    daily = os.path.join(tree, "sqlite", "daily")
    os.makedirs(daily)
    for number in range(databases):
        label, path = f"db{number}", os.path.join(daily, f"sqlite-db{number}-20260102-030000.db.gz")
        shutil.copyfile(seed, path)
        tables = [{"schema": "public", "name": f"table_{at}", "rows": at, "raw_bytes": 1000 * at, "digest": f"{at:032x}"} for at in range(20)]
        with open(path + ".meta", "w") as file:
            json.dump({**meta, "database": label, "label": label, "backup_type": "daily", "timestamp": "2026-01-02T03:00:00+00:00",
                       "source": {**meta["source"], "path": f"/srv/{label}.db"}, "tables": tables}, file, indent=2)
    measure.remove(seed)
    os.remove(source)
