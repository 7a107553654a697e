"""What a command costs before it does anything: the processor time of `deploy.py --help`, and of loading others.

Bytecode is cached, as it is for whoever runs a command a second time. With PYTHONDONTWRITEBYTECODE, which containers
and developers set, Python compiles this project's modules each time: that doubles what a command costs.
Run: python -m benchmarks.startup [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ROUNDS = 10


COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "deploy.py --help": ["deploy.py", "--help"],
    **{
        f"deploy.py {name} --help": ["deploy.py", name, "--help"]
        for name in ("run", "plan", "status")  # which imports what the command needs from the first line on
    },
}


def with_bytecode(cache: Path) -> dict[str, str]:
    """This process's environment, in which Python keeps bytecode in ``cache``, and none beside the sources."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**environment, "PYTHONPYCACHEPREFIX": str(cache)}


def processor_time(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """Seconds of processor time, user and system, of one run of this Python with ``arguments``."""
    before = os.times()
    subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print the least and the median of the rounds, beside those of a Python that does nothing."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    with tempfile.TemporaryDirectory() as cache:
        environment = with_bytecode(Path(cache))
        for shown, arguments in COMMANDS.items():
            processor_time(arguments, environment)  # fills the cache
            seconds = [processor_time(arguments, environment) for _ in range(rounds)]
            least, median = min(seconds), statistics.median(seconds)
            print(f"{shown:25} least {least:.2f} s, median {median:.2f} s of {rounds}")


if __name__ == "__main__":
    main()
