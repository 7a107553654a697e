"""Follows a batch from the source to the warehouse. Tests replace its clock and its sleep."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client import lake
from lambda_toolkit.pipeline.client.invocation import call
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.shared.messages.events import (
    ExtractRequest,
    ExtractResult,
    LoadRequest,
    LoadResult,
    ReportRequest,
)

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws

TRANSFORM_TIMEOUT = 300.0  # seconds for the S3 event to arrive and transform to finish
LOAD_TIMEOUT = 900.0  # seconds for every batch before this one, and this one
POLL = 0.5  # seconds between two invocations of load
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.03, 0.5, 1.5  # seconds between two looks: few rows are transformed in 0.1 s
LOG_PAUSE = 1.0  # seconds between two readings of a log, which costs more than a look and takes longer


@dataclass(frozen=True)
class Waiting:
    """The clocks and the sleep of whoever waits. Seconds."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time
    """Seconds since 1970."""


@dataclass(frozen=True)
class Follower:
    """One deployed pipeline, and a callback that reports progress."""

    aws: Aws
    pipeline: Pipeline
    report: Callable[[str], None]
    waiting: Waiting = field(default_factory=Waiting)

    def extract(self) -> ExtractResult:
        """Invoke extract. Raises CommandError with its message where it fails."""
        return call(self.aws, self.pipeline.function_name("extract"), ExtractRequest(), ExtractResult)

    def loaded(self) -> LoadResult:
        """The last batch in the warehouse, and when it was loaded. Loads nothing. Raises CommandError."""
        return call(self.aws, self.pipeline.function_name("load"), ReportRequest(), LoadResult)

    def bucket(self, name: str) -> str:
        """The name on AWS of the bucket declared as ``name``."""
        return self.pipeline.bucket_name(name, self.aws.account_id)

    def await_transform(self, batch: int) -> Mapping[str, Any]:
        """Wait until transform, started by S3, has written ``batch``. Returns the manifest of its files.

        Raises CommandError with the error that transform logged, or after five minutes.
        """
        started, since = self.waiting.clock(), int(self.waiting.now() * 1000)
        bucket, pause, log_due = self.bucket("processed"), FIRST_PAUSE, LOG_PAUSE
        while (manifest := lake.find_manifest(self.aws, bucket, batch)) is None:
            waited = self.waiting.clock() - started
            if waited >= log_due:
                log_due = waited + LOG_PAUSE
                error = self._logged_error(since)
                if error:
                    raise CommandError(f"transform failed on batch {batch}: {error}")
            if waited > TRANSFORM_TIMEOUT:
                raise CommandError(
                    f"Batch {batch} was extracted, but transform has not written it after {TRANSFORM_TIMEOUT:.0f} s. "
                    f"See: {suggested('logs transform')}"
                )
            self.waiting.sleep(pause)
            pause = min(pause * GROWTH, LONGEST_PAUSE)
        return manifest

    def _logged_error(self, since: int) -> str | None:
        from lambda_toolkit.pipeline.client.observing.logs import first_error  # imported on use: few runs read a log

        return first_error(self.aws, self.pipeline, "transform", since)

    def load(self, batch: int) -> LoadResult:
        """Invoke load until ``batch`` is in the warehouse.

        Returns the last result, with the batches loaded and the rows written by all invocations. Raises CommandError
        where load fails, or after 15 minutes.
        """
        started = self.waiting.clock()
        appended: dict[str, int] = {}
        loaded: tuple[int, ...] = ()
        while True:
            result = call(self.aws, self.pipeline.function_name("load"), LoadRequest(), LoadResult)
            loaded += result.loaded
            for table, rows in result.appended.items():
                appended[table] = appended.get(table, 0) + rows
            if (result.last_batch or 0) >= batch:
                return replace(result, loaded=loaded, appended=appended)
            if self.waiting.clock() - started > LOAD_TIMEOUT:
                raise CommandError(
                    f"Batch {batch} is not in the warehouse after {LOAD_TIMEOUT:.0f} s: load waits for batch "
                    f"{result.missing_batch}. See: {suggested('status')}"
                )
            self.waiting.sleep(POLL)
