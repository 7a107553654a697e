"""What a command costs before it does anything: the processor time of `deploy.py --help`.

Run: python -m benchmarks.startup [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ROUNDS = 10


def processor_time(arguments: Sequence[str]) -> float:
    """Seconds of processor time, user and system, of one run of this Python with ``arguments``."""
    before = os.times()
    subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print the least and the median of the rounds, beside those of a Python that does nothing."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    for shown, arguments in (("python -c pass", ["-c", "pass"]), ("deploy.py --help", ["deploy.py", "--help"])):
        seconds = [processor_time(arguments) for _ in range(rounds)]
        print(f"{shown:18} least {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s of {rounds}")


if __name__ == "__main__":
    main()
