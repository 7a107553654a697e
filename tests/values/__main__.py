"""``make values``: every type to every type, a million values or more, on a server that is started for it."""

from __future__ import annotations

import argparse
import sys
import time

from tests.support.databases import server_of_its_own
from tests.values.differential import run

SHOWN = 50  # differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000, help="values to compare, at least")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of the random values")
    options = parser.parse_args()
    with server_of_its_own("values") as connection:
        found = run(connection, options.cells, options.seed)
    for difference in found.differences[:SHOWN]:
        print(difference)
    print(
        f"{found.cells:,} values compared, of which {found.stored:,} are stored and the others rejected; "
        f"{len(found.differences):,} differences. --seed {options.seed} repeats them."
    )
    return 1 if found.differences or found.cells < options.cells else 0


if __name__ == "__main__":
    sys.exit(main())
