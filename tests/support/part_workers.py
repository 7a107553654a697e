"""Workers that transform parts as threads of this process; and those that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import ingestion_manifest
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.messages.part_events import PartRequest, PartResult
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations
from lambda_toolkit.pipeline.lambdas.transform.parts import PartTransform
from lambda_toolkit.pipeline.lambdas.transform.workers import ByWorkers, FanOut

Change = Callable[[PartRequest, Callable[[PartRequest], PartResult]], PartResult]


class ThreadWorkers:
    """What travels between functions on AWS travels as JSON here, too.

    ``change`` is called in place of the worker, with the request and what would answer it.
    """

    def __init__(
        self,
        ingestion: Lake,
        processed: Lake,
        declarations: Declarations,
        change: Change = lambda request, really: really(request),
    ) -> None:
        self._ingestion, self._processed, self._declarations = ingestion, processed, declarations
        self._change = change
        self._lock = threading.Condition()
        self._busy = 0
        self.requests: list[PartRequest] = []

    def transform(self, request: PartRequest) -> PartResult:
        """As Workers has it."""
        with self._lock:
            self.requests.append(request)
            self._busy += 1
        try:
            return self._change(request, self._really)
        finally:
            with self._lock:
                self._busy -= 1
                self._lock.notify_all()

    def _really(self, request: PartRequest) -> PartResult:
        event = request.to_json()
        asked = PartRequest.from_json({key: value for key, value in event.items() if key != "action"})
        key = manifest_key(asked.batch)
        source = ingestion_manifest(self._ingestion.get(key), key)
        found = PartTransform(source, self._ingestion, self._processed, self._declarations).result(asked)
        return PartResult.from_json(found.to_json())

    def wait(self) -> None:
        """Waits until none of them works."""
        with self._lock:
            self._lock.wait_for(lambda: not self._busy, 60)


def by_workers(workers: ThreadWorkers, refused: list[str] | None = None, **changed: Any) -> ByWorkers:
    """An engine of at most four workers that does not wait between two tries. ``refused`` gets why a part was not
    taken.
    """
    options = {"most": 4, "pause": 0.0, "heartbeat": 0.05, "seconds": 300.0, **changed}
    reasons = [] if refused is None else refused
    fan_out = FanOut(workers, **options)
    return ByWorkers(fan_out, lambda: 900.0, lambda part, why: reasons.append(f"{part.number} {why}"))
