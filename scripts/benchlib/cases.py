"""What is measured, case by case: the commands, whom ours is compared with, and the bar.

A case is a function of a `Bench` that returns a `Table`. What it needs (databases, archives) it makes itself.
"""
import dataclasses
import os
import shlex

from . import measure
from .measure import Command, median, ratio

CASES = {}


def case(name, about):
    def register(function):
        CASES[name] = (about, function)
        return function
    return register


@dataclasses.dataclass
class Versus:
    """`peer` over `ours` in `what`; the bar is the least that is asked for, or with `most` the most."""
    ours: str
    peer: str
    least: float = None
    most: float = None
    what: str = "wall"
    # ours may be this many times the peer's size; None where size does not matter
    size: float = None


@dataclasses.dataclass
class Table:
    title: str
    rows: list
    verdicts: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)


def rows_of(seen):
    yield ["command", "wall clock", "(fastest–slowest)", "CPU time", "peak memory", "output"]
    for name, samples in seen.items():
        walls = [sample.wall for sample in samples]
        size = median(samples, "size")
        yield [name, f"{median(samples, 'wall'):.2f} s", f"{min(walls):.2f}–{max(walls):.2f}", f"{median(samples, 'cpu'):.2f} s",
               f"{median(samples, 'peak_mib'):.0f} MiB", f"{size / 1e6:.1f} MB" if size else ""]


def judge(seen, versus):
    """One line a comparison: the ratio with its interval, the bar, and whether it is met."""
    for one in versus:
        ours, peer = seen[one.ours], seen[one.peer]
        if one.most is not None:
            found = ratio(ours, peer, one.what)
            met, bar, of = found.median <= one.most, f"≤ {one.most:g}×", f"{one.what} of {one.ours} ÷ {one.peer}"
        else:
            found = ratio(peer, ours, one.what)
            met, bar, of = found.median >= one.least, f"≥ {one.least:g}×", f"{one.what} of {one.peer} ÷ {one.ours}"
            # a small lead must not be luck
            met = met and (one.least >= 1.3 or found.low > 1.0)
        said = f"{of}: **{found}**, bar {bar}"
        if one.size is not None:
            size = median(ours, "size") / max(median(peer, "size"), 1)
            met = met and size <= one.size
            said += f"; size {size:.3f}× (bar ≤ {one.size:g}×)"
        yield said + (": met" if met else ": **not met**")


def compare(bench, title, commands, versus, rounds=None, notes=()):
    """The interval of a small lead needs pairs: nine rounds where a bar is below 1.3."""
    close = any(one.least is not None and one.least < 1.3 for one in versus)
    rounds = rounds or bench.rounds(close)
    seen = measure.in_turn(commands, rounds, bench.workdir)
    notes = [f"{rounds} round{'s' if rounds > 1 else ''}.", *notes]
    return Table(title, list(rows_of(seen)), list(judge(seen, versus)), notes)


# --- commands ---

def dump(bench, name, url, compress, server=None):
    shell = f"{bench.binary} --quiet backup postgres --url {url} --output {{out}} --force --compress {compress} --state-dir {bench.state}"
    return Command(name, shell, server=server)


def piped_gzip(name, program, url):
    return Command(name, f"{program} -d {url} | gzip -9 > {{out}} && sync {{out}}")


def folder_dump(bench, name, program, url, how):
    # pg_dump syncs its files itself
    return Command(name, f"{program} -Fd -j{bench.cores} {how} -d {url} -f {{out}}")


def keep(bench, name, command):
    """The command's output under a name that stays: what restores and `verify` start from."""
    path = os.path.join(bench.workdir, name)
    if not os.path.exists(path):
        measure.run_once(Command(command.name, command.shell.replace("{out}", shlex.quote(path))), bench.workdir)
    return path


GZIP, ZSTD, NONE = "ours, gzip (default)", "ours, zstd", "ours, none"


def dump_gzip_case(bench, server, database, versus_folder, with_zstd):
    url, program = server.at(database), server.program("pg_dump")
    folder = f"pg_dump -Fd -j{bench.cores} -Z6"
    commands = [dump(bench, GZIP, url, "gzip"), piped_gzip("pg_dump | gzip -9", program, url),
                folder_dump(bench, folder, program, url, "-Z6")]
    versus = [Versus(GZIP, "pg_dump | gzip -9", least=5, size=1.0), Versus(GZIP, folder, least=versus_folder, size=1.0)]
    if with_zstd:
        commands.insert(1, dump(bench, ZSTD, url, "zstd"))
        versus.insert(1, Versus(ZSTD, "pg_dump | gzip -9", least=10, size=1.0))
    return compare(bench, f"Dump with gzip, {server.version()}, {bench.size_of(server, database)}", commands, versus)


@case("dump-gzip", "large database: ours with gzip and zstd, `pg_dump | gzip -9`, `pg_dump -Fd` with gzip")
def dump_gzip(bench):
    return dump_gzip_case(bench, bench.server, bench.large(bench.server), 2.0, bench.has_zstd())


@case("dump-gzip-one", "the same of a database that is one table")
def dump_gzip_one(bench):
    return dump_gzip_case(bench, bench.server, bench.one(bench.server), 2.5, bench.has_zstd())


def dump_zstd_case(bench, database, least, most_size):
    server = bench.zstd_server
    url = server.at(database)
    folder = f"pg_dump -Fd -j{bench.cores} --compress=zstd:1"
    commands = [dump(bench, ZSTD, url, "zstd"), folder_dump(bench, folder, server.program("pg_dump"), url, "--compress=zstd:1")]
    return compare(bench, f"Dump with zstd, {server.version()}, {bench.size_of(server, database)}", commands,
                   [Versus(ZSTD, folder, least=least, size=most_size)])


@case("dump-zstd", "large database: ours with zstd and `pg_dump -Fd --compress=zstd:1`")
def dump_zstd(bench):
    return dump_zstd_case(bench, bench.large(bench.zstd_server), 1.05, None)


@case("dump-zstd-one", "the same of a database that is one table")
def dump_zstd_one(bench):
    return dump_zstd_case(bench, bench.one(bench.zstd_server), 1.15, 1.02)


@case("floor", "large database: wall clock against (backends' CPU + the codec's) ÷ cores")
def floor(bench):
    server, database = bench.server, bench.large(bench.server)
    raw = keep(bench, "raw.sql", Command("raw", f"{bench.binary} --quiet backup postgres --url {server.at(database)} "
               f"--output {bench.workdir}/none.sql.gz --force --compress none --state-dir {bench.state} && "
               f"gunzip -c {bench.workdir}/none.sql.gz > {{out}} && rm {bench.workdir}/none.sql.gz*"))
    kinds = [("gzip", GZIP, 0.12)] + ([("zstd", ZSTD, 0.20)] if bench.has_zstd() else [])
    table = Table(f"The floor, {server.version()}, {bench.size_of(server, database)}",
                  [["codec", "wall clock", "backends' CPU", "codec's CPU, alone", "floor", "above it"]])
    rounds = bench.rounds(False)
    for compress, name, bar in kinds:
        seen = []
        for _ in range(rounds):
            sample = measure.in_turn([dump(bench, name, server.at(database), compress, server)], 1, bench.workdir)[name][0]
            seen.append((sample, bench.codec_cpu(raw, compress)))
        above = []
        for sample, codec in seen:
            above.append(sample.wall / ((sample.backend_cpu + codec) / bench.cores) - 1)
        middle = sorted(range(rounds), key=lambda at: above[at])[rounds // 2]
        sample, codec = seen[middle]
        table.rows.append([compress, f"{sample.wall:.2f} s", f"{sample.backend_cpu:.2f} s", f"{codec:.2f} s",
                           f"{(sample.backend_cpu + codec) / bench.cores:.2f} s", f"{above[middle]:.0%}"])
        met = "met" if above[middle] <= bar else "**not met**"
        table.verdicts.append(f"{compress}: **{above[middle]:.0%}** above the floor, bar ≤ {bar:.0%}: {met}")
    os.remove(raw)
    table.notes.append(f"{rounds} round{'s' if rounds > 1 else ''}, the one in the middle is shown. The codec compresses the same bytes on one thread, in blocks of 1 MiB.")
    return table


@case("client", "client CPU without compression against `pg_dump -Fp`")
def client(bench):
    server, database = bench.server, bench.large(bench.server)
    url, plain = server.at(database), "pg_dump -Fp"
    commands = [dump(bench, NONE, url, "none"), Command(plain, f"{server.program('pg_dump')} -Fp -d {url} -f {{out}}")]
    return compare(bench, f"Without compression, {server.version()}, {bench.size_of(server, database)}", commands,
                   [Versus(NONE, plain, most=0.7, what="cpu")])


# --- restore, verify ---

# What a restore of ours sets for its sessions (docs/ARCHITECTURE.md); peers get the same.
PEER_SETTINGS = "-c synchronous_commit=off -c maintenance_work_mem=256MB -c jit=off"
TARGET = "bench_restored"


def restore_commands(bench, server, database, suffix, with_psql):
    archive = keep(bench, f"ours-{suffix}.sql.gz", dump(bench, GZIP, server.at(database), "gzip"))
    folder = keep(bench, f"peer-{suffix}.dir", folder_dump(bench, "-Fd", server.program("pg_dump"), server.at(database), "-Z6"))
    target = server.at(TARGET)

    def nothing_there():
        server.drop(TARGET)
        server.psql("postgres", "-c", "CHECKPOINT")

    def an_empty_one():
        server.create(TARGET)
        server.psql("postgres", "-c", "CHECKPOINT")

    env = {"PGOPTIONS": PEER_SETTINGS}
    yield Command("ours", f"{bench.binary} --quiet restore --file {archive} --url {target} --confirm --state-dir {bench.state}",
                  nothing_there)
    yield Command(f"pg_restore -j{bench.cores}", f"{server.program('pg_restore')} -j{bench.cores} -d {target} {folder}",
                  an_empty_one, env=env)
    if with_psql:
        script = keep(bench, f"peer-{suffix}.sql.gz", piped_gzip("script", server.program("pg_dump"), server.at(database)))
        yield Command("gunzip | psql", f"gunzip -c {script} | {server.program('psql')} -Xq -v ON_ERROR_STOP=1 -d {target}",
                      an_empty_one, env=env)


def restore_case(bench, database, suffix):
    server = bench.server
    peer = f"pg_restore -j{bench.cores}"
    table = compare(bench, f"Restore, {server.version()}, {bench.size_of(server, database)}",
                    list(restore_commands(bench, server, database, suffix, True)),
                    [Versus("ours", peer, least=1.2), Versus("ours", "gunzip | psql", least=1.8)],
                    notes=[f"Indexes and constraints included; peers run with `{PEER_SETTINGS}` and into a database that stands already."])
    server.drop(TARGET)
    return table


@case("restore", "large database: ours, `pg_restore -j`, `gunzip | psql`")
def restore(bench):
    return restore_case(bench, bench.large(bench.server), "large")


@case("restore-one", "the same of a database that is one table")
def restore_one(bench):
    return restore_case(bench, bench.one(bench.server), "one")


@case("verify", "every member inflated and checked, against `gzip -t`")
def verify(bench):
    server, database = bench.server, bench.large(bench.server)
    archive = keep(bench, "ours-large.sql.gz", dump(bench, GZIP, server.at(database), "gzip"))
    commands = [Command("ours", f"{bench.binary} --quiet verify {archive} --state-dir {bench.state}"),
                Command("gzip -t", f"gzip -t {archive}")]
    return compare(bench, f"Verify, {bench.size_of(server, database)}", commands, [])
