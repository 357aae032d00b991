"""Buckets: straight into the S3 test server and back, against stock tools in a pipe into the AWS command line."""
import json
import os
import subprocess
import sys

from . import measure
from .cases import TARGET, Table, Versus, case, judge, rows_of
from .measure import Command, median
from .servers import FACTS, ROOT, die

AWS_CLI = "1.46.3"
BUCKET = "backups"
MEMORY_BAR_MIB = 192
OURS = "ours, gzip (default)"
PEER, PEER_9 = "pg_dump | gzip | aws s3 cp -", "pg_dump | gzip -9 | aws s3 cp -"


def aws_cli():
    """Fetched once: the command as a shell wants it."""
    folder = os.path.join(ROOT, ".servers", "dist", f"awscli-{AWS_CLI}")
    if not os.path.exists(folder):
        print(f"fetching the AWS command line {AWS_CLI} …", file=sys.stderr, flush=True)
        unfinished = f"{folder}.unpacking"
        done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore",
                               "--target", unfinished, "--upgrade", f"awscli=={AWS_CLI}"])
        if done.returncode:
            die(f"pip could not install awscli {AWS_CLI}", "is there a network?")
        os.rename(unfinished, folder)
    return f"env PYTHONPATH={folder} {sys.executable} -m awscli"


class Store:
    """Everything of one measurement lies below a prefix of its own."""

    def __init__(self):
        facts = os.path.join(FACTS, "s3", "url")
        if not os.path.exists(facts):
            die("the S3 server is not running", "run: scripts/s3.sh start")
        with open(facts) as file:
            self.url = file.read().strip()
        self.place = f"s3://{BUCKET}/bench-{os.getpid()}"
        self.env = {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret",
                    "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
        self.aws = f"{aws_cli()} --endpoint-url {self.url}"

    def run(self, shell):
        done = subprocess.run(["bash", "-c", shell], env={**os.environ, **self.env}, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"error: {shell}: {done.stderr.strip()}")
        return done.stdout

    def size(self, key):
        return int(self.run(f"{self.aws} s3 ls {self.place}/{key}").split()[2])

    def remove(self, key=""):
        self.run(f"{self.aws} s3 rm --quiet --recursive {self.place}/{key}")


@case("s3", "large database straight into a bucket and back, against `pg_dump | gzip | aws s3 cp -`")
def s3(bench):
    server, database, store, sizes = bench.server, bench.large(bench.server), Store(), {}
    ours = f"{bench.binary} --quiet %s --state-dir {bench.state}"
    backup = ours % f"backup postgres --url {server.at(database)} --to {store.place}/tree --no-globals --no-prune"

    def keep_size(name, key):
        def after():
            sizes[name] = store.size(key)
            store.remove(key)
        return after

    def peer(name, level, key):
        pipe = f"{server.program('pg_dump')} -d {server.at(database)} | gzip {level} | {store.aws} s3 cp - {store.place}/{key}"
        return Command(name, pipe, after=keep_size(name, key), env=store.env)

    restore = ours % f"restore --file latest --from {store.place}/tree --url {server.at(TARGET)} --confirm"
    commands = [
        Command(OURS, backup, env=store.env),
        peer(PEER, "", "peer.sql.gz"),
        peer(PEER_9, "-9", "peer9.sql.gz"),
        Command("ours, restore (with a check before)", restore, before=lambda: server.drop(TARGET), env=store.env),
    ]
    # The first backup of a tree makes its weekly and monthly copies as well.
    store.run(backup)
    rounds = bench.rounds(False)
    try:
        seen = measure.in_turn(commands, rounds, bench.workdir)
        sizes[OURS] = newest_size(store, ours)
    finally:
        store.remove()
        server.drop(TARGET)
    peak = max(median(seen[command.name], "peak_mib") for command in commands if command.name.startswith("ours"))
    verdicts = [*judge(seen, [Versus(OURS, PEER, least=3)]),
                f"peak memory of ours: **{peak:.0f} MiB**, bar ≤ {MEMORY_BAR_MIB} MiB: {'met' if peak <= MEMORY_BAR_MIB else '**not met**'}"]
    objects = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
    notes = [f"{rounds} round{'s' if rounds > 1 else ''}. SeaweedFS on loopback, whose processor time is nobody's here; objects: {objects}. "
             f"AWS command line {AWS_CLI}."]
    return Table(f"Into a bucket and back, {server.version()}, {bench.size_of(server, database)}", list(rows_of(seen)), verdicts, notes)


def newest_size(store, ours):
    return json.loads(store.run(ours % f"list --from {store.place}/tree --json"))["backups"][0]["size"]
