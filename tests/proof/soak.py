"""Random histories for as long as asked: ``python -m tests.proof.soak --minutes 10`` or ``--histories 1000``.

Each portion has a fresh seed. Of its histories, a fifth each is run again in the other ways that the pipeline has: read
in ranges, read by readers of two rows, transformed in parts by workers, and loaded over several connections. A history
that fails is made short and printed, with the seed that found it; ``--seed`` begins with that seed again. With
``--duckdb`` every history is loaded into a DuckDB file as well, and what it has is compared with PostgreSQL, row for
row.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
from tests.proof.proving import (
    BrokenError,
    prove_by_readers,
    prove_in_parts,
    prove_in_ranges,
    prove_many,
    prove_over_connections,
)
from tests.proof.simulation import Simulation
from tests.proof.worlds import on_moto, opened, with_twin
from tests.support.thresholds import small_thresholds

PORTION = 20  # histories to a seed
OTHER_WAYS = (prove_in_ranges, prove_by_readers, prove_in_parts)
SHARE = 5  # of the histories of a seed, one in so many is run in each of the other ways


def main() -> int:
    """The exit status: 1 when a history was found after which something is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--histories", type=int, default=None)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--moto", action="store_true", help="moto's S3: slower, and closer to the real one")
    parser.add_argument("--duckdb", action="store_true", help="a DuckDB file beside PostgreSQL, equal row for row")
    asked = parser.parse_args()
    if asked.minutes is None and asked.histories is None:
        asked.minutes = 10.0
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    server = postgres_server.start(directory)
    try:
        with (
            opened(server) as world,
            on_moto(world) if asked.moto else nullcontext(),
            with_twin(world, directory) if asked.duckdb else nullcontext(),
        ):
            return _soak(world, asked)
    except KeyboardInterrupt:
        return 0
    finally:
        postgres_server.remove(directory)


def _soak(world: Simulation, asked: argparse.Namespace) -> int:
    began = time.monotonic()
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(2**32)
    while True:
        left = PORTION if asked.histories is None else min(PORTION, asked.histories - world.counts["histories"])
        elapsed = time.monotonic() - began
        if left <= 0 or (asked.minutes is not None and elapsed > 60 * asked.minutes):
            return 0
        try:
            with small_thresholds() if seed % 2 else nullcontext():  # of load
                prove_many(world, seed, left)
                for prove in OTHER_WAYS:
                    prove_many(world, seed, max(1, left // SHARE), prove)
            with small_thresholds():
                prove_many(world, seed, max(1, left // SHARE), prove_over_connections)
        except BrokenError as problem:
            print(f"\n{problem}\n\nThe same again: python -m tests.proof.soak --seed {seed}", file=sys.stderr)
            return 1
        counts = ", ".join(f"{number:,} {what}" for what, number in sorted(world.counts.items()))
        print(f"{time.monotonic() - began:7.0f} s  seed {seed}: {counts}", flush=True)
        seed = random.SystemRandom().randrange(2**32)


if __name__ == "__main__":
    sys.exit(main())
