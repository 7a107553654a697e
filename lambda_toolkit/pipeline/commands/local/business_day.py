"""The main job on the local stack: waits for simulated activity to arrive in the warehouse, and shows the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.lake import batches_after
from lambda_toolkit.pipeline.client.observing import logs
from lambda_toolkit.pipeline.client.observing.follow import Follower, Waiting
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import BatchListing

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.local_stack.description import Stack
    from lambda_toolkit.pipeline.local_stack.independent_check import Check
    from lambda_toolkit.pipeline.local_stack.postgres.database import Database
    from lambda_toolkit.pipeline.local_stack.warehouse_file import WarehouseFile

ARRIVAL_TIMEOUT = 120.0  # seconds for a change to arrive by the schedules, which fire more often on the local stack
POLL = 0.3  # seconds
_CARRIERS = ("extract", "transform", "load")  # the functions that carry a change to the warehouse


@dataclass(frozen=True)
class ArrivalWatch:
    """Waits for batches of the pipeline on the local stack. Its own triggers start the functions: nothing here does."""

    stack: Stack
    follower: Follower
    screen: Screen
    warehouse: Database | WarehouseFile | None = None
    """``None``: that of the stack."""
    waiting: Waiting = field(default_factory=Waiting)
    started: float = field(default_factory=time.time)
    """Seconds since 1970: errors logged before are ignored."""

    def await_arrival(self, after: int) -> int:
        """The last batch in the warehouse, once it is above ``after`` and nothing extracted is left to load.

        Reports each batch at each step. Raises CommandError with the errors that the functions logged, or after two
        minutes.
        """
        deadline = self.waiting.clock() + ARRIVAL_TIMEOUT
        reported: set[tuple[str, int]] = set()
        while True:
            extracted = self._report(
                reported, "extract", batches_after(self.follower.aws, self._bucket("ingestion"), after)
            )
            self._report(reported, "transform", batches_after(self.follower.aws, self._bucket("processed"), after))
            loaded = self._loaded()
            if extracted and loaded >= extracted[-1].number:
                self.screen.progress(f"load: batch {loaded} is in the warehouse (by its schedule)")
                return loaded
            errors = self.errors()
            if errors or self.waiting.clock() > deadline:
                raise CommandError(
                    "The change did not reach the warehouse. "
                    + ("\n".join(errors) or "No function logged an error; see .local/emulator.log.")
                )
            self.waiting.sleep(POLL)

    def check_until_agreed(self, check: Callable[[], Check], after: int) -> tuple[Check, int]:
        """The comparison of warehouse and source, and the last batch in it, after the source changed.

        The schedule may divide the changes into several batches. They are awaited until both sides agree, or until a
        full round of the schedules wrote nothing new and they still differ.
        """
        last = self.await_arrival(after)
        while True:
            result = check()
            if result.agrees:
                return result, last
            try:
                last = self.await_arrival(last)
            except CommandError as error:
                self.screen.progress(str(error), color="red")
                return result, last

    def errors(self) -> list[str]:
        """The errors that the three functions logged since the start, each once.

        A message that could not be sent, or a look that took too long, stops no change on its way.
        """
        found: dict[str, None] = {}
        for function in _CARRIERS:
            for event in logs.of_function(self.follower.aws, self.follower.pipeline, function, self._since()):
                error = logs.error_in(event["message"])
                if error:
                    found[f"{function}: {error}"] = None
        return list(found)

    def _since(self) -> int:
        return int(self.started * 1000)

    def _bucket(self, name: str) -> str:
        return self.follower.bucket(name)

    def _loaded(self) -> int:
        connection = (self.warehouse or self.stack.warehouse).connect()
        try:
            return int(connection.run("SELECT coalesce(max(batch), 0) FROM pipeline.ledger")[0][0])
        finally:
            connection.close()

    def _report(
        self, reported: set[tuple[str, int]], step: str, batches: tuple[BatchListing, ...]
    ) -> tuple[BatchListing, ...]:
        cause = {"extract": "by its schedule", "transform": "by the manifest's S3 event"}[step]
        for batch in batches:
            if (step, batch.number) not in reported:
                reported.add((step, batch.number))
                self.screen.progress(f"{step}: batch {batch.number} is written ({cause})")
        return batches


def show_check(screen: Screen, check: Check, title: str) -> None:
    """Source and warehouse side by side, and each difference found."""
    screen.table(
        title,
        ["table", "source", "warehouse", "all versions", "differences"],
        [[t.table, t.source_rows, t.warehouse_rows, t.versions, t.differences] for t in check.tables],
        right=["source", "warehouse", "all versions", "differences"],
    )
    for table in check.tables:
        for example in table.examples:
            screen.say(f"! {table.table}: {example}", color="red", bold=True)
    for key in check.unenforced:
        screen.say(f"! the foreign key {key} is not enforced", color="red", bold=True)


def show_history(screen: Screen, warehouse: Database | WarehouseFile) -> None:
    """The versions of one corrected sale: what changed without a new ``last_updated``."""
    connection = warehouse.connect()
    try:
        rows = connection.run(
            """
            SELECT sales_record_id, sales_order_id, (last_updated_date + last_updated_time)::text, sales_staff_id,
                   design_id, agreed_delivery_date::text, agreed_delivery_location_id
            FROM fact_sales_order
            WHERE sales_order_id = (
                SELECT sales_order_id FROM fact_sales_order GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1)
            ORDER BY sales_record_id
            """
        )
    finally:
        connection.close()
    if not rows:
        return
    columns = ["record", "last_updated", "staff", "design", "deliver by", "location"]
    title = f"Order {rows[0][1]}, every version: the source has the last one only"
    screen.table(title, columns, [[record, *row] for record, _, *row in rows])  # 80 columns wide at most


def summary_of(day: dict[str, int]) -> str:
    """The simulated activity in one sentence."""
    orders = day["sales"] + day["purchases"]
    silent = day["corrected_sales"] + day["corrected_purchases"] + day["moved_designs"]
    return (
        f"Simulated activity: {orders} new orders, {day['paid']} payments paid, {silent} corrections without a new "
        f"last_updated, {day['moved_departments']} department moved, {day['corrected_addresses']} address corrected, "
        f"{day['deleted_sales'] + day['deleted_purchases']} orders deleted"
    )


def document(seeded: Check, day: dict[str, int], final: Check, batches: int, seconds: float) -> dict[str, Any]:
    """The main job as JSON values."""
    return {
        "agrees": seeded.agrees and final.agrees,
        "seconds": round(seconds, 1),
        "batches": batches,
        "after_seed": seeded.as_dict(),
        "business_day": day,
        "after_business_day": final.as_dict(),
    }
