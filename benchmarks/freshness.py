"""How soon a commit of the source is one of the warehouse, measured twice: from outside, and as ``batches`` says it.

    python -m benchmarks.freshness --minutes 30

Business goes on in the local stack, whose functions start every minute. A tracer inserts orders of its own into it,
with its own clock and its own log of commits, and looks for each in the warehouse until it is there: it asks the two
databases alone, and no manifest and no ledger. What `batches` says of the same time must agree with it.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.report import show_table
from lambda_toolkit.pipeline.client.observing import latency
from lambda_toolkit.pipeline.client.observing.batches import Batch, TimelineReader
from lambda_toolkit.pipeline.client.observing.latency import Latency, Sample, percentile
from lambda_toolkit.pipeline.client.target import choose
from lambda_toolkit.pipeline.client.warehouses.reader import warehouse_of
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.running import load_stack
from lambda_toolkit.pipeline.local_stack.stack import simulated_source
from lambda_toolkit.pipeline.local_stack.totesys.business_day import simulate

EVERY = 3.0  # seconds between two orders of the tracer, on average
POLL = 0.2  # seconds between two looks at the warehouse
WAITING = 180.0  # seconds that the last orders have after business has ended
_INSERT = """
    INSERT INTO sales_order SELECT (jsonb_populate_record(s, jsonb_build_object('sales_order_id', CAST(:id AS int)))).*
    FROM sales_order AS s ORDER BY sales_order_id LIMIT 1
"""
_ARRIVED = "SELECT sales_order_id FROM fact_sales_order WHERE sales_order_id = ANY(CAST(:ids AS int[]))"
_FIRST = -int(time.time())  # ids of the tracer go down: those of the business go up from the highest


@dataclass
class Tracer:
    """Orders that are inserted, and when each was committed and seen, in seconds since 1970."""

    committed: dict[int, float] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)

    def insert(self, source: Database, until: float) -> None:
        """Inserts orders at random moments until ``until``."""
        connection, dice = source.connect(), random.Random(1)  # noqa: S311
        try:
            number = _FIRST
            while time.time() < until:
                time.sleep(dice.expovariate(1 / EVERY))
                connection.run(_INSERT, id=number)
                self.committed[number] = time.time()
                number -= 1
        finally:
            connection.close()

    def look(self, warehouse: Database, until: float) -> None:
        """Looks for those that have not arrived, until all have after ``until``, or none will."""
        connection = warehouse.connect()
        try:
            while time.time() < until or (len(self.seen) < len(self.committed) and time.time() < until + WAITING):
                time.sleep(POLL)
                missing = [number for number in list(self.committed) if number not in self.seen]
                for (number,) in connection.run(_ARRIVED, ids=missing) if missing else ():
                    self.seen[number] = time.time()
        finally:
            connection.close()

    def latency(self) -> Latency:
        """Of those that have arrived."""
        return Latency(tuple(Sample(at - self.committed[number]) for number, at in sorted(self.seen.items())))


def measured(minutes: float, rate: float) -> tuple[Tracer, list[Batch]]:
    """Lets business happen for so many minutes. Returns what the tracer saw, and the batches of that time."""
    stack = load_stack(Path.cwd())
    target = choose(DEFAULT_PATH, None, {})
    begun, until, tracer = datetime.now(UTC), time.time() + minutes * 60, Tracer()
    work: Sequence[tuple[Any, ...]] = (
        (tracer.insert, simulated_source(stack), until),
        (tracer.look, stack.warehouse, until),
        (lambda source: simulate(source, rate=rate, minutes=minutes), simulated_source(stack)),
    )
    threads = [threading.Thread(target=function, args=arguments, daemon=True) for function, *arguments in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    timeline = TimelineReader(target.aws(), target.pipeline, warehouse_of(target)).read(1000)
    return tracer, [batch for batch in timeline.batches if batch.extracted_at >= begun and batch.loaded]


def main() -> None:
    """Measures, and prints both figures side by side."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--minutes", type=float, default=30.0)
    options.add_argument("--rate", type=float, default=30.0, help="events of the business a minute")
    given = options.parse_args()
    tracer, batches = measured(given.minutes, given.rate)
    outside, shown = tracer.latency(), latency.of_batches(batch.latency for batch in batches)
    rows = [
        [name, str(count), *(f"{percentile(of.samples, share):.1f} s" for share in (0.5, 0.99, 1.0))]
        for name, of, count in (
            ("seen from outside", outside, len(outside.samples)),
            ("as `batches` shows it", shown, sum(b.extracted.manifest["commits"]["transactions"] for b in batches)),
        )
        if of is not None
    ]
    lost = len(tracer.committed) - len(tracer.seen)
    notes = [f"{len(batches)} batches; of {len(tracer.committed)} orders of the tracer, {lost} have not arrived."]
    heading = f"From commit to commit, {given.minutes:g} minutes of business, functions started every minute"
    show_table(heading, ["measured", "transactions", "median", "99 %", "worst"], rows, notes)


if __name__ == "__main__":
    main()
