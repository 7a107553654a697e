"""Following a batch from the source into the warehouse, with a clock and a sleep that a test can replace."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client import lake
from lambda_toolkit.pipeline.client.invocation import call
from lambda_toolkit.pipeline.commands import logs
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import program
from lambda_toolkit.pipeline.lambdas.shared.events import (
    ExtractRequest,
    ExtractResult,
    LoadRequest,
    LoadResult,
    ReportRequest,
)

if TYPE_CHECKING:
    from lambda_toolkit.aws.client import Aws

TRANSFORM_BUDGET = 300.0  # seconds for the S3 event to arrive and the transform to end
LOAD_BUDGET = 900.0  # seconds for every batch before this one, and this one
POLL = 0.5  # seconds


@dataclass(frozen=True)
class Waiting:
    """How to wait: a clock in seconds and a sleep."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time


@dataclass(frozen=True)
class Follower:
    """One pipeline on one AWS, and where to tell what happens."""

    aws: Aws
    pipeline: Pipeline
    tell: Callable[[str], None]
    waiting: Waiting = field(default_factory=Waiting)

    def extract(self) -> ExtractResult:
        """Runs extract now. Raises CommandError with its message when it fails."""
        return call(self.aws, self.pipeline.function_name("extract"), ExtractRequest(), ExtractResult)

    def loaded(self) -> LoadResult:
        """The last batch in the warehouse and when it was loaded; loads nothing."""
        return call(self.aws, self.pipeline.function_name("load"), ReportRequest(), LoadResult)

    def bucket(self, name: str) -> str:
        """The name on AWS of the bucket declared as ``name``."""
        return self.pipeline.bucket_name(name, self.aws.account_id)

    def await_transform(self, batch: int) -> Mapping[str, Any]:
        """The processed manifest of ``batch``, once the manifest's S3 event has brought transform to write it.

        Raises CommandError with the function's own words when it fails, or when it takes longer than five minutes.
        """
        begun, since = self.waiting.clock(), int(self.waiting.now() * 1000)
        while not any(
            found.number == batch for found in lake.batches_after(self.aws, self.bucket("processed"), batch - 1)
        ):
            complaint = self._complaint("transform", since)
            if complaint:
                raise CommandError(f"transform failed on batch {batch}: {complaint}")
            if self.waiting.clock() - begun > TRANSFORM_BUDGET:
                raise CommandError(
                    f"Batch {batch} was extracted, but transform has not written it after {TRANSFORM_BUDGET:.0f} s. "
                    f"See: {program()} logs transform"
                )
            self.waiting.sleep(POLL)
        return lake.manifest(self.aws, self.bucket("processed"), batch)

    def load(self, batch: int) -> LoadResult:
        """Runs load until ``batch`` is in the warehouse.

        Returns the last result, with the batches loaded and the rows written by all runs.

        Raises CommandError when load fails or never gets there.
        """
        begun = self.waiting.clock()
        appended: dict[str, int] = {}
        loaded: tuple[int, ...] = ()
        while True:
            result = call(self.aws, self.pipeline.function_name("load"), LoadRequest(), LoadResult)
            loaded += result.loaded
            for table, rows in result.appended.items():
                appended[table] = appended.get(table, 0) + rows
            if (result.last_batch or 0) >= batch:
                return replace(result, loaded=loaded, appended=appended)
            if self.waiting.clock() - begun > LOAD_BUDGET:
                raise CommandError(
                    f"Batch {batch} is not in the warehouse after {LOAD_BUDGET:.0f} s: load waits for batch "
                    f"{result.missing_batch}. See: {program()} status"
                )
            self.waiting.sleep(POLL)

    def _complaint(self, function: str, since: int) -> str | None:
        """The first error that ``function`` logged since then, if any."""
        for event in logs.events(self.aws, self.pipeline.function_name(function), since):
            complaint = error_in(event["message"])
            if complaint:
                return complaint
        return None


def error_in(line: str) -> str | None:
    """What a log line complains of, or ``None``: a structured line of level ERROR, or the runtime's own report."""
    text = line.strip()
    if text.startswith("{"):
        try:
            entry = json.loads(text)
        except ValueError:
            return None
        if isinstance(entry, dict) and entry.get("level") in ("ERROR", "CRITICAL"):
            return str(entry.get("message"))
        return None
    return text if "[ERROR]" in text or "Task timed out" in text else None
