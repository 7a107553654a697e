"""Replaying batches: transform converts each again, then load applies what came out differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from lambda_toolkit.pipeline.client.follow import LOAD_BUDGET, Follower
from lambda_toolkit.pipeline.client.invocation import call
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import program
from lambda_toolkit.pipeline.lambdas.shared.events import (
    CompareResult,
    LoadReplayRequest,
    LoadReplayResult,
    LoadResult,
    OpenCounts,
    RebuildResult,
    RejectedRequest,
    RejectedResult,
    Request,
    TransformReplayRequest,
    TransformReplayResult,
)

APPLIED_AT_ONCE = 200  # batches that one invocation of load is given; it leaves those that it has no time for
PAUSE = 5.0  # seconds before asking again while another load is running


L = TypeVar("L", LoadResult, LoadReplayResult, RebuildResult, CompareResult)


@dataclass(frozen=True)
class Replaying:
    """The two steps of a replay, on the pipeline that ``follower`` follows."""

    follower: Follower

    def rejected(self) -> list[int]:
        """The batches with rows that were rejected and are not in the warehouse."""
        load = self.follower.pipeline.function_name("load")
        return list(call(self.follower.aws, load, RejectedRequest(), RejectedResult).batches)

    def replay(self, batches: list[int]) -> dict[str, Any]:
        """Converts the batches again, in order, and applies them. Returns what came of each, and what was written.

        Raises CommandError where a function fails: what was applied before stays.
        """
        converted = [self._convert(batch) for batch in batches]
        written: dict[str, int] = {}
        not_loaded: list[int] = []
        opened = OpenCounts()
        for start in range(0, len(batches), APPLIED_AT_ONCE):
            left = batches[start : start + APPLIED_AT_ONCE]
            while left:
                result = self.patiently(LoadReplayRequest(tuple(left)), LoadReplayResult)
                for table, rows in result.written.items():
                    written[table] = written.get(table, 0) + rows
                not_loaded += result.not_loaded
                opened, left = result.open, list(result.left)
        return {"batches": converted, "written": written, "not_loaded": not_loaded, "open": opened.to_json()}

    def patiently(self, request: Request, result_type: type[L]) -> L:
        """The answer of load to ``request``, after waiting for another load that is running.

        Raises CommandError when that load does not end.
        """
        waiting = self.follower.waiting
        begun, told = waiting.clock(), False
        while True:
            result = call(self.follower.aws, self.follower.pipeline.function_name("load"), request, result_type)
            if not result.busy:
                return result
            if not told:
                self.follower.tell("load: another load is running; waiting for it ...")
                told = True
            if waiting.clock() - begun > LOAD_BUDGET:
                raise CommandError(
                    f"Another load has been running for {LOAD_BUDGET:.0f} s, and only one may write to the warehouse "
                    f"at a time. See: {program()} logs load"
                )
            waiting.sleep(PAUSE)

    def _convert(self, batch: int) -> dict[str, Any]:
        function = self.follower.pipeline.function_name("transform")
        result = call(self.follower.aws, function, TransformReplayRequest(batch), TransformReplayResult)
        rejected = sum(result.rejected.values())
        self.follower.tell(
            f"transform: batch {batch} "
            + (f"came out differently: revision {result.revision}" if result.changed else "is as it was")
            + (f", {rejected:,} rejected" if rejected else "")
        )
        return result.to_json()
