"""Where the time of the main job goes: `python deploy.py local run`, each line of its progress with its second.

Run: python -m benchmarks.main_job [--orders N]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def main() -> int:
    """Run the job, print when each step began, and return its exit code."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-u", "deploy.py", "local", "run", *sys.argv[1:]],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if process.stdout is None:
        raise RuntimeError("the job's output is a pipe")
    for line in process.stdout:
        print(f"{time.perf_counter() - begun:6.1f}  {line}", end="", flush=True)
    code = process.wait()
    print(f"{time.perf_counter() - begun:6.1f}  ended with {code}, on {os.cpu_count()} cores")
    return code


if __name__ == "__main__":
    sys.exit(main())
