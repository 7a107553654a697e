"""Has a table read by several readers in the snapshot of this run, and takes what they read, or nothing of it.

What readers read counts if every range was read in this very snapshot, and if all ranges together have the rows that
the source itself counts in it, with the same sums. Whatever else happens, extract reads alone, as without readers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from ...shared.fan_out import Gathering, NoAnswer
from ...shared.lake.manifest import DataFile
from ...shared.messages.read_events import ReadRequest, ReadResult, SharedSnapshot
from ..row_set import AllRows, WrittenSince
from ..table_plan import CaptureRun, TablePlan
from .fan_out import FanOut

_SUM_MODULUS = 2**64


class ReadAloneError(Exception):
    """Why extract reads a table without readers. Its message is for people."""


@dataclass(frozen=True)
class Parts:
    """What readers read of one table."""

    changes: tuple[DataFile, ...]
    """The files of the new and changed rows, in the order of their ranges."""
    in_flight: pa.Table | None
    note: str
    """How many readers read how many rows."""


def read_by_readers(run: CaptureRun, plan: TablePlan, rows: AllRows | WrittenSince, count: int, total: int) -> Parts:
    """Has ``rows``, of which there are ``count``, of a table with ``total`` rows read by readers.

    Raises ReadAloneError where they did not, and SnapshotLostError where this run's own snapshot is lost.
    """
    fan_out = run.fan_out
    if fan_out is None or fan_out.most < 2:
        raise ReadAloneError("there are no readers")
    if count > fan_out.rows:
        raise ReadAloneError(f"{count} rows are more than the {fan_out.rows} of a batch that readers may read")
    if run.budget.limits.deadline.is_near:
        raise ReadAloneError("little time is left")
    together = min(fan_out.most, run.snapshot.free_connections() // 2)
    if together < 2:
        raise ReadAloneError("the source has no connections left for readers, or is older than PostgreSQL 14")
    wanted = max(together, math.ceil(count / (fan_out.range_rows or run.budget.limits.rows)))
    ranges = run.snapshot.ranges(plan.info, total, wanted)
    shared = run.snapshot.export()
    # A prefix of its own: a sweep finds files of another run than the manifest's, where these never become part of one.
    files_run = hashlib.sha256(f"{run.run} readers".encode()).hexdigest()
    requests = [
        ReadRequest(
            plan.name, run.batch, files_run, number, shared, each.first, each.end, full=isinstance(rows, AllRows)
        )
        for number, each in enumerate(ranges)
    ]
    results = _Reading(run, fan_out, shared, min(together, len(requests))).results(plan, requests, rows)
    for result in results:
        run.transactions.merge(result.transactions, result.step)
    changes = tuple(DataFile(part.key, part.rows) for result in results if (part := result.changes))
    in_flight = [run.lake.table(part.key) for result in results if (part := result.in_flight)]
    return Parts(
        changes,
        pa.concat_tables(in_flight) if in_flight else None,
        f"{len(results)} ranges, {min(together, len(requests))} at a time, {count} rows",
    )


class _Reading:
    """One table, range by range."""

    def __init__(self, run: CaptureRun, fan_out: FanOut, shared: SharedSnapshot, together: int) -> None:
        self._run, self._fan_out, self._shared, self._together = run, fan_out, shared, together

    def results(self, plan: TablePlan, requests: list[ReadRequest], rows: AllRows | WrittenSince) -> list[ReadResult]:
        """What the readers answered, in the order of the ranges. Raises ReadAloneError for anything but all of it."""
        snapshot, ask = self._run.snapshot, self._fan_out.readers.read
        left = self._run.budget.limits.deadline.seconds_left()
        found: dict[int, ReadResult] = {}
        with Gathering(ask, requests, self._together, self._fan_out, left) as gathering:
            # Meanwhile the source adds up the same rows: in the snapshot that readers must have read.
            expected = snapshot.sums(plan.info, rows)
            # Asking for the snapshot also keeps it open.
            for request, answer in gathering.answers(lambda: snapshot.check(self._shared)):
                if isinstance(answer, NoAnswer):
                    raise ReadAloneError(f"range {request.number} {answer.reason}") from answer.error
                found[request.number] = self._checked(request, answer)
        snapshot.check(self._shared)
        self._compare(found, expected)
        return [found[request.number] for request in requests]

    def _checked(self, request: ReadRequest, result: ReadResult) -> ReadResult:
        if result.refused is not None:
            raise ReadAloneError(f"a reader could not share the snapshot: {result.refused}")
        if result.number != request.number or result.visible != self._shared.visible:
            raise ReadAloneError(f"range {request.number} was read in another snapshot")
        return result

    @staticmethod
    def _compare(found: Mapping[int, ReadResult], expected: tuple[int, Mapping[str, int]]) -> None:
        rows, sums = expected
        read = sum(result.rows for result in found.values())
        if read != rows:
            raise ReadAloneError(f"readers read {read} rows, and the source has {rows} in the same snapshot")
        for column, wanted in sums.items():
            if sum(result.sums.get(column, 0) for result in found.values()) % _SUM_MODULUS != wanted:
                raise ReadAloneError(f"the values of {column} that readers read have another sum than the source's")
