"""Where the processor time of one function goes: its most expensive functions, over a million rows of a table.

Times are of the processor, so that what else the machine does hardly matters; counting calls makes what is called for
each row look more expensive than it is. What Arrow and zlib do is inside the function that calls them.
Run: python -m benchmarks.profiling extract, and see its --help
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from benchmarks.rounds import measure
from benchmarks.subjects import LINEITEM, PAYMENT, TAXI
from benchmarks.whole_path import STEPS, WholePath, scene

_PROFILE = """
import cProfile, contextlib, pstats, runpy, sys, time
profile, module, sys.argv = cProfile.Profile(time.process_time), sys.argv[1], sys.argv[1:]
with contextlib.suppress(SystemExit):
    profile.runcall(runpy.run_module, module, run_name="__main__")
pstats.Stats(profile).sort_stats("tottime").print_stats(20)
"""


def main() -> int:
    """Run what comes before the function, then the function under the profiler, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__)
    parser.add_argument("function", choices=STEPS)
    subjects = {subject.name: subject for subject in (PAYMENT, LINEITEM, TAXI)}
    parser.add_argument("--table", choices=subjects, default=PAYMENT.name, help=f"{PAYMENT.name}, or another")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table (1,000,000)")
    arguments = parser.parse_args()
    with scene() as here:
        path = WholePath(here, subjects[arguments.table], arguments.rows)
        path.prepare()
        for step in STEPS[: STEPS.index(arguments.function)]:
            measure([path.step(step)], 1, here.server.pid)
        profiled = path.step(arguments.function)
        profiled.prepare()
        python, _, *module = map(str, profiled.command)
        command = [python, "-c", _PROFILE, *module]
        return subprocess.run(command, env={**os.environ, **profiled.environment}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
