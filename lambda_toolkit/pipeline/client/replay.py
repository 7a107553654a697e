"""Replays batches: transform reprocesses each, then load applies the revisions that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from lambda_toolkit.pipeline.client.invocation import call
from lambda_toolkit.pipeline.client.observing.follow import LOAD_TIMEOUT, Follower
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.shared.messages.events import (
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

BATCHES_PER_CALL = 200  # that one invocation of load is given; it returns those that it has no time for
PAUSE = 5.0  # seconds between two calls while another load is running


L = TypeVar("L", LoadResult, LoadReplayResult, RebuildResult, CompareResult)


@dataclass(frozen=True)
class Replay:
    """The steps of a replay of the pipeline that ``follower`` follows."""

    follower: Follower

    def rejected(self) -> list[int]:
        """The batches with rejected rows that are not in the warehouse. Raises CommandError."""
        load = self.follower.pipeline.function_name("load")
        return list(call(self.follower.aws, load, RejectedRequest(), RejectedResult).batches)

    def replay(self, batches: list[int]) -> dict[str, Any]:
        """Reprocess the batches in order, and apply them.

        Returns, as JSON values, the outcome of each batch, the rows written per table, the batches that are not loaded
        yet, and the counts of outstanding rows. Raises CommandError where a function fails: what was applied stays.
        """
        reprocessed = [self._reprocess(batch) for batch in batches]
        written: dict[str, int] = {}
        not_loaded: list[int] = []
        opened = OpenCounts()
        for start in range(0, len(batches), BATCHES_PER_CALL):
            left = batches[start : start + BATCHES_PER_CALL]
            while left:
                result = self.call_load(LoadReplayRequest(tuple(left)), LoadReplayResult)
                for table, rows in result.written.items():
                    written[table] = written.get(table, 0) + rows
                not_loaded += result.not_loaded
                opened, left = result.open, list(result.left)
        return {"batches": reprocessed, "written": written, "not_loaded": not_loaded, "open": opened.to_json()}

    def call_load(self, request: Request, result_type: type[L]) -> L:
        """The result of load for ``request``. Waits while another load is running.

        Raises CommandError after 15 minutes.
        """
        waiting = self.follower.waiting
        started, is_reported = waiting.clock(), False
        while True:
            result = call(self.follower.aws, self.follower.pipeline.function_name("load"), request, result_type)
            if not result.busy:
                return result
            if not is_reported:
                self.follower.report("load: another load is running; waiting for it ...")
                is_reported = True
            if waiting.clock() - started > LOAD_TIMEOUT:
                raise CommandError(
                    f"Another load has been running for {LOAD_TIMEOUT:.0f} s, and only one may write to the warehouse "
                    f"at a time. See: {suggested('logs load')}"
                )
            waiting.sleep(PAUSE)

    def _reprocess(self, batch: int) -> dict[str, Any]:
        function = self.follower.pipeline.function_name("transform")
        result = call(self.follower.aws, function, TransformReplayRequest(batch), TransformReplayResult)
        rejected = sum(result.rejected.values())
        self.follower.report(
            f"transform: batch {batch} "
            + (f"differs now: revision {result.revision}" if result.changed else "is unchanged")
            + (f", {rejected:,} rejected" if rejected else "")
        )
        return result.to_json()
