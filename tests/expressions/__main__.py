"""``make expressions``: random expressions over hostile rows, on a server that is started for it."""

from __future__ import annotations

import argparse
import sys
import time

from tests.expressions.differential import Differential
from tests.support.databases import server_of_its_own

SHOWN = 40  # differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expressions", type=int, default=20_000, help="how many")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of the expressions and the rows")
    parser.add_argument("--stricter", action="store_true", help="list what is refused here and not in PostgreSQL")
    options = parser.parse_args()
    with server_of_its_own("expressions") as connection:
        found = Differential(connection, options.seed).run(options.expressions, options.seed)
    for difference in found.differences[:SHOWN]:
        print(difference)
    if options.stricter:
        for reason, texts in sorted(found.stricter.items(), key=lambda item: -len(item[1])):
            print(f"{len(texts):6} {reason}\n         {min(texts, key=len)[:200]}")
    print(
        f"{found.expressions:,} expressions, {found.accepted:,} of them computed by both: {found.cells:,} values "
        f"compared, of which {found.rejected:,} are rejected; {len(found.differences):,} differences. "
        f"--seed {options.seed} repeats them."
    )
    return 1 if found.differences else 0


if __name__ == "__main__":
    sys.exit(main())
