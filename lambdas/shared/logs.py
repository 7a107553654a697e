"""The log of a function: one JSON object per line, which CloudWatch Logs can be asked about by its fields.

A line has ``timestamp``, ``level``, ``message``, ``request_id``, and the fields that its writer names: numbers, and
names of the declaration. No value of a row is among them. Lambda passes such lines on, in both of its log formats.
https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .metrics import MEMORY_USED, Metric, embedded

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
"""Lambda's, the least important first."""
SUMMARY = "summary"
"""The message of the last line of an invocation."""


@dataclass(frozen=True)
class TableWork:
    """What was done with one table of one batch."""

    rows: int
    bytes: int
    """The size of its files."""
    milliseconds: float
    more: Mapping[str, int] = field(default_factory=dict)
    """Other numbers by their names: of deleted rows, of rejected rows. Zeros are not shown."""


@dataclass
class Run:
    """One invocation: what its summary says, and the metrics that the summary puts."""

    request_id: str | None = None
    cold_start: bool = False
    started: float = 0.0
    """By the clock of the log, in seconds."""
    fields: dict[str, Any] = field(default_factory=dict)
    values: dict[Metric, list[float]] = field(default_factory=dict)

    def put(self, metric: Metric, value: float) -> None:
        """Puts ``value`` of ``metric`` with the summary, also where the run fails after this."""
        self.values.setdefault(metric, []).append(value)

    def add(self, **amounts: int) -> None:
        """Adds to the summary's numbers of those names."""
        for name, amount in amounts.items():
            self.fields[name] = self.fields.get(name, 0) + amount


class Log:
    """Writes lines to ``write``, by default the standard output. One for each process, as that runs one event at a
    time.
    """

    def __init__(
        self,
        write: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.write = write or _to_stdout
        self._clock = clock
        self._now = now
        self._is_cold = True
        self._function = "local"
        self.run = Run()

    def begin(self, request_id: str | None, function: str) -> Run:
        """Begins an invocation of ``function``, its name on AWS, and returns what the summary will say."""
        self.run = Run(request_id, self._is_cold, self._clock())
        self._is_cold, self._function = False, function
        return self.run

    def end(self, outcome: str, **fields: object) -> None:
        """Writes the summary of the invocation, with its metrics."""
        run, used = self.run, memory_used()
        if used is not None:
            run.put(MEMORY_USED, used)
        self._line(
            "INFO",
            SUMMARY,
            {
                "outcome": outcome,
                **run.fields,
                **fields,
                "milliseconds": round((self._clock() - run.started) * 1000),
                "memory_mb": used,
                "cold_start": run.cold_start,
            },
            run.values,
        )

    def info(self, message: str, **fields: object) -> None:
        """Writes a line of what happened."""
        self._line("INFO", message, fields)

    def tables(self, message: str, batch: int, done: Mapping[str, TableWork]) -> None:
        """Writes one line for each table of a batch, and adds its numbers to the summary."""
        self.run.fields.setdefault("batches", []).append(batch)
        for table, work in done.items():
            more = {name: number for name, number in work.more.items() if number}
            took = round(work.milliseconds)
            self.info(message, batch=batch, table=table, rows=work.rows, **more, bytes=work.bytes, milliseconds=took)
            self.run.add(tables=1, rows=work.rows, bytes=work.bytes, **more)

    def warning(self, message: str, metrics: Mapping[Metric, float] | None = None, **fields: object) -> None:
        """Writes a line of what needs attention. With it, puts ``metrics``."""
        self._line("WARN", message, fields, {metric: [value] for metric, value in (metrics or {}).items()})

    def error(self, message: str, **fields: object) -> None:
        """Writes a line of what failed."""
        self._line("ERROR", message, fields)

    def _line(
        self, level: str, message: str, fields: Mapping[str, object], values: Mapping[Metric, list[float]] | None = None
    ) -> None:
        least = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO").upper()  # Lambda drops what is below it
        now = self._now()
        put = embedded(values or {}, os.environ.get("METRICS_NAMESPACE", "pipeline"), self._function, int(now * 1000))
        if least in LEVELS and LEVELS.index(level) < LEVELS.index(least):
            if not put:
                return
            level, message, fields = least, "metrics", {}  # a metric must not depend on what is read of the log
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"timestamp": at, "level": level, "message": message, "request_id": self.run.request_id}
        self.write(json.dumps({**head, **{name: value for name, value in fields.items() if value is not None}, **put}))


def steps(error: BaseException) -> list[str]:
    """Where ``error`` was raised, outermost first: files, lines and functions, without the values of anything."""
    return [f"{step.filename}:{step.lineno} {step.name}" for step in traceback.extract_tb(error.__traceback__)]


def memory_used() -> int | None:
    """The most memory that this process had so far, in MB; ``None`` where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        found = next(line for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None
    return round(int(found.split()[1]) / 1024)


def _to_stdout(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
