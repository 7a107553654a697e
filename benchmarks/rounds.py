"""Programs that do the same, measured side by side: shuffled rounds, each sample a process of its own.

Wall time says what a user waits, and depends on what else the machine does; processor time, of the program and of the
server, hardly does. Both are there, as medians with the smallest and the largest.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.peer import PythonPeer
from benchmarks.throttle import throttled

CACHE = Path.home() / ".cache" / "lambda_script" / "benchmarks"
COLUMNS = ("", "wall s", "beside the first", "client cpu s", "server cpu s", "peak MB")
_TICK = os.sysconf("SC_CLK_TCK")
_SMALL = 0.1  # seconds
_GLANCE = 0.005  # seconds between two looks at a process


class FailedError(Exception):
    """A program could not be run. The text says why."""


@dataclass(frozen=True)
class Sample:
    """One run: seconds, processor seconds of the program and of the server, and the program's peak memory in MB."""

    seconds: float
    client: float
    server: float
    peak: int


@dataclass(frozen=True)
class Contestant:
    """A program that is measured. What ``prepare`` does before each sample is not.

    A program that prints ``{"seconds": ...}`` as its last line has measured itself, without the start of its
    interpreter, which is not compared here; of any other the whole run counts.
    """

    name: str
    command: Sequence[str | Path]
    prepare: Callable[[], object] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict)
    processors: float | None = None
    """The share of a processor that it gets, below 1; None: as much as it takes."""
    most: int | None = None
    """The most samples that are taken of it; None: one in each round."""


class Environment(PythonPeer):
    """A virtual environment with these requirements, installed on first use."""

    def __init__(self, *requirements: str) -> None:
        super().__init__(CACHE)
        self.requirements = requirements

    @property
    def python(self) -> Path:
        """Its interpreter. Raises UnavailableError where it cannot be installed."""
        self.install()
        return self.home / "bin" / "python"

    def write(self, *_: object) -> None:
        """Nothing: it deploys nothing."""

    def first(self, *_: object) -> Sequence[Sequence[str | Path]]:
        """Nothing: it deploys nothing."""
        return ()


def measure(contestants: Sequence[Contestant], rounds: int, postmaster: int) -> dict[str, list[Sample]]:
    """The samples of each; every round has each once, in a random order. ``postmaster``: the server's process."""
    found: dict[str, list[Sample]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        among = [each for each in contestants if each.most is None or number < each.most]
        for contestant in random.sample(among, len(among)):
            contestant.prepare()
            sample = _sample(contestant, postmaster)
            found[contestant.name].append(sample)
            print(f"  round {number + 1}, {contestant.name}: {sample.seconds:.2f} s", file=sys.stderr, flush=True)
    return found


def table(found: Mapping[str, Sequence[Sample]]) -> list[list[str]]:
    """A row for each, as COLUMNS; the first is the limit that the others are compared with."""
    limit = statistics.median(sample.seconds for sample in next(iter(found.values())))
    return [
        [
            name,
            spread([sample.seconds for sample in samples]),
            f"{statistics.median(sample.seconds for sample in samples) / limit:.2f}x",
            spread([sample.client for sample in samples]),
            spread([sample.server for sample in samples]),
            f"{statistics.median(sample.peak for sample in samples):.0f}",
        ]
        for name, samples in found.items()
    ]


def spread(values: Sequence[float]) -> str:
    """The median, and the smallest and the largest; of small ones with a digit more."""
    median = statistics.median(values)
    digits = 2 if median >= _SMALL else 3
    return f"{median:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _sample(contestant: Contestant, postmaster: int) -> Sample:
    environment = {**os.environ, **contestant.environment}
    server, begun = server_seconds(postmaster), time.perf_counter()
    command = [str(part) for part in contestant.command]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        peak, share = 0, contestant.processors
        with throttled(process.pid, share) if share is not None and share < 1 else nullcontext():
            while process.returncode is None:
                peak = max(peak, _peak(process.pid))
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    process.returncode = os.waitstatus_to_exitcode(status)
                else:
                    time.sleep(_GLANCE)
        output.seek(0)
        printed = output.read()
    seconds = time.perf_counter() - begun
    last = printed.strip().splitlines()[-1:] or [""]
    if process.returncode:
        raise FailedError(f"{contestant.name} failed: {last[0]}")
    own = json.loads(last[0]) if last[0].startswith("{") else {}
    client = own.get("client", usage.ru_utime + usage.ru_stime)
    return Sample(own.get("seconds", seconds), client, server_seconds(postmaster) - server, peak)


def _peak(process: int) -> int:
    """Its peak memory in MB since it began to run its program: that of ``wait4`` has the parent's in it."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)


def process_seconds(process: int) -> float:
    """The processor time of a process that runs."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / _TICK


def server_seconds(postmaster: int) -> float:
    """The processor time of the server: of its processes, and of those that have ended."""
    total = 0.0
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            fields = (directory / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        own = int(directory.name) == postmaster
        if own or int(fields[1]) == postmaster:
            total += sum(map(int, fields[11 : 15 if own else 13])) / _TICK
    return total
