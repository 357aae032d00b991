"""Commands in turn, and what they took.

Each round runs every command once, in order (A B C, A B C, …), so that a machine whose speed drifts hits all alike. Ratios
are medians over the rounds, each of two neighbours in time; their interval is a bootstrap's, with a fixed seed.
"""
import dataclasses
import os
import random
import resource  # noqa: F401  (wait4 returns its struct)
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


@dataclasses.dataclass
class Command:
    """`shell` is run by bash; {out} in it is a fresh path for each run, whose size is measured. `before` is not timed."""
    name: str
    shell: str
    before: object = None
    after: object = None
    # a server whose backends' processor time belongs to the run
    server: object = None
    # environment on top of ours
    env: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Sample:
    wall: float
    # of the command and its children, user and system; a database server's is not in it
    cpu: float
    # of the largest process; less than the 20 MiB of this program, which its children are born with, cannot be seen
    peak_mib: float
    size: int
    backend_cpu: float = 0.0


def size_of(path):
    if os.path.isdir(path):
        return sum(os.path.getsize(os.path.join(folder, file)) for folder, _, files in os.walk(path) for file in files)
    return os.path.getsize(path) if os.path.exists(path) else 0


def remove(path):
    for one in (path, path + ".meta"):
        if os.path.isdir(one):
            shutil.rmtree(one)
        elif os.path.exists(one):
            os.remove(one)


def run_once(command, workdir):
    out = tempfile.mktemp(dir=workdir)
    if command.before:
        command.before()
    backends = command.server.backend_cpu() if command.server else 0.0
    began = time.monotonic()
    child = subprocess.Popen(["bash", "-o", "pipefail", "-c", command.shell.replace("{out}", out)], env={**os.environ, **command.env},
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.monotonic() - began
    if status != 0:
        sys.exit(f"error: {command.name} failed: {command.shell}\n{said.decode(errors='replace')[-2000:]}")
    if command.server:
        backends = command.server.backend_cpu() - backends
    size = size_of(out)
    remove(out)
    if command.after:
        command.after()
    return Sample(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, size, backends)


def in_turn(commands, rounds, workdir):
    """{name: [Sample of each round]}"""
    seen = {command.name: [] for command in commands}
    for number in range(rounds):
        for command in commands:
            sample = run_once(command, workdir)
            seen[command.name].append(sample)
            print(f"  round {number + 1}/{rounds}  {command.name:44} {sample.wall:8.2f} s {sample.cpu:8.2f} CPU s"
                  f" {sample.peak_mib:7.0f} MiB {sample.size / 1e6:9.1f} MB", file=sys.stderr, flush=True)
    return seen


def median(samples, what):
    return statistics.median(getattr(sample, what) for sample in samples)


@dataclasses.dataclass
class Ratio:
    median: float
    low: float
    high: float
    pairs: int

    def __str__(self):
        if self.pairs < 5:
            return f"{self.median:.2f}×"
        return f"{self.median:.2f}× ({self.low:.2f}–{self.high:.2f})"


def ratio(above, below, what="wall", draws=10_000):
    """Of two commands of the same rounds: the median of the pairs, and 95 % of the medians of what may as well have been drawn."""
    pairs = [getattr(a, what) / max(getattr(b, what), 1e-9) for a, b in zip(above, below)]
    numbers = random.Random(1)
    medians = sorted(statistics.median(numbers.choices(pairs, k=len(pairs))) for _ in range(draws))
    return Ratio(statistics.median(pairs), medians[int(draws * 0.025)], medians[int(draws * 0.975)], len(pairs))
