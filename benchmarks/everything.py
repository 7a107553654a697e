"""Everything that docs/performance.md has, measured again, one comparison after the other.

On a quiet machine of two cores it takes some 25 minutes, and 15 GB of disk. Run it on one that does nothing else.
Run: python -m benchmarks.everything --into docs/performance.md; with --quick, small sizes show in minutes that
everything can be measured here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import show_table

COMPARISONS = {  # module -> the options of a quick run
    "loading_beside": ["--rows", "100000", "--large", "1000000", "--rounds", "1"],
    "extracting_beside": ["--rows", "100000", "--large", "500000", "--rounds", "1"],
    "every_value": ["--rows", "100000", "--rounds", "1"],
    "growth": ["--rows", "10000", "100000", "500000", "--rounds", "1"],
    "memory_setting": ["--rows", "100000", "--rounds", "1"],
    "packages": ["--runs", "2"],
    "embedded_stack": ["--orders", "20000", "--rounds", "1"],
}
SEEDED = "embedded_stack"
"""The comparison that also takes a directory with totesys' own data."""


def main() -> int:
    """Run them all; a comparison that fails does not keep the next from running, and is named at the end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everything", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one sample each: minutes")
    parser.add_argument("--only", nargs="*", choices=COMPARISONS, default=list(COMPARISONS), help="some of them")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write tables and charts into this document")
    parser.add_argument("--seed", type=Path, metavar="DIRECTORY", help=f"with totesys' own data, for {SEEDED}")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.only:
        options = COMPARISONS[name] if arguments.quick else []
        options = [*options, "--into", str(arguments.into)] if arguments.into else options
        options = [*options, "--seed", str(arguments.seed)] if arguments.seed and name == SEEDED else options
        begun = time.monotonic()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False)
        rows.append([name, f"{time.monotonic() - begun:.0f}", "failed" if done.returncode else "done"])
    show_table("everything", ("comparison", "wall s", ""), rows, ())
    return int(any(row[2] == "failed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
