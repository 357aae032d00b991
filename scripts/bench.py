#!/usr/bin/env python3
"""Ours beside stock pg_dump, pg_restore, psql, sqlite3 and gzip: commands in turn, medians, ratios.

usage: scripts/bench.py [--quick] [--write] [--case NAME]…       (make bench: all of them, written into docs/PERFORMANCE.md)

Needs the test servers of two majors (scripts/servers.sh start 15 17), sqlite3, and for most cases some gigabytes of disk.
BINARY=FILE measures that program instead of a fresh release build (and PARTS=FILE that build of examples/bench_parts). Databases are made from benches/shop.sql with a fixed
seed and dropped afterwards (--keep keeps them for the next time); --large and --one name databases that stand already.
Run it on a calm machine. Wall clock and CPU are the command's; a server's CPU on the same machine comes on top.
"""
import argparse
import datetime
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

from benchlib import document, more_cases, s3_cases  # noqa: E402,F401  (register their cases)
from benchlib.cases import CASES  # noqa: E402
from benchlib.servers import ROOT, Server, fill_one, fill_shop  # noqa: E402

SCALE_BYTES = 1_500_000_000
SQLITE_BYTES = 700_000_000
QUICK = 0.04


class Bench:
    """What every case is given: the programs, the servers, the data, and how often to measure."""

    def __init__(self, flags, workdir):
        self.flags, self.workdir, self.keep = flags, workdir, flags.keep
        self.cores = os.cpu_count()
        self.state = os.path.join(workdir, "state")
        self.binary = os.environ.get("BINARY") or build(["--bin", "miyabi-backup"], "miyabi-backup")
        self.server, self._zstd_server, self._zstd, self._made = Server(flags.major), None, None, []
        scale = QUICK if flags.quick else flags.scale
        self.bytes = int(SCALE_BYTES * scale)
        self.sqlite_bytes = int(SQLITE_BYTES * scale)
        self.memory_sizes = [int(SCALE_BYTES * scale * factor) for factor in flags.memory]
        self.field_mib = 20 if flags.quick else 200
        self.tables = flags.tables or (2000 if flags.quick else 100_000)
        self.show_statements = flags.statements

    @property
    def zstd_server(self):
        self._zstd_server = self._zstd_server or Server(self.flags.zstd_major)
        return self._zstd_server

    def rounds(self, close):
        if self.flags.quick:
            return 1
        return max(self.flags.runs, 9) if close else self.flags.runs

    def has_zstd(self):
        """An older program is measured without it."""
        if self._zstd is None:
            told = subprocess.run([self.binary, "backup", "--help"], capture_output=True, text=True).stdout
            self._zstd = "zstd" in told
        return self._zstd

    def large(self, server):
        if self.flags.large:
            return self.flags.large
        database = f"bench_large_{self.bytes // 1_000_000}"
        self._note_made(server, database)
        fill_shop(server, database, self.bytes)
        return database

    def one(self, server):
        if self.flags.one:
            return self.flags.one
        large, database = self.large(server), f"bench_one_{self.bytes // 1_000_000}"
        self._note_made(server, database)
        fill_one(server, database, large, "event")
        return database

    def _note_made(self, server, database):
        if (server, database) not in self._made:
            self._made.append((server, database))

    def drop_made(self):
        if not self.keep:
            for server, database in self._made:
                server.drop(database)

    def size_of(self, server, database):
        pretty = server.psql(database, "-c", "SELECT pg_size_pretty(pg_database_size(current_database())) || ' on its disk, ' || "
                             "count(*) || ' tables' FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
        return pretty.replace("1 tables", "1 table") if pretty.endswith(" 1 tables") else pretty

    def parts(self):
        return os.environ.get("PARTS") or build(["--example", "bench_parts"], "examples/bench_parts")

    def codec_cpu(self, raw, compress):
        """Seconds of one thread that compresses this file in blocks."""
        return float(subprocess.run([self.parts(), "codec-cpu", raw, compress], check=True, capture_output=True, text=True).stdout.split()[0])

    def facts(self):
        version = subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout.strip()
        commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
        model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
        today = datetime.datetime.now(datetime.timezone.utc).date()
        return f"{today}, {version} ({commit}), {self.cores} cores ({model}), server on the same machine."


def build(target, path):
    folder = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
    subprocess.run(["cargo", "build", "--release", "--quiet", *target], cwd=ROOT, check=True)
    return os.path.join(folder, "release", path)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="cases:\n" + "\n".join(f"  {name:15} {about}" for name, (about, _) in CASES.items()))
    parser.add_argument("--case", action="append", choices=CASES, metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small data and one round: a first look, not a figure")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/PERFORMANCE.md")
    parser.add_argument("--runs", type=int, default=3, help="rounds of each case; nine where a bar is below 1.3")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 1.5 GB of COPY text and 0.7 GB of SQLite")
    parser.add_argument("--memory", type=float, nargs="+", default=[0.2, 1, 4], help="scales of the memory case")
    parser.add_argument("--tables", type=int, help="of the case `tables`; `schema` takes a fifth")
    parser.add_argument("--major", type=int, default=15, help="the server that is measured")
    parser.add_argument("--zstd-major", type=int, default=17, help="the one whose pg_dump knows zstd")
    parser.add_argument("--large", metavar="DATABASE", help="stands already on both servers; only read")
    parser.add_argument("--one", metavar="DATABASE", help="the same of one table")
    parser.add_argument("--keep", action="store_true", help="leave generated databases for the next run")
    parser.add_argument("--workdir", help="folder for archives [default: a temporary one]")
    parser.add_argument("--statements", action="store_true", help="of the case `tables`: show what the server was busy with")
    return parser.parse_args(arguments)


def again(name, flags):
    """The command that measures this case again as it was measured."""
    of_data = ("large", "one", "scale", "tables", "memory", "runs", "major", "zstd_major")
    usual = vars(parse([]))
    told = {key: value for key, value in vars(flags).items() if key in of_data and value != usual[key]}
    values = {key: " ".join(map(str, value)) if isinstance(value, list) else value for key, value in told.items()}
    return " ".join(["scripts/bench.py", f"--case {name}", *(f"--{key.replace('_', '-')} {value}" for key, value in values.items())])


def main():
    flags = parse(sys.argv[1:])
    if flags.quick and flags.write:
        sys.exit("error: a first look is no figure: --quick writes nothing")
    with tempfile.TemporaryDirectory(dir=flags.workdir, prefix="miyabi-bench-") as workdir:
        bench = Bench(flags, workdir)
        try:
            for name in flags.case or CASES:
                print(f"{name}: {CASES[name][0]}", file=sys.stderr, flush=True)
                text = document.render(CASES[name][1](bench), bench.facts(), again(name, flags))
                print(text + "\n", flush=True)
                if flags.write:
                    document.put(name, text)
        finally:
            bench.drop_made()


if __name__ == "__main__":
    main()
